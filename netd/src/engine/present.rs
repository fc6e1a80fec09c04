//! What a container has on a network already, held against a wish: pure decisions over the records.

use std::sync::Arc;

use netd_model::{Container, Endpoint, Network, Phase};

use super::EngineError;
use super::attach::Wish;
use super::host_ports::{self, Publisher};
use super::intent::{Intent, not_connectable};

/// Whether a wish may be about an endpoint that the container has on the network. Who names an interface is about that one;
/// to be on a network once more is therefore to name another.
pub(super) fn may_mean(wish: &Wish, present: &Endpoint) -> bool {
    let named = wish.options.inside.as_ref();
    wish.anew || named.is_none() || present.inside().is_none() || named == present.inside()
}

/// The one of `meant` that is as wished for, or why there is none.
pub(super) fn already(
    (network, container): (&Network, &Container),
    meant: &[&Arc<Endpoint>],
    wish: &Wish,
) -> Result<Intent, EngineError> {
    let mut standing = meant.iter().filter(|one| one.phase == Phase::Attached);
    let fitting = standing.find(|one| !wish.anew && is_as_wished(network, one, wish));
    if let Some(fitting) = fitting {
        return Ok(Intent::Already(Arc::clone(fitting)));
    }
    if meant.iter().any(|one| one.phase != Phase::Attached) {
        let reason =
            "its former connection is still being removed; try again in a moment".to_owned();
        return Err(not_connectable(network, container, reason));
    }
    let leases = meant.iter().flat_map(|one| &one.leases);
    let addresses: Vec<String> = leases.map(|lease| lease.address.to_string()).collect();
    Err(EngineError::AlreadyConnected {
        container: container.name.clone(),
        network: network.name.clone(),
        address: if addresses.is_empty() {
            "a member without address".to_owned()
        } else {
            addresses.join(" and ")
        },
    })
}

fn is_as_wished(network: &Network, present: &Endpoint, wish: &Wish) -> bool {
    let has_ips = wish
        .ips
        .iter()
        .all(|ip| present.leases.iter().any(|lease| lease.address == *ip));
    let mut link_local = wish.link_local.iter();
    let has_link_local = link_local.all(|address| present.link_local.contains(address));
    let has_mac = wish
        .mac
        .is_none_or(|mac| present.interface.as_ref().is_some_and(|i| i.mac == mac));
    let has_ports = Publisher::of(network, present).is_none_or(|publisher| {
        host_ports::fulfils(publisher, &wish.ports)
            && host_ports::opened(publisher.spec, publisher.leases, &wish.ports) == present.opened
    });
    let named = wish.options.inside.as_ref();
    let has_options = wish.options.sysctls == present.sysctls
        && named.is_none_or(|name| present.inside() == Some(name));
    // Whoever has no key of his own asks for no other than there is.
    let has_key = wish.joined_as.is_none() || wish.joined_as == present.joined_as;
    let has_rest = wish.aliases == present.aliases && wish.routes == present.routes;
    let has_rest = has_rest && wish.rates == present.rates;
    has_ips && has_link_local && has_mac && has_ports && has_options && has_key && has_rest
}
