//! `cargo xtask bench`: builds optimised programs and has them measured; and a look whether anything stayed behind.

use std::process::ExitCode;

use anyhow::Result;

use crate::{cargo, packages, say, test};

/// Runs the benchmark with its own command line, which `--help` explains.
///
/// # Errors
/// When the workspace does not build.
pub(crate) fn run(words: &[&str]) -> Result<ExitCode> {
    packages::install_missing()?;
    let build = ["build", "--release", "--bins", "-q"];
    let crates = ["netd", "netd-cli", "netns-tests", "netd-bench"];
    let crates = crates.iter().flat_map(|name| ["-p", name]);
    cargo::run(&build.into_iter().chain(crates).collect::<Vec<_>>())?;
    let before = test::look()?;
    let program = ["run", "--release", "-q", "-p", "netd-bench"];
    let program = [&program[..], &["--bin", "netd-bench", "--"], words].concat();
    let ran = cargo::run(&program);
    let left = test::leftovers(&before)?;
    for line in &left {
        say(&format!(
            "left behind in the namespace that the benchmark was started in: {line}"
        ));
    }
    ran?;
    Ok(if left.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
