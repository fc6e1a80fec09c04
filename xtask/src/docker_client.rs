//! Docker's command line from Debian's package, without its daemon: unpacked into the folder of the build.
//!
//! To install the package would start its daemon in the machine's own namespace, where it changes the firewall.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use netns_tests::docker::{CLIENT, PACKAGE};

use crate::say;

/// Unpacks it, if it is not there.
///
/// # Errors
/// When the package cannot be had or unpacked.
pub(crate) fn unpack_if_missing() -> Result<()> {
    let client = folder_of_build()?.join(CLIENT);
    if client.is_file() {
        return Ok(());
    }
    say(&format!("unpacking Docker's client from {PACKAGE}"));
    let root = client
        .ancestors()
        .nth(3)
        .context("find the client's folder")?;
    std::fs::create_dir_all(root).with_context(|| format!("make {}", root.display()))?;
    // A fresh machine may have no package lists, or old ones: they are fetched only if the first try fails.
    if download(root).is_err() {
        let updated = Command::new("apt-get").args(["update", "-qq"]).status();
        ensure!(updated?.success(), "apt-get update failed; it needs root");
        download(root)?;
    }
    for entry in std::fs::read_dir(root)? {
        let package = entry?.path();
        if package.extension().is_some_and(|end| end == "deb") {
            unpack(&package, root)?;
            std::fs::remove_file(&package)?;
        }
    }
    ensure!(client.is_file(), "{PACKAGE} has no client at {CLIENT}");
    Ok(())
}

/// The folder with `debug` in it, where this program runs from.
fn folder_of_build() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own
        .ancestors()
        .nth(2)
        .context("find the folder of the build")?;
    Ok(folder.to_owned())
}

fn download(into: &Path) -> Result<()> {
    let status = Command::new("apt-get")
        .args(["download", "-qq", "-o", "APT::Sandbox::User=root", PACKAGE])
        .current_dir(into)
        .status()
        .context("run apt-get; the project is made for Debian 12")?;
    ensure!(status.success(), "apt-get download {PACKAGE} failed");
    Ok(())
}

fn unpack(package: &Path, root: &Path) -> Result<()> {
    let mut archive = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .context("run dpkg-deb")?;
    let files = archive.stdout.take().context("read from dpkg-deb")?;
    let unpacked = Command::new("tar")
        .arg("-x")
        .arg("-C")
        .arg(root)
        .arg("./usr/bin/docker")
        .stdin(files)
        .status()
        .context("run tar")?;
    let read = archive.wait()?;
    ensure!(
        unpacked.success() && read.success(),
        "{} cannot be unpacked",
        package.display()
    );
    Ok(())
}
