//! Signals as something to wait for, beside changes of mounts.
//!
//! They are caught, not blocked: what a process catches is back at its default in a command that it executes, whereas a
//! blocked signal would stay blocked there (execve(2)), and `std` does not unblock it.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Cause;

/// What a user or the daemon may send, to be passed on to the command.
const FORWARDED: [Signal; 6] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// The signals of this process and the changes of its mounts.
pub(super) struct Signals {
    caught: SignalDelivery<UnixStream, WithOrigin>,
    mounts: File,
}

/// What was waited for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wake {
    /// To be passed on to the command.
    pub(super) forward: Vec<Signal>,
    /// Mounts of this namespace changed.
    pub(super) mounts_changed: bool,
}

impl Signals {
    /// Catches the signals from here on, except those that whoever started this process wants ignored, as nohup(1) does.
    pub(super) fn catch() -> io::Result<Self> {
        let ignored = ignored(&fs::read_to_string("/proc/self/status")?);
        let wanted = |signal: &Signal| ignored & (1 << (*signal as i32 - 1)) == 0;
        let signals = FORWARDED
            .into_iter()
            .filter(wanted)
            .chain([Signal::SIGCHLD]);
        let (read, write) = UnixStream::pair()?;
        let numbers = signals.map(|signal| signal as i32);
        Ok(Self {
            caught: SignalDelivery::with_pipe(read, write, WithOrigin::default(), numbers)?,
            mounts: File::open("/proc/self/mountinfo")?,
        })
    }

    /// Waits for a signal, a change of mounts, or the end of `limit`; `None` waits for ever.
    pub(super) fn wait(&mut self, limit: Option<Duration>) -> io::Result<Wake> {
        let timeout = limit.map_or(PollTimeout::NONE, |limit| {
            PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX)
        });
        let mut watched = [
            PollFd::new(self.caught.get_read().as_fd(), PollFlags::POLLIN),
            // mountinfo is always readable; a change shows as an exceptional condition (proc_pid_mounts(5)).
            PollFd::new(self.mounts.as_fd(), PollFlags::POLLPRI),
        ];
        match poll(&mut watched, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let changed = |flags: PollFlags| flags.intersects(PollFlags::POLLPRI | PollFlags::POLLERR);
        let mounts_changed = watched[1].revents().is_some_and(changed);
        Ok(Wake {
            forward: self.pending(),
            mounts_changed,
        })
    }

    /// Takes what was caught. SIGCHLD only wakes. What the kernel sent for a key on the terminal has reached the command
    /// by itself, since it is in the same process group, and shall not reach it twice.
    fn pending(&mut self) -> Vec<Signal> {
        let from_somebody = self
            .caught
            .pending()
            .filter(|origin| origin.cause != Cause::Kernel)
            .filter_map(|origin| Signal::try_from(origin.signal).ok());
        from_somebody
            .filter(|signal| *signal != Signal::SIGCHLD)
            .collect()
    }
}

/// The ignored signals of /proc/PID/status, bit N-1 for signal N (proc_pid_status(5)).
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let status = "Name:\tnet\nSigBlk:\tffff\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored(status), 1 | 1 << 12);
        assert_eq!(ignored("Name:\tnet\n"), 0);
    }
}
