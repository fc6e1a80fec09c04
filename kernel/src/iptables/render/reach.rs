//! The rules of what is not `nat`: ways to a container's own address, and other ways out than by masquerading.
//!
//! Where a network is routed, all that arrives is decided in the chain of published ports. STAGE-2 sends there what comes
//! from other networks, before FORWARD would let it out of those.

use netd_model::ruleset::NetworkRules;
use netd_model::{GatewayMode, Subnet};

use super::{Publication, Scene, alone, dport};
use crate::Family;
use crate::iptables::names::ChainNames;

/// True if nothing of the network is translated.
pub(super) fn is_routed(scene: &Scene<'_>, network: &NetworkRules) -> bool {
    mode(scene, network) == GatewayMode::Routed
}

fn mode(scene: &Scene<'_>, network: &NetworkRules) -> GatewayMode {
    match scene.family {
        Family::V4 => network.reach.mode_v4,
        Family::V6 => network.reach.mode_v6,
    }
}

/// What comes to a container's own address although nothing translated it.
pub(super) fn direct(scene: &Scene<'_>) -> Vec<String> {
    let mut rules = Vec::new();
    for Publication {
        network,
        address,
        ports,
    } in &scene.ports
    {
        let (br, protocol, to) = (&network.bridge, ports.like.protocol, alone(*address));
        let at = dport(ports.container);
        // Who gave a list of sources trusts no interface instead.
        let trusted = network.reach.trusted.iter();
        let trusted = trusted.filter(|_| ports.like.sources().is_none());
        rules.extend(trusted.map(|from| {
            format!("-d {to} -i {from} -o {br} -p {protocol} -m {protocol} --dport {at} -j ACCEPT")
        }));
    }
    for (network, open) in &scene.opened {
        let (br, protocol, to) = (&network.bridge, open.protocol, alone(open.address));
        let at = dport(open.ports);
        rules.push(format!(
            "-d {to} ! -i {br} -o {br} -p {protocol} -m {protocol} --dport {at} -j ACCEPT"
        ));
    }
    // As iptables-save names them.
    let icmp = match scene.family {
        Family::V4 => "icmp",
        Family::V6 => "ipv6-icmp",
    };
    let routed = scene.open().filter(|network| is_routed(scene, network));
    rules.extend(routed.map(|network| {
        // As in Docker: whoever routes here may ask whether somebody is there.
        format!("! -i {0} -o {0} -p {icmp} -j ACCEPT", network.bridge)
    }));
    rules
}

/// What becomes of the rest.
pub(super) fn past_published_ports(scene: &Scene<'_>, network: &NetworkRules) -> String {
    let br = &network.bridge;
    match mode(scene, network) {
        GatewayMode::Nat | GatewayMode::Isolated => {
            format!("! -i {br} -o {br} -m conntrack ! --ctstate DNAT -j DROP")
        }
        GatewayMode::NatUnprotected => format!("! -i {br} -o {br} -j ACCEPT"),
        GatewayMode::Routed => format!("! -i {br} -o {br} -j DROP"),
    }
}

/// Other networks reach the published ports of a routed one as the world does, and get their answers.
pub(super) fn between_networks(scene: &Scene<'_>, names: &ChainNames) -> Vec<String> {
    let routed = scene.open().filter(|network| is_routed(scene, network));
    routed
        .flat_map(|network| {
            let br = &network.bridge;
            [
                format!("-i {br} -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"),
                format!("-o {br} -j {}", names.ports),
            ]
        })
        .collect()
}

/// The address that containers of a subnet have on the way out, if not their own.
pub(super) fn way_out(
    scene: &Scene<'_>,
    network: &NetworkRules,
    subnet: &Subnet,
) -> Option<String> {
    if !network.masquerade || is_routed(scene, network) {
        return None;
    }
    let br = &network.bridge;
    Some(match network.reach.leaves_as(subnet.first()) {
        Some(source) => format!("-s {subnet} ! -o {br} -j SNAT --to-source {source}"),
        None => format!("-s {subnet} ! -o {br} -j MASQUERADE"),
    })
}
