//! Configurations without a network (`--config-only`), and networks made from them (`--config-from`).
//!
//! A network takes over what its configuration says when it is made; later they have nothing to do with each other, but
//! that a configuration stays for as long as a network shows it as its own.

use std::sync::Arc;

use netd_api::NetworkRequest;
use netd_drivers::parse_bridge_options;
use netd_ipam::{PoolRequest, plan_pool};
use netd_model::network::{PoolWish, Template};
use netd_model::{DriverSpec, Network, NetworkId, Phase};
use tokio::sync::OwnedRwLockReadGuard;

use super::networks::bridge_defaults;
use super::{Engine, EngineError};
use crate::config::Settings;
use crate::state::State;

/// A configuration that stays while this value lives.
pub(super) struct Source {
    pub(super) id: NetworkId,
    _lane: OwnedRwLockReadGuard<()>,
}

impl Engine {
    /// Puts into a request what the configuration that it names says.
    pub(super) async fn fill_from_template(
        &self,
        request: NetworkRequest,
    ) -> Result<(NetworkRequest, Option<Source>), EngineError> {
        let Some(word) = request.config_from.clone() else {
            return Ok((request, None));
        };
        check_dependent(&request, &word)?;
        let found = self.find_network(&word).await?;
        let id = found.id;
        let lane = self.networks.shared(id).await;
        let network = self.look(move |state| state.network(id).cloned()).await?;
        let network = network.filter(|network| network.phase == Phase::Attached);
        let Some(network) = network else {
            return Err(EngineError::NetworkNotFound(word));
        };
        let DriverSpec::Template(template) = &network.driver else {
            return Err(EngineError::Invalid(format!(
                "network {} is no configuration; --config-from takes one that was made with --config-only",
                network.name
            )));
        };
        let request = NetworkRequest {
            ipv4: template.ipv4,
            ipv6: template.ipv6,
            pools: template.pools.iter().map(asked).collect(),
            options: network.options.clone(),
            labels: network.labels.clone(),
            dns_servers: network.dns_servers.clone(),
            ..request
        };
        Ok((request, Some(Source { id, _lane: lane })))
    }
}

/// A network that takes its configuration elsewhere has none of its own, as in Docker.
fn check_dependent(request: &NetworkRequest, from: &str) -> Result<(), EngineError> {
    let refuse = |what: &str| {
        Err(EngineError::Invalid(format!(
            "network {}: {what} and --config-from {from} exclude each other: the configuration says it; leave one of them out",
            request.name
        )))
    };
    if request.config_only {
        return Err(EngineError::Invalid(format!(
            "network {}: --config-only and --config-from exclude each other: a configuration cannot depend on another",
            request.name
        )));
    }
    let own = [
        ("--subnet", !request.pools.is_empty()),
        ("--ipv4", request.ipv4.is_some()),
        ("--ipv6", request.ipv6.is_some()),
        ("--opt", !request.options.is_empty()),
        ("--label", !request.labels.is_empty()),
        ("--dns", !request.dns_servers.is_empty()),
    ];
    match own.iter().find(|(_, given)| *given) {
        Some((what, _)) => refuse(what),
        None => Ok(()),
    }
}

/// The configuration that a request describes. It is checked as if a network were made from it now.
pub(super) fn template(
    request: &NetworkRequest,
    settings: &Settings,
) -> Result<Template, EngineError> {
    let of_a_network = [
        ("--internal", request.internal),
        ("--attachable", request.attachable),
    ];
    if let Some((what, _)) = of_a_network.iter().find(|(_, given)| *given) {
        return Err(EngineError::Invalid(format!(
            "network {}: --config-only and {what} exclude each other: give {what} to the networks that are made from the configuration",
            request.name
        )));
    }
    parse_bridge_options(&request.options, bridge_defaults(settings))?;
    for pool in &request.pools {
        let wish = PoolRequest {
            subnet: pool.subnet,
            range: pool.range,
            gateway: pool.gateway,
            aux: pool.aux.clone(),
        };
        plan_pool(wish, &settings.pools, &[])?;
    }
    let wish = |pool: &netd_api::PoolRequest| PoolWish {
        subnet: pool.subnet,
        range: pool.range,
        gateway: pool.gateway,
        aux: pool.aux.clone(),
    };
    Ok(Template {
        ipv4: request.ipv4,
        ipv6: request.ipv6,
        pools: request.pools.iter().map(wish).collect(),
    })
}

fn asked(wish: &PoolWish) -> netd_api::PoolRequest {
    netd_api::PoolRequest {
        subnet: wish.subnet,
        range: wish.range,
        gateway: wish.gateway,
        aux: wish.aux.clone(),
    }
}

/// Refuses the removal of a configuration that networks were made from.
pub(super) fn check_unused(state: &State, network: &Network) -> Result<(), EngineError> {
    let made_from = |other: &&Arc<Network>| other.config_from == Some(network.id);
    let users: Vec<String> = state
        .networks()
        .filter(made_from)
        .map(|other| other.name.to_string())
        .collect();
    if users.is_empty() {
        return Ok(());
    }
    Err(EngineError::ConfigurationInUse {
        network: network.name.clone(),
        users,
    })
}
