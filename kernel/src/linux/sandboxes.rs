//! The namespaces in netd's care: pinned by open descriptors, each with the anchor whose end means its own.
//!
//! Because a pin keeps the namespace alive, its natural end cannot be seen by looking at it. So the anchor is watched,
//! and when it goes, the machine is searched for another holder: only if there is none has the namespace ended.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use netd_model::container::Anchor;
use netd_model::desired::Sysctl;
use netd_model::{NetnsId, Sandbox};
use nix::libc::ENOENT;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use super::holders;
use super::namespace::Namespace;
use super::nsids::Nsids;
use super::redirect::Redirection;
use super::resolver::Unbound;
use super::views::Views;
use crate::{KernelError, KernelEvent};

/// Netlink sockets per sandbox. One container is attached by one caller at a time.
const SESSIONS: usize = 1;

/// A namespace in netd's care.
pub(super) struct Pin {
    /// The namespace.
    pub(super) namespace: Namespace,
    /// Sockets for its resolver, opened with it so that it need not be entered for them.
    pub(super) spare: Mutex<Option<Unbound>>,
    /// What was read of its rules last.
    pub(super) redirection: Mutex<Option<Redirection>>,
    watched: Mutex<Watched>,
    /// What parameters were that netd wrote and that concern interfaces of others.
    former: Mutex<BTreeMap<Sysctl, String>>,
}

/// The anchor of a pinned namespace.
struct Watched {
    anchor: Anchor,
    /// What becomes readable when the anchor may have gone.
    alarms: Vec<OwnedFd>,
    /// True once its end was told.
    ended: bool,
}

impl Pin {
    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a parameter, and remembers what it was before it was written for the first time, if others could miss that.
    pub(super) fn write_parameter(&self, key: &Sysctl, value: &str) -> io::Result<()> {
        let mut former = self.former();
        if !key.is_of_future_interfaces() || former.contains_key(key) {
            drop(former);
            return self.namespace.write_parameter(key, value);
        }
        match self.namespace.replace_parameter(key, value) {
            Ok(before) => _ = former.insert(key.clone(), before),
            // Absent: whether that is an error, the plain way knows.
            Err(error) if error.raw_os_error() == Some(ENOENT) => {
                return self.namespace.write_parameter(key, value);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn former(&self) -> MutexGuard<'_, BTreeMap<Sysctl, String>> {
        self.former.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_back(&self) {
        for (key, value) in std::mem::take(&mut *self.former()) {
            if let Err(error) = self.namespace.write_parameter(&key, &value) {
                let (key, netns) = (key.path(), self.namespace.id);
                tracing::debug!(%error, key, %netns, "a parameter stays as netd had it");
            }
        }
    }

    fn sandbox(&self) -> Sandbox {
        Sandbox {
            netns: self.namespace.id,
            anchor: self.watched().anchor.clone(),
            dns_port: None,
        }
    }
}

/// All pinned namespaces.
pub(super) struct Sandboxes {
    pins: RwLock<BTreeMap<NetnsId, Arc<Pin>>>,
    /// What the daemon's namespace calls them.
    pub(super) nsids: Nsids,
    /// Where parameters are looked for.
    views: Views,
    /// Waits for the alarms of all anchors; the event's data is the namespace's inode.
    pub(super) alarms: Epoll,
}

impl Sandboxes {
    /// None yet.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            pins: RwLock::default(),
            nsids: Nsids::default(),
            views: Views::default(),
            alarms: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
        })
    }

    /// The pin of `netns`.
    ///
    /// # Errors
    /// [`KernelError::SandboxGone`] if there is none.
    pub(super) fn get(&self, netns: NetnsId) -> Result<Arc<Pin>, KernelError> {
        self.find(netns).ok_or(KernelError::SandboxGone { netns })
    }

    fn find(&self, netns: NetnsId) -> Option<Arc<Pin>> {
        let pins = self.pins.read().unwrap_or_else(PoisonError::into_inner);
        pins.get(&netns).cloned()
    }

    /// What is known of `netns`, if it is pinned.
    pub(super) fn known(&self, netns: NetnsId) -> Option<Sandbox> {
        self.find(netns).map(|pin| pin.sandbox())
    }

    /// Pins the namespace of an nsfs file with its anchor. If another caller was faster, theirs stands.
    pub(super) fn pin(&self, file: File, anchor: Anchor) -> io::Result<Sandbox> {
        let (namespace, spare) = Namespace::open(file, SESSIONS, self.views.next(), Unbound::open)?;
        let netns = namespace.id;
        let pin = Arc::new(Pin {
            namespace,
            spare: Mutex::new(Some(spare)),
            redirection: Mutex::new(None),
            watched: Mutex::new(Watched {
                anchor: anchor.clone(),
                alarms: Vec::new(),
                ended: false,
            }),
            former: Mutex::default(),
        });
        let mut pins = self.pins.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = pins.get(&netns) {
            return Ok(there.sandbox());
        }
        self.arm(&mut pin.watched(), netns, anchor)?;
        pins.insert(netns, Arc::clone(&pin));
        self.nsids.add(netns);
        Ok(pin.sandbox())
    }

    /// Unpins `netns`, as [`crate::Kernel::release`] has it.
    pub(super) fn release(&self, netns: NetnsId) {
        let pin = {
            let mut pins = self.pins.write().unwrap_or_else(PoisonError::into_inner);
            self.nsids.remove(netns);
            pins.remove(&netns)
        };
        if let Some(pin) = pin {
            self.disarm(&mut pin.watched());
            pin.put_back();
        }
    }

    /// The pinned namespaces with this inode (all nsfs inodes are of one device).
    pub(super) fn by_inode(&self, inode: u64) -> Vec<NetnsId> {
        self.ids(|netns, _| netns.inode == inode)
    }

    /// The pinned namespaces whose anchor is a mount.
    pub(super) fn anchored_by_path(&self) -> Vec<NetnsId> {
        self.ids(|_, pin| matches!(pin.watched().anchor, Anchor::Path(_)))
    }

    /// All pinned namespaces.
    pub(super) fn all(&self) -> Vec<NetnsId> {
        self.ids(|_, _| true)
    }

    fn ids(&self, keep: impl Fn(&NetnsId, &Pin) -> bool) -> Vec<NetnsId> {
        let pins = self.pins.read().unwrap_or_else(PoisonError::into_inner);
        pins.iter()
            .filter(|(netns, pin)| keep(netns, pin))
            .map(|(netns, _)| *netns)
            .collect()
    }

    /// Looks whether the anchors of these namespaces still hold them. Where not, another holder becomes the anchor;
    /// those that have none have ended. Each is said once.
    pub(super) fn changed(&self, suspects: &[NetnsId]) -> Vec<KernelEvent> {
        let mut loose: BTreeMap<NetnsId, Arc<Pin>> = BTreeMap::new();
        for netns in suspects {
            if let Some(pin) = self.find(*netns) {
                let mut watched = pin.watched();
                if !watched.ended && !holders::holds(&watched.anchor, *netns) {
                    self.disarm(&mut watched);
                    drop(watched);
                    loose.insert(*netns, pin);
                }
            }
        }
        let mut changed = Vec::new();
        // A holder may go while it is found; then the search begins again, and ends since holders are finite.
        while !loose.is_empty() {
            let mut holders = holders::find(&loose.keys().copied().collect());
            loose.retain(|netns, pin| match holders.remove(netns) {
                Some(anchor) if self.anchored_anew(pin, *netns, anchor.clone()) => {
                    changed.push(KernelEvent::SandboxAnchored(*netns, anchor));
                    false
                }
                Some(_) => true,
                None => {
                    pin.watched().ended = true;
                    changed.push(KernelEvent::SandboxEnded(*netns));
                    false
                }
            });
        }
        changed
    }

    fn anchored_anew(&self, pin: &Pin, netns: NetnsId, anchor: Anchor) -> bool {
        let mut watched = pin.watched();
        let armed = self.arm(&mut watched, netns, anchor);
        if armed.is_ok() && holders::holds(&watched.anchor, netns) {
            tracing::debug!(%netns, anchor = ?watched.anchor, "another holder keeps the namespace");
            return true;
        }
        self.disarm(&mut watched);
        false
    }

    fn arm(&self, watched: &mut Watched, netns: NetnsId, anchor: Anchor) -> io::Result<()> {
        for (alarm, flags) in holders::alarms(&anchor)? {
            // A pidfd is readable from the process's end on; a mountinfo has an exceptional condition at each change.
            self.alarms
                .add(&alarm, EpollEvent::new(flags, netns.inode))?;
            watched.alarms.push(alarm);
        }
        watched.anchor = anchor;
        Ok(())
    }

    fn disarm(&self, watched: &mut Watched) {
        for alarm in watched.alarms.drain(..) {
            // Closing takes it off as well, but not while a child process between fork and exec has a copy.
            let _ = self.alarms.delete(alarm.as_fd());
        }
    }

    /// Also waits for `source`, whose events carry `data`.
    pub(super) fn listen(&self, source: impl AsFd, flags: EpollFlags, data: u64) -> io::Result<()> {
        Ok(self.alarms.add(source, EpollEvent::new(flags, data))?)
    }
}
