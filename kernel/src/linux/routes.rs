//! Routes of a namespace's main table. Knows rtnetlink's words for them (rtnetlink(7)) and nothing of links.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use netd_model::Subnet;
use netd_model::desired::{ROUTE_PROTOCOL, RouteState};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::route::{RouteAttribute, RouteHeader, RouteMessage, RouteProtocol};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::libc;
use rtnetlink::RouteMessageBuilder;

use super::attributes::{Attributes, address, u32_at};
use super::session::{Session, errno};

/// Size of a `struct rtmsg` in bytes (linux/rtnetlink.h), and of a `struct rtnexthop`.
const INFO_BYTES: usize = 12;
const NEXT_HOP_BYTES: usize = 8;
/// Metric of a route to where somebody else has one already: higher than what is in use for others (0 without a word in
/// IPv4, 1024 in IPv6, hundreds by network managers).
const BEHIND_OTHERS: u32 = 4096;

/// A unicast route of the main table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    pub(super) destination: Subnet,
    pub(super) gateway: Option<IpAddr>,
    /// Index of the link that it leads to; the first one's, if there are several.
    pub(super) index: Option<u32>,
    /// Who set it (rtnetlink(7) `rtm_protocol`).
    pub(super) protocol: u8,
    /// Among routes to one destination, the one with the lowest counts.
    metric: u32,
}

/// Reads the payload of an `RTM_NEWROUTE`; `None` for one that is not unicast, or of another table.
fn read(payload: &[u8]) -> Option<Route> {
    let [family, prefix, _, _, table, protocol, _, kind] = *payload.first_chunk()?;
    let mut table = u32::from(table);
    let any = match i32::from(family) {
        libc::AF_INET => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        libc::AF_INET6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let (mut destination, mut gateway, mut index, mut metric) = (any, None, None, 0);
    for (kind, value) in Attributes::new(payload.get(INFO_BYTES..)?) {
        match kind {
            libc::RTA_DST => destination = address(value)?,
            libc::RTA_GATEWAY => gateway = address(value),
            libc::RTA_OIF => index = u32_at(value, 0),
            libc::RTA_PRIORITY => metric = u32_at(value, 0)?,
            libc::RTA_TABLE => table = u32_at(value, 0)?,
            libc::RTA_MULTIPATH if value.len() >= NEXT_HOP_BYTES => index = u32_at(value, 4),
            _ => {}
        }
    }
    if table != u32::from(libc::RT_TABLE_MAIN) || kind != libc::RTN_UNICAST {
        return None;
    }
    Some(Route {
        destination: Subnet::containing(IpNetwork::new(destination, prefix).ok()?),
        gateway,
        index,
        protocol,
        metric,
    })
}

/// All unicast routes of the main table; only those of `protocol`, if given.
pub(super) fn all(session: &mut Session, protocol: Option<u8>) -> io::Result<Vec<Route>> {
    let mut found = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = protocol.unwrap_or_default().into();
        match session.dump(&RouteNetlinkMessage::GetRoute(message), read) {
            Ok(routes) => found.extend(
                routes
                    .into_iter()
                    .filter(|route| protocol.is_none_or(|protocol| route.protocol == protocol)),
            ),
            // A kernel without IPv6, or a namespace where no table of that family was made yet.
            Err(error)
                if matches!(
                    errno(&error),
                    Some(libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::ENOENT)
                ) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// A route by the link `index`, or by whichever the kernel finds to lead to the next hop.
fn message(route: &RouteState, index: Option<u32>) -> io::Result<RouteMessage> {
    let (first, prefix) = (route.destination.first(), route.destination.prefix());
    let mut message = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(first, prefix)
        .and_then(|builder| builder.gateway(route.gateway))
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?
        .protocol(RouteProtocol::Other(ROUTE_PROTOCOL))
        .build();
    let link = index.map(RouteAttribute::Oif);
    message.attributes.extend(link);
    Ok(message)
}

/// Sets a route, replacing one of netd's to the same destination. One of somebody else's stays and goes before it.
pub(super) fn set(session: &mut Session, route: &RouteState, index: Option<u32>) -> io::Result<()> {
    let request = RouteNetlinkMessage::NewRoute(message(route, index)?);
    match session.request(request, NLM_F_CREATE | NLM_F_EXCL) {
        Err(error) if errno(&error) == Some(libc::EEXIST) => {}
        other => return other,
    }
    let there = all(session, Some(ROUTE_PROTOCOL))?;
    let ours = there
        .iter()
        .find(|there| there.destination == route.destination);
    let mut request = message(route, index)?;
    let metric = ours.map_or(BEHIND_OTHERS, |ours| ours.metric);
    request.attributes.push(RouteAttribute::Priority(metric));
    let request = RouteNetlinkMessage::NewRoute(request);
    session.request(request, NLM_F_CREATE | NLM_F_REPLACE)
}

/// Removes a route of netd's. One that is gone counts as removed.
pub(super) fn remove(session: &mut Session, route: &RouteState) -> io::Result<()> {
    let request = RouteNetlinkMessage::DelRoute(message(route, None)?);
    match session.request(request, 0) {
        Err(error) if errno(&error) == Some(libc::ESRCH) => Ok(()),
        other => other,
    }
}
