//! Which ports of the host an endpoint gets: pure choices over the state, made inside a ledger turn.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netd_model::network::BridgeSpec;
use netd_model::{
    Endpoint, EndpointId, Lease, Network, OpenPort, PortRange, Protocol, PublishRequest,
    PublishedPort,
};

use super::{EngineError, sources};
use crate::state::{EPHEMERAL, State};

/// Host ports that turned out to be in use by processes of the host.
pub(super) type Avoid = BTreeSet<(Protocol, u16)>;

/// Who publishes.
#[derive(Clone, Copy)]
pub(super) struct Publisher<'a> {
    /// The endpoint.
    pub(super) id: EndpointId,
    /// Its network, with the options of a bridge.
    pub(super) network: &'a Network,
    pub(super) spec: &'a BridgeSpec,
    /// Its addresses: a port leads to one of the family that the host is asked in.
    pub(super) leases: &'a [Lease],
    /// What it publishes already.
    pub(super) present: &'a [PublishedPort],
}

impl<'a> Publisher<'a> {
    /// A bridge network's endpoint; `None` on other networks.
    pub(super) fn of(network: &'a Network, endpoint: &'a Endpoint) -> Option<Self> {
        Some(Self {
            id: endpoint.id,
            network,
            spec: network.bridge()?,
            leases: &endpoint.leases,
            present: &endpoint.ports,
        })
    }

    /// True unless the container's own address takes the place of the host's in that family.
    fn translates(&self, family_of: &IpAddr) -> bool {
        self.spec.reach.mode(*family_of).translates()
    }

    fn has(&self, family_of: IpAddr) -> bool {
        let same_family = |lease: &Lease| lease.address.is_ipv4() == family_of.is_ipv4();
        self.leases.iter().any(same_family)
    }

    /// The host addresses that a request is about: the one it names, else the network's default; and if that is all of
    /// the host's, all of each family that the container has. None in a family where nothing is translated, or that
    /// none of the sources is of, if it names sources.
    fn hosts(&self, request: &PublishRequest) -> Result<Vec<IpAddr>, EngineError> {
        let mut hosts = self.hosts_for_all(request)?;
        if request.from.is_empty() {
            return Ok(hosts);
        }
        sources::check(self.network, &hosts, request)?;
        hosts.retain(|host| sources::of(request, *host).next().is_some());
        Ok(hosts)
    }

    fn hosts_for_all(&self, request: &PublishRequest) -> Result<Vec<IpAddr>, EngineError> {
        let all = [
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        ];
        match request.host_ip {
            None if self.spec.host_binding.is_unspecified() => {
                let mut hosts: Vec<_> = all.into_iter().filter(|host| self.has(*host)).collect();
                hosts.retain(|host| self.translates(host));
                Ok(hosts)
            }
            named => {
                let host = named.unwrap_or(self.spec.host_binding);
                if self.has(host) {
                    return Ok(Some(host)
                        .filter(|host| self.translates(host))
                        .into_iter()
                        .collect());
                }
                let (family, flag) = match host {
                    IpAddr::V4(_) => ("IPv4", "--ipv4"),
                    IpAddr::V6(_) => ("IPv6", "--ipv6"),
                };
                Err(EngineError::Invalid(format!(
                    "cannot publish on {host}: the container has no {family} address on network {}; publish on another address, or use a network made with {flag}",
                    self.network.name
                )))
            }
        }
    }
}

/// What requests open at the container's own addresses, in families where nothing is translated.
pub(super) fn opened(
    spec: &BridgeSpec,
    leases: &[Lease],
    requests: &[PublishRequest],
) -> Vec<OpenPort> {
    let at = |lease: &Lease| {
        let address = lease.address;
        let opened = requests.iter();
        opened.filter_map(move |request| spec.reach.opened(request, address))
    };
    let mut opened: Vec<OpenPort> = leases.iter().flat_map(at).collect();
    opened.sort();
    opened.dedup();
    opened
}

/// Host ports for what is to be published, free as far as netd knows.
pub(super) fn ports(
    state: &State,
    publisher: Publisher<'_>,
    requests: &[PublishRequest],
    avoid: &Avoid,
) -> Result<Vec<PublishedPort>, EngineError> {
    let mut chosen: Vec<PublishedPort> = Vec::new();
    // Where the next choice begins: behind the last one.
    let mut next: BTreeMap<Protocol, u16> = BTreeMap::new();
    // Fixed ports first, so that a chosen one does not take what another request names.
    let (fixed, free): (Vec<_>, Vec<_>) = requests
        .iter()
        .partition(|request| request.host_ports.is_some());
    for request in fixed.into_iter().chain(free) {
        let hosts = publisher.hosts(request)?;
        let at = |host_ports| wanted(request, &hosts, host_ports);
        let is_new = |port: &PublishedPort| !publisher.present.contains(port);
        let published: Vec<PublishedPort> = match request.host_ports {
            Some(host_ports) => {
                let wanted = at(host_ports).filter(is_new).collect();
                check(state, publisher, &chosen, &wanted)?;
                wanted
            }
            None => {
                let count = request.container_ports.count();
                let avoided = |port: &PublishedPort| {
                    let mut numbers = port.host_ports.iter();
                    numbers.any(|number| avoid.contains(&(port.protocol, number)))
                };
                let is_free = |wanted: &Vec<PublishedPort>| {
                    !wanted.iter().any(avoided) && check(state, publisher, &chosen, wanted).is_ok()
                };
                let vacant = state.ports().vacant(request.protocol);
                let from = next
                    .get(&request.protocol)
                    .map_or(vacant, |next| vacant.max(*next));
                let found = ephemeral(from, count)
                    .map(|ports| at(ports).collect::<Vec<_>>())
                    .find(is_free)
                    .inspect(|found| {
                        let last = found.iter().map(|port| port.host_ports.last()).max();
                        next.extend(last.map(|last| (request.protocol, last)));
                    });
                found.ok_or(EngineError::NoHostPort {
                    count,
                    protocol: request.protocol,
                    host_ip: hosts
                        .first()
                        .copied()
                        .unwrap_or(publisher.spec.host_binding),
                })?
            }
        };
        chosen.extend(published);
    }
    Ok(chosen)
}

/// One port or range on each of several host addresses.
fn wanted(
    request: &PublishRequest,
    hosts: &[IpAddr],
    host_ports: PortRange,
) -> impl Iterator<Item = PublishedPort> {
    hosts.iter().map(move |host_ip| PublishedPort {
        protocol: request.protocol,
        host_ip: *host_ip,
        host_ports,
        container_ports: request.container_ports,
        from: sources::of(request, *host_ip).collect(),
    })
}

/// Whether all of these are to be had beside what the publisher has and what others have.
fn check(
    state: &State,
    publisher: Publisher<'_>,
    chosen: &[PublishedPort],
    wanted: &Vec<PublishedPort>,
) -> Result<(), EngineError> {
    for port in wanted {
        if chosen.iter().any(|other| other.conflicts_with(port)) {
            return Err(EngineError::PortTwice {
                port: port.host_ports.first(),
                protocol: port.protocol,
            });
        }
        let mut present = publisher.present.iter();
        if let Some(present) = present.find(|other| other.conflicts_with(port)) {
            return Err(EngineError::PublishedOtherwise(
                port.clone(),
                present.clone(),
            ));
        }
        if let Some((number, holder)) = state.ports().holder(port, publisher.id) {
            return Err(taken(state, port, number, holder));
        }
    }
    Ok(())
}

/// Runs of `count` ports in the ephemeral range, ascending, those from `from` on before the others: what is lower has a
/// holder, if perhaps on another address.
fn ephemeral(from: u16, count: u32) -> impl Iterator<Item = PortRange> {
    let lower = *EPHEMERAL.start()..from.max(*EPHEMERAL.start());
    (from..=*EPHEMERAL.end())
        .chain(lower)
        .filter_map(move |first| {
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

/// True if what is published already is what the requests ask for, and no more.
pub(super) fn fulfils(publisher: Publisher<'_>, requests: &[PublishRequest]) -> bool {
    let count = |request| publisher.hosts(request).map_or(0, |hosts| hosts.len());
    requests
        .iter()
        .all(|request| is_fulfilled(publisher, request))
        && requests.iter().map(count).sum::<usize>() == publisher.present.len()
}

/// True if a request is fulfilled on every address of the host that it is about.
pub(super) fn is_fulfilled(publisher: Publisher<'_>, request: &PublishRequest) -> bool {
    publisher.hosts(request).is_ok_and(|hosts| {
        hosts.iter().all(|host| {
            let mut present = publisher.present.iter();
            present.any(|port| port.host_ip == *host && fits(request, port))
        })
    })
}

/// True if a published port is one that a request asks for.
pub(super) fn is_asked_for(
    publisher: Publisher<'_>,
    request: &PublishRequest,
    port: &PublishedPort,
) -> bool {
    let hosts = publisher.hosts(request);
    hosts.is_ok_and(|hosts| hosts.contains(&port.host_ip)) && fits(request, port)
}

fn fits(request: &PublishRequest, port: &PublishedPort) -> bool {
    port.protocol == request.protocol
        && port.container_ports == request.container_ports
        && request
            .host_ports
            .is_none_or(|ports| ports == port.host_ports)
        && sources::of(request, port.host_ip).eq(port.from.iter().copied())
}

/// True if exactly this is published already: a request that leaves the host's port open is always a further one.
pub(super) fn is_published(publisher: Publisher<'_>, request: &PublishRequest) -> bool {
    let (Some(host_ports), Ok(hosts)) = (request.host_ports, publisher.hosts(request)) else {
        return false;
    };
    let mut all = wanted(request, &hosts, host_ports);
    all.all(|port| publisher.present.contains(&port))
}
