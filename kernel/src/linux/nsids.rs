//! How the daemon's namespace calls the sandboxes: the kernel names the namespace of a pair's other end by a number
//! (ip-netns(8) `list-id`), which stays the same while the namespace lives.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netd_model::NetnsId;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};

use super::attributes::{Attributes, u32_at};
use super::namespace::Namespace;
use super::sandboxes::{Pin, Sandboxes};
use super::session::Session;

/// Size of a `struct rtgenmsg`, padded, and the attribute that holds the id (linux/net_namespace.h `NETNSA_NSID`).
const NSID_HEADER_BYTES: usize = 4;
const NSID: u16 = 1;

/// The numbers of the pinned sandboxes, as far as they were asked for.
#[derive(Default)]
pub(super) struct Nsids(Mutex<Table>);

#[derive(Default)]
struct Table {
    known: BTreeMap<i32, NetnsId>,
    /// They have none, or did not have one when asked last: no pair leads there.
    unknown: BTreeSet<NetnsId>,
}

impl Nsids {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sandbox was pinned.
    pub(super) fn add(&self, netns: NetnsId) {
        self.table().unknown.insert(netns);
    }

    /// A sandbox was unpinned; its number may come to mean another.
    pub(super) fn remove(&self, netns: NetnsId) {
        let mut table = self.table();
        table.unknown.remove(&netns);
        table.known.retain(|_, known| *known != netns);
    }
}

impl Sandboxes {
    /// The pinned sandbox that the namespace of `session` calls `nsid`.
    pub(super) fn by_nsid(&self, session: &mut Session, nsid: i32) -> io::Result<Option<Arc<Pin>>> {
        let known = self.nsids.table().known.get(&nsid).copied();
        let netns = match known {
            Some(netns) => Some(netns),
            None => self.all_by_nsid(session)?.get(&nsid).copied(),
        };
        Ok(netns.and_then(|netns| self.get(netns).ok()))
    }

    /// The pinned sandboxes by what the namespace of `session` calls them. One that has no number has no link to there.
    pub(super) fn all_by_nsid(&self, session: &mut Session) -> io::Result<BTreeMap<i32, NetnsId>> {
        let unknown = self.nsids.table().unknown.clone();
        for netns in unknown {
            let Ok(pin) = self.get(netns) else {
                continue;
            };
            if let Some(nsid) = nsid_of(session, &pin.namespace)? {
                let mut table = self.nsids.table();
                // It may have been unpinned meanwhile.
                if table.unknown.remove(&netns) {
                    table.known.insert(nsid, netns);
                }
            }
        }
        Ok(self.nsids.table().known.clone())
    }
}

fn nsid_of(session: &mut Session, namespace: &Namespace) -> io::Result<Option<i32>> {
    let fd = namespace.as_fd().as_raw_fd().cast_unsigned();
    let mut message = NsidMessage::default();
    message.attributes.push(NsidAttribute::Fd(fd));
    let read = |payload: &[u8]| {
        let mut attributes = Attributes::new(payload.get(NSID_HEADER_BYTES..)?);
        let (_, value) = attributes.find(|(kind, _)| *kind == NSID)?;
        // The kernel says -1 for "none" (NETNSA_NSID_NOT_ASSIGNED).
        u32_at(value, 0)
            .map(u32::cast_signed)
            .filter(|nsid| *nsid >= 0)
    };
    session.get(RouteNetlinkMessage::GetNsId(message), read)
}
