//! Bridge networks: a Linux bridge as switch and gateway, a veth pair for each endpoint, the firewall's part of both.
//!
//! Must not know the other networks of a container: routes and names are its sandbox's business.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use netd_model::container::Interface;
use netd_model::desired::{
    BridgeState, HostState, InterfaceState, Mark, NetnsId, Sysctl, VethState,
};
use netd_model::network::BridgeSpec;
use netd_model::ruleset::{EndpointRules, NetworkRules};
use netd_model::{Endpoint, InstanceId, Lease, Network, PoolSpec};

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
        addresses: match spec.owned {
            true => network
                .pools
                .iter()
                .map(PoolSpec::gateway_address)
                .collect(),
            false => BTreeSet::new(),
        },
        mtu_bytes: mtu_bytes(spec),
        up: true,
    };
    let rules = NetworkRules {
        rank: network.rank,
        bridge: spec.bridge.clone(),
        subnets: network.pools.iter().map(|pool| pool.subnet).collect(),
        masquerade: spec.masquerade,
        icc: spec.icc,
        internal: network.policy.internal,
    };
    let state = HostState {
        bridges: BTreeMap::from([(spec.bridge.clone(), bridge)]),
        veths: BTreeMap::new(),
        sysctls: bridge_sysctls(network, spec),
    };
    Ok(NetworkPlan {
        state,
        rules: Some(rules),
    })
}

fn check(network: &Network, spec: &BridgeSpec) -> Result<(), PlanError> {
    let name = || network.name.clone();
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
    if let Some(gateway) = spec.gateway_override.filter(|gateway| !reachable(*gateway)) {
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

fn bridge_sysctls(network: &Network, spec: &BridgeSpec) -> BTreeMap<Sysctl, String> {
    let mut sysctls = BTreeMap::new();
    let mut set = |family, key, value: &str| {
        let key = Sysctl::of_interface(family, &spec.bridge, key);
        sysctls.insert(key, value.to_owned());
    };
    // A port published on 127.0.0.1 leaves by the bridge with that sender; without this the kernel takes it for a
    // martian (ip-sysctl.rst). The firewall keeps neighbours from using it the other way (CVE-2020-8558).
    set("ipv4", "route_localnet", "1");
    if spec.owned && has_ipv6(network) {
        // Written although it is the kernel's default: the host's administrator may have changed that.
        set("ipv6", "disable_ipv6", "0");
        // A container must not become the host's router (CVE-2020-13401).
        set("ipv6", "accept_ra", "0");
    } else if spec.owned {
        // Otherwise the bridge gets a link-local address, and containers reach the host by it, past the IPv4 rules.
        set("ipv6", "disable_ipv6", "1");
    }
    sysctls
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
    let outside = VethState {
        mark: Some(Mark::endpoint(instance, endpoint.id)),
        bridge: Some(spec.bridge.clone()),
        // A container that calls its own published port gets the frames back through the port they came by.
        hairpin: true,
        isolated: !spec.icc,
        mtu_bytes: mtu_bytes(spec),
        up: true,
        peer: Some(netns),
        peer_name: Some(interface.inside.clone()),
    };
    let inside = InterfaceState {
        mac: interface.mac,
        mtu_bytes: mtu_bytes(spec),
        up: true,
        addresses: endpoint
            .leases
            .iter()
            .map(Lease::interface_address)
            .collect(),
    };
    Ok(Wire {
        interface,
        outside,
        inside,
    })
}

/// The next hop out of the network in the family of `lease`: the bridge, unless the administrator named another.
#[must_use]
pub fn gateway_for(network: &Network, spec: &BridgeSpec, lease: &Lease) -> Option<IpAddr> {
    let same_family = |gateway: &IpAddr| gateway.is_ipv4() == lease.address.is_ipv4();
    spec.gateway_override
        .filter(same_family)
        .or_else(|| pool_of(network, lease).map(|pool| pool.gateway))
}

/// The published ports of an endpoint; `None` without any, or on an internal network, which lets nothing in.
#[must_use]
pub fn endpoint_rules(network: &Network, endpoint: &Endpoint) -> Option<EndpointRules> {
    if endpoint.ports.is_empty() || network.policy.internal {
        return None;
    }
    Some(EndpointRules {
        rank: endpoint.rank,
        network: network.id,
        addresses: endpoint.leases.iter().map(|lease| lease.address).collect(),
        ports: endpoint.ports.clone(),
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
