//! Published ports as elements of maps.
//!
//! Ports that have nothing to do with each other are found by hashing, a microsecond each to put there. Many neighbours
//! that lead to one port, or keep their numbers, are one element of a map of spans.

use std::net::IpAddr;

use netd_model::PublishedPort;
use netd_model::ruleset::EndpointRules;

use super::{Elements, Piece, Value, bytes_of, key, pad};
use crate::Family;
use crate::family::is_translated;
use crate::nftables::sets::Set;

/// From how many neighbours on they are one element. A change of a map of spans takes longer the more there are
/// (`nft_pipapo_commit` copies it), so there shall be few: four thousand at most on an address of the host.
const RUN: usize = 16;

/// What leads to an endpoint.
pub(super) fn add(elements: &mut Elements, endpoint: &EndpointRules) {
    let mut ports: Vec<&PublishedPort> = endpoint.ports.iter().collect();
    ports.retain(|port| is_translated(port.host_ip));
    ports.sort_unstable();
    for run in ports.chunk_by(|one, next| is_next(one, next)) {
        let Some(first) = run.first() else {
            continue;
        };
        let family = Family::of(first.host_ip);
        let same_family = |address: &&IpAddr| Family::of(**address) == family;
        let Some(address) = endpoint.addresses.iter().find(same_family) else {
            continue;
        };
        match run {
            [first, .., last] if run.len() >= RUN => add_run(elements, (first, last), *address),
            _ => run
                .iter()
                .for_each(|port| add_port(elements, port, *address)),
        }
    }
}

/// True if two single ports are neighbours that lead to one port, or both keep their numbers. Whoever names sources has
/// elements for each of them.
fn is_next(one: &PublishedPort, next: &PublishedPort) -> bool {
    let single = |port: &PublishedPort| {
        port.host_ports.count() == 1
            && port.container_ports.count() == 1
            && port.sources().is_none()
    };
    let keeps = |port: &PublishedPort| port.host_ports == port.container_ports;
    (one.protocol, one.host_ip) == (next.protocol, next.host_ip)
        && single(one)
        && single(next)
        && u32::from(one.host_ports.last()) + 1 == u32::from(next.host_ports.first())
        && (one.container_ports == next.container_ports || keeps(one) && keeps(next))
}

/// Many neighbours, from the first to the last, as one element.
fn add_run(
    elements: &mut Elements,
    (first, last): (&PublishedPort, &PublishedPort),
    address: IpAddr,
) {
    let family = Family::of(address);
    let span = [
        place(first),
        Piece::Byte(first.protocol.number()),
        Piece::Ports(first.host_ports.first(), last.host_ports.last()),
    ];
    match first.container_ports == last.container_ports {
        true => {
            let value = Value::Bytes(target(address, first.container_ports.first()));
            elements.insert(key(Set::Runs(family), &span), value);
        }
        false => {
            let value = Value::Bytes(bytes_of(address));
            elements.insert(key(Set::Ranges(family), &span), value);
        }
    }
}

/// The host's address of a port, or all of them.
fn place(port: &PublishedPort) -> Piece<'static> {
    match port.host_ip.is_unspecified() {
        true => Piece::everything(Family::of(port.host_ip)),
        false => Piece::Addresses(port.host_ip, port.host_ip),
    }
}

/// A range that keeps its numbers is one element; of others each port is one, and for each of its sources, if it has any.
fn add_port(elements: &mut Elements, port: &PublishedPort, address: IpAddr) {
    let family = Family::of(address);
    let protocol = Piece::Byte(port.protocol.number());
    let at = place(port);
    if let Some(sources) = port.sources() {
        for (host, container) in port.pairs() {
            let place = [at, protocol, Piece::Ports(host, host)];
            let value = Value::Bytes(target(address, container));
            elements.insert(key(Set::PortsOwn(family), &place), value.clone());
            for source in sources.iter().map(Piece::from) {
                let from = [source, place[0], place[1], place[2]];
                elements.insert(key(Set::PortsFrom(family), &from), value.clone());
            }
        }
        return;
    }
    if port.host_ports.count() > 1 && port.host_ports == port.container_ports {
        let ports = Piece::Ports(port.host_ports.first(), port.host_ports.last());
        elements.insert(
            key(Set::Ranges(family), &[at, protocol, ports]),
            Value::Bytes(bytes_of(address)),
        );
        return;
    }
    for (host, container) in port.pairs() {
        let ports = Piece::Ports(host, host);
        let key = match port.host_ip.is_unspecified() {
            true => key(Set::Ports(family), &[protocol, ports]),
            false => {
                let at = Piece::Addresses(port.host_ip, port.host_ip);
                key(Set::PortsAt(family), &[at, protocol, ports])
            }
        };
        elements.insert(key, Value::Bytes(target(address, container)));
    }
}

/// An address with a port, as a map gives it.
fn target(address: IpAddr, port: u16) -> Vec<u8> {
    let mut bytes = bytes_of(address);
    bytes.extend(port.to_be_bytes());
    pad(&mut bytes);
    bytes
}
