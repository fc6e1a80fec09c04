//! Debian packages that the project needs besides a Rust toolchain. The one list of them.

use std::process::Command;

use anyhow::{Context, Error, Result, ensure};
use netns_tests::programs;
use netns_tests::unpacked::{self, Unpacked};

use crate::say;

/// What building needs: the C compiler for SQLite, which is compiled in.
const BUILD_PACKAGES: &[(&str, &str)] = &[("/usr/bin/cc", "build-essential")];

/// Installs what is missing, and says so; does nothing, quietly, when all is there.
///
/// # Errors
/// When packages are missing and cannot be installed.
pub(crate) fn install_missing() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    say(&format!("installing {}", missing.join(" ")));
    // A fresh machine may have no package lists, or old ones: they are fetched only if the first try fails.
    if install(&missing).is_err() {
        apt(&["update", "-qq"])?;
        install(&missing)?;
    }
    let still = self::missing();
    ensure!(
        still.is_empty(),
        "still missing after the installation: {}",
        still.join(" ")
    );
    Ok(())
}

/// Unpacks the packages of other engines that the tests run, if they are not there. They are not installed, since their
/// daemons would start.
///
/// # Errors
/// When they cannot be had or unpacked.
pub(crate) fn unpack_missing() -> Result<()> {
    let engines = Unpacked::of_build().map_err(Error::msg)?;
    let missing = engines.missing(unpacked::ENGINES);
    if missing.is_empty() {
        return Ok(());
    }
    say(&format!("unpacking {}", missing.join(" ")));
    engines.fetch(&missing).map_err(Error::msg)
}

fn missing() -> Vec<&'static str> {
    let mut missing = programs::missing_packages();
    let absent = |file: &str| !std::path::Path::new(file).exists();
    missing.extend(
        BUILD_PACKAGES
            .iter()
            .filter(|(file, _)| absent(file))
            .map(|(_, package)| *package),
    );
    missing.sort_unstable();
    missing.dedup();
    missing
}

fn install(packages: &[&str]) -> Result<()> {
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&arguments)
}

fn apt(arguments: &[&str]) -> Result<()> {
    let line = format!("apt-get {}", arguments.join(" "));
    let status = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .with_context(|| format!("run {line}; the project is made for Debian 12"))?;
    ensure!(status.success(), "{line} failed; it needs root");
    Ok(())
}
