//! What one version of IP sees of a [`Ruleset`], in the order of its rules: networks, pairs, published ports. Knows no
//! rule. Pure.

use std::cmp::Reverse;
use std::net::IpAddr;

use netd_model::ruleset::{EndpointRules, NetworkRules};
use netd_model::{OpenPort, Ruleset, Subnet};

use super::peers::{Peer, peers};
use super::runs::{Run, runs};
use crate::Family;
use crate::family::is_translated;

/// Networks youngest first, and published ports oldest endpoint first.
pub(super) struct Scene<'a> {
    pub(super) family: Family,
    pub(super) networks: Vec<&'a NetworkRules>,
    /// From a network to one that it may talk to, both ways.
    pub(super) allowed: Vec<(&'a NetworkRules, &'a NetworkRules)>,
    pub(super) ports: Vec<Publication<'a>>,
    pub(super) peers: Vec<Peer<'a>>,
    /// Ports at containers' own addresses, each with its network.
    pub(super) opened: Vec<(&'a NetworkRules, &'a OpenPort)>,
}

/// Neighbouring published ports of a container.
pub(super) struct Publication<'a> {
    pub(super) network: &'a NetworkRules,
    pub(super) address: IpAddr,
    pub(super) ports: Run<'a>,
}

/// Whether a network has rules of `family`.
///
/// IPv4 cannot be turned off on an interface, so that a container without IPv4 could send it all the same: each network
/// is kept apart in IPv4. Where a network has no IPv6, its bridge has it off, and drops IPv6 packets before any rule
/// sees them. Rules would guard nothing there; and what no rule lets into an IPv6 network (DOCKER's DROP by the way out)
/// stays out from wherever it comes.
pub(super) fn takes_part(network: &NetworkRules, family: Family) -> bool {
    match family {
        Family::V4 => true,
        Family::V6 => family.subnets(network).next().is_some(),
    }
}

/// Whether `wanted` asks for anything of `family`.
pub(super) fn is_wanted(wanted: &Ruleset, family: Family) -> bool {
    let mut networks = wanted.networks.values();
    family.is_dropped(&wanted.host) || networks.any(|network| takes_part(network, family))
}

impl<'a> Scene<'a> {
    pub(super) fn of(wanted: &'a Ruleset, family: Family) -> Self {
        let known = |id| {
            let network = wanted.networks.get(&id);
            network.filter(|network| takes_part(network, family))
        };
        let mut networks: Vec<_> = wanted.networks.iter().collect();
        networks.retain(|(_, network)| takes_part(network, family));
        networks.sort_by_key(|(id, network)| (Reverse(network.rank), **id));
        let mut allowed: Vec<_> = wanted
            .allowed
            .iter()
            .flat_map(|pair| [(pair.first(), pair.second()), (pair.second(), pair.first())])
            .filter_map(|(from, to)| Some((known(from)?, known(to)?)))
            .filter(|(from, to)| !from.internal && !to.internal)
            .collect();
        allowed.sort_by_key(|(from, to)| Reverse((from.rank, to.rank)));
        let mut endpoints: Vec<_> = wanted.endpoints.iter().collect();
        endpoints.sort_by_key(|(id, endpoint)| (endpoint.rank, **id));
        let open = |(_, endpoint): (_, &'a EndpointRules)| {
            let network = known(endpoint.network).filter(|network| !network.internal);
            network.map(|network| (network, endpoint))
        };
        let endpoints: Vec<_> = endpoints.into_iter().filter_map(open).collect();
        let opened = endpoints.iter().flat_map(|(network, endpoint)| {
            let ports = endpoint.opened.iter();
            let ports = ports.filter(|port| Family::of(port.address) == family);
            ports.map(|port| (*network, port))
        });
        let ports = endpoints
            .iter()
            .flat_map(|(network, endpoint)| publications(network, endpoint, family));
        Self {
            family,
            opened: opened.collect(),
            networks: networks.into_iter().map(|(_, network)| network).collect(),
            allowed,
            peers: peers(wanted, family),
            ports: ports.collect(),
        }
    }

    /// The networks that are not internal.
    pub(super) fn open(&self) -> impl Iterator<Item = &'a NetworkRules> {
        let networks = self.networks.iter().copied();
        networks.filter(|network| !network.internal)
    }

    /// The subnets of a network.
    pub(super) fn subnets(&self, network: &'a NetworkRules) -> impl Iterator<Item = &'a Subnet> {
        self.family.subnets(network)
    }
}

fn publications<'a>(
    network: &'a NetworkRules,
    endpoint: &'a EndpointRules,
    family: Family,
) -> Vec<Publication<'a>> {
    let is_ours = |address: &IpAddr| Family::of(*address) == family;
    let Some(address) = endpoint.addresses.iter().copied().find(is_ours) else {
        return Vec::new();
    };
    let ports = endpoint.ports.iter();
    let ports = ports.filter(|port| is_ours(&port.host_ip) && is_translated(port.host_ip));
    let published = runs(ports).into_iter().map(|ports| Publication {
        network,
        address,
        ports,
    });
    published.collect()
}
