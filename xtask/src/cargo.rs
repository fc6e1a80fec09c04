//! Calling cargo: with its output passed on, or read on the way.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::say;

fn command(arguments: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(arguments)
        // The workspace, wherever the caller stands.
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    command
}

/// True if cargo has a subcommand of that name.
pub(crate) fn has(subcommand: &str) -> bool {
    command(&[subcommand, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs cargo and lets it speak for itself.
///
/// # Errors
/// When it fails.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let line = format!("cargo {}", arguments.join(" "));
    let status = command(arguments)
        .status()
        .with_context(|| format!("run {line}"))?;
    ensure!(status.success(), "{line} failed");
    Ok(())
}

/// Runs cargo, passes its lines on to standard output, and shows each to `read`. Gives whether it succeeded.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn read_lines(
    arguments: &[&str],
    environment: &[(&str, &str)],
    mut read: impl FnMut(&str),
) -> Result<bool> {
    let line = format!("cargo {}", arguments.join(" "));
    let mut child = command(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("run {line}"))?;
    let (tell, told) = std::sync::mpsc::channel();
    let pipes: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|pipe| Box::new(pipe) as _),
        child.stderr.take().map(|pipe| Box::new(pipe) as _),
    ];
    for pipe in pipes.into_iter().flatten() {
        let tell = tell.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let _ = tell.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
    }
    drop(tell);
    for line in told {
        say(&line);
        read(&line);
    }
    let status = child.wait().with_context(|| format!("wait for {line}"))?;
    Ok(status.success())
}
