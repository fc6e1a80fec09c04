//! Which addresses and host ports an endpoint gets: pure choices over the state, made inside a ledger turn.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netd_ipam::Wish as AddressWish;
use netd_model::network::BridgeSpec;
use netd_model::{
    ContainerName, Endpoint, EndpointId, Lease, Network, PortRange, Protocol, PublishRequest,
    PublishedPort,
};

use super::EngineError;
use crate::state::State;

/// Host ports that the daemon chooses from: Linux' own ephemeral range (ip(7), ip_local_port_range).
const EPHEMERAL: std::ops::RangeInclusive<u16> = 32768..=60999;

/// Host ports that turned out to be in use by processes of the host.
pub(super) type Avoid = BTreeSet<(Protocol, u16)>;

/// An address of each pool: the one asked for, else the one had last, else the next free one.
pub(super) fn leases(
    state: &State,
    network: &Network,
    container: &ContainerName,
    asked: &[IpAddr],
) -> Result<Vec<Lease>, EngineError> {
    check_asked(network, asked)?;
    let mut leases = Vec::new();
    for pool in state.pools(network.id) {
        let same_family = |address: &IpAddr| address.is_ipv4() == pool.subnet().is_ipv4();
        let requested = asked.iter().copied().find(same_family);
        let had = || {
            state
                .reserved_for(network.id, container)
                .map(|kept| kept.address)
                .find(same_family)
        };
        let wish = match (requested, had()) {
            (Some(address), _) => AddressWish::Exactly(address),
            (None, Some(address)) => AddressWish::Sticky(address),
            (None, None) => AddressWish::Any,
        };
        let address = pool
            .allocate(wish, container)
            .map_err(|source| EngineError::Address {
                network: network.name.clone(),
                source,
            })?;
        leases.push(Lease {
            pool: pool.subnet(),
            address,
            requested: requested.is_some(),
        });
    }
    Ok(leases)
}

fn check_asked(network: &Network, asked: &[IpAddr]) -> Result<(), EngineError> {
    let refuse = |address: IpAddr, reason| {
        Err(EngineError::AddressNotAllowed {
            address,
            network: network.name.clone(),
            reason,
        })
    };
    for (at, address) in asked.iter().enumerate() {
        if asked[..at]
            .iter()
            .any(|earlier| earlier.is_ipv4() == address.is_ipv4())
        {
            return refuse(*address, "one address of each family is enough");
        }
        if network.bridge().is_some_and(|spec| spec.is_default) {
            return refuse(
                *address,
                "the default network chooses itself; make one with `net create --subnet`",
            );
        }
        match network
            .pools
            .iter()
            .find(|pool| pool.subnet.is_ipv4() == address.is_ipv4())
        {
            None => return refuse(*address, "the network has no subnet of that family"),
            Some(pool) if !pool.subnet_given => {
                return refuse(
                    *address,
                    "its subnet was chosen by the daemon; make a network with `net create --subnet`",
                );
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Host ports for what is to be published, free as far as netd knows.
pub(super) fn ports(
    state: &State,
    spec: &BridgeSpec,
    requests: &[PublishRequest],
    asker: (EndpointId, &[PublishedPort]),
    avoid: &Avoid,
) -> Result<Vec<PublishedPort>, EngineError> {
    let (endpoint, present) = asker;
    let mut chosen: Vec<PublishedPort> = Vec::new();
    // Fixed ports first, so that a chosen one does not take what another request names.
    let (fixed, free): (Vec<_>, Vec<_>) = requests
        .iter()
        .partition(|request| request.host_ports.is_some());
    for request in fixed.into_iter().chain(free) {
        let at = |host_ports| PublishedPort {
            protocol: request.protocol,
            host_ip: request.host_ip.unwrap_or(spec.host_binding),
            host_ports,
            container_ports: request.container_ports,
        };
        let published = match request.host_ports {
            Some(host_ports) => {
                let wanted = at(host_ports);
                if chosen
                    .iter()
                    .chain(present)
                    .any(|other| other.conflicts_with(&wanted))
                {
                    return Err(EngineError::PortTwice {
                        port: host_ports.first(),
                        protocol: request.protocol,
                    });
                }
                if let Some((port, holder)) = state.ports().holder(&wanted, endpoint) {
                    return Err(taken(state, &wanted, port, holder));
                }
                wanted
            }
            None => ephemeral(request.container_ports.count())
                .map(at)
                .find(|wanted| {
                    let avoided = |port| avoid.contains(&(wanted.protocol, port));
                    !chosen
                        .iter()
                        .chain(present)
                        .any(|other| other.conflicts_with(wanted))
                        && state.ports().holder(wanted, endpoint).is_none()
                        && !wanted.host_ports.iter().any(avoided)
                })
                .ok_or(EngineError::NoHostPort {
                    count: request.container_ports.count(),
                    protocol: request.protocol,
                    host_ip: request.host_ip.unwrap_or(spec.host_binding),
                })?,
        };
        chosen.push(published);
    }
    Ok(chosen)
}

/// Runs of `count` ports in the ephemeral range, ascending.
fn ephemeral(count: u32) -> impl Iterator<Item = PortRange> {
    EPHEMERAL.filter_map(move |first| {
        let last = u16::try_from(u32::from(first) + count - 1)
            .ok()
            .filter(|last| EPHEMERAL.contains(last))?;
        PortRange::new(first, last)
    })
}

fn taken(state: &State, wanted: &PublishedPort, port: u16, holder: EndpointId) -> EngineError {
    let name = state
        .endpoint(holder)
        .and_then(|endpoint| state.container(endpoint.container))
        .map(|container| container.name.clone());
    match name {
        Some(holder) => EngineError::PortTaken {
            port,
            protocol: wanted.protocol,
            host_ip: wanted.host_ip,
            holder,
        },
        None => EngineError::Invalid(format!(
            "port {port}/{} is being given up; try again",
            wanted.protocol
        )),
    }
}

/// True if what is published already is what the requests ask for.
pub(super) fn fulfils(endpoint: &Endpoint, spec: &BridgeSpec, requests: &[PublishRequest]) -> bool {
    let fits = |request: &PublishRequest| {
        let mut ports = endpoint.ports.iter();
        ports.any(|port| is_fulfilled_by(request, port, spec))
    };
    requests.len() == endpoint.ports.len() && requests.iter().all(fits)
}

/// True if a published port is what a request asks for.
pub(super) fn is_fulfilled_by(
    request: &PublishRequest,
    port: &PublishedPort,
    spec: &BridgeSpec,
) -> bool {
    port.protocol == request.protocol
        && port.container_ports == request.container_ports
        && port.host_ip == request.host_ip.unwrap_or(spec.host_binding)
        && request
            .host_ports
            .is_none_or(|ports| ports == port.host_ports)
}
