//! Other engines: where they are on this machine, and how they come here without being installed.
//!
//! `--peers` fetches Debian's packages and unpacks them into a folder of the build. Nothing is installed: an engine's
//! package would start its daemon in the machine's own namespace, and change the machine's firewall.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::facts::version;
use crate::options::Options;

/// Debian packages of the peers, and of the load generator for names.
const PACKAGES: [&str; 7] = [
    "docker.io",
    "netavark",
    "aardvark-dns",
    "containernetworking-plugins",
    "dnsmasq-base",
    "dnsperf",
    "iptables",
];

/// Folders for programs, below the root of the machine and of the unpacked packages.
const FOLDERS: [&str; 6] = [
    "usr/sbin",
    "usr/bin",
    "usr/local/bin",
    "usr/lib/podman",
    "usr/libexec/podman",
    "usr/lib/cni",
];

/// A daemon with the surroundings that it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// The program.
    pub program: PathBuf,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
}

impl Engine {
    /// Its environment, as programs are started with it.
    #[must_use]
    pub fn variables(&self) -> Vec<(&str, &str)> {
        let pairs = self.environment.iter();
        pairs
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect()
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    /// The Docker engine.
    pub dockerd: Option<PathBuf>,
    /// Podman's network program.
    pub netavark: Option<PathBuf>,
    /// Podman's resolver.
    pub aardvark: Option<PathBuf>,
    /// The folder of the CNI plugins.
    pub cni: Option<PathBuf>,
    /// A resolver.
    pub dnsmasq: Option<PathBuf>,
    /// The load generator for names.
    pub dnsperf: Option<PathBuf>,
    /// Root of the packages that were unpacked.
    unpacked: PathBuf,
}

impl Peers {
    /// Looks for them where the options say, on the machine, and among the unpacked packages, which are fetched if the options
    /// ask for that.
    ///
    /// # Errors
    /// When a file that was named is not there, or packages cannot be fetched.
    pub fn find(options: &Options) -> Result<Self> {
        let unpacked = std::env::current_exe()?
            .ancestors()
            .nth(2)
            .context("find the folder of the build")?
            .join("bench-peers");
        if options.peers && !unpacked.join("complete").exists() {
            fetch(&unpacked)?;
        }
        let program = |named: &Option<PathBuf>, name: &str| match named {
            Some(path) => present(path).map(Some),
            None => Ok(found(name, &unpacked)),
        };
        let folder = match &options.cni_bin_dir {
            Some(path) => Some(present(path)?),
            None => {
                found("host-local", &unpacked).and_then(|file| file.parent().map(Path::to_owned))
            }
        };
        Ok(Self {
            dockerd: program(&options.dockerd, "dockerd")?,
            netavark: program(&options.netavark, "netavark")?,
            aardvark: program(&options.aardvark, "aardvark-dns")?,
            cni: folder,
            dnsmasq: program(&None, "dnsmasq")?,
            dnsperf: program(&None, "dnsperf")?,
            unpacked,
        })
    }

    /// What each says of its version.
    #[must_use]
    pub fn versions(&self) -> Vec<String> {
        let asked = [
            (&self.dockerd, "--version"),
            (&self.netavark, "--version"),
            (&self.aardvark, "--version"),
            (&self.dnsmasq, "--version"),
        ];
        let mut versions: Vec<String> = asked
            .iter()
            .filter_map(|(program, word)| Some((program.as_deref()?, word)))
            .map(|(program, word)| {
                let engine = self.engine(program);
                let mut argv = vec!["env".to_owned()];
                argv.extend(
                    engine
                        .environment
                        .iter()
                        .map(|(key, value)| format!("{key}={value}")),
                );
                argv.extend([program.display().to_string(), (*word).to_owned()]);
                version(&argv.iter().map(String::as_str).collect::<Vec<_>>())
            })
            .collect();
        if let Some(folder) = &self.cni {
            let plugin = folder.join("bridge").display().to_string();
            versions.push(version(&["env", "-u", "CNI_COMMAND", &plugin]));
        }
        versions
    }

    /// How to start `program`: with the unpacked libraries, and beside its own companions.
    #[must_use]
    pub fn engine(&self, program: &Path) -> Engine {
        let beside = program.parent().unwrap_or(Path::new("/")).display();
        let root = self.unpacked.display();
        let machine = std::env::var("PATH").unwrap_or_default();
        let path = format!(
            "{beside}:{root}/usr/sbin:{root}/usr/bin:{machine}:/usr/sbin:/sbin:/usr/bin:/bin"
        );
        let libraries = format!("{root}/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        Engine {
            program: program.to_owned(),
            environment: vec![
                ("PATH".to_owned(), path),
                ("LD_LIBRARY_PATH".to_owned(), libraries),
            ],
        }
    }
}

fn present(path: &Path) -> Result<PathBuf> {
    path.canonicalize()
        .with_context(|| format!("{} was named on the command line", path.display()))
}

fn found(name: &str, unpacked: &Path) -> Option<PathBuf> {
    let machine = Path::new("/");
    let roots = [machine, unpacked];
    let files = roots
        .iter()
        .flat_map(|root| FOLDERS.map(|folder| root.join(folder).join(name)));
    files.into_iter().find(|file| file.is_file())
}

fn fetch(into: &Path) -> Result<()> {
    let archives = into.join("archives");
    std::fs::create_dir_all(archives.join("partial"))
        .with_context(|| format!("make {}", archives.display()))?;
    let cache = format!("Dir::Cache::archives={}", archives.display());
    let mut arguments = vec![
        "install",
        "-y",
        "-qq",
        "--no-install-recommends",
        "--download-only",
        "-o",
        &cache,
    ];
    arguments.extend(PACKAGES);
    // A fresh machine may have no package lists, or old ones: they are fetched only if the first try fails.
    if run("apt-get", &arguments).is_err() {
        run("apt-get", &["update", "-qq"])?;
        run("apt-get", &arguments)?;
    }
    for entry in std::fs::read_dir(&archives)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "deb") {
            let (archive, root) = (path.display().to_string(), into.display().to_string());
            run("dpkg-deb", &["-x", &archive, &root])?;
        }
    }
    std::fs::write(into.join("complete"), "")?;
    Ok(())
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let line = format!("{program} {}", arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .with_context(|| format!("run {line}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{line} failed: {}", said.trim());
    Ok(())
}
