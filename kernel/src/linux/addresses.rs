//! IP addresses of a namespace's links. Knows rtnetlink's words for them (linux/if_addr.h) and nothing of links.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope,
};
use nix::libc;

use super::attributes::{Attributes, address, u32_at};
use super::session::{Session, errno};

/// Size of a `struct ifaddrmsg` in bytes (linux/if_addr.h).
const INFO_BYTES: usize = 8;

/// An address on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkAddress {
    /// Index of the link.
    pub(super) index: u32,
    /// The address with its prefix.
    pub(super) address: IpNetwork,
}

impl LinkAddress {
    /// True for an address of one link only: fe80::/10, which the kernel makes by itself, and 169.254.0.0/16, which
    /// others do (RFC 3927).
    pub(super) fn is_link_local(&self) -> bool {
        match self.address.ip() {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        }
    }
}

/// Reads the payload of an `RTM_NEWADDR`.
fn read(payload: &[u8]) -> Option<LinkAddress> {
    let prefix = *payload.get(1)?;
    let mut found = None;
    for (kind, value) in Attributes::new(payload.get(INFO_BYTES..)?) {
        match kind {
            // On a point-to-point link IFA_ADDRESS is the other end's; IFA_LOCAL, where it is given, is ours.
            libc::IFA_LOCAL => found = address(value),
            libc::IFA_ADDRESS if found.is_none() => found = address(value),
            _ => {}
        }
    }
    Some(LinkAddress {
        index: u32_at(payload, 4)?,
        address: IpNetwork::new(found?, prefix).ok()?,
    })
}

/// All addresses of a namespace; only those of the link `index`, if given.
pub(super) fn all(session: &mut Session, index: Option<u32>) -> io::Result<Vec<LinkAddress>> {
    let mut message = AddressMessage::default();
    message.header.index = index.unwrap_or_default();
    let found = session.dump(&RouteNetlinkMessage::GetAddress(message), read)?;
    Ok(found
        .into_iter()
        .filter(|found| index.is_none_or(|index| found.index == index))
        .collect())
}

fn message(on: LinkAddress) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = on.index;
    message.header.prefix_len = on.address.prefix();
    message.header.family = match on.address {
        IpNetwork::V4(_) => AddressFamily::Inet,
        IpNetwork::V6(_) => AddressFamily::Inet6,
    };
    // With its true scope it is nobody's source towards other subnets; of IPv6 addresses the kernel knows it itself.
    if on.address.ip().is_loopback() {
        message.header.scope = AddressScope::Host;
    } else if on.is_link_local() {
        message.header.scope = AddressScope::Link;
    }
    message
        .attributes
        .push(AddressAttribute::Local(on.address.ip()));
    message
        .attributes
        .push(AddressAttribute::Address(on.address.ip()));
    match on.address {
        // Below /31 the last address is the broadcast address (RFC 3021).
        IpNetwork::V4(v4) if v4.prefix() < 31 => message
            .attributes
            .push(AddressAttribute::Broadcast(v4.broadcast())),
        // The daemon leases each address once; waiting a second for a duplicate that cannot be helps nobody.
        IpNetwork::V6(_) => {
            message.header.flags = AddressHeaderFlags::Nodad;
            message
                .attributes
                .push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        IpNetwork::V4(_) => {}
    }
    message
}

/// Adds an address. One that is there counts as added.
pub(super) fn add(session: &mut Session, on: LinkAddress) -> io::Result<()> {
    let request = RouteNetlinkMessage::NewAddress(message(on));
    match session.request(request, NLM_F_CREATE | NLM_F_EXCL) {
        // IPv6 says so also for the same address with another prefix.
        Err(error) if errno(&error) == Some(libc::EEXIST) => {
            if all(session, Some(on.index))?.contains(&on) {
                Ok(())
            } else {
                Err(error)
            }
        }
        other => other,
    }
}

/// Removes an address. One that is gone counts as removed.
///
/// With the first IPv4 address of a subnet the kernel removes the others of that subnet on the link as well (unless
/// `promote_secondaries` is set, ip-sysctl.rst); they are put back.
pub(super) fn remove(session: &mut Session, on: LinkAddress) -> io::Result<()> {
    let before = all(session, Some(on.index))?;
    let request = RouteNetlinkMessage::DelAddress(message(on));
    match session.request(request, 0) {
        Err(error) if errno(&error) == Some(libc::EADDRNOTAVAIL) => return Ok(()),
        other => other?,
    }
    let after = all(session, Some(on.index))?;
    let lost = |other: &&LinkAddress| **other != on && !after.contains(other);
    before
        .iter()
        .filter(lost)
        .try_for_each(|other| add(session, *other))
}

/// Removes all addresses of a link, in one system call.
pub(super) fn clear(session: &mut Session, index: u32) -> io::Result<()> {
    let all = all(session, Some(index))?;
    let answers = session.requests(removals(&all))?;
    answers.into_iter().try_for_each(removed)
}

/// Requests that remove addresses; [`removed`] says what an answer means.
pub(super) fn removals(all: &[LinkAddress]) -> Vec<(RouteNetlinkMessage, u16)> {
    let remove = |on: &LinkAddress| (RouteNetlinkMessage::DelAddress(message(*on)), 0);
    all.iter().map(remove).collect()
}

/// The kernel removes others with the first one of their subnet, so one that is gone counts as removed.
pub(super) fn removed(answer: io::Result<()>) -> io::Result<()> {
    match answer {
        Err(error) if errno(&error) == Some(libc::EADDRNOTAVAIL) => Ok(()),
        other => other,
    }
}

/// Addresses of the link `index` among `all`. Of the link-local ones only those that are wished for: the kernel gives
/// itself others.
pub(super) fn of_link(
    all: &[LinkAddress],
    index: u32,
    wished: Option<&BTreeSet<IpNetwork>>,
) -> BTreeSet<IpNetwork> {
    let is_wished = |address| wished.is_some_and(|wished| wished.contains(address));
    all.iter()
        .filter(|on| on.index == index && (!on.is_link_local() || is_wished(&on.address)))
        .map(|on| on.address)
        .collect()
}
