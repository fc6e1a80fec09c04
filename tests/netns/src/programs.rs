//! Where the programs are that the laboratory needs. A missing one ends the test with the way to get it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Programs that the laboratory runs, with the Debian package that has each.
pub const NEEDED: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("bridge", "iproute2"),
    ("ss", "iproute2"),
    ("iptables", "iptables"),
    ("iptables-save", "iptables"),
    ("iptables-restore", "iptables"),
    ("nft", "nftables"),
    ("dig", "bind9-dnsutils"),
    ("dnsperf", "dnsperf"),
    ("conntrack", "conntrack"),
    ("socat", "socat"),
    ("busybox", "busybox"),
    ("curl", "curl"),
    ("ping", "iputils-ping"),
    ("ps", "procps"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
    ("mount", "mount"),
    ("timeout", "coreutils"),
    ("loopback", "containernetworking-plugins"),
    ("runc", "runc"),
    ("crun", "crun"),
    ("podman", "podman"),
    ("conmon", "conmon"),
    ("catatonit", "catatonit"),
];

/// Debian packages of the programs of [`NEEDED`] that are not installed.
#[must_use]
pub fn missing_packages() -> Vec<&'static str> {
    let mut packages: Vec<_> = NEEDED
        .iter()
        .filter(|(program, _)| find_in_path(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    packages.dedup();
    packages
}

fn find_in_path(program: &str) -> Option<PathBuf> {
    // A shell without the sbin folders in its PATH is common in containers; Debian keeps iptables there. The plugins of
    // the CNI project are in no PATH.
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", crate::cni::PLUGINS].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Makes sure that tests can run here at all.
///
/// # Panics
/// With what to do, when the process is not root's or a program is missing. A test that cannot run is a failed one.
pub fn require_all() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let own = std::fs::metadata("/proc/self").map(|facts| std::os::unix::fs::MetadataExt::uid(&facts));
        assert!(
            matches!(own, Ok(0)),
            "these tests make network namespaces and need root: run them by `sudo -E cargo xtask test`"
        );
        let missing = missing_packages();
        assert!(
            missing.is_empty(),
            "programs are missing: run `cargo xtask setup`, or `apt-get install {}`",
            missing.join(" ")
        );
    });
}

/// Path of one of the workspace's own programs: beside the running test, where cargo builds them.
///
/// # Panics
/// With the command that builds it, when it is not there.
#[must_use]
pub fn built(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let folders = own.ancestors().skip(1).take(2);
    for folder in folders {
        let file = folder.join(name);
        if file.is_file() {
            return file;
        }
    }
    panic!(
        "{name} is not built (looked beside {}): run `cargo build --workspace --bins --examples`, or `cargo xtask test`, which does",
        Path::new(&own).display()
    );
}
