//! The record of a new network is written, or why it cannot be one: pure decisions over the state, made inside a ledger
//! turn.

use jiff::Timestamp;
use netd_api::NetworkRequest;
use netd_drivers::plan_network;
use netd_ipam::PoolRequest;
use netd_model::{DockerNetwork, DriverSpec, Network, NetworkId, Phase, Policy, Subnet};

use super::EngineError;
use super::networks::bridge_owner;
use super::pools::{Asked, Surroundings, pools};
use crate::ledger::Ledger;
use crate::store::{Change, DockerChange};

/// Who wants a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A person, or a runtime.
    User,
    /// A Docker engine, which has an identity for it, and may have asked for its subnets before.
    Docker {
        /// The identity.
        id: NetworkId,
        /// The subnets.
        claimed: Vec<Subnet>,
    },
}

/// What is known of a network to make besides the request.
pub(super) struct New {
    pub(super) id: NetworkId,
    pub(super) driver: DriverSpec,
    pub(super) config_from: Option<NetworkId>,
    pub(super) origin: Origin,
}

/// Writes the intent to have a network.
pub(super) fn intend(
    ledger: &mut Ledger,
    new: New,
    request: NetworkRequest,
    surroundings: &Surroundings,
) -> Result<Network, EngineError> {
    let state = ledger.state();
    if let Some(present) = state.network_named(&request.name) {
        if present.is_builtin() {
            return Err(EngineError::Builtin {
                name: present.name.to_string(),
                action: "made again",
            });
        }
        return Err(EngineError::NetworkExists {
            name: request.name,
            id: present.id.short(),
        });
    }
    let pools = match &new.driver {
        DriverSpec::Bridge(spec) => {
            if let Some(owner) = bridge_owner(state, &spec.bridge) {
                return Err(EngineError::InterfaceTaken {
                    name: spec.bridge.clone(),
                    reason: format!("belongs to network {owner}"),
                });
            }
            let asked = Asked {
                ipv4: request.ipv4,
                ipv6: request.ipv6,
                pools: request.pools.into_iter().map(pool_request).collect(),
            };
            pools(state, asked, surroundings)?
        }
        DriverSpec::Host | DriverSpec::Null | DriverSpec::Template(_) => Vec::new(),
    };
    let network = Network {
        id: new.id,
        name: request.name,
        created: Timestamp::now(),
        rank: state.next_rank(),
        driver: new.driver,
        pools,
        policy: Policy {
            internal: request.internal,
        },
        labels: request.labels,
        options: request.options,
        attachable: request.attachable,
        dns_servers: request.dns_servers,
        config_from: new.config_from,
        phase: Phase::Attaching,
        before: None,
    };
    // What the drivers cannot plan is refused before it is written.
    plan_network(&network, state.instance())?;
    let docker = match new.origin {
        Origin::User => None,
        Origin::Docker { id, .. } => {
            Some(Change::Docker(DockerChange::PutNetwork(DockerNetwork {
                id,
                network: network.id,
            })))
        }
    };
    let put = [Change::PutNetwork(network.clone())];
    ledger.commit(&put.into_iter().chain(docker).collect::<Vec<_>>())?;
    Ok(network)
}

fn pool_request(request: netd_api::PoolRequest) -> PoolRequest {
    PoolRequest {
        subnet: request.subnet,
        range: request.range,
        gateway: request.gateway,
        aux: request.aux,
    }
}
