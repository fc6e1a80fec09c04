//! The manual pages, which the programs write themselves.

use anyhow::Result;

use crate::{cargo, say};

/// Where the pages are put, from the project's folder.
const DIRECTORY: &str = "target/man";

/// Writes net.1, a page for each verb, and netd.8.
///
/// # Errors
/// When a program cannot be built, or cannot write.
pub(crate) fn write() -> Result<()> {
    let net = ["run", "-q", "-p", "netd-cli", "--bin", "net", "--"];
    cargo::run(&[&net[..], &["man", "--dir", DIRECTORY]].concat())?;
    cargo::run(&["run", "-q", "-p", "netd", "--", "--man", DIRECTORY])?;
    say(&format!(
        "the manual pages are in {DIRECTORY}: man -l {DIRECTORY}/net.1"
    ));
    Ok(())
}
