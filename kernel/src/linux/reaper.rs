//! Deletes links later that are out of use already, many at a time.
//!
//! The kernel waits some 20 ms for each message that deletes (`rcu_barrier` in `netdev_run_todo`, net/core/dev.c), however
//! many links go by it. So whoever wants a link gone takes it out of use, which is quick, and leaves the rest to a thread.
//! What is in its hands counts as gone, so observers leave it out. It keeps no record: what a crash leaves bears its mark
//! still, and the next daemon finds it by that.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use netd_model::desired::{Mark, Purpose};
use nix::libc;

use super::session::{Session, errno};
use super::{links, random};

/// How long the first link waits for others to go with it.
const LINGER: Duration = Duration::from_millis(20);

/// The thread, and what is in its hands.
pub(super) struct Reaper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    hands: Mutex<Hands>,
    changed: Condvar,
}

/// Links by their numbers. The kernel does not give a number twice (`dev_index_reserve` goes round 2^31 of them).
#[derive(Default)]
struct Hands {
    /// About to be taken out of use, or already, or being deleted.
    retired: BTreeSet<u32>,
    /// Those that wait to be deleted, each under its mark.
    waiting: BTreeMap<u32, Mark>,
    /// Deleted since somebody began to look, who may have seen them before.
    gone: BTreeSet<u32>,
    /// How many look.
    observers: usize,
    /// How many wait for a link's end.
    impatient: usize,
    closing: bool,
}

impl Shared {
    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, hands: MutexGuard<'a, Hands>) -> MutexGuard<'a, Hands> {
        self.changed
            .wait(hands)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reaper {
    /// Starts the thread, which uses `session`.
    pub(super) fn start(session: Session) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let work = Work {
            shared: Arc::clone(&shared),
            session,
        };
        let thread = std::thread::Builder::new()
            .name("netd-reaper".to_owned())
            .spawn(|| work.run())?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// True if a link counts as gone.
    pub(super) fn has(&self, index: u32) -> bool {
        self.shared.hands().retired.contains(&index)
    }

    /// From now on a link counts as gone. Followed by [`Reaper::take`] or [`Reaper::leave`].
    pub(super) fn announce(&self, index: u32) {
        self.shared.hands().retired.insert(index);
    }

    /// It could not be taken out of use, so it is there as before.
    pub(super) fn leave(&self, index: u32) {
        self.shared.hands().retired.remove(&index);
    }

    /// It is out of use, and to be deleted if it bears `mark` still.
    pub(super) fn take(&self, index: u32, mark: Mark) {
        self.shared.hands().waiting.insert(index, mark);
        self.shared.changed.notify_all();
    }

    /// Waits until a link is gone indeed, for its name is wanted.
    pub(super) fn wait_for(&self, index: u32) {
        let mut hands = self.shared.hands();
        hands.impatient += 1;
        self.shared.changed.notify_all();
        while hands.retired.contains(&index) {
            hands = self.shared.wait(hands);
        }
        hands.impatient -= 1;
    }

    /// For who lists links: what the list has to leave out, whenever it went since this call.
    pub(super) fn observer(&self) -> Observer<'_> {
        self.shared.hands().observers += 1;
        Observer(&self.shared)
    }
}

/// What is left is deleted first.
impl Drop for Reaper {
    fn drop(&mut self) {
        self.shared.hands().closing = true;
        self.shared.changed.notify_all();
        // A panic of the thread has been told where it happened.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Somebody who lists links.
pub(super) struct Observer<'a>(&'a Shared);

impl Observer<'_> {
    /// True if a link that was listed counts as gone.
    pub(super) fn misses(&self, index: u32) -> bool {
        let hands = self.0.hands();
        hands.retired.contains(&index) || hands.gone.contains(&index)
    }
}

impl Drop for Observer<'_> {
    fn drop(&mut self) {
        let mut hands = self.0.hands();
        hands.observers -= 1;
        if hands.observers == 0 {
            hands.gone.clear();
        }
    }
}

struct Work {
    shared: Arc<Shared>,
    session: Session,
}

impl Work {
    fn run(mut self) {
        while let Some(batch) = self.next() {
            if let Err(error) = delete_marked(&mut self.session, &batch) {
                // They show again, as leftovers, to the next reconcile.
                tracing::warn!(%error, "links that are out of use stay until the next reconcile");
            }
            let mut hands = self.shared.hands();
            for index in batch.into_keys() {
                hands.retired.remove(&index);
                if hands.observers > 0 {
                    hands.gone.insert(index);
                }
            }
            drop(hands);
            self.shared.changed.notify_all();
        }
    }

    /// The links to delete next; `None` at the end.
    fn next(&self) -> Option<BTreeMap<u32, Mark>> {
        let mut hands = self.shared.hands();
        while hands.waiting.is_empty() {
            if hands.closing {
                return None;
            }
            hands = self.shared.wait(hands);
        }
        let in_no_hurry = |hands: &mut Hands| !hands.closing && hands.impatient == 0;
        let (mut hands, _) = self
            .shared
            .changed
            .wait_timeout_while(hands, LINGER, in_no_hurry)
            .unwrap_or_else(PoisonError::into_inner);
        Some(std::mem::take(&mut hands.waiting))
    }
}

/// Deletes those links of `batch` that bear their mark still: pairs and ifbs together, bridges one by one, since for each bridge the
/// kernel waits while nobody else can change a link (`br_multicast_dev_del`, net/bridge/br_multicast.c).
fn delete_marked(session: &mut Session, batch: &BTreeMap<u32, Mark>) -> io::Result<()> {
    let (mut pairs, mut bridges) = (Vec::new(), Vec::new());
    for (index, mark) in batch {
        // A pair goes with the namespace of its other end, so it may be gone by itself.
        if links::by_index(session, *index)?.is_some_and(|link| link.mark == Some(*mark)) {
            match mark.purpose {
                Purpose::Endpoint(_) | Purpose::Ifb(_) => pairs.push(*index),
                Purpose::Bridge(_) => bridges.push(*index),
            }
        }
    }
    delete(session, &pairs)?;
    bridges
        .iter()
        .try_for_each(|index| delete(session, std::slice::from_ref(index)))
}

/// Deletes links, all in one message if there are several. Those that are gone count as deleted.
pub(super) fn delete(session: &mut Session, doomed: &[u32]) -> io::Result<()> {
    match doomed {
        [] => Ok(()),
        [index] => forgive(session.request(links::delete(*index), 0)),
        _ => {
            // Every link of the group goes, so nobody else may use its number: 31 random bits, drawn for this once.
            let group = u32::try_from(random() >> 33).unwrap_or(1).max(1);
            let joined = doomed
                .iter()
                .map(|index| (links::into_group(*index, group), 0));
            for answer in session.requests(joined.collect())? {
                forgive(answer)?;
            }
            forgive(session.request(links::delete_group(group), 0))
        }
    }
}

/// What went meanwhile, with its namespace, is as good as deleted.
fn forgive(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if errno(&error) == Some(libc::ENODEV) => Ok(()),
        other => other,
    }
}
