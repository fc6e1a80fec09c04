//! What the command left behind: found, asked to end, ended.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::signals::Signals;

/// Time between SIGTERM and SIGKILL for what outlives the command.
const GRACE: Duration = Duration::from_millis(200);
/// Time after SIGKILL until the supervisor gives up on a process that the kernel does not let die.
const PATIENCE: Duration = Duration::from_secs(2);
/// Orphans arrive here without a signal that would tell; so often they are looked for.
const INTERVAL: Duration = Duration::from_millis(5);

/// Takes the exit status of every child that has ended; gives the exit code of `main` if it was among them.
pub(super) fn reap(main: Pid) -> Result<Option<u8>, Errno> {
    let mut code = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(code),
            Ok(WaitStatus::Exited(pid, status)) if pid == main => {
                code = Some(u8::try_from(status & 0xff).unwrap_or(u8::MAX));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == main => {
                code = Some(128 + u8::try_from(signal as i32).unwrap_or(0));
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(other) => return Err(other),
        }
    }
}

/// Ends everything that the command left behind. Orphans become children of this process, the subreaper, so that
/// only children are ever signalled: their numbers cannot pass to others before they are reaped.
pub(super) fn end_all(main: Pid, signals: &mut Signals) -> io::Result<()> {
    let begin = Instant::now();
    let mut asked = BTreeSet::new();
    loop {
        reap(main)?;
        let children = children()?;
        if children.is_empty() || begin.elapsed() > GRACE + PATIENCE {
            return Ok(());
        }
        for child in children {
            if begin.elapsed() > GRACE {
                signal(child, Signal::SIGKILL);
            } else if asked.insert(child) {
                signal(child, Signal::SIGTERM);
                // One that is stopped would not see it.
                signal(child, Signal::SIGCONT);
            }
        }
        signals.wait(Some(INTERVAL))?;
    }
}

/// A child that has ended is still there until it is reaped; that it needs no signal is no error.
fn signal(child: Pid, signal: Signal) {
    let _ = kill(child, signal);
}

/// The children of this process, which has one thread.
fn children() -> io::Result<Vec<Pid>> {
    let text = fs::read_to_string("/proc/thread-self/children")?;
    let pids = text
        .split_ascii_whitespace()
        .filter_map(|pid| pid.parse().ok());
    Ok(pids.map(Pid::from_raw).collect())
}
