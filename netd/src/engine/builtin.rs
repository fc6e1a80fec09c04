//! The networks that every daemon has: `host`, `none`, and `bridge` as the configuration wants it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use netd_ipam::PoolRequest;
use netd_kernel::{HostInterface, Kernel};
use netd_model::network::BridgeSpec;
use netd_model::{
    DriverSpec, IfName, InterfacePrefix, IpNetwork, Network, NetworkId, NetworkName, Op, Phase,
    Policy, PoolSpec, Reach, Subnet, Uplink,
};

use super::pools::{self, Family, used_subnets};
use super::{EngineError, random};
use crate::config::Settings;
use crate::ledger::Ledger;
use crate::state::State;
use crate::store::Change;

/// Sees to `bridge`, `host` and `none` in the records. The reconcile that follows makes them true.
///
/// # Errors
/// [`EngineError`] when the configuration does not fit what is there.
pub(super) fn see_to_all(
    ledger: &mut Ledger,
    kernel: &dyn Kernel,
    settings: &Settings,
) -> Result<(), EngineError> {
    for (name, driver) in [("host", DriverSpec::Host), ("none", DriverSpec::Null)] {
        let name = NetworkName::new(name)?;
        if ledger.state().network_named(&name).is_none() {
            let network = builtin(ledger.state(), name, driver, Vec::new())?;
            ledger.commit(&[Change::PutNetwork(network)])?;
        }
    }
    let name = NetworkName::new("bridge")?;
    let present = ledger.state().network_named(&name).cloned();
    if !settings.has_default_network {
        return match present {
            Some(present) => retire(ledger, &present),
            None => Ok(()),
        };
    }
    let (spec, pools) = default_bridge(ledger.state(), kernel, settings, present.as_deref())?;
    let Some(present) = present else {
        let network = builtin(ledger.state(), name, DriverSpec::Bridge(spec), pools)?;
        return Ok(ledger.commit(&[Change::PutNetwork(network)])?);
    };
    leave_old_place(ledger.state(), kernel, &present, (&spec, &pools))?;
    let network = Network {
        driver: DriverSpec::Bridge(spec),
        pools,
        phase: Phase::Attached,
        ..Network::clone(&present)
    };
    if network != *present {
        ledger.commit(&[Change::PutNetwork(network)])?;
    }
    Ok(())
}

/// Writes that the default network goes, if nobody is on it.
fn retire(ledger: &mut Ledger, network: &Network) -> Result<(), EngineError> {
    let containers = containers_on(ledger.state(), network.id);
    if !containers.is_empty() {
        return Err(EngineError::InUse {
            network: network.name.clone(),
            containers,
        });
    }
    let leaving = |uplink: &Arc<Uplink>| {
        Change::PutUplink(Uplink {
            phase: Phase::Detaching,
            ..Uplink::clone(uplink)
        })
    };
    let uplinks = ledger.state().uplinks_of(network.id).map(leaving);
    let mut changes: Vec<Change> = uplinks.collect();
    changes.push(Change::PutNetwork(Network {
        phase: Phase::Detaching,
        ..network.clone()
    }));
    Ok(ledger.commit(&changes)?)
}

/// Names of the containers that are on a network and stay.
fn containers_on(state: &State, network: NetworkId) -> Vec<String> {
    let standing = state
        .endpoints_on(network)
        .into_iter()
        .filter(|endpoint| state.stands(endpoint));
    let names = standing
        .filter_map(|endpoint| state.container(endpoint.container))
        .map(|container| container.name.to_string());
    let mut names: Vec<String> = names.collect();
    // Those that are there by several interfaces count once.
    names.sort();
    names.dedup();
    names
}

fn builtin(
    state: &State,
    name: NetworkName,
    driver: DriverSpec,
    pools: Vec<PoolSpec>,
) -> Result<Network, EngineError> {
    Ok(Network {
        id: NetworkId::from_bytes(random()?),
        name,
        created: Timestamp::now(),
        rank: state.next_rank(),
        driver,
        pools,
        policy: Policy::default(),
        labels: BTreeMap::new(),
        options: BTreeMap::new(),
        attachable: false,
        dns_servers: Vec::new(),
        config_from: None,
        phase: Phase::Attached,
        before: None,
    })
}

/// What the default network is to be: its bridge's options and its pools.
fn default_bridge(
    state: &State,
    kernel: &dyn Kernel,
    settings: &Settings,
    present: Option<&Network>,
) -> Result<(BridgeSpec, Vec<PoolSpec>), EngineError> {
    let bridge = match &settings.bridge {
        Some(existing) => existing.clone(),
        None => IfName::new("docker0")?,
    };
    let facts = kernel.host_interface(&bridge)?;
    if settings.bridge.is_some() {
        check_existing(&bridge, facts.as_ref())?;
    }
    let mut pools = Vec::new();
    for wish in family_wishes(settings) {
        let request = match &facts {
            Some(facts) if settings.bridge.is_some() => {
                Some(on_existing(&bridge, facts, wish.family)?)
            }
            _ => wish.request,
        };
        let mut pool = match kept(present, wish.family).filter(|_| request.is_none()) {
            Some(pool) => pool,
            None => {
                let routes = kernel.routed_subnets()?;
                let mut used = used_subnets(state, &routes, present.map(|network| network.id));
                used.retain(|other| {
                    !matches!(&other.by, netd_ipam::UsedBy::HostRoute(name) if *name == bridge)
                });
                let origin = (&settings.pools[..], state.instance());
                pools::chosen(wish.family, request, origin, &used)?
            }
        };
        // Nobody asks for an address on the default network, whoever chose its subnet.
        pool.subnet_given = false;
        pool.aux.remove(wish.gateway_name);
        if let Some(gateway) = wish.gateway.filter(|gateway| *gateway != pool.gateway) {
            pool.aux.insert(wish.gateway_name.to_owned(), gateway);
        }
        pools.push(pool);
    }
    let spec = BridgeSpec {
        bridge,
        is_default: true,
        owned: settings.bridge.is_none(),
        mtu_bytes: settings.mtu_bytes,
        masquerade: settings.masquerade,
        icc: settings.icc,
        host_binding: settings.host_binding,
        reach: Reach::default(),
        has_ipv4_address: true,
        interface_prefix: InterfacePrefix::default(),
        gateway_override: settings.default_gateway,
        gateway_override_v6: settings.ipv6.as_ref().and_then(|six| six.default_gateway),
    };
    Ok((spec, pools))
}

/// What the configuration says of one family of the default network.
struct FamilyWish {
    family: Family,
    /// The pool, if it was named.
    request: Option<PoolRequest>,
    /// `default-gateway`, and Docker's name for its address, which nobody else may get.
    gateway: Option<IpAddr>,
    gateway_name: &'static str,
}

fn family_wishes(settings: &Settings) -> impl Iterator<Item = FamilyWish> {
    let at = |address: IpNetwork, range: Option<Subnet>| PoolRequest {
        subnet: Some(Subnet::containing(address)),
        gateway: Some(address.ip()),
        range,
        aux: BTreeMap::new(),
    };
    let v4 = FamilyWish {
        family: Family::V4,
        request: settings.bip.map(|bip| at(bip, settings.fixed_cidr)),
        gateway: settings.default_gateway,
        gateway_name: "DefaultGatewayIPv4",
    };
    let v6 = settings.ipv6.as_ref().map(|six| FamilyWish {
        family: Family::V6,
        request: match (six.bip, six.fixed_cidr) {
            (Some(bip), range) => Some(at(bip, range)),
            (None, Some(subnet)) => Some(PoolRequest {
                subnet: Some(subnet),
                ..PoolRequest::default()
            }),
            (None, None) => None,
        },
        gateway: six.default_gateway,
        gateway_name: "DefaultGatewayIPv6",
    });
    std::iter::once(v4).chain(v6)
}

fn kept(present: Option<&Network>, family: Family) -> Option<PoolSpec> {
    let pools = &present?.pools;
    pools.iter().find(|pool| family.has(pool.subnet)).cloned()
}

fn refused_bridge(name: &IfName, reason: &str) -> EngineError {
    EngineError::Bridge {
        name: name.clone(),
        reason: reason.to_owned(),
    }
}

fn check_existing(name: &IfName, facts: Option<&HostInterface>) -> Result<(), EngineError> {
    match facts {
        None => Err(refused_bridge(
            name,
            "there is no such interface; make it first, with `ip link add NAME type bridge`",
        )),
        Some(facts) if !facts.is_bridge => Err(refused_bridge(name, "it is no bridge")),
        Some(_) => Ok(()),
    }
}

/// The subnet that an existing bridge is on.
fn on_existing(
    name: &IfName,
    facts: &HostInterface,
    family: Family,
) -> Result<PoolRequest, EngineError> {
    let mut addresses = facts.addresses.iter();
    let address = addresses.find(|address| family.has(Subnet::containing(**address)));
    let address = address.ok_or_else(|| {
        let reason = match family {
            Family::V4 => "it has no IPv4 address; give it one, with `ip addr add ADDRESS/PREFIX dev NAME`",
            Family::V6 => "ipv6 is true, but it has no IPv6 address; give it one, with `ip addr add ADDRESS/PREFIX dev NAME`",
        };
        refused_bridge(name, reason)
    })?;
    Ok(PoolRequest {
        subnet: Some(Subnet::containing(*address)),
        gateway: Some(address.ip()),
        range: None,
        aux: BTreeMap::new(),
    })
}

/// The default network may move only while nobody is on it. Its bridge loses the addresses that it had before the record
/// says so: a crash in between finds the same to do again.
fn leave_old_place(
    state: &State,
    kernel: &dyn Kernel,
    present: &Network,
    (spec, pools): (&BridgeSpec, &[PoolSpec]),
) -> Result<(), EngineError> {
    let stays = |before: &&PoolSpec| {
        let same = |pool: &PoolSpec| pool.gateway_address() == before.gateway_address();
        pools.iter().any(same)
    };
    let left: Vec<&PoolSpec> = present
        .pools
        .iter()
        .filter(|before| !stays(before))
        .collect();
    let Some(first) = left.first() else {
        return Ok(());
    };
    let containers = containers_on(state, present.id);
    if !containers.is_empty() {
        let same_family = |pool: &&PoolSpec| pool.subnet.is_ipv4() == first.subnet.is_ipv4();
        return Err(EngineError::DefaultMoved {
            from: first.subnet,
            to: pools
                .iter()
                .find(same_family)
                .map(PoolSpec::gateway_address),
            containers,
        });
    }
    let stays = |old: &BridgeSpec| old.owned && old.bridge == spec.bridge;
    let is_there = kernel.host_interface(&spec.bridge)?.is_some();
    if is_there && present.bridge().is_some_and(stays) {
        let remove = |pool: &PoolSpec| Op::RemoveAddress {
            netns: None,
            interface: spec.bridge.clone(),
            address: pool.gateway_address(),
        };
        kernel.apply(&left.into_iter().map(remove).collect::<Vec<_>>())?;
    }
    Ok(())
}
