//! Says a [`Ruleset`] as elements of the table's sets. Pure.
//!
//! Each entry of the wish - a network, an endpoint, a pair of networks - has elements of its own, so that a change of
//! one entry is a change of its elements, whatever else there is.

mod ports;

use std::collections::BTreeMap;
use std::net::IpAddr;

use netd_model::ruleset::{EndpointRules, NetworkRules, PeerRules};
use netd_model::{
    EndpointId, GatewayMode, IfName, NetworkId, NetworkPair, PublishedPort, Ruleset, Subnet,
};

use super::sets::{Keys, Part, Set};
use super::words::Target;
use crate::Family;

/// An entry of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Entry {
    Host,
    Network(NetworkId),
    Pair(NetworkPair),
    Peer(Subnet),
    Endpoint(EndpointId),
}

/// Which element it is: the bytes of its key, and for a span those of its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) set: Set,
    pub(super) first: Vec<u8>,
    /// Empty in a set without spans.
    pub(super) last: Vec<u8>,
}

/// What an element gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing: it is in a set.
    Nothing,
    /// A verdict.
    Verdict(Target),
    /// Bytes for registers.
    Bytes(Vec<u8>),
}

/// Elements by their keys.
pub(super) type Elements = BTreeMap<Key, Value>;

/// All elements of a wish, by entry.
pub(super) fn all(wanted: &Ruleset) -> BTreeMap<Entry, Elements> {
    let networks = wanted.networks.keys().map(|id| Entry::Network(*id));
    let pairs = wanted.allowed.iter().map(|pair| Entry::Pair(*pair));
    let peers = wanted.peers.keys().map(|subnet| Entry::Peer(*subnet));
    let endpoints = wanted.endpoints.keys().map(|id| Entry::Endpoint(*id));
    std::iter::once(Entry::Host)
        .chain(networks)
        .chain(pairs)
        .chain(peers)
        .chain(endpoints)
        .map(|entry| (entry, of(wanted, entry)))
        .collect()
}

/// The elements of one entry; none if the wish does not have it. Endpoints of internal networks, and of networks that
/// the wish does not have, publish nothing; such networks are not let talk to others either.
pub(super) fn of(wanted: &Ruleset, entry: Entry) -> Elements {
    let mut elements = Elements::new();
    match entry {
        Entry::Host => {
            let own_only = |family: &Family| family.is_dropped(&wanted.host);
            for family in Family::BOTH.into_iter().filter(own_only) {
                let version = Piece::Byte(family.number());
                elements.insert(key(Set::OwnOnly, &[version]), Value::Nothing);
            }
        }
        Entry::Network(id) => {
            if let Some(network) = wanted.networks.get(&id) {
                add_network(&mut elements, network);
            }
        }
        Entry::Pair(pair) if wanted.allowed.contains(&pair) => {
            let open = |id| wanted.networks.get(&id).filter(|network| !network.internal);
            if let (Some(one), Some(other)) = (open(pair.first()), open(pair.second())) {
                add_way(&mut elements, one, other);
                add_way(&mut elements, other, one);
            }
        }
        Entry::Pair(_) => {}
        Entry::Peer(subnet) => {
            if let Some(peer) = wanted.peers.get(&subnet) {
                for (id, network) in &wanted.networks {
                    match peer.is_for(*id, network) {
                        true => add_peer(&mut elements, (&subnet, peer), network),
                        false if network.internal => {}
                        false => {
                            let pieces = [Piece::from(&subnet), Piece::from(&network.bridge)];
                            let apart = key(Set::Apart(Family::of(subnet.first())), &pieces);
                            elements.insert(apart, Value::Nothing);
                        }
                    }
                }
            }
        }
        Entry::Endpoint(id) => {
            if let Some(endpoint) = wanted.endpoints.get(&id)
                && let Some(network) = wanted.networks.get(&endpoint.network)
                && !network.internal
            {
                ports::add(&mut elements, endpoint);
                add_direct(&mut elements, network, endpoint);
            }
        }
    }
    elements
}

fn add_network(elements: &mut Elements, network: &NetworkRules) {
    let bridge = Piece::from(&network.bridge);
    elements.insert(key(Set::Bridges, &[bridge]), Value::Nothing);
    if network.internal {
        elements.insert(key(Set::Internal, &[bridge]), Value::Nothing);
    }
    let within = match network.icc {
        true => Target::Accept,
        false => Target::Jump(super::chains::NEIGHBOURS),
    };
    elements.insert(key(Set::Pairs, &[bridge, bridge]), Value::Verdict(within));
    for subnet in &network.subnets {
        let (family, span) = (Family::of(subnet.first()), Piece::from(subnet));
        elements.insert(key(Set::Home(family), &[span, bridge]), Value::Nothing);
        let mode = network.reach.mode(subnet.first());
        if network.masquerade && !network.internal && mode.translates() {
            let anywhere = Piece::everything(family);
            let out = |set| key(set, &[span, anywhere]);
            match network.reach.leaves_as(subnet.first()) {
                Some(source) => {
                    let source = Value::Bytes(bytes_of(source));
                    elements.insert(out(Set::Sourced(family)), source);
                }
                None => {
                    elements.insert(out(Set::Masqueraded(family)), Value::Nothing);
                }
            }
        }
        let special = match mode {
            GatewayMode::Routed => Set::Routed(family),
            GatewayMode::NatUnprotected => Set::Unprotected(family),
            GatewayMode::Nat | GatewayMode::Isolated => continue,
        };
        elements.insert(key(special, &[bridge]), Value::Nothing);
    }
}

/// What lets the containers of `from` through to those of `to`, under their own addresses.
fn add_way(elements: &mut Elements, from: &NetworkRules, to: &NetworkRules) {
    let bridges = [&from.bridge, &to.bridge].map(Piece::from);
    elements.insert(key(Set::Pairs, &bridges), Value::Verdict(Target::Accept));
    for source in &from.subnets {
        let family = Family::of(source.first());
        let same_family = |subnet: &&Subnet| Family::of(subnet.first()) == family;
        for destination in to.subnets.iter().filter(same_family) {
            let subnets = [source, destination].map(Piece::from);
            elements.insert(key(Set::Kept(family), &subnets), Value::Nothing);
        }
    }
}

/// What lets the containers of another host in, and keeps addresses as they are. Its host speaks for them when it
/// masquerades them, so that has an element, too; another peer's may be the same.
fn add_peer(
    elements: &mut Elements,
    (subnet, peer): (&Subnet, &PeerRules),
    network: &NetworkRules,
) {
    let family = Family::of(subnet.first());
    let host = Piece::Addresses(peer.gateway, peer.gateway);
    for source in [Piece::from(subnet), host] {
        let way = [
            Piece::from(&peer.device),
            source,
            Piece::from(&network.bridge),
        ];
        elements.insert(key(Set::Peers(family), &way), Value::Nothing);
    }
    let same_family = |own: &&Subnet| Family::of(own.first()) == family;
    for own in network.subnets.iter().filter(same_family) {
        if !peer.masquerade {
            let subnets = [own, subnet].map(Piece::from);
            elements.insert(key(Set::Kept(family), &subnets), Value::Nothing);
        }
    }
}

/// Ports at the container's own address: open ones for all, published ones for interfaces that are trusted.
fn add_direct(elements: &mut Elements, network: &NetworkRules, endpoint: &EndpointRules) {
    for open in &endpoint.opened {
        let at = [
            Piece::Addresses(open.address, open.address),
            Piece::Byte(open.protocol.number()),
        ];
        for port in open.ports.iter() {
            let set = Set::Opened(Family::of(open.address));
            let key = key(set, &[at[0], at[1], Piece::Ports(port, port)]);
            elements.insert(key, Value::Nothing);
        }
    }
    // Who gave a list of sources trusts no interface instead.
    let for_all = |port: &&PublishedPort| port.sources().is_none();
    for port in endpoint.ports.iter().filter(for_all) {
        let family = Family::of(port.host_ip);
        let same_family = |address: &&IpAddr| Family::of(**address) == family;
        let Some(address) = endpoint.addresses.iter().find(same_family) else {
            continue;
        };
        for from in &network.reach.trusted {
            for number in port.container_ports.iter() {
                let pieces = [
                    Piece::from(from),
                    Piece::Addresses(*address, *address),
                    Piece::Byte(port.protocol.number()),
                    Piece::Ports(number, number),
                ];
                elements.insert(key(Set::Trusted(family), &pieces), Value::Nothing);
            }
        }
    }
}

fn bytes_of(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Parts of a concatenation begin at multiples of four bytes.
fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// A part of a key with a value, or its first and last value.
#[derive(Clone, Copy)]
enum Piece<'a> {
    Interface(&'a IfName),
    Addresses(IpAddr, IpAddr),
    Byte(u8),
    Ports(u16, u16),
}

impl Piece<'_> {
    fn everything(family: Family) -> Self {
        use std::net::{Ipv4Addr, Ipv6Addr};
        match family {
            Family::V4 => Self::Addresses(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into()),
            Family::V6 => Self::Addresses(
                Ipv6Addr::UNSPECIFIED.into(),
                Ipv6Addr::from(u128::MAX).into(),
            ),
        }
    }

    fn first(self) -> Vec<u8> {
        match self {
            Self::Interface(name) => {
                let mut bytes = name.as_str().as_bytes().to_vec();
                bytes.resize(Part::Interface.bytes() as usize, 0);
                bytes
            }
            Self::Addresses(first, _) => bytes_of(first),
            Self::Byte(byte) => vec![byte],
            Self::Ports(first, _) => first.to_be_bytes().to_vec(),
        }
    }

    fn last(self) -> Vec<u8> {
        match self {
            Self::Addresses(_, last) => bytes_of(last),
            Self::Ports(_, last) => last.to_be_bytes().to_vec(),
            other => other.first(),
        }
    }
}

impl<'a> From<&'a IfName> for Piece<'a> {
    fn from(name: &'a IfName) -> Self {
        Self::Interface(name)
    }
}

impl From<&Subnet> for Piece<'_> {
    fn from(subnet: &Subnet) -> Self {
        Self::Addresses(subnet.first(), subnet.last())
    }
}

fn key(set: Set, pieces: &[Piece<'_>]) -> Key {
    let concatenate = |bytes: &dyn Fn(Piece<'_>) -> Vec<u8>| {
        let mut all = Vec::new();
        for piece in pieces {
            all.extend(bytes(*piece));
            if pieces.len() > 1 {
                pad(&mut all);
            }
        }
        all
    };
    Key {
        set,
        first: concatenate(&|piece| piece.first()),
        last: match set.keys() {
            Keys::Exact => Vec::new(),
            Keys::Spans => concatenate(&|piece| piece.last()),
        },
    }
}
