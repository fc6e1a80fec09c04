//! Running other programs within bounds: one that hangs is ended, with whatever it started.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// How long a program may take. Loading ten thousand rules takes a second, and waiting for the lock of x_tables ten.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `command` with `input` on its standard input and gives what it printed.
///
/// # Errors
/// When it cannot be started, and [`io::ErrorKind::TimedOut`] when it did not end in time and was killed.
pub(crate) fn output(command: &mut Command, input: &str) -> io::Result<Output> {
    output_within(PATIENCE, command, input, &mut |_| {})
}

/// As [`output`]; `begun` is told the number of the process before that has anything to read.
///
/// # Errors
/// As [`output`].
pub(crate) fn followed(
    command: &mut Command,
    input: &str,
    begun: &mut dyn FnMut(u32),
) -> io::Result<Output> {
    output_within(PATIENCE, command, input, begun)
}

fn output_within(
    patience: Duration,
    command: &mut Command,
    input: &str,
    begun: &mut dyn FnMut(u32),
) -> io::Result<Output> {
    let mut child = command
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that what it started can be ended with it.
        .process_group(0)
        .spawn()?;
    begun(child.id());
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    let stdin = child.stdin.take();
    let (done, ended) = channel::<()>();
    thread::scope(|scope| {
        let watchdog = scope.spawn(move || {
            let late = ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout);
            if late {
                // The child is not reaped before its pipes are closed, so the number is still its own.
                let _ = killpg(group, Signal::SIGKILL);
            }
            late
        });
        if let Some(mut stdin) = stdin {
            // A program that ends at a bad line leaves the rest unread; what it says and its status tell more.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output();
        drop(done);
        match watchdog.join() {
            Ok(true) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!(
                    "it did not end within {} s and was killed",
                    patience.as_secs()
                ),
            )),
            _ => output,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_goes_in_and_output_comes_out() {
        let output = output(&mut Command::new("cat"), "hello").unwrap();
        assert_eq!(output.stdout, b"hello");
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_its_children() {
        // More input than a pipe holds, never read; and a child that keeps the output open.
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & sleep 1000"]);
        let error = output_within(
            Duration::from_millis(100),
            &mut command,
            &"x".repeat(1 << 20),
            &mut |_| {},
        );
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn one_that_does_not_read_is_judged_by_what_it_says() {
        let output = output(&mut Command::new("false"), &"x".repeat(1 << 20)).unwrap();
        assert_eq!(output.status.code(), Some(1));
    }
}
