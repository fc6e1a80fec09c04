//! Processes, each told from a later one with the same number. Knows nothing of namespaces.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use netd_model::Supervisor;
use nix::libc;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};

use crate::Signal;

/// More than the line of /proc/pid/stat has: 52 fields of 20 digits at most and a name of 64 bytes (proc_pid_stat(5)).
const STAT_BYTES: usize = 2048;

fn number(pid: u32) -> io::Result<Pid> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))
}

/// A descriptor of the process `pid`, which becomes readable when it ends (pidfd_open(2)).
pub(super) fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    Ok(pidfd_open(number(pid)?, PidfdFlags::empty())?)
}

/// True if the process of this descriptor has ended.
pub(super) fn has_ended(pidfd: &OwnedFd) -> bool {
    let now = Timespec::default();
    poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&now)) != Ok(0)
}

/// What /proc says of the process `pid` in one line.
fn stat(pid: u32) -> Option<String> {
    let mut line = vec![0; STAT_BYTES];
    // In one go: the kernel makes the line anew for each read, and gives all of it that there is room for.
    let length = File::open(format!("/proc/{pid}/stat"))
        .ok()?
        .read(&mut line)
        .ok()?;
    line.truncate(length);
    Some(String::from_utf8_lossy(&line).into_owned())
}

/// The process `pid` with its start time; `None` if it has ended, even if its parent has not taken notice yet.
pub(super) fn process(pid: u32) -> Option<Supervisor> {
    let stat = stat(pid)?;
    // The second field is the program's name in parentheses, which may contain anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    // The state is field 3, the start time field 22.
    let start_ticks = fields.nth(18)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(Supervisor { pid, start_ticks })
}

/// The parent of the process `pid`: 0 outside the pid namespace, `None` once it has ended.
pub(super) fn parent(pid: u32) -> Option<u32> {
    let stat = stat(pid)?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    // The state is field 3, the parent field 4 (proc_pid_stat(5)).
    fields.nth(1)?.parse().ok()
}

/// What [`crate::Kernel::signal`] promises.
pub(super) fn signal(to: Supervisor, signal: Signal) -> io::Result<bool> {
    let Ok(pidfd) = pidfd(to.pid) else {
        return Ok(false);
    };
    // The descriptor was opened first: if the process behind it is the one that is meant, it stays so.
    if process(to.pid) != Some(to) {
        return Ok(false);
    }
    let sent = match signal {
        Signal::Probe => return Ok(true),
        // A stopped process would not see it: it is woken afterwards, as systemd.kill(5) does.
        Signal::Terminate => pidfd_send_signal(&pidfd, rustix::process::Signal::TERM)
            .and_then(|()| pidfd_send_signal(&pidfd, rustix::process::Signal::CONT)),
        Signal::Kill => pidfd_send_signal(&pidfd, rustix::process::Signal::KILL),
    };
    match sent {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::SRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// What [`crate::Kernel::children`] promises.
pub(super) fn children(parent: Supervisor) -> io::Result<Vec<Supervisor>> {
    let mut found = Vec::new();
    let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", parent.pid)) else {
        return Ok(found);
    };
    for task in tasks.flatten() {
        match fs::read_to_string(task.path().join("children")) {
            Ok(text) => found.extend(
                text.split_ascii_whitespace()
                    .filter_map(|pid| process(pid.parse().ok()?)),
            ),
            // The thread, or the whole process, has ended meanwhile.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    || error.raw_os_error() == Some(libc::ESRCH) => {}
            Err(error) => return Err(error),
        }
    }
    // Read under its number, so only now is it certain whose they were.
    if process(parent.pid) != Some(parent) {
        found.clear();
    }
    Ok(found)
}
