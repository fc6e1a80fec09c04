//! The networks that every daemon has: `host`, `none`, and `bridge` as the configuration wants it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use netd_ipam::{PoolRequest, plan_pool};
use netd_kernel::{HostInterface, Kernel};
use netd_model::network::BridgeSpec;
use netd_model::{
    DriverSpec, IfName, Network, NetworkId, NetworkName, Op, Phase, Policy, PoolSpec, Subnet,
};

use super::networks::used_subnets;
use super::{EngineError, random};
use crate::config::Settings;
use crate::ledger::Ledger;
use crate::state::State;
use crate::store::Change;

/// Docker's name for the address in `default-gateway`, which nobody else may get.
const GATEWAY_NAME: &str = "DefaultGatewayIPv4";

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
    let (spec, pool) = default_bridge(ledger.state(), kernel, settings, present.as_deref())?;
    let Some(present) = present else {
        let network = builtin(ledger.state(), name, DriverSpec::Bridge(spec), vec![pool])?;
        return Ok(ledger.commit(&[Change::PutNetwork(network)])?);
    };
    leave_old_place(ledger.state(), kernel, &present, (&spec, &pool))?;
    let network = Network {
        driver: DriverSpec::Bridge(spec),
        pools: vec![pool],
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
    Ok(ledger.commit(&[Change::PutNetwork(Network {
        phase: Phase::Detaching,
        ..network.clone()
    })])?)
}

/// Names of the containers that are on a network and stay.
fn containers_on(state: &State, network: NetworkId) -> Vec<String> {
    let standing = state
        .endpoints_on(network)
        .into_iter()
        .filter(|endpoint| state.stands(endpoint));
    standing
        .filter_map(|endpoint| state.container(endpoint.container))
        .map(|container| container.name.to_string())
        .collect()
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

fn default_bridge(
    state: &State,
    kernel: &dyn Kernel,
    settings: &Settings,
    present: Option<&Network>,
) -> Result<(BridgeSpec, PoolSpec), EngineError> {
    let bridge = match &settings.bridge {
        Some(existing) => existing.clone(),
        None => IfName::new("docker0")?,
    };
    let facts = kernel.host_interface(&bridge)?;
    let request = match (&settings.bridge, settings.bip) {
        (Some(_), _) => Some(existing_bridge(&bridge, facts.as_ref())?),
        (None, Some(bip)) => Some(PoolRequest {
            subnet: Some(Subnet::containing(bip)),
            gateway: Some(bip.ip()),
            range: settings.fixed_cidr,
            aux: BTreeMap::new(),
        }),
        (None, None) => None,
    };
    let kept = present
        .and_then(|network| network.pools.first())
        .filter(|_| request.is_none())
        .cloned();
    let mut pool = match kept {
        Some(pool) => pool,
        None => {
            let routes = kernel.routed_subnets()?;
            let mut used = used_subnets(state, &routes, present.map(|network| network.id));
            used.retain(
                |other| !matches!(&other.by, netd_ipam::UsedBy::HostRoute(name) if *name == bridge),
            );
            plan_pool(request.unwrap_or_default(), &settings.pools, &used)?
        }
    };
    // Nobody asks for an address on the default network, whoever chose its subnet.
    pool.subnet_given = false;
    pool.aux.remove(GATEWAY_NAME);
    if let Some(gateway) = settings
        .default_gateway
        .filter(|gateway| *gateway != pool.gateway)
    {
        pool.aux.insert(GATEWAY_NAME.to_owned(), gateway);
    }
    let spec = BridgeSpec {
        bridge,
        is_default: true,
        owned: settings.bridge.is_none(),
        mtu_bytes: settings.mtu_bytes,
        masquerade: settings.masquerade,
        icc: settings.icc,
        host_binding: settings.host_binding,
        gateway_override: settings.default_gateway,
    };
    Ok((spec, pool))
}

fn existing_bridge(
    name: &IfName,
    facts: Option<&HostInterface>,
) -> Result<PoolRequest, EngineError> {
    let refuse = |reason: &str| EngineError::Bridge {
        name: name.clone(),
        reason: reason.to_owned(),
    };
    let facts = facts.ok_or_else(|| {
        refuse("there is no such interface; make it first, with `ip link add NAME type bridge`")
    })?;
    if !facts.is_bridge {
        return Err(refuse("it is no bridge"));
    }
    let address = facts.addresses.iter().find(|address| address.is_ipv4());
    let address = address.ok_or_else(|| {
        refuse("it has no IPv4 address; give it one, with `ip addr add ADDRESS/PREFIX dev NAME`")
    })?;
    Ok(PoolRequest {
        subnet: Some(Subnet::containing(*address)),
        gateway: Some(address.ip()),
        range: None,
        aux: BTreeMap::new(),
    })
}

/// The default network may move only while nobody is on it. Its bridge loses the address that it had before the record
/// says so: a crash in between finds the same to do again.
fn leave_old_place(
    state: &State,
    kernel: &dyn Kernel,
    present: &Network,
    (spec, pool): (&BridgeSpec, &PoolSpec),
) -> Result<(), EngineError> {
    let Some(before) = present
        .pools
        .first()
        .filter(|before| before.gateway_address() != pool.gateway_address())
    else {
        return Ok(());
    };
    let containers = containers_on(state, present.id);
    if !containers.is_empty() {
        return Err(EngineError::DefaultMoved {
            from: before.subnet,
            to: pool.gateway_address(),
            containers,
        });
    }
    let stays = |old: &BridgeSpec| old.owned && old.bridge == spec.bridge;
    let is_there = kernel.host_interface(&spec.bridge)?.is_some();
    if is_there && present.bridge().is_some_and(stays) {
        kernel.apply(&[Op::RemoveAddress {
            netns: None,
            interface: spec.bridge.clone(),
            address: before.gateway_address(),
        }])?;
    }
    Ok(())
}
