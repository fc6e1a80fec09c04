//! What a person types: `netd-cni install` writes the configuration that a runtime finds the plugin by.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use netd_api::{RuntimeId, Subnet};
use serde_json::{Value, json};

use super::version::Version;

/// Connects containers of any runtime that speaks CNI to networks of netd.
///
/// Runtimes call it without arguments, with CNI_COMMAND in the environment and the network configuration on stdin.
#[derive(Debug, Parser)]
#[command(name = "netd-cni", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write a network configuration list for runtimes to find.
    Install(Install),
}

#[derive(Debug, Args)]
struct Install {
    /// Name of the configuration; a described network bears it, too.
    #[arg(long, default_value = "netd")]
    name: RuntimeId,
    /// Use the network of this name, which is there already.
    #[arg(long, conflicts_with_all = ["subnet", "gateway", "ip_range"])]
    network: Option<String>,
    /// Describe a network with this subnet; without it, the daemon chooses one on first use.
    #[arg(long)]
    subnet: Option<Subnet>,
    /// Gateway of the described network.
    #[arg(long, requires = "subnet")]
    gateway: Option<std::net::IpAddr>,
    /// Part of the subnet that addresses come from.
    #[arg(long, requires = "subnet")]
    ip_range: Option<Subnet>,
    /// Socket of the daemon, if it is not the usual one.
    #[arg(long)]
    socket: Option<PathBuf>,
    /// Version of the configuration: 1.1.0 has GC and STATUS, and needs a runtime that knows it.
    #[arg(long, default_value = "1.0.0", value_parser = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"])]
    cni_version: String,
    /// Folder of the configurations.
    #[arg(long, default_value = "/etc/cni/net.d")]
    conf_dir: PathBuf,
    /// Name of the file; runtimes take the first in the order of names.
    #[arg(long, default_value = "10-netd.conflist")]
    file: String,
    /// Copy this program into a folder, too, such as /opt/cni/bin.
    #[arg(long)]
    bin_dir: Option<PathBuf>,
    /// Replace a configuration that says something else.
    #[arg(long)]
    force: bool,
}

/// Why nothing was installed.
#[derive(Debug, thiserror::Error)]
enum InstallError {
    /// The name of the file is a path.
    #[error("{0:?} is no name of a file: expected one without a path, ending in .conflist")]
    FileName(String),
    /// The socket is not to be found from everywhere.
    #[error("{0}")]
    Socket(String),
    /// Another configuration is there.
    #[error("{} is there and says something else; look at it, and give --force to replace it", .0.display())]
    Another(PathBuf),
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Parses the command line, does what it says, and tells how it went.
pub(super) fn main() -> ExitCode {
    let arguments = match crate::words::read::<Arguments>() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let Verb::Install(install) = arguments.verb;
    match install.run() {
        Ok(written) => {
            let lines = written.iter().map(|path| format!("{}\n", path.display()));
            let _ = io::stdout().write_all(lines.collect::<String>().as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "netd-cni: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Install {
    /// Writes what was asked for; gives the files.
    fn run(&self) -> Result<Vec<PathBuf>, InstallError> {
        let plain = !self.file.contains('/') && self.file.len() > ".conflist".len();
        if !plain || !self.file.ends_with(".conflist") {
            return Err(InstallError::FileName(self.file.clone()));
        }
        if let Some(socket) = &self.socket {
            crate::handover::check_path("--socket", socket).map_err(InstallError::Socket)?;
        }
        let mut text = serde_json::to_string_pretty(&self.list()).unwrap_or_default();
        text.push('\n');
        let path = self.conf_dir.join(&self.file);
        let there = fs::read(&path);
        if !self.force && there.is_ok_and(|there| there != text.as_bytes()) {
            return Err(InstallError::Another(path));
        }
        let mut written = Vec::new();
        if let Some(folder) = &self.bin_dir {
            let program = folder.join("netd-cni");
            let copy =
                |file: &mut File| io::copy(&mut File::open("/proc/self/exe")?, file).map(drop);
            replace(&program, 0o755, copy)?;
            written.push(program);
        }
        replace(&path, 0o644, |file| file.write_all(text.as_bytes()))?;
        written.push(path);
        Ok(written)
    }

    /// The list, with every capability that is served.
    fn list(&self) -> Value {
        let version = Version::of(&self.cni_version).unwrap_or(Version::NEWEST);
        let mut plugin = json!({ "type": "netd-cni" });
        match &self.network {
            Some(network) => plugin["network"] = network.as_str().into(),
            None => plugin["ipam"] = self.ipam(),
        }
        if let Some(socket) = &self.socket {
            plugin["socket"] = socket.to_string_lossy().into();
        }
        plugin["capabilities"] = json!({
            "portMappings": true, "ips": true, "mac": true, "dns": true, "aliases": true,
            "bandwidth": true,
        });
        json!({
            "cniVersion": version.as_str(),
            "name": self.name,
            "plugins": [plugin],
        })
    }

    fn ipam(&self) -> Value {
        let mut ipam = json!({});
        let fields = [
            ("subnet", self.subnet.map(|subnet| subnet.to_string())),
            ("gateway", self.gateway.map(|gateway| gateway.to_string())),
            ("ipRange", self.ip_range.map(|range| range.to_string())),
        ];
        for (key, value) in fields {
            if let Some(value) = value {
                ipam[key] = value.into();
            }
        }
        ipam
    }
}

/// Puts a file in place of another in one step: who reads it meanwhile has the old or the new.
fn replace(
    path: &Path,
    mode: u32,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), InstallError> {
    let refused = |source| InstallError::Write {
        path: path.to_owned(),
        source,
    };
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).map_err(refused)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Hidden and of another ending, so that no runtime takes it for a configuration.
    let new = folder.join(format!(".{name}.{}.new", std::process::id()));
    let done = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&new)?;
        fill(&mut file)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&new, path)
    })();
    done.map_err(|source| {
        let _ = fs::remove_file(&new);
        refused(source)
    })
}
