//! Which subnets a new network gets: those that were asked for, and one of each family that was only named.
//!
//! Pure choices over the state, made inside a ledger turn; what may be given out is `netd_ipam`'s business.

use std::collections::BTreeSet;

use netd_ipam::{
    DefaultPool, PlanPoolError, PoolRequest, Used, UsedBy, plan_pool, unique_local_pool,
};
use netd_model::{IfName, InstanceId, NetworkId, PoolSpec, Subnet};

use super::{AskedError, EngineError};
use crate::state::State;

/// What a new network's subnets depend on besides the records.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    /// `default-address-pools`, of both families.
    pub(super) defaults: Vec<DefaultPool>,
    /// What the host routes, and through which interface.
    pub(super) routes: Vec<(Subnet, IfName)>,
    /// Subnets that the Docker engine which asks for this network has asked for before.
    pub(super) claimed: Vec<Subnet>,
}

/// What a new network is to have.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// `--ipv4`; `None` if nothing was said.
    pub(super) ipv4: Option<bool>,
    /// `--ipv6`; `None` if nothing was said: only with a subnet of it.
    pub(super) ipv6: Option<bool>,
    /// The subnets with their parts.
    pub(super) pools: Vec<PoolRequest>,
}

/// The pools of a new network, IPv4 first.
///
/// # Errors
/// [`EngineError`] names what contradicts itself, or who has a subnet already.
pub(super) fn pools(
    state: &State,
    asked: Asked,
    surroundings: &Surroundings,
) -> Result<Vec<PoolSpec>, EngineError> {
    let mut used = used_subnets(state, &surroundings.routes, None);
    used.retain(|used| used.by != UsedBy::Docker || !surroundings.claimed.contains(&used.subnet));
    let (v4, v6) = by_family(asked.pools);
    let wanted = [
        (Family::V4, v4, asked.ipv4.unwrap_or(true)),
        (Family::V6, v6, asked.ipv6.unwrap_or(false)),
    ];
    let said = [asked.ipv4, asked.ipv6];
    let mut pools = Vec::new();
    for ((family, requests, by_default), said) in wanted.into_iter().zip(said) {
        let request = match &requests[..] {
            [] if by_default => PoolRequest::default(),
            [] => continue,
            [only] if said != Some(false) => only.clone(),
            [first, ..] if said == Some(false) => return Err(contradiction(family, first)),
            [first, second, ..] => return Err(two_of_a_kind(first, second)),
            [_] => continue,
        };
        let defaults = family.defaults(&surroundings.defaults, state.instance());
        pools.push(plan_pool(request, &defaults, &used)?);
    }
    if pools.is_empty() {
        return Err(EngineError::Invalid(
            "a bridge network without IPv4 and without IPv6 has no addresses to give; leave out one of --ipv4=false and --ipv6=false"
                .to_owned(),
        ));
    }
    Ok(pools)
}

/// A pool that the daemon chooses for the default network.
///
/// # Errors
/// [`PlanPoolError`] when every default is in use.
pub(super) fn chosen(
    family: Family,
    request: Option<PoolRequest>,
    (defaults, instance): (&[DefaultPool], InstanceId),
    used: &[Used],
) -> Result<PoolSpec, PlanPoolError> {
    let defaults = family.defaults(defaults, instance);
    plan_pool(request.unwrap_or_default(), &defaults, used)
}

/// An IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    /// True if `subnet` is of it.
    pub(super) fn has(self, subnet: Subnet) -> bool {
        (self == Self::V4) == subnet.is_ipv4()
    }

    /// Where subnets come from that nobody named. Without a default for IPv6, they are the instance's own among the
    /// unique local addresses (RFC 4193).
    fn defaults(self, configured: &[DefaultPool], instance: InstanceId) -> Vec<DefaultPool> {
        let own = configured.iter().filter(|pool| self.has(pool.base));
        let own: Vec<DefaultPool> = own.copied().collect();
        match self {
            Self::V6 if own.is_empty() => unique_local_pool(instance).into_iter().collect(),
            Self::V4 | Self::V6 => own,
        }
    }
}

/// Requests by their family; one that names no subnet is about IPv4, where its parts will be missed.
fn by_family(requests: Vec<PoolRequest>) -> (Vec<PoolRequest>, Vec<PoolRequest>) {
    let is_v4 = |request: &PoolRequest| request.subnet.is_none_or(|subnet| subnet.is_ipv4());
    requests.into_iter().partition(is_v4)
}

fn subnet_of(request: &PoolRequest) -> String {
    let subnet = request.subnet.map(|subnet| subnet.to_string());
    subnet.unwrap_or_else(|| "one of the daemon's choice".to_owned())
}

fn contradiction(family: Family, request: &PoolRequest) -> EngineError {
    let (flag, name) = match family {
        Family::V4 => ("--ipv4=false", "IPv4"),
        Family::V6 => ("--ipv6=false", "IPv6"),
    };
    EngineError::Invalid(format!(
        "subnet {} is of {name}, which {flag} leaves out; drop one of the two",
        subnet_of(request)
    ))
}

fn two_of_a_kind(first: &PoolRequest, second: &PoolRequest) -> EngineError {
    let (first, second) = (subnet_of(first), subnet_of(second));
    AskedError::TwoSubnets { first, second }.into()
}

/// Subnets that cannot be given out, with who has them; `without` is not counted.
pub(super) fn used_subnets(
    state: &State,
    routes: &[(Subnet, IfName)],
    without: Option<NetworkId>,
) -> Vec<Used> {
    let networks = state
        .networks()
        .filter(|network| Some(network.id) != without)
        .flat_map(|network| {
            network.pools.iter().map(|pool| Used {
                subnet: pool.subnet,
                by: UsedBy::Network(network.name.clone()),
            })
        });
    let ours: BTreeSet<&IfName> = state
        .networks()
        .filter_map(|network| Some(&network.bridge()?.bridge))
        .collect();
    let routes = routes
        .iter()
        .filter(|(_, interface)| !ours.contains(interface))
        .map(|(subnet, interface)| Used {
            subnet: *subnet,
            by: UsedBy::HostRoute(interface.clone()),
        });
    let peers = state.peer_routes().map(|route| Used {
        subnet: route.subnet,
        by: UsedBy::PeerRoute(route.gateway),
    });
    // What a network has as well is the network's, as far as anybody else is concerned.
    let docker = state
        .docker_pools()
        .filter(|pool| state.network_with(pool.subnet).is_none())
        .map(|pool| Used {
            subnet: pool.subnet,
            by: UsedBy::Docker,
        });
    networks.chain(routes).chain(peers).chain(docker).collect()
}
