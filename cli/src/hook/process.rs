//! The container's first process: whether a number still means the same one, and which namespaces it is in.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::failure::Failure;

/// Among the flags of a process (field 9; `PF_EXITING`, linux/sched.h): it runs no more, although its end takes some time,
/// in which its mounts go.
const EXITING: u64 = 4;

/// A process, told from a later one of the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    /// Its number.
    pub(super) pid: u32,
    /// When it was started, in clock ticks after boot (proc(5), /proc/PID/stat, field 22).
    start: u64,
}

impl Process {
    /// The process of this number; `None` if it has ended, also while nobody has waited for it.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Behind the name, which may have blanks and parentheses: state, then field 4 and so on.
        let (_, rest) = text.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        let has_ended = matches!(fields.next()?, "Z" | "X" | "x");
        let flags: u64 = fields.nth(5)?.parse().ok()?;
        let has_ended = has_ended || flags & EXITING != 0;
        let start = fields.nth(12)?.parse().ok()?;
        (!has_ended).then_some(Self { pid, start })
    }

    /// Reads [`Display`](std::fmt::Display)'s form.
    fn parse(text: &str) -> Option<Self> {
        let (pid, start) = text.split_once('@')?;
        Some(Self {
            pid: pid.parse().ok()?,
            start: start.parse().ok()?,
        })
    }

    /// True if the process that a text names runs.
    pub(super) fn runs(text: &str) -> bool {
        Self::parse(text).is_some_and(|known| known.is_running())
    }

    /// True if it has not ended.
    pub(super) fn is_running(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// File of its namespace of a kind, such as `net`.
    pub(super) fn namespace(&self, kind: &str) -> PathBuf {
        format!("/proc/{}/ns/{kind}", self.pid).into()
    }

    /// True if its network namespace is this one.
    pub(super) fn is_in(&self, netns: &File) -> bool {
        let identity = |file: fs::Metadata| (file.dev(), file.ino());
        let own = fs::metadata(self.namespace("net")).map(identity);
        own.is_ok_and(|own| {
            netns
                .metadata()
                .map(identity)
                .is_ok_and(|there| there == own)
        })
    }

    /// True if this program is in the same namespace of that kind.
    pub(super) fn shares(&self, kind: &str) -> Result<bool, Failure> {
        let identity = |path: PathBuf| {
            let file = fs::metadata(path).map_err(|source| Failure::Namespaces {
                pid: self.pid,
                source,
            })?;
            Ok::<_, Failure>((file.dev(), file.ino()))
        };
        let own = identity(PathBuf::from(format!("/proc/self/ns/{kind}")))?;
        Ok(identity(self.namespace(kind))? == own)
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.pid, self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_again_and_not_taken_for_a_later_one() {
        let own = Process::of(std::process::id()).unwrap();
        assert!(own.is_running() && Process::runs(&own.to_string()));
        let later = Process {
            start: own.start + 1,
            ..own.clone()
        };
        assert!(!later.is_running() && !Process::runs(&later.to_string()));
        assert!(own.shares("net").unwrap());
        for none in ["", "1", "1@", "@1", "x@1"] {
            assert!(!Process::runs(none), "{none}");
        }
    }

    #[test]
    fn one_that_nobody_waited_for_has_ended() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        let ended = (0..10_000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            Process::of(pid).is_none()
        });
        assert!(ended);
        child.wait().unwrap();
    }
}
