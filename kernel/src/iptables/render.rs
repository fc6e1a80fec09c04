//! Says a [`Ruleset`] in iptables' words: Docker's layout without its proxy, and a few rules of our own. Pure.
//!
//! What differs from Docker 20.10 with `userland-proxy: false`, and why; each is marked at its place below:
//! 1. STAGE-2 begins with a RETURN for translated connections: a container reaches other networks' published ports.
//! 2. DOCKER drops what was not translated: no way to a container past its published ports, whatever FORWARD's policy.
//! 3. An internal network is closed by interface too: an address can be forged, an interface cannot.
//! 4. Neighbours reach each other's published ports: masquerading brings the replies back to the host, and without
//!    icc an ACCEPT lets them pass. That rule is about the container itself, too, for which Docker has a MASQUERADE for
//!    each port. (On a filtered bridge the kernel turns such a packet round inside the bridge, where
//!    isolated ports would stop it.)
//! 5. The raw table keeps 127.0.0.0/8 of the host closed, though bridges have `route_localnet`. IPv6 has no such way,
//!    and the kernel drops ::1 from the wire before any rule (RFC 4291 section 2.5.3).
//! 6. Without icc the DROP stands in the network's place, not at the end of FORWARD; it says the same there. It sees
//!    what the bridge switches because that is filtered ([`netd_model::desired::BridgeState::filtered`]), where Docker
//!    turns on `bridge-nf-call-iptables` for every bridge.
//! 7. Two networks that may talk have an ACCEPT each way in STAGE-2 (a RETURN would lead to 2), where Docker's users put
//!    theirs by hand, and an exception from masquerading: their containers see each other's own addresses. STAGE-1
//!    comes before the ACCEPT of established connections, so that taking the rules away ends those, too.
//! 8. The gateway modes and trusted interfaces, which Docker has since version 28: `reach` has their rules.
//! 9. A port with a list of sources is translated for those alone, and for the host, which reaches the container anyway
//!    (nobody else has an address of the host: the kernel drops such a packet as martian, RFC 1812 section 5.3.7). For
//!    everybody else it is a port of the host where nobody listens.
//! 10. Neighbouring ports that keep their numbers, or that all lead to one port, are one rule with a range
//!     (`runs`). Docker has a rule for each.
//!
//! Both versions of IP have the same rules, but for those about loopback and where marked. Neighbour discovery needs
//! none: between a container and its bridge it is INPUT and OUTPUT, where netd has no rule, and conntrack leaves it out,
//! so no translation touches it. Between neighbours it passes FORWARD only on a filtered bridge, and without icc that
//! drops it: they shall not talk.
//!
//! `peers` has the rest: containers of other hosts.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use netd_model::{PublishedPort, Ruleset};

mod reach;

use super::names::ChainNames;
use super::peers;
use super::rules::{Chain, Hold, Rules, Table};
use super::runs::dport;
use super::scene::{Publication, Scene};
use crate::Family;

/// Renders what `wanted` says of one version of IP. Endpoints of internal networks, and of networks that `wanted` does
/// not have, publish nothing; such networks are not let talk to others either.
#[must_use]
pub fn render(wanted: &Ruleset, names: &ChainNames, family: Family) -> Rules {
    let scene = Scene::of(wanted, family);
    let chain = |table, name, hold, rules| Chain {
        table,
        name,
        hold,
        rules: without_repetition(rules),
    };
    Rules {
        chains: vec![
            chain(Table::Raw, "PREROUTING", Hold::Top, raw(&scene)),
            chain(
                Table::Filter,
                names.user,
                Hold::Made,
                vec!["-j RETURN".to_owned()],
            ),
            chain(
                Table::Filter,
                names.ports,
                Hold::Whole,
                filter_ports(&scene),
            ),
            chain(
                Table::Filter,
                names.stage_2,
                Hold::Whole,
                stage_2(&scene, names),
            ),
            chain(
                Table::Filter,
                names.stage_1,
                Hold::Whole,
                stage_1(&scene, names),
            ),
            chain(Table::Filter, "FORWARD", Hold::Top, forward(&scene, names)),
            chain(Table::Nat, names.ports, Hold::Whole, nat_ports(&scene)),
            chain(
                Table::Nat,
                "PREROUTING",
                Hold::Among,
                vec![local_to(names.ports)],
            ),
            chain(
                Table::Nat,
                "OUTPUT",
                Hold::Among,
                vec![asked_by_host(family, names.ports)],
            ),
            chain(Table::Nat, "POSTROUTING", Hold::Among, postrouting(&scene)),
        ],
        drop_forwarded: family.is_dropped(&wanted.host),
    }
}

/// A port that two host ports lead to needs one ACCEPT, and a difference is only exact among distinct rules.
fn without_repetition(rules: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::with_capacity(rules.len());
    let first: Vec<bool> = rules
        .iter()
        .map(|rule| seen.insert(rule.as_str()))
        .collect();
    let mut first = first.into_iter();
    let mut rules = rules;
    rules.retain(|_| first.next().unwrap_or(true));
    rules
}

fn local_to(chain: &str) -> String {
    // No exception for 127.0.0.0/8, which Docker makes when its proxy listens there: here the translation serves it.
    format!("-m addrtype --dst-type LOCAL -j {chain}")
}

fn asked_by_host(family: Family, chain: &str) -> String {
    match family {
        Family::V4 => local_to(chain),
        // What cannot be translated (`family::is_translated`) is left to whoever listens on ::1.
        Family::V6 => format!("! -d ::1/128 {}", local_to(chain)),
    }
}

/// An address as iptables-save prints it.
fn alone(address: IpAddr) -> String {
    format!("{address}/{}", Family::of(address).address_bits())
}

fn forward(scene: &Scene<'_>, names: &ChainNames) -> Vec<String> {
    let mut rules = vec![
        format!("-j {}", names.user),
        format!("-j {}", names.stage_1),
    ];
    for network in &scene.networks {
        let br = &network.bridge;
        if !network.internal {
            rules.push(format!(
                "-o {br} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
            ));
            rules.push(format!("-o {br} -j {}", names.ports));
            rules.push(format!("-i {br} ! -o {br} -j ACCEPT"));
        }
        if !network.icc && !network.internal {
            // 4. A port that the world reaches is no secret from a neighbour; Docker's proxy lets it through as well.
            rules.push(format!(
                "-i {br} -o {br} -m conntrack --ctstate DNAT -j ACCEPT"
            ));
        }
        let verdict = if network.icc { "ACCEPT" } else { "DROP" };
        // 6. All later rules are about other bridges, so the place of a DROP does not matter.
        rules.push(format!("-i {br} -o {br} -j {verdict}"));
    }
    rules
}

fn filter_ports(scene: &Scene<'_>) -> Vec<String> {
    // 8.
    let mut rules = reach::direct(scene);
    // 2. FORWARD may end in ACCEPT, and what a neighbour on the wire routes here by hand would then arrive.
    rules.extend(peers::let_in(&scene.peers));
    let open = scene.open();
    rules.extend(open.map(|network| reach::past_published_ports(scene, network)));
    for Publication {
        network,
        address,
        ports,
    } in &scene.ports
    {
        let (br, protocol, to) = (&network.bridge, ports.like.protocol, alone(*address));
        let at = dport(ports.container);
        rules.push(format!(
            "-d {to} ! -i {br} -o {br} -p {protocol} -m {protocol} --dport {at} -j ACCEPT"
        ));
    }
    rules
}

fn stage_1(scene: &Scene<'_>, names: &ChainNames) -> Vec<String> {
    let mut rules = peers::keep_apart(&scene.peers);
    for network in &scene.networks {
        let br = &network.bridge;
        if network.internal {
            // With several subnets each of Docker's pairs would drop the other subnets' packets. In IPv6 it would drop
            // neighbour discovery on a filtered bridge, which is from fe80:: or :: to ff02::.
            let mut all = scene.subnets(network);
            if let (Family::V4, Some(subnet), None) = (scene.family, all.next(), all.next()) {
                rules.push(format!("! -s {subnet} -o {br} -j DROP"));
                rules.push(format!("! -d {subnet} -i {br} -j DROP"));
            }
            // 3. A container elsewhere may send from a forged address of this subnet.
            rules.push(format!("! -i {br} -o {br} -j DROP"));
            rules.push(format!("-i {br} ! -o {br} -j DROP"));
        } else {
            rules.push(format!("-i {br} ! -o {br} -j {}", names.stage_2));
        }
    }
    rules.push("-j RETURN".to_owned());
    rules
}

fn stage_2(scene: &Scene<'_>, names: &ChainNames) -> Vec<String> {
    // 1. Only a rule of the host translates, so this is a published port. Internal networks are closed in STAGE-1,
    // before a packet comes here or after it returns.
    let mut rules = vec!["-m conntrack --ctstate DNAT -j RETURN".to_owned()];
    // 7.
    let allowed = scene.allowed.iter();
    rules
        .extend(allowed.map(|(from, to)| format!("-i {} -o {} -j ACCEPT", from.bridge, to.bridge)));
    // 8.
    rules.extend(reach::between_networks(scene, names));
    let open = scene.open();
    rules.extend(open.map(|network| format!("-o {} -j DROP", network.bridge)));
    rules.push("-j RETURN".to_owned());
    rules
}

fn nat_ports(scene: &Scene<'_>) -> Vec<String> {
    let mut rules = Vec::new();
    for Publication { address, ports, .. } in &scene.ports {
        let PublishedPort {
            protocol, host_ip, ..
        } = ports.like;
        let to = if host_ip.is_unspecified() {
            String::new()
        } else {
            format!("-d {} ", alone(*host_ip))
        };
        let container = match ports.container.count() {
            1 => SocketAddr::new(*address, ports.container.first()).to_string(),
            // 10. Without a port the target keeps that of the packet.
            _ => address.to_string(),
        };
        let so = format!("-j DNAT --to-destination {container}");
        let at = dport(ports.host);
        let at = format!("{to}-p {protocol} -m {protocol} --dport {at}");
        match ports.like.sources() {
            None => rules.push(format!("{at} {so}")),
            // 9.
            Some(sources) => {
                rules.extend(
                    sources
                        .iter()
                        .map(|source| format!("-s {source} {at} {so}")),
                );
                rules.push(format!("{at} -m addrtype --src-type LOCAL {so}"));
            }
        }
    }
    rules
}

fn postrouting(scene: &Scene<'_>) -> Vec<String> {
    let mut rules = addresses_kept(scene);
    rules.extend(peers::keep_addresses(&scene.peers));
    for network in scene.open() {
        let br = &network.bridge;
        // A process of the host that asks 127.0.0.1 has a source that no container can answer to. This is about
        // publishing, so networks that keep their addresses on the way out have it too.
        if !reach::is_routed(scene, network) {
            rules.push(format!(
                "-o {br} -m addrtype --src-type LOCAL -j MASQUERADE"
            ));
        }
        for subnet in scene.subnets(network) {
            rules.extend(reach::way_out(scene, network, subnet));
            // 4. Or the neighbour would answer directly, from an address that was never asked. A container that asks
            // itself is a neighbour as well.
            rules.push(format!(
                "-s {subnet} -o {br} -m conntrack --ctstate DNAT -j MASQUERADE"
            ));
        }
    }
    rules
}

/// 7. The exceptions from masquerading, which come before it.
fn addresses_kept(scene: &Scene<'_>) -> Vec<String> {
    let masqueraded = scene.allowed.iter().filter(|(from, _)| from.masquerade);
    masqueraded
        .flat_map(|(from, to)| {
            scene.subnets(from).flat_map(move |source| {
                scene.subnets(to).map(move |destination| {
                    format!("-s {source} -d {destination} -o {} -j RETURN", to.bridge)
                })
            })
        })
        .collect()
}

fn raw(scene: &Scene<'_>) -> Vec<String> {
    if scene.family == Family::V6 {
        return Vec::new();
    }
    // 5. Without this `route_localnet` gives containers the services that listen on the host's 127.0.0.1
    // (CVE-2020-8558).
    let mut rules: Vec<String> = scene
        .networks
        .iter()
        .map(|network| format!("-d 127.0.0.0/8 -i {} -j DROP", network.bridge))
        .collect();
    for Publication { ports, .. } in &scene.ports {
        let PublishedPort {
            protocol, host_ip, ..
        } = ports.like;
        if host_ip.is_loopback() {
            let (to, at) = (alone(*host_ip), dport(ports.host));
            // 5. Translation comes before the routing that would refuse such a packet (moby#41872).
            rules.push(format!(
                "-d {to} ! -i lo -p {protocol} -m {protocol} --dport {at} -j DROP"
            ));
        }
    }
    rules
}
