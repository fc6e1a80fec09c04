//! The last step before the command: a process that ties its life to the supervisor's, then becomes the command.
//!
//! A supervisor that is killed (SIGKILL, out of memory) can end nothing any more; the kernel does it then. What the
//! command started in sessions of its own is ended by the supervisor only.
//!
//! The supervisor learns the outcome through a pipe: the kernel closes it when the command runs, and a number comes
//! through it when the kernel refused.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write, pipe};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, close, getppid};

use super::before;
use crate::net::failure::Failure;

/// First argument of the process that becomes the command. The supervisor's id, the descriptor of the pipe and the
/// command line follow.
pub(in crate::net) const LAUNCH: &str = "launch";

/// Starts a command and returns when it runs.
///
/// # Errors
/// What the kernel said of the program.
pub(super) fn start(
    program: &str,
    arguments: &[String],
    [stdin, stdout, stderr]: [Stdio; 3],
) -> io::Result<Child> {
    let (mut outcome, teller) = pipe()?;
    // Inherited by the one process that is started next; this one has no other thread that could start more.
    fcntl(&teller, FcntlArg::F_SETFD(FdFlag::empty()))?;
    let mut child = Command::new("/proc/self/exe")
        .arg0("net")
        .arg(LAUNCH)
        .arg(std::process::id().to_string())
        .arg(teller.as_raw_fd().to_string())
        .arg(program)
        .args(arguments)
        .stdin(stdin)
        .stdout(stdout)
        .stderr(stderr)
        .spawn()?;
    drop(teller);
    let mut refusal = String::new();
    outcome.read_to_string(&mut refusal)?;
    match refusal.parse() {
        Ok(errno) => {
            child.wait()?;
            Err(io::Error::from_raw_os_error(errno))
        }
        Err(_) => Ok(child),
    }
}

/// That process itself. Returns only if it cannot become the command.
pub(super) fn launch(mut arguments: impl Iterator<Item = OsString>) -> Result<u8, Failure> {
    let mut number = || arguments.next()?.to_str()?.parse().ok();
    let (Some(supervisor), Some(teller)) = (number(), number()) else {
        return Err(Failure::Usage(format!("{LAUNCH} is for `net run` only")));
    };
    let refusal = become_command(Pid::from_raw(supervisor), teller, arguments);
    Err(before(&refusal))
}

fn become_command(
    supervisor: Pid,
    teller: i32,
    mut arguments: impl Iterator<Item = OsString>,
) -> io::Error {
    // Opened anew, so that the kernel closes it when the command runs.
    let opened = File::options()
        .write(true)
        .open(format!("/proc/self/fd/{teller}"));
    let mut teller =
        match opened.and_then(|file| close(teller).map_err(io::Error::from).map(|()| file)) {
            Ok(file) => file,
            Err(error) => return error,
        };
    let refusal = match (follow(supervisor), arguments.next()) {
        (Err(error), _) => error,
        (Ok(()), None) => io::ErrorKind::InvalidInput.into(),
        (Ok(()), Some(program)) => Command::new(program).args(arguments).exec(),
    };
    let errno = refusal
        .raw_os_error()
        .unwrap_or(nix::errno::Errno::EINVAL as i32);
    // If nobody reads any more, nobody is left to be told.
    let _ = write!(teller, "{errno}");
    refusal
}

/// Has the kernel end this process with its supervisor. Kept across execve(2), unless the program changes its user
/// (prctl(2) `PR_SET_PDEATHSIG`).
fn follow(supervisor: Pid) -> io::Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    if getppid() == supervisor {
        Ok(())
    } else {
        Err(nix::errno::Errno::ESRCH.into())
    }
}
