//! Signals as something to wait for, beside changes of mounts. One thread, no handlers.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What a user or the daemon may send, to be passed on to the command.
const FORWARDED: [Signal; 6] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// `si_code` of a signal that the kernel sent, such as the one for ctrl-C (asm-generic/siginfo.h).
const SI_KERNEL: i32 = 0x80;

/// The signals of this process, blocked and read one by one.
pub(super) struct Signals {
    incoming: SignalFd,
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
    /// Blocks the signals, so that from here on they wait to be read. `std` unblocks them again for a command it starts.
    pub(super) fn block() -> io::Result<Self> {
        let mut set = SigSet::empty();
        FORWARDED
            .into_iter()
            .chain([Signal::SIGCHLD])
            .for_each(|signal| set.add(signal));
        set.thread_block()?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Self {
            incoming: SignalFd::with_flags(&set, flags)?,
            mounts: File::open("/proc/self/mountinfo")?,
        })
    }

    /// Waits for a signal, a change of mounts, or the end of `limit`; `None` waits for ever.
    pub(super) fn wait(&self, limit: Option<Duration>) -> io::Result<Wake> {
        let timeout = match limit {
            // A rest below a millisecond is rounded up, or waiting for it would be a busy loop.
            Some(limit) => PollTimeout::try_from(limit.max(Duration::from_millis(1)))
                .unwrap_or(PollTimeout::MAX),
            None => PollTimeout::NONE,
        };
        let mut watched = [
            PollFd::new(self.incoming.as_fd(), PollFlags::POLLIN),
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
            forward: self.pending()?,
            mounts_changed,
        })
    }

    /// Takes what is pending. SIGCHLD only wakes; what the kernel sent for a key on the terminal has reached the command
    /// by itself, since it is in the same process group.
    fn pending(&self) -> io::Result<Vec<Signal>> {
        let mut forward = Vec::new();
        while let Some(info) = self.incoming.read_signal()? {
            let number = i32::try_from(info.ssi_signo).unwrap_or(0);
            match Signal::try_from(number) {
                Ok(Signal::SIGCHLD) | Err(_) => {}
                Ok(_) if info.ssi_code == SI_KERNEL => {}
                Ok(signal) => forward.push(signal),
            }
        }
        Ok(forward)
    }
}
