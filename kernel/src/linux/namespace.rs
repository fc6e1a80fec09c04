//! A network namespace with everything kept open in it: netlink sockets and the directories of its parameters.
//!
//! What must happen inside and leaves no descriptor is done by the calling thread, which pays a [`Visit`], or by threads of
//! their own that go from one to the next ([`travel`]). No error path leaves a thread of the daemon in the wrong namespace:
//! the end of a visit brings it back or ends the process.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::num::NonZero;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use netd_model::NetnsId;
use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use nix::sched::{CloneFlags, setns};

use super::session::Session;
use super::sysctl::Parameters;
use super::views::View;

/// The namespace of the calling thread; /proc/self would give the first thread's.
const HERE: &str = "/proc/thread-self/ns/net";

/// More threads would wait for the kernel's locks.
const TRAVELLERS_MAX: usize = 4;

thread_local! {
    /// True on a thread that goes from namespace to namespace, and ends in the last of them.
    static TRAVELS: Cell<bool> = const { Cell::new(false) };
}

/// A network namespace, kept alive by what is open in it.
pub(super) struct Namespace {
    /// Its identity.
    pub(super) id: NetnsId,
    file: File,
    sessions: Vec<Mutex<Session>>,
    netfilter: Mutex<Session>,
    /// Its kernel parameters.
    pub(super) parameters: Parameters,
}

impl Namespace {
    /// The namespace of the calling thread, with `sessions` netlink sockets.
    pub(super) fn here(sessions: usize) -> io::Result<Self> {
        let (here, ()) = Self::open(File::open(HERE)?, sessions, None, || Ok(()))?;
        Ok(here)
    }

    /// The namespace of an nsfs file, with `sessions` netlink sockets, and what `also` opens while somebody is there. Its
    /// parameters are looked for in `view`, or in /proc itself.
    pub(super) fn open<T>(
        file: File,
        sessions: usize,
        view: Option<View>,
        also: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<(Self, T)> {
        let id = identity(&file)?;
        run_in(&file, id, || {
            let opened = Self {
                id,
                // Opened anew: a file that was opened through a mount keeps that from being unmounted.
                file: File::open(HERE)?,
                sessions: (0..sessions)
                    .map(|_| Session::open(NETLINK_ROUTE).map(Mutex::new))
                    .collect::<io::Result<_>>()?,
                netfilter: Session::open(NETLINK_NETFILTER).map(Mutex::new)?,
                parameters: Parameters::open(view),
            };
            Ok((opened, also()?))
        })
    }

    /// A netlink socket of the namespace: a free one, else the first that becomes free. A request that takes long
    /// (deleting a link: 20 ms) thus does not hold up the others.
    pub(super) fn session(&self) -> MutexGuard<'_, Session> {
        self.sessions
            .iter()
            .find_map(|session| session.try_lock().ok())
            .unwrap_or_else(|| {
                self.sessions[0]
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
            })
    }

    /// The socket of the namespace's packet filter and connection tracking.
    pub(super) fn netfilter(&self) -> MutexGuard<'_, Session> {
        self.netfilter
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` inside, on the calling thread.
    pub(super) fn run<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        run_in(&self.file, self.id, work)
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Does `work` for each item, in their order as far as the answers go, on threads of their own that enter namespaces
/// one after another: to start a thread for each costs more than most do inside.
pub(super) fn travel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if items.is_empty() {
        return Vec::new();
    }
    let count = std::thread::available_parallelism().map_or(1, NonZero::get);
    let size = items.len().div_ceil(count.min(TRAVELLERS_MAX));
    let go = |part: &[T]| {
        TRAVELS.set(true);
        part.iter().map(&work).collect::<Vec<R>>()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = items
            .chunks(size)
            .map(|part| scope.spawn(move || go(part)))
            .collect();
        let done = threads.into_iter().map(|thread| match thread.join() {
            Ok(done) => done,
            // A panic in there is a bug; it goes on where it can be seen.
            Err(panic) => std::panic::resume_unwind(panic),
        });
        done.flatten().collect()
    })
}

/// The calling thread's stay in another namespace. A thread of its own would cost three times as much.
struct Visit {
    home: File,
}

impl Visit {
    fn begin(file: &File) -> io::Result<Self> {
        let home = File::open(HERE)?;
        setns(file, CloneFlags::CLONE_NEWNET)?;
        Ok(Self { home })
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Err(error) = setns(&self.home, CloneFlags::CLONE_NEWNET) {
            // What this thread did next would be done to a container's network. A restart loses nothing.
            tracing::error!(%error, "a thread cannot leave a container's namespace; the daemon ends");
            std::process::abort();
        }
    }
}

fn run_in<T>(file: &File, id: NetnsId, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    if TRAVELS.get() {
        setns(file, CloneFlags::CLONE_NEWNET)?;
        return work();
    }
    if identity_at(Path::new(HERE))? == id {
        return work();
    }
    let _visit = Visit::begin(file)?;
    work()
}

/// The identity of a namespace by its open file.
pub(super) fn identity(file: &File) -> io::Result<NetnsId> {
    let metadata = file.metadata()?;
    Ok(NetnsId {
        dev: metadata.st_dev(),
        inode: metadata.st_ino(),
    })
}

/// The identity of the file at `path`, which may be any.
pub(super) fn identity_at(path: &Path) -> io::Result<NetnsId> {
    let metadata = std::fs::metadata(path)?;
    Ok(NetnsId {
        dev: metadata.st_dev(),
        inode: metadata.st_ino(),
    })
}
