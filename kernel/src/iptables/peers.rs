//! Containers of other hosts, to which routes lead: what lets them in, and keeps addresses as they are. Pure.
//!
//! The numbers go on where those of [`render`](super::render()) end:
//!
//! 9. `DOCKER` begins with an ACCEPT for each peer and network, since 2 would drop what was not translated. It asks for
//!    the link, too: an address can be forged on any wire. The peer's host itself may come as well; it has addresses of
//!    that subnet anyhow, and it speaks for its containers when it masquerades them.
//! 10. A network that a route is not for is kept from the peer in STAGE-1, but answers at its published ports.
//! 11. As between networks that may talk, addresses are kept by an exception from masquerading.

use std::cmp::Reverse;
use std::net::IpAddr;

use netd_model::ruleset::{NetworkRules, PeerRules};
use netd_model::{Ruleset, Subnet};

use super::scene::takes_part;
use crate::Family;

/// A peer with the networks that it is for, and the open ones that it is not for; both youngest first.
pub(super) struct Peer<'a> {
    subnet: Subnet,
    rules: &'a PeerRules,
    talks: Vec<&'a NetworkRules>,
    apart: Vec<&'a NetworkRules>,
}

/// The peers of one version of IP, by subnet.
pub(super) fn peers(wanted: &Ruleset, family: Family) -> Vec<Peer<'_>> {
    let open = wanted
        .networks
        .iter()
        .filter(|(_, network)| !network.internal && takes_part(network, family));
    let mut open: Vec<_> = open.collect();
    open.sort_by_key(|(id, network)| (Reverse(network.rank), **id));
    let mut peers = Vec::new();
    let of_family = |subnet: &Subnet| Family::of(subnet.first()) == family;
    for (subnet, rules) in wanted.peers.iter().filter(|(subnet, _)| of_family(subnet)) {
        let (mut talks, mut apart) = (Vec::new(), Vec::new());
        for (id, network) in &open {
            match rules.is_for(**id, network) {
                true => talks.push(*network),
                false => apart.push(*network),
            }
        }
        peers.push(Peer {
            subnet: *subnet,
            rules,
            talks,
            apart,
        });
    }
    peers
}

/// 9. At the head of the chain of published ports.
pub(super) fn let_in(peers: &[Peer<'_>]) -> Vec<String> {
    let mut rules = Vec::new();
    for peer in peers {
        let device = &peer.rules.device;
        for network in &peer.talks {
            for source in [peer.subnet.to_string(), alone(peer.rules.gateway)] {
                let br = &network.bridge;
                rules.push(format!("-s {source} -i {device} -o {br} -j ACCEPT"));
            }
        }
    }
    rules
}

/// 10. At the head of STAGE-1.
pub(super) fn keep_apart(peers: &[Peer<'_>]) -> Vec<String> {
    let of_peer = |peer: &Peer<'_>| {
        let rule = |network: &&NetworkRules| {
            let (subnet, br) = (peer.subnet, &network.bridge);
            format!("-d {subnet} -i {br} -m conntrack ! --ctstate DNAT -j DROP")
        };
        peer.apart.iter().map(rule).collect::<Vec<_>>()
    };
    peers.iter().flat_map(of_peer).collect()
}

/// 11. Before everything that masquerades.
pub(super) fn keep_addresses(peers: &[Peer<'_>]) -> Vec<String> {
    let mut rules = Vec::new();
    for peer in peers.iter().filter(|peer| !peer.rules.masquerade) {
        for network in peer.talks.iter().filter(|network| network.masquerade) {
            let same_family = |subnet: &&Subnet| subnet.is_ipv4() == peer.subnet.is_ipv4();
            for source in network.subnets.iter().filter(same_family) {
                let (destination, device) = (peer.subnet, &peer.rules.device);
                rules.push(format!(
                    "-s {source} -d {destination} -o {device} -j RETURN"
                ));
            }
        }
    }
    rules
}

/// One address, as iptables-save prints it.
fn alone(address: IpAddr) -> String {
    let bits = if address.is_ipv4() { 32 } else { 128 };
    format!("{address}/{bits}")
}
