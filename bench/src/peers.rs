//! Other engines: where they are on this machine, and how they come here without being installed.
//!
//! `--peers` fetches Debian's packages and unpacks them into a folder of the build. Nothing is installed: an engine's
//! package would start its daemon in the machine's own namespace, and change the machine's firewall.

use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result};
use netns_tests::unpacked::Unpacked;

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
    /// Where its packages were unpacked.
    unpacked: Unpacked,
}

impl Peers {
    /// Looks for them where the options say, on the machine, and among the unpacked packages, which are fetched if the options
    /// ask for that.
    ///
    /// # Errors
    /// When a file that was named is not there, or packages cannot be fetched.
    pub fn find(options: &Options) -> Result<Self> {
        let unpacked = Unpacked::of_build().map_err(Error::msg)?;
        let missing = unpacked.missing(&PACKAGES);
        if options.peers && !missing.is_empty() {
            unpacked.fetch(&missing).map_err(Error::msg)?;
        }
        let program = |named: &Option<PathBuf>, name: &str| match named {
            Some(path) => present(path).map(Some),
            None => Ok(unpacked.program(name)),
        };
        let folder = match &options.cni_bin_dir {
            Some(path) => Some(present(path)?),
            None => unpacked
                .program("host-local")
                .and_then(|file| file.parent().map(Path::to_owned)),
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
        let mut environment = self.unpacked.environment();
        for (_, path) in environment.iter_mut().filter(|(key, _)| key == "PATH") {
            *path = format!("{beside}:{path}");
        }
        Engine {
            program: program.to_owned(),
            environment,
        }
    }
}

fn present(path: &Path) -> Result<PathBuf> {
    path.canonicalize()
        .with_context(|| format!("{} was named on the command line", path.display()))
}
