//! What a person types: `netd-netavark install` makes the links by which Podman finds this program, and prints what
//! containers.conf(5) needs to have.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use netd_api::HOST_VARIABLE;

use crate::handover::check_path;

/// The names under which Podman looks for helpers. It warns where there is no aardvark-dns, and calls it never: that is
/// netavark's to do.
const LINKS: [&str; 2] = ["netavark", "aardvark-dns"];

/// Where Podman looks for its other helpers, unless told otherwise.
const USUAL: [&str; 4] = [
    "/usr/local/libexec/podman",
    "/usr/local/lib/podman",
    "/usr/libexec/podman",
    "/usr/lib/podman",
];

/// What to install.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    netd-netavark install /usr/local/lib/netd >/etc/containers/containers.conf\n  \
    podman network create app")]
pub(super) struct Install {
    /// Folder for the links, for helper_binaries_dir
    #[arg(default_value = "/usr/local/lib/netd")]
    dir: PathBuf,
    /// Socket of the daemon, if it is not the usual one
    #[arg(long)]
    socket: Option<PathBuf>,
    /// Replace what is there under these names
    #[arg(long)]
    force: bool,
}

/// Why nothing was installed.
#[derive(Debug, thiserror::Error)]
enum InstallError {
    /// A path is not to be found from everywhere.
    #[error("{0}")]
    Path(String),
    /// Something else is there.
    #[error(
        "{} is there and is no link to this program; give another folder, or --force to replace it",
        .0.display()
    )]
    Another(PathBuf),
    /// A link cannot be made.
    #[error("cannot make {}: {source}", path.display())]
    Make {
        /// The link.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Install {
    /// Does it, and tells how it went.
    pub(super) fn main(&self) -> ExitCode {
        let done = self.run().map(|()| self.configuration());
        let printed = done.map(|text| io::stdout().write_all(text.as_bytes()));
        match printed {
            Ok(Ok(())) => ExitCode::SUCCESS,
            Ok(Err(_)) => ExitCode::FAILURE,
            Err(error) => {
                let _ = writeln!(io::stderr(), "netd-netavark: {error}");
                ExitCode::FAILURE
            }
        }
    }

    fn run(&self) -> Result<(), InstallError> {
        check_path("the folder", &self.dir).map_err(InstallError::Path)?;
        if let Some(socket) = &self.socket {
            check_path("--socket", socket).map_err(InstallError::Path)?;
        }
        let refused = |path: &Path| {
            let path = path.to_owned();
            move |source| InstallError::Make { path, source }
        };
        let own = std::env::current_exe().map_err(refused(&self.dir))?;
        let links = LINKS.map(|name| self.dir.join(name));
        // All of them are looked at before the first is made.
        let foreign = links.iter().find(|link| {
            fs::symlink_metadata(link).is_ok() && fs::canonicalize(link).ok().as_ref() != Some(&own)
        });
        if let Some(link) = foreign.filter(|_| !self.force) {
            return Err(InstallError::Another(link.clone()));
        }
        fs::create_dir_all(&self.dir).map_err(refused(&self.dir))?;
        links
            .iter()
            .try_for_each(|link| replace(link, &own).map_err(refused(link)))
    }

    /// What containers.conf(5) needs.
    fn configuration(&self) -> String {
        let folders = [self.dir.display().to_string()].into_iter();
        let folders = folders.chain(USUAL.map(str::to_owned));
        let folders: Vec<String> = folders.map(|folder| format!("{folder:?}")).collect();
        let mut text = format!(
            "[network]\nnetwork_backend = \"netavark\"\n\n[engine]\nhelper_binaries_dir = [{}]\n\
             # netd keeps published ports taken, so Podman cannot.\nenable_port_reservation = false\n",
            folders.join(", ")
        );
        if let Some(socket) = &self.socket {
            let variable = format!("{HOST_VARIABLE}={}", socket.display());
            text.push_str(&format!("env = [{variable:?}]\n"));
        }
        text
    }
}

/// Puts a link in place of what is there in one step: who looks meanwhile finds the old or the new.
fn replace(link: &Path, program: &Path) -> io::Result<()> {
    let name = link.file_name().unwrap_or_default().to_string_lossy();
    let new = link.with_file_name(format!(".{name}.{}.new", std::process::id()));
    std::os::unix::fs::symlink(program, &new)?;
    fs::rename(&new, link).inspect_err(|_| drop(fs::remove_file(&new)))
}
