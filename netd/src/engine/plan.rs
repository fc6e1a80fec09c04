//! From records to the kernel state that they mean, by way of the drivers.

use netd_drivers::{
    Attachment, Forwarding, ResolverWish, endpoint_rules, plan_host, plan_network, plan_sandbox,
};
use netd_model::desired::KernelState;
use netd_model::ruleset::{HostRules, RulesetChange};
use netd_model::{Container, EndpointId, InstanceId, Network, Phase, Ruleset};

use super::EngineError;
use crate::config::Settings;
use crate::state::State;

/// What a container wants of its namespace and the host, as if the endpoints `without` were not there.
pub(super) fn sandbox(
    state: &State,
    container: &Container,
    without: &[EndpointId],
) -> Result<KernelState, EngineError> {
    let Some(sandbox) = &container.sandbox else {
        return Ok(KernelState::default());
    };
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
    Ok(plan_sandbox(
        sandbox,
        &attachments,
        state.instance(),
        ResolverWish::Embedded,
    )?)
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HostWish {
    /// Whether netd sees to it that packets are forwarded.
    pub(super) forward: bool,
    /// Whether what is forwarded is dropped unless a rule accepts it.
    pub(super) drop_forwarded: bool,
}

impl HostWish {
    /// What the settings ask for; `ours` says that it was netd who turned forwarding on.
    pub(super) fn new(settings: &Settings, ours: bool) -> Self {
        let drop_forwarded = settings.ip_forward && ours && !settings.ip_forward_no_drop;
        Self {
            forward: settings.ip_forward,
            drop_forwarded,
        }
    }
}

/// Everything that was acknowledged, as it shall be while no flow is under way, and what cannot be planned, each with its reason.
pub(super) fn everything(state: &State, host: HostWish) -> (KernelState, Ruleset, Vec<String>) {
    let mut problems = Vec::new();
    let forwarding = if host.forward {
        Forwarding::TurnOn
    } else {
        Forwarding::LeaveAlone
    };
    let mut desired = KernelState {
        host: plan_host(forwarding),
        ..KernelState::default()
    };
    let mut rules = Ruleset {
        host: HostRules {
            drop_forwarded: host.drop_forwarded,
        },
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
                desired.host.sysctls.extend(plan.host.sysctls);
                desired.sandboxes.extend(plan.sandboxes);
            }
            Err(error) => problems.push(format!("container {}: {error}", container.name)),
        }
    }
    (desired, rules, problems)
}
