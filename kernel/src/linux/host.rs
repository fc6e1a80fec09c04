//! What the host has: its links with their addresses and holders, and where its routes lead. Reads, never changes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::PoisonError;

use netd_model::desired::ROUTE_PROTOCOL;
use netd_model::{IfName, Subnet};

use super::addresses;
use super::links::{self, Link};
use super::{Linux, routes};
use crate::{HostInterface, HostLink, LinkKind};

/// What [`crate::Kernel::host_links`] promises.
pub(super) fn host_links(linux: &Linux) -> io::Result<Vec<HostLink>> {
    let mut session = linux.home.session();
    let links = links::all(&mut session)?;
    let addresses = addresses::all(&mut session, None)?;
    let routes = routes::all(&mut session, None)?;
    drop(session);
    let names: BTreeMap<u32, &IfName> = links.iter().map(|link| (link.index, &link.name)).collect();
    let default_routes: BTreeSet<u32> = routes
        .iter()
        .filter(|route| route.destination.prefix() == 0)
        .filter_map(|route| route.index)
        .collect();
    let seen = links.iter().map(|link| HostLink {
        name: link.name.clone(),
        kind: kind(link),
        mark: link.mark,
        holder: link
            .bridge
            .and_then(|holder| names.get(&holder).copied().cloned()),
        up: link.up,
        addresses: addresses::of_link(&addresses, link.index, None),
        has_default_route: default_routes.contains(&link.index),
    });
    Ok(seen.collect())
}

fn kind(link: &Link) -> LinkKind {
    match link.kind.as_str() {
        _ if link.loopback => LinkKind::Loopback,
        "bridge" => LinkKind::Bridge,
        "veth" => LinkKind::Veth,
        _ => LinkKind::Other,
    }
}

/// What [`crate::Kernel::routed_subnets`] promises.
pub(super) fn routed_subnets(linux: &Linux) -> io::Result<Vec<(Subnet, IfName)>> {
    let mut session = linux.home.session();
    let mut routes = routes::all(&mut session, None)?;
    routes.retain(|route| counts(route.destination) && route.protocol != ROUTE_PROTOCOL);
    // Link by link: the host has many more that no such route is of, one for each container.
    let mut indexes: BTreeSet<u32> = routes.iter().filter_map(|route| route.index).collect();
    let mut marked = linux
        .marked_links
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    marked.retain(|index| indexes.remove(index));
    let mut of_others = BTreeMap::new();
    for index in indexes {
        let Some(link) = links::by_index(&mut session, index)? else {
            continue;
        };
        match link.mark {
            Some(_) => drop(marked.insert(index)),
            None => drop(of_others.insert(index, link.name)),
        }
    }
    drop(marked);
    let found: BTreeSet<(Subnet, &IfName)> = routes
        .iter()
        .filter_map(|route| Some((route.destination, of_others.get(&route.index?)?)))
        .collect();
    Ok(found
        .into_iter()
        .map(|(subnet, name)| (subnet, name.clone()))
        .collect())
}

/// False for what every host has: default routes, multicast, the link-local subnet of each interface.
fn counts(subnet: Subnet) -> bool {
    subnet.prefix() > 0
        && match subnet.first() {
            IpAddr::V4(first) => !first.is_multicast(),
            IpAddr::V6(first) => !first.is_multicast() && !first.is_unicast_link_local(),
        }
}

/// What [`crate::Kernel::host_interface`] promises.
pub(super) fn host_interface(linux: &Linux, name: &IfName) -> io::Result<Option<HostInterface>> {
    let mut session = linux.home.session();
    let Some(link) = links::by_name(&mut session, name)? else {
        return Ok(None);
    };
    let addresses = addresses::all(&mut session, Some(link.index))?;
    Ok(Some(HostInterface {
        is_bridge: link.kind == "bridge",
        mtu_bytes: link.mtu_bytes,
        addresses: addresses::of_link(&addresses, link.index, None),
    }))
}

/// What [`crate::Kernel::host_addresses`] promises.
pub(super) fn host_addresses(linux: &Linux) -> io::Result<BTreeSet<IpAddr>> {
    let found = addresses::all(&mut linux.home.session(), None)?;
    Ok(found.into_iter().map(|on| on.address.ip()).collect())
}
