//! From records to the kernel state that they mean, by way of the drivers.

use netd_drivers::{
    Attachment, Forwarding, ResolverWish, endpoint_rules, plan_host, plan_network, plan_outside,
    plan_sandbox,
};
use netd_model::desired::{HostState, KernelState};
use netd_model::ruleset::{HostRules, PeerRules, RulesetChange};
use netd_model::{Container, EndpointId, InstanceId, NamespaceMode, Network, Phase, Ruleset};

use super::EngineError;
use crate::config::Settings;
use crate::state::State;

/// What a container wants of its namespace and the host, as if the endpoints `without` were not there.
pub(super) fn sandbox(
    state: &State,
    container: &Container,
    without: &[EndpointId],
) -> Result<KernelState, EngineError> {
    let is_dockers = container.namespace == NamespaceMode::Docker;
    if container.sandbox.is_none() && !is_dockers {
        return Ok(KernelState::default());
    }
    let endpoints = state.endpoints_of(container.id);
    let attachments: Vec<Attachment<'_>> = endpoints
        .iter()
        .filter(|endpoint| endpoint.phase != Phase::Detaching && !without.contains(&endpoint.id))
        .filter_map(|endpoint| {
            Some(Attachment {
                network: state.network(endpoint.network)?,
                endpoint,
            })
        })
        .collect();
    let instance = state.instance();
    Ok(match &container.sandbox {
        Some(sandbox) => plan_sandbox(sandbox, &attachments, instance, ResolverWish::Embedded)?,
        None => plan_outside(&attachments, instance)?,
    })
}

/// A container as it shall be while no flow is under way: endpoints that were never acknowledged do not count.
pub(super) fn standing_sandbox(
    state: &State,
    container: &Container,
) -> Result<KernelState, EngineError> {
    let leftovers = state.endpoints_of(container.id).into_iter();
    let leftovers = leftovers.filter(|endpoint| !state.stands(endpoint));
    let leftovers: Vec<_> = leftovers.map(|endpoint| endpoint.id).collect();
    sandbox(state, container, &leftovers)
}

/// A network with the containers that are on it, as they shall be while no flow is under way.
pub(super) fn network_with_containers(
    state: &State,
    network: &Network,
) -> Result<KernelState, EngineError> {
    let mut planned = KernelState {
        host: plan_network(network, state.instance())?.state,
        ..KernelState::default()
    };
    let endpoints = state.endpoints_on(network.id).into_iter();
    for endpoint in endpoints.filter(|endpoint| state.stands(endpoint)) {
        if let Some(container) = state.container(endpoint.container) {
            let plan = standing_sandbox(state, container)?;
            planned.host.veths.extend(plan.host.veths);
            planned.host.ifbs.extend(plan.host.ifbs);
            planned.host.sysctls.extend(plan.host.sysctls);
            planned.sandboxes.extend(plan.sandboxes);
        }
    }
    Ok(planned)
}

/// The change of the firewall that a network's records ask for.
pub(super) fn network_rules(
    network: &Network,
    instance: InstanceId,
) -> Result<Vec<RulesetChange>, EngineError> {
    let rules = plan_network(network, instance)?.rules;
    Ok(rules
        .into_iter()
        .map(|rules| RulesetChange::PutNetwork(network.id, rules))
        .collect())
}

/// The change of the firewall that an endpoint's records ask for.
pub(super) fn port_rules(state: &State, endpoint: EndpointId) -> Vec<RulesetChange> {
    let rules = state.endpoint(endpoint).and_then(|record| {
        let network = state.network(record.network)?;
        endpoint_rules(network, record)
    });
    match rules {
        Some(rules) => vec![RulesetChange::PutEndpoint(endpoint, rules)],
        None => vec![RulesetChange::RemoveEndpoint(endpoint)],
    }
}

/// What must hold for the host as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostWish {
    /// Whether netd sees to it that packets are forwarded.
    pub(super) forward: bool,
    /// Whether what is forwarded is dropped unless a rule accepts it, where it was netd who turned forwarding on.
    drops_strangers: bool,
    /// The boot and namespace that the daemon is in.
    pub(super) place: String,
}

impl HostWish {
    /// What the settings ask for in this boot and namespace.
    pub(super) fn new(settings: &Settings, place: String) -> Self {
        Self {
            forward: settings.ip_forward,
            drops_strangers: settings.ip_forward && !settings.ip_forward_no_drop,
            place,
        }
    }

    /// What it wants of the host besides the networks; `ipv6` says whether one of them has it.
    pub(super) fn links(&self, ipv6: bool) -> HostState {
        let forwarding = |needed: bool| match self.forward && needed {
            true => Forwarding::TurnOn,
            false => Forwarding::LeaveAlone,
        };
        plan_host(forwarding(true), forwarding(ipv6))
    }

    /// Its part of the firewall.
    pub(super) fn rules(&self, state: &State) -> HostRules {
        let is_ours = |noted: Option<&str>| noted == Some(self.place.as_str());
        let ours = is_ours(state.forwarding_turned_on());
        let ours_v6 = is_ours(state.ipv6_forwarding_turned_on());
        HostRules {
            drop_forwarded: self.drops_strangers && ours,
            drop_forwarded_v6: self.drops_strangers && ours_v6,
        }
    }
}

/// Whether containers of a network have IPv6 addresses.
pub(super) fn has_ipv6(network: &Network) -> bool {
    network.pools.iter().any(|pool| !pool.subnet.is_ipv4())
}

/// Everything that was acknowledged, as it shall be while no flow is under way, and what cannot be planned, each with its reason.
pub(super) fn everything(state: &State, host: &HostWish) -> (KernelState, Ruleset, Vec<String>) {
    let mut problems = Vec::new();
    let ipv6 = state.networks().any(|network| has_ipv6(network));
    let mut desired = KernelState {
        host: host.links(ipv6),
        ..KernelState::default()
    };
    let mut rules = Ruleset {
        host: host.rules(state),
        ..Ruleset::default()
    };
    for network in state
        .networks()
        .filter(|network| network.phase == Phase::Attached)
    {
        match plan_network(network, state.instance()) {
            Ok(plan) => {
                desired.host.bridges.extend(plan.state.bridges);
                desired.host.sysctls.extend(plan.state.sysctls);
                rules
                    .networks
                    .extend(plan.rules.map(|rules| (network.id, rules)));
            }
            Err(error) => problems.push(format!("network {}: {error}", network.name)),
        }
    }
    rules.allowed = state
        .allowances()
        .filter(|pair| {
            [pair.first(), pair.second()]
                .iter()
                .all(|id| rules.networks.contains_key(id))
        })
        .collect();
    desired.host.uplinks = super::uplinks::promised(state).collect();
    desired.host.routes = super::routes::promised(state).collect();
    rules.peers = super::routes::standing(state)
        .map(|route| (route.subnet, PeerRules::of(route)))
        .collect();
    for endpoint in state.endpoints().filter(|endpoint| state.stands(endpoint)) {
        if let Some(wanted) = state
            .network(endpoint.network)
            .and_then(|network| endpoint_rules(network, endpoint))
        {
            rules.endpoints.insert(endpoint.id, wanted);
        }
    }
    for container in state.containers().filter(|container| container.stands()) {
        match standing_sandbox(state, container) {
            Ok(plan) => {
                desired.host.veths.extend(plan.host.veths);
                desired.host.ifbs.extend(plan.host.ifbs);
                desired.host.sysctls.extend(plan.host.sysctls);
                desired.sandboxes.extend(plan.sandboxes);
            }
            Err(error) => problems.push(format!("container {}: {error}", container.name)),
        }
    }
    (desired, rules, problems)
}
