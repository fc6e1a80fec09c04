//! Says a [`Ruleset`] in iptables' words: Docker's layout without its proxy, and a few rules of our own. Pure.
//!
//! What differs from Docker 20.10 with `userland-proxy: false`, and why; each is marked at its place below:
//! 1. STAGE-2 begins with a RETURN for translated connections: a container reaches other networks' published ports.
//! 2. DOCKER drops what was not translated: no way to a container past its published ports, whatever FORWARD's policy.
//! 3. An internal network is closed by interface too: an address can be forged, an interface cannot.
//! 4. Neighbours reach each other's published ports: masquerading brings the replies back to the host, and without
//!    icc an ACCEPT lets them pass. (On a filtered bridge the kernel turns such a packet round inside the bridge, where
//!    isolated ports would stop it.)
//! 5. The raw table keeps 127.0.0.0/8 of the host closed, though bridges have `route_localnet`.
//! 6. Without icc the DROP stands in the network's place, not at the end of FORWARD; it says the same there. It sees
//!    what the bridge switches because that is filtered ([`netd_model::desired::BridgeState::filtered`]), where Docker
//!    turns on `bridge-nf-call-iptables` for every bridge.
//! 7. Two networks that may talk have an ACCEPT each way in STAGE-2 (a RETURN would lead to 2), where Docker's users put
//!    theirs by hand, and an exception from masquerading: their containers see each other's own addresses. STAGE-1
//!    comes before the ACCEPT of established connections, so that taking the rules away ends those, too.
//! 8. The gateway modes and trusted interfaces, which Docker has since version 28: `reach` has their rules.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use netd_model::ruleset::{EndpointRules, NetworkRules};
use netd_model::{OpenPort, PublishedPort, Ruleset, Subnet};

mod reach;

use super::names::ChainNames;
use super::rules::{Chain, Hold, Rules, Table};

/// Renders the IPv4 part of `wanted`. Endpoints of internal networks, and of networks that `wanted` does not have,
/// publish nothing; such networks are not let talk to others either.
#[must_use]
pub fn render(wanted: &Ruleset, names: &ChainNames) -> Rules {
    let scene = Scene::of(wanted);
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
                vec![local_to(names.ports)],
            ),
            chain(Table::Nat, "POSTROUTING", Hold::Among, postrouting(&scene)),
        ],
        drop_forwarded: wanted.host.drop_forwarded,
    }
}

/// Networks youngest first, and published ports oldest endpoint first.
struct Scene<'a> {
    /// Ports at containers' own addresses, each with its network.
    opened: Vec<(&'a NetworkRules, &'a OpenPort)>,
    networks: Vec<&'a NetworkRules>,
    /// From a network to one that it may talk to, both ways.
    allowed: Vec<(&'a NetworkRules, &'a NetworkRules)>,
    ports: Vec<Publication<'a>>,
}

/// One published port or range of a container.
struct Publication<'a> {
    network: &'a NetworkRules,
    address: Ipv4Addr,
    host_ip: Ipv4Addr,
    port: &'a PublishedPort,
}

impl<'a> Scene<'a> {
    fn of(wanted: &'a Ruleset) -> Self {
        let mut networks: Vec<_> = wanted.networks.iter().collect();
        networks.sort_by_key(|(id, network)| (std::cmp::Reverse(network.rank), **id));
        let mut allowed: Vec<_> = wanted
            .allowed
            .iter()
            .flat_map(|pair| [(pair.first(), pair.second()), (pair.second(), pair.first())])
            .filter_map(|(from, to)| Some((wanted.networks.get(&from)?, wanted.networks.get(&to)?)))
            .filter(|(from, to)| !from.internal && !to.internal)
            .collect();
        allowed.sort_by_key(|(from, to)| std::cmp::Reverse((from.rank, to.rank)));
        let mut endpoints: Vec<_> = wanted.endpoints.iter().collect();
        endpoints.sort_by_key(|(id, endpoint)| (endpoint.rank, **id));
        let open = |endpoint: &&EndpointRules| {
            let network = wanted.networks.get(&endpoint.network);
            network.filter(|network| !network.internal)
        };
        Self {
            opened: endpoints
                .iter()
                .filter_map(|(_, endpoint)| Some((open(endpoint)?, &endpoint.opened)))
                .flat_map(|(network, ports)| ports.iter().map(move |port| (network, port)))
                .collect(),
            networks: networks.into_iter().map(|(_, network)| network).collect(),
            allowed,
            ports: endpoints
                .into_iter()
                .filter_map(|(_, endpoint)| {
                    let network = wanted.networks.get(&endpoint.network)?;
                    (!network.internal).then(|| publications(network, endpoint))
                })
                .flatten()
                .collect(),
        }
    }
}

fn publications<'a>(
    network: &'a NetworkRules,
    endpoint: &'a EndpointRules,
) -> Vec<Publication<'a>> {
    let v4 = |address: &IpAddr| match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    };
    let Some(address) = endpoint.addresses.iter().find_map(v4) else {
        return Vec::new();
    };
    let publication = |port: &'a PublishedPort| {
        Some(Publication {
            network,
            address,
            host_ip: v4(&port.host_ip)?,
            port,
        })
    };
    endpoint.ports.iter().filter_map(publication).collect()
}

/// The IPv4 subnets of a network.
fn subnets(network: &NetworkRules) -> impl Iterator<Item = &Subnet> {
    network.subnets.iter().filter(|subnet| subnet.is_ipv4())
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
    let open = scene.networks.iter().filter(|network| !network.internal);
    // 2. FORWARD may end in ACCEPT, and what a neighbour on the wire routes here by hand would then arrive.
    rules.extend(open.map(|network| reach::past_published_ports(network)));
    for Publication {
        network,
        address,
        port,
        ..
    } in &scene.ports
    {
        let (br, protocol) = (&network.bridge, port.protocol);
        rules.extend(port.container_ports.iter().map(|number| {
            format!(
                "-d {address}/32 ! -i {br} -o {br} -p {protocol} -m {protocol} --dport {number} -j ACCEPT"
            )
        }));
    }
    rules
}

fn stage_1(scene: &Scene<'_>, names: &ChainNames) -> Vec<String> {
    let mut rules = Vec::new();
    for network in &scene.networks {
        let br = &network.bridge;
        if network.internal {
            // With several subnets each of Docker's pairs would drop the other subnets' packets.
            let mut all = subnets(network);
            if let (Some(subnet), None) = (all.next(), all.next()) {
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
    let open = scene.networks.iter().filter(|network| !network.internal);
    rules.extend(open.map(|network| format!("-o {} -j DROP", network.bridge)));
    rules.push("-j RETURN".to_owned());
    rules
}

fn nat_ports(scene: &Scene<'_>) -> Vec<String> {
    let mut rules = Vec::new();
    for Publication {
        address,
        host_ip,
        port,
        ..
    } in &scene.ports
    {
        let protocol = port.protocol;
        let to = if host_ip.is_unspecified() {
            String::new()
        } else {
            format!("-d {host_ip}/32 ")
        };
        rules.extend(port.pairs().map(|(host, container)| {
            format!(
                "{to}-p {protocol} -m {protocol} --dport {host} -j DNAT --to-destination {address}:{container}"
            )
        }));
    }
    rules
}

fn postrouting(scene: &Scene<'_>) -> Vec<String> {
    let mut rules = addresses_kept(scene);
    for network in scene.networks.iter().filter(|network| !network.internal) {
        let br = &network.bridge;
        // A process of the host that asks 127.0.0.1 has a source that no container can answer to. This is about
        // publishing, so networks that keep their addresses on the way out have it too.
        if !reach::is_routed(network) {
            rules.push(format!(
                "-o {br} -m addrtype --src-type LOCAL -j MASQUERADE"
            ));
        }
        for subnet in subnets(network) {
            rules.extend(reach::way_out(network, subnet));
            // 4. Or the neighbour would answer directly, from an address that was never asked.
            rules.push(format!(
                "-s {subnet} -o {br} -m conntrack --ctstate DNAT -j MASQUERADE"
            ));
        }
    }
    for Publication { address, port, .. } in &scene.ports {
        let protocol = port.protocol;
        rules.extend(port.container_ports.iter().map(|number| {
            format!(
                "-s {address}/32 -d {address}/32 -p {protocol} -m {protocol} --dport {number} -j MASQUERADE"
            )
        }));
    }
    rules
}

/// 7. The exceptions from masquerading, which come before it.
fn addresses_kept(scene: &Scene<'_>) -> Vec<String> {
    let masqueraded = scene.allowed.iter().filter(|(from, _)| from.masquerade);
    masqueraded
        .flat_map(|(from, to)| {
            subnets(from).flat_map(move |source| {
                subnets(to).map(move |destination| {
                    format!("-s {source} -d {destination} -o {} -j RETURN", to.bridge)
                })
            })
        })
        .collect()
}

fn raw(scene: &Scene<'_>) -> Vec<String> {
    // 5. Without this `route_localnet` gives containers the services that listen on the host's 127.0.0.1
    // (CVE-2020-8558).
    let mut rules: Vec<String> = scene
        .networks
        .iter()
        .map(|network| format!("-d 127.0.0.0/8 -i {} -j DROP", network.bridge))
        .collect();
    for Publication { host_ip, port, .. } in &scene.ports {
        if host_ip.is_loopback() {
            // 5. Translation comes before the routing that would refuse such a packet (moby#41872).
            rules.extend(port.host_ports.iter().map(|number| {
                let protocol = port.protocol;
                format!(
                    "-d {host_ip}/32 ! -i lo -p {protocol} -m {protocol} --dport {number} -j DROP"
                )
            }));
        }
    }
    rules
}
