//! What must hold between any two operations: records, kernel, rules, sockets and pins tell the same story.

use std::collections::{BTreeMap, BTreeSet};

use netd_model::desired::{KernelState, Mark, RouteState};
use netd_model::ruleset::PeerRules;
use netd_model::{ContainerState, Phase};

use crate::bench::Bench;

/// Compares everything with everything, and says what does not fit.
pub(crate) fn check(bench: &Bench, context: &str) {
    bench.settle();
    let complaints: Vec<String> = bench
        .look(|state| {
            let mut complaints = Vec::new();
            for network in state.networks() {
                if network.phase != Phase::Attached {
                    complaints.push(format!("{} is {:?}", network.name, network.phase));
                }
                if network.before.is_some() {
                    complaints.push(format!("{} is half changed", network.name));
                }
            }
            for container in state.containers() {
                if !matches!(
                    container.state,
                    ContainerState::Running | ContainerState::Exited { .. }
                ) {
                    complaints.push(format!("{} is {:?}", container.name, container.state));
                }
                if state.is_deserted(container) {
                    complaints.push(format!("{} ended and has a sandbox", container.name));
                }
            }
            for uplink in state.uplinks() {
                if uplink.phase != Phase::Attached {
                    complaints.push(format!("{} is {:?}", uplink.device, uplink.phase));
                }
            }
            for route in state.peer_routes() {
                if route.phase != Phase::Attached {
                    complaints.push(format!("{} is {:?}", route.subnet, route.phase));
                }
            }
            for endpoint in state.endpoints() {
                if !state.stands(endpoint) {
                    complaints.push(format!("a leftover: {endpoint:?}"));
                }
            }
            complaints
        })
        .into_iter()
        .chain(links(bench))
        .chain(rules(bench))
        .chain(pins_and_sockets(bench))
        .chain(bench.broken_promises())
        .collect();
    assert!(complaints.is_empty(), "{context}: {complaints:#?}");
    let repairs = bench.wait(bench.engine().reconcile()).unwrap();
    assert_eq!(repairs, 0, "{context}: I2, a reconcile has nothing to do");
    let status = bench.wait(bench.engine().status()).unwrap();
    assert_eq!(status.problems, Vec::<String>::new(), "{context}");
}

/// Every marked link belongs to a record, every record has its link with its address, and no stranger is lost.
fn links(bench: &Bench) -> Vec<String> {
    let seen = bench.world.snapshot();
    let world = bench.world.clone();
    bench.look(move |state| {
        let mut complaints = Vec::new();
        let routes = state.peer_routes().map(|route| RouteState {
            destination: route.subnet,
            gateway: route.gateway,
            interface: None,
        });
        for card in ["eth7", "eth8"] {
            let card = card.parse().unwrap();
            let bridge = state.uplink(&card).and_then(|uplink| {
                let network = state.network(uplink.network)?;
                Some(network.bridge()?.bridge.clone())
            });
            let holder = world.holder_of(&card);
            if holder != bridge {
                complaints.push(format!("{card} is a port of {holder:?}, not of {bridge:?}"));
            }
        }
        if seen.host.routes != routes.collect() {
            complaints.push(format!("the host's routes are {:?}", seen.host.routes));
        }
        let mut known = BTreeSet::new();
        for network in state.networks() {
            let Some(spec) = network.bridge() else {
                continue;
            };
            known.insert(Mark::bridge(state.instance(), network.id));
            let gateway = network.pools[0].gateway_address();
            let stands = seen.host.bridges.get(&spec.bridge);
            if !stands.is_some_and(|bridge| bridge.up && bridge.addresses.contains(&gateway)) {
                complaints.push(format!("network {} has no bridge", network.name));
            }
        }
        for endpoint in state.endpoints() {
            known.insert(Mark::endpoint(state.instance(), endpoint.id));
            if endpoint.rates.outward.is_some() {
                known.insert(Mark::ifb(state.instance(), endpoint.id));
            }
            if !has_its_limits(&seen, endpoint) {
                complaints.push(format!("the limits are not those of {endpoint:?}"));
            }
            let Some(container) = state.container(endpoint.container) else {
                complaints.push(format!("{endpoint:?} has no container"));
                continue;
            };
            if !has_its_link(&seen, endpoint, container) {
                complaints.push(format!("{} has no link for {endpoint:?}", container.name));
            }
        }
        let bridges = seen.host.bridges.iter().map(|(name, b)| (name, b.mark));
        let veths = seen.host.veths.iter().map(|(name, v)| (name, v.mark));
        let ifbs = seen.host.ifbs.iter().map(|(name, ifb)| (name, ifb.mark));
        for (name, mark) in bridges.chain(veths).chain(ifbs) {
            if mark.is_some_and(|mark| mark.is_of(state.instance()) && !known.contains(&mark)) {
                complaints.push(format!("link {name} is nobody's"));
            }
        }
        complaints
    })
}

/// What holds back its traffic is what its record says, in both directions, and nothing does where it says nothing.
fn has_its_limits(seen: &KernelState, endpoint: &netd_model::Endpoint) -> bool {
    let outside = endpoint.interface.as_ref().map(|one| &one.outside);
    let Some(veth) = outside.and_then(|outside| seen.host.veths.get(outside)) else {
        return true;
    };
    let ifb = veth.through.as_ref().map(|name| seen.host.ifbs.get(name));
    let ifb = ifb.map(|ifb| ifb.is_some_and(|ifb| ifb.up && ifb.bucket.is_some()));
    let speed = |rate: netd_model::Rate| rate.bits_per_second() / 8;
    let inward = veth.bucket.map(|bucket| bucket.bytes_per_second);
    inward == endpoint.rates.inward.map(speed) && ifb == endpoint.rates.outward.map(|_| true)
}

fn has_its_link(
    seen: &KernelState,
    endpoint: &netd_model::Endpoint,
    container: &netd_model::Container,
) -> bool {
    let Some(interface) = &endpoint.interface else {
        return true;
    };
    if container.namespace == netd_model::NamespaceMode::Docker {
        // Where the inner end is, is the engine's business.
        return seen.host.veths.contains_key(&interface.outside);
    }
    let inside = container
        .sandbox
        .as_ref()
        .and_then(|sandbox| seen.sandboxes.get(&sandbox.netns))
        .and_then(|sandbox| sandbox.interfaces.get(&interface.inside));
    let addresses: BTreeSet<_> = endpoint
        .leases
        .iter()
        .map(netd_model::Lease::interface_address)
        .chain(
            endpoint
                .link_local
                .iter()
                .map(|own| own.interface_address()),
        )
        .collect();
    seen.host.veths.contains_key(&interface.outside)
        && inside.is_some_and(|inside| inside.up && inside.addresses == addresses)
}

fn rules(bench: &Bench) -> Vec<String> {
    let rules = bench.world.rules();
    bench.look(move |state| {
        let bridged = state
            .networks()
            .filter(|network| network.bridge().is_some());
        let networks: BTreeSet<_> = bridged.map(|network| network.id).collect();
        let is_open = |network| state.network(network).is_some_and(|n| !n.policy.internal);
        let published = state
            .endpoints()
            .filter(|endpoint| !endpoint.ports.is_empty() || !endpoint.opened.is_empty())
            .filter(|endpoint| is_open(endpoint.network));
        let endpoints: BTreeSet<_> = published.map(|endpoint| endpoint.id).collect();
        let mut complaints = Vec::new();
        if rules.allowed != state.allowances().collect() {
            complaints.push("the rules let others talk than the records do".to_owned());
        }
        let routes: BTreeMap<_, _> = state
            .peer_routes()
            .map(|route| (route.subnet, PeerRules::of(route)))
            .collect();
        if rules.peers != routes {
            complaints.push("the rules about other hosts are not those of the routes".to_owned());
        }
        if rules.networks.keys().copied().collect::<BTreeSet<_>>() != networks {
            complaints.push("the rules are not those of the networks".to_owned());
        }
        if rules.endpoints.keys().copied().collect::<BTreeSet<_>>() != endpoints {
            complaints.push("the rules are not those of the endpoints".to_owned());
        }
        complaints
    })
}

/// The daemon holds exactly the namespaces and host ports of what runs.
fn pins_and_sockets(bench: &Bench) -> Vec<String> {
    let world = bench.world.clone();
    bench.look(move |state| {
        let mut complaints = Vec::new();
        let sandboxes = state
            .containers()
            .filter_map(|container| Some(container.sandbox.as_ref()?.netns));
        let (wanted, pinned) = (sandboxes.collect::<BTreeSet<_>>(), world.pinned());
        if wanted != pinned {
            complaints.push(format!("pinned are {pinned:?}, known are {wanted:?}"));
        }
        for endpoint in state.endpoints() {
            let single = |port: &netd_model::PublishedPort| {
                let (protocol, ip) = (port.protocol, port.host_ip);
                let ports: Vec<u16> = port.host_ports.iter().collect();
                ports.into_iter().map(move |port| (protocol, ip, port))
            };
            let wanted: BTreeSet<_> = endpoint.ports.iter().flat_map(single).collect();
            if world.reserved_ports(endpoint.id) != wanted {
                complaints.push(format!("sockets do not fit {endpoint:?}"));
            }
        }
        complaints
    })
}
