//! Debian packages of other engines, unpacked below the folder of the build. Nothing of them is installed: their daemons
//! would start in the machine's own namespace, and change its firewall. Must not know what the engines are used for.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What the tests need of other engines.
pub const ENGINES: &[&str] = &["docker.io", "containerd"];

/// Folders for programs, below the root of the machine and of the unpacked packages.
const FOLDERS: [&str; 6] = [
    "usr/sbin",
    "usr/bin",
    "usr/local/bin",
    "usr/lib/podman",
    "usr/libexec/podman",
    "usr/lib/cni",
];

/// The packages that were unpacked, one to a line.
const LIST: &str = "packages";

/// A root with the files of packages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unpacked(PathBuf);

impl Unpacked {
    /// The one beside the running program, in the folder that has `debug` or `release` in it.
    ///
    /// # Errors
    /// A sentence, when the running program cannot be found.
    pub fn of_build() -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|error| format!("find the program: {error}"))?;
        let is_profile = |folder: &&Path| folder.ends_with("debug") || folder.ends_with("release");
        let profile = own.ancestors().find(is_profile);
        let build = profile.and_then(Path::parent);
        let build = build.ok_or_else(|| format!("{} is in no folder of a build", own.display()))?;
        Ok(Self(build.join("unpacked")))
    }

    /// Those of `packages` that are not unpacked.
    #[must_use]
    pub fn missing<'a>(&self, packages: &[&'a str]) -> Vec<&'a str> {
        let list = std::fs::read_to_string(self.0.join(LIST)).unwrap_or_default();
        let is_missing = |package: &&str| !list.lines().any(|line| line == *package);
        packages.iter().copied().filter(is_missing).collect()
    }

    /// Downloads `packages` with what they depend on and the machine lacks, and unpacks all that.
    ///
    /// # Errors
    /// A sentence, when they cannot be had or unpacked.
    pub fn fetch(&self, packages: &[&str]) -> Result<(), String> {
        let archives = self.0.join("archives");
        std::fs::create_dir_all(archives.join("partial"))
            .map_err(|error| format!("make {}: {error}", archives.display()))?;
        let cache = format!("Dir::Cache::archives={}", archives.display());
        let words = "install -y -qq --no-install-recommends --download-only -o";
        let mut arguments: Vec<&str> = words.split(' ').chain([cache.as_str()]).collect();
        arguments.extend(packages);
        // A fresh machine may have no package lists, or old ones: they are fetched only if the first try fails.
        if run("apt-get", &arguments).is_err() {
            run("apt-get", &["update", "-qq"])?;
            run("apt-get", &arguments)?;
        }
        self.unpack(&archives)?;
        let unreadable = |error| format!("keep the list of packages: {error}");
        let list = std::fs::read_to_string(self.0.join(LIST)).unwrap_or_default();
        let lines = packages.iter().map(|package| format!("{package}\n"));
        std::fs::write(self.0.join(LIST), list + &lines.collect::<String>()).map_err(unreadable)?;
        std::fs::remove_dir_all(&archives).map_err(unreadable)
    }

    fn unpack(&self, archives: &Path) -> Result<(), String> {
        let unreadable = |error| format!("read {}: {error}", archives.display());
        for entry in std::fs::read_dir(archives).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|end| end == "deb") {
                let (archive, root) = (path.display().to_string(), self.0.display().to_string());
                run("dpkg-deb", &["-x", &archive, &root])?;
            }
        }
        Ok(())
    }

    /// The program of that name: the machine's own, or the unpacked one.
    #[must_use]
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        let roots = [Path::new("/"), &self.0];
        let mut files = roots
            .iter()
            .flat_map(|root| FOLDERS.map(|folder| root.join(folder).join(name)));
        files.find(|file| file.is_file())
    }

    /// What its programs need in their environment: their libraries, and each other before those of the machine.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let root = self.0.display();
        let machine = std::env::var("PATH").unwrap_or_default();
        let path =
            format!("{root}/usr/sbin:{root}/usr/bin:{machine}:/usr/sbin:/sbin:/usr/bin:/bin");
        let libraries = format!("{root}/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        vec![
            ("PATH".to_owned(), path),
            ("LD_LIBRARY_PATH".to_owned(), libraries),
        ]
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let line = format!("{program} {}", arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .map_err(|error| format!("run {line}: {error}; the project is made for Debian 12"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{line} failed, it needs root: {}", said.trim()))
}
