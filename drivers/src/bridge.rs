//! Bridge networks: a Linux bridge as switch and gateway, a veth pair for each endpoint, the firewall's part of both.
//!
//! Must not know the other networks of a container: routes and names are its sandbox's business.

use std::collections::BTreeMap;

use netd_model::container::Interface;
use netd_model::desired::{
    BridgeState, HostState, IfbState, InterfaceState, Mark, NetnsId, VethState,
};
use netd_model::network::BridgeSpec;
use netd_model::ruleset::{EndpointRules, NetworkRules};
use netd_model::{Endpoint, IfName, InstanceId, Lease, Network, PoolSpec};

mod gateway;
mod parameters;
mod rates;

pub use gateway::gateway_for;

use crate::names::bridge_mac;
use crate::plan::{NetworkPlan, PlanError};
use crate::sandbox::Attachment;

/// MTU in bytes unless told otherwise: Ethernet's (RFC 894), and what the kernel gives a new bridge.
pub const DEFAULT_MTU_BYTES: u32 = 1500;

/// Smallest MTU in bytes that carries IPv6 (RFC 8200 section 5).
const IPV6_MIN_MTU_BYTES: u32 = 1280;

/// Both ends of an endpoint's veth pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    /// The names of both ends, and the MAC inside.
    pub interface: Interface,
    /// The host's end.
    pub outside: VethState,
    /// The container's end.
    pub inside: InterfaceState,
    /// The device that what the container sends goes through, if that is limited.
    pub ifb: Option<(IfName, IfbState)>,
}

/// The bridge with its parameters and rules. A bridge that netd does not own is only brought up and used.
///
/// # Errors
/// [`PlanError`] when pools, gateways and MTU do not fit together.
pub fn plan_network(
    network: &Network,
    spec: &BridgeSpec,
    instance: InstanceId,
) -> Result<NetworkPlan, PlanError> {
    check(network, spec)?;
    let bridge = BridgeState {
        mark: spec.owned.then(|| Mark::bridge(instance, network.id)),
        mac: bridge_mac(network.id),
        addresses: gateway::addresses(network, spec),
        mtu_bytes: mtu_bytes(spec),
        filtered: spec.owned && !spec.icc,
        up: true,
    };
    let rules = NetworkRules {
        rank: network.rank,
        bridge: spec.bridge.clone(),
        subnets: network.pools.iter().map(|pool| pool.subnet).collect(),
        masquerade: spec.masquerade,
        icc: spec.icc,
        internal: network.policy.internal,
        reach: spec.reach.clone(),
    };
    let state = HostState {
        bridges: BTreeMap::from([(spec.bridge.clone(), bridge)]),
        sysctls: parameters::of_bridge(network, spec),
        ..HostState::default()
    };
    Ok(NetworkPlan {
        state,
        rules: Some(rules),
    })
}

fn check(network: &Network, spec: &BridgeSpec) -> Result<(), PlanError> {
    let name = || network.name.clone();
    gateway::check_mode(network, spec)?;
    if network.pools.is_empty() {
        return Err(PlanError::NoPool { network: name() });
    }
    for (at, pool) in network.pools.iter().enumerate() {
        let same_family = |other: &&PoolSpec| other.subnet.is_ipv4() == pool.subnet.is_ipv4();
        if let Some(other) = network.pools.iter().skip(at + 1).find(same_family) {
            return Err(PlanError::TwoPools {
                network: name(),
                first: pool.subnet,
                second: other.subnet,
            });
        }
        if !pool.subnet.contains(pool.gateway) {
            return Err(PlanError::GatewayOutside {
                network: name(),
                gateway: pool.gateway,
            });
        }
    }
    let reachable = |gateway| {
        network
            .pools
            .iter()
            .any(|pool| pool.subnet.contains(gateway))
    };
    let overrides = [spec.gateway_override, spec.gateway_override_v6];
    if let Some(gateway) = overrides
        .into_iter()
        .flatten()
        .find(|gateway| !reachable(*gateway))
    {
        return Err(PlanError::GatewayOutside {
            network: name(),
            gateway,
        });
    }
    if has_ipv6(network) && mtu_bytes(spec) < IPV6_MIN_MTU_BYTES {
        return Err(PlanError::MtuTooSmallForIpv6 {
            network: name(),
            mtu_bytes: mtu_bytes(spec),
        });
    }
    Ok(())
}

/// The veth pair of one endpoint with its addresses, the other end in `netns`.
///
/// # Errors
/// [`PlanError`] when the endpoint lacks an interface or has an address that is not the network's.
pub fn plan_endpoint(
    attachment: &Attachment<'_>,
    spec: &BridgeSpec,
    netns: NetnsId,
    instance: InstanceId,
) -> Result<Wire, PlanError> {
    let Attachment { network, endpoint } = *attachment;
    let interface = endpoint.interface.clone().ok_or(PlanError::NoInterface {
        endpoint: endpoint.id,
        network: network.name.clone(),
    })?;
    if let Some(lease) = endpoint
        .leases
        .iter()
        .find(|l| pool_of(network, l).is_none())
    {
        return Err(PlanError::ForeignLease {
            endpoint: endpoint.id,
            network: network.name.clone(),
            address: lease.address,
        });
    }
    let ifb = rates::ifb(endpoint, (&interface, mtu_bytes(spec)), instance);
    let outside = VethState {
        mark: Some(Mark::endpoint(instance, endpoint.id)),
        bridge: Some(spec.bridge.clone()),
        // A container that calls its own published port gets the frames back through the port they came by.
        hairpin: true,
        isolated: isolated(spec),
        mtu_bytes: mtu_bytes(spec),
        up: true,
        bucket: rates::inward(endpoint, mtu_bytes(spec)),
        through: ifb.as_ref().map(|(name, _)| name.clone()),
        peer: Some(netns),
        peer_name: Some(interface.inside.clone()),
    };
    let leased = endpoint.leases.iter().map(Lease::interface_address);
    let link_local = endpoint.link_local.iter();
    let link_local = link_local.map(|own| own.interface_address());
    let inside = InterfaceState {
        mac: interface.mac,
        mtu_bytes: mtu_bytes(spec),
        up: true,
        addresses: leased.chain(link_local).collect(),
    };
    Ok(Wire {
        interface,
        outside,
        inside,
        ifb,
    })
}

/// Whether the ports of a network without icc are isolated from each other, besides what the firewall says.
///
/// On a bridge of our own the firewall decides, for it is filtered: neighbours meet only at published ports. A bridge of
/// the administrator's is left where no rule of ours would stop them: to filter it would subject its other ports to
/// our rules, a virtual machine's or the uplink's, so it stays as it is.
///
/// Isolated ports keep a neighbour from a published port too while `net.bridge.bridge-nf-call-iptables` is 1 or the
/// bridge is filtered: the kernel then turns such a packet round inside the bridge. That is too little rather than too
/// much.
fn isolated(spec: &BridgeSpec) -> bool {
    !spec.icc && !spec.owned
}

/// The published ports of an endpoint; `None` without any, or on an internal network, which lets nothing in.
#[must_use]
pub fn endpoint_rules(network: &Network, endpoint: &Endpoint) -> Option<EndpointRules> {
    let publishes = !endpoint.ports.is_empty() || !endpoint.opened.is_empty();
    if !publishes || network.policy.internal {
        return None;
    }
    Some(EndpointRules {
        rank: endpoint.rank,
        network: network.id,
        addresses: endpoint.leases.iter().map(|lease| lease.address).collect(),
        ports: endpoint.ports.clone(),
        opened: endpoint.opened.clone(),
    })
}

/// The pool that a lease is from, if the network has it and the address lies in it.
fn pool_of<'a>(network: &'a Network, lease: &Lease) -> Option<&'a PoolSpec> {
    network
        .pools
        .iter()
        .find(|pool| pool.subnet == lease.pool && pool.subnet.contains(lease.address))
}

fn has_ipv6(network: &Network) -> bool {
    network.pools.iter().any(|pool| !pool.subnet.is_ipv4())
}

fn mtu_bytes(spec: &BridgeSpec) -> u32 {
    spec.mtu_bytes.unwrap_or(DEFAULT_MTU_BYTES)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use netd_model::desired::{KernelState, Op, Sysctl};
    use netd_model::diff::diff;

    use super::*;
    use crate::plan::plan_network;
    use crate::testing::{INSTANCE, network, pool, spec};

    fn sysctls(state: &HostState) -> Vec<String> {
        let text = |(key, value): (&Sysctl, &String)| format!("{}={value}", key.path());
        state.sysctls.iter().map(text).collect()
    }

    fn plan(network: &Network) -> NetworkPlan {
        plan_network(network, INSTANCE).unwrap()
    }

    #[test]
    fn an_ipv4_bridge_has_its_gateway_and_no_ipv6() {
        let network = network("a", 0xab, &["172.28.0.0/16"]);
        let plan = plan(&network);
        let (name, bridge) = plan.state.bridges.first_key_value().unwrap();
        assert_eq!(name.as_str(), "br-abababababab");
        let gateway = "172.28.0.1/16".parse().unwrap();
        let expected = BridgeState {
            mark: Some(Mark::bridge(INSTANCE, network.id)),
            mac: "02:42:ab:ab:ab:ab".parse().unwrap(),
            addresses: BTreeSet::from([gateway]),
            mtu_bytes: 1500,
            filtered: false,
            up: true,
        };
        assert_eq!(*bridge, expected);
        assert_eq!(
            sysctls(&plan.state),
            [
                "ipv4/conf/br-abababababab/route_localnet=1",
                "ipv6/conf/br-abababababab/accept_ra=0",
                "ipv6/conf/br-abababababab/disable_ipv6=1"
            ]
        );
        let rules = plan.rules.unwrap();
        assert_eq!(rules.subnets, [network.pools[0].subnet]);
        assert!(rules.masquerade && rules.icc && !rules.internal);
        assert_eq!((rules.bridge, rules.rank), (name.clone(), 0xab));
    }

    #[test]
    fn a_dual_stack_bridge_has_both_gateways_and_believes_no_router() {
        let mut network = network("a", 1, &["10.0.0.0/24", "fd00::/64"]);
        spec(&mut network).mtu_bytes = Some(9000);
        let plan = plan(&network);
        let (_, bridge) = plan.state.bridges.first_key_value().unwrap();
        let addresses = ["10.0.0.1/24", "fd00::1/64"].map(|text| text.parse().unwrap());
        assert_eq!(bridge.addresses, BTreeSet::from(addresses));
        assert_eq!(bridge.mtu_bytes, 9000);
        assert_eq!(
            sysctls(&plan.state),
            [
                "ipv4/conf/br-010101010101/route_localnet=1",
                "ipv6/conf/br-010101010101/accept_dad=0",
                "ipv6/conf/br-010101010101/accept_ra=0",
                "ipv6/conf/br-010101010101/disable_ipv6=0"
            ]
        );
    }

    #[test]
    fn a_bridge_of_others_is_only_brought_up_and_used() {
        let mut network = network("a", 1, &["10.0.0.0/24", "fd00::/64"]);
        spec(&mut network).owned = false;
        let plan = plan(&network);
        let (_, bridge) = plan.state.bridges.first_key_value().unwrap();
        assert_eq!((bridge.mark, bridge.up), (None, true));
        assert!(bridge.addresses.is_empty());
        let only = ["ipv4/conf/br-010101010101/route_localnet=1"];
        assert_eq!(sysctls(&plan.state), only);
        assert!(plan.rules.is_some());
    }

    #[test]
    fn without_icc_a_bridge_of_ours_is_filtered_and_one_of_others_is_not() {
        let mut network = network("a", 1, &["10.0.0.0/24"]);
        spec(&mut network).icc = false;
        let filtered = |network: &Network| {
            let plan = plan(network);
            assert!(!plan.rules.unwrap().icc);
            plan.state
                .bridges
                .into_values()
                .all(|bridge| bridge.filtered)
        };
        assert!(filtered(&network));
        spec(&mut network).owned = false;
        assert!(!filtered(&network));
    }

    #[test]
    fn the_bridge_keeps_its_address_when_the_gateway_is_another() {
        let mut network = network("a", 1, &["10.0.0.0/24"]);
        let usual = plan(&network);
        spec(&mut network).gateway_override = Some("10.0.0.254".parse().unwrap());
        assert_eq!(plan(&network), usual);
        spec(&mut network).gateway_override = Some("10.0.1.254".parse().unwrap());
        let error = plan_network(&network, INSTANCE).unwrap_err();
        assert_eq!(
            error.to_string(),
            "gateway 10.0.1.254 of network a is in none of its subnets; give one that is"
        );
    }

    #[test]
    fn records_that_do_not_fit_together_are_refused() {
        let error = |network: &Network| plan_network(network, INSTANCE).unwrap_err();
        let none = network("a", 1, &[]);
        assert!(matches!(error(&none), PlanError::NoPool { .. }));
        let two = network("a", 1, &["10.0.0.0/24", "fd00::/64", "10.0.1.0/24"]);
        assert!(matches!(error(&two), PlanError::TwoPools { .. }));
        let mut astray = network("a", 1, &["10.0.0.0/24"]);
        astray.pools[0].gateway = pool("10.0.1.0/24").gateway;
        assert!(matches!(error(&astray), PlanError::GatewayOutside { .. }));
        let mut narrow = network("a", 1, &["10.0.0.0/24", "fd00::/64"]);
        spec(&mut narrow).mtu_bytes = Some(1279);
        assert_eq!(
            error(&narrow).to_string(),
            "network a has an IPv6 subnet and an MTU of 1279, but IPv6 needs 1280; raise the MTU or drop IPv6"
        );
        narrow.pools.pop();
        assert!(plan_network(&narrow, INSTANCE).is_ok());
    }

    #[test]
    fn a_changed_mtu_is_one_step_and_a_dropped_network_one_deletion() {
        let state = |host| KernelState {
            host,
            ..KernelState::default()
        };
        let mut network = network("a", 1, &["10.0.0.0/24"]);
        let before = state(plan(&network).state);
        assert_eq!(diff(&before, &before, INSTANCE), []);
        spec(&mut network).mtu_bytes = Some(1400);
        let ops = diff(&state(plan(&network).state), &before, INSTANCE);
        assert!(matches!(&ops[..], [Op::SetLink { change, .. }] if change.mtu_bytes == Some(1400)));
        let ops = diff(&KernelState::default(), &before, INSTANCE);
        assert!(matches!(&ops[..], [Op::DeleteLink { .. }]), "{ops:?}");
    }
}
