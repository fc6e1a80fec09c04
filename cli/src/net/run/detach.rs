//! `net run -d`: a supervisor of its own session, which outlives the terminal.
//!
//! The plan goes to it through its stdin, one line comes back through its stdout: the container runs, or why not. Then
//! it lets go of both.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use netd_api::ContainerView;
use nix::unistd::{close, dup2_stderr, dup2_stdin, dup2_stdout, setsid};
use serde::{Deserialize, Serialize};

use super::supervise::{Surroundings, supervise};
use super::{Plan, SUPERVISE, before};
use crate::net::failure::Failure;
use crate::net::out;

/// What the supervisor tells, once.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Report {
    /// The command runs in the container of this id.
    Started { id: String },
    /// It does not.
    Failed { code: u8, sentence: String },
}

/// Starts a supervisor, waits until its command runs, and prints the container's id.
pub(super) fn start(plan: &Plan) -> Result<u8, Failure> {
    let failed = |error: io::Error| before(&format!("cannot start a supervisor: {error}"));
    let plan_text = serde_json::to_vec(plan).map_err(|error| failed(error.into()))?;
    let title = plan.request.name.as_ref().map(ToString::to_string);
    let mut supervisor = Command::new("/proc/self/exe")
        .arg0("net")
        .arg(SUPERVISE)
        .args(title)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    // Dropped when written, so that the supervisor reads an end.
    if let Some(mut stdin) = supervisor.stdin.take() {
        stdin.write_all(&plan_text).map_err(failed)?;
    }
    let mut line = String::new();
    if let Some(stdout) = supervisor.stdout.take() {
        BufReader::new(stdout)
            .read_line(&mut line)
            .map_err(failed)?;
    }
    match serde_json::from_str(&line) {
        Ok(Report::Started { id }) => {
            out::print(&format!("{id}\n"))?;
            Ok(0)
        }
        Ok(Report::Failed { code, sentence }) => Err(Failure::Command { code, sentence }),
        Err(_) => Err(before(
            &"the supervisor ended before it could start the command",
        )),
    }
}

/// The supervisor itself.
pub(super) fn supervisor() -> Result<u8, Failure> {
    match supervised() {
        Ok(code) => Ok(code),
        Err(failure) => {
            let report = Report::Failed {
                code: failure.code(),
                sentence: failure.to_string(),
            };
            // Nobody listens any more once the command has started; then stdout is /dev/null.
            let _ = tell(&report);
            Err(Failure::Partly)
        }
    }
}

fn supervised() -> Result<u8, Failure> {
    let_go().map_err(|error| before(&format!("cannot close inherited files: {error}")))?;
    setsid().map_err(|error| before(&format!("cannot leave the terminal: {error}")))?;
    let mut text = String::new();
    io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| before(&format!("cannot read the plan: {error}")))?;
    let plan: Plan = serde_json::from_str(&text).map_err(|error| {
        before(&format!(
            "this is for `net run -d`, which hands over a plan: {error}"
        ))
    })?;
    let output = output(&plan)?;
    supervise(&plan, Detached { output })
}

/// Closes what the caller had open beyond the three standard streams: a lock or a pipe of some script would be held as
/// long as the command runs.
fn let_go() -> io::Result<()> {
    let numbers: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    for number in numbers {
        // One of them was the directory itself, and is closed by now.
        let _ = close(number);
    }
    Ok(())
}

/// The log, or nothing.
fn output(plan: &Plan) -> Result<File, Failure> {
    let opened = match &plan.log {
        Some(path) => OpenOptions::new().append(true).create(true).open(path),
        None => OpenOptions::new().write(true).open("/dev/null"),
    };
    let name = plan
        .log
        .as_deref()
        .map_or_else(|| "/dev/null".into(), |path| path.display().to_string());
    opened.map_err(|error| before(&format!("cannot write to {name}: {error}")))
}

fn tell(report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_string(report)?;
    line.push('\n');
    out::print(&line)
}

struct Detached {
    output: File,
}

impl Surroundings for Detached {
    fn stdio(&self) -> io::Result<[Stdio; 3]> {
        let output = || self.output.try_clone().map(Stdio::from);
        Ok([Stdio::null(), output()?, output()?])
    }

    /// Tells that it runs, and lets go of the terminal.
    fn started(&mut self, container: &ContainerView) -> io::Result<()> {
        tell(&Report::Started {
            id: container.id.to_string(),
        })?;
        let nothing = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")?;
        dup2_stdin(&nothing)?;
        dup2_stdout(&nothing)?;
        dup2_stderr(&self.output)?;
        Ok(())
    }
}
