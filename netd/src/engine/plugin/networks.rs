//! Docker's networks: each is one of netd's, made for it, or one that is there and that its user names.

use std::sync::Arc;

use netd_api::{NetworkRequest, PoolRequest};
use netd_model::{DockerNetwork, DriverSpec, Network, NetworkId, NetworkName, Phase, Subnet};

use crate::engine::making::Origin;
use crate::engine::{DockerError, Engine, EngineError};
use crate::ledger::Ledger;
use crate::state::State;
use crate::store::{Change, DockerChange};

/// A network as an engine asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkAsked {
    /// The engine's identity of it.
    pub id: NetworkId,
    /// The network of netd that is meant, or how a new one is to be called.
    pub name: Option<NetworkName>,
    /// What it is to be.
    pub request: NetworkRequest,
}

impl NetworkAsked {
    /// The name that a network has whose user gave none: the engine does not tell what it is called there.
    ///
    /// # Errors
    /// None in practice: the form is a valid name for every id.
    pub fn name_of(id: NetworkId) -> Result<NetworkName, EngineError> {
        Ok(NetworkName::new(&format!("docker-{}", id.short()))?)
    }
}

impl Engine {
    /// Makes a network for a Docker engine, or lets it have one that is there. The same wish again changes nothing.
    ///
    /// # Errors
    /// [`EngineError`] says what is in the way; nothing is left then.
    pub async fn create_docker_network(&self, asked: NetworkAsked) -> Result<(), EngineError> {
        self.make_docker_network(asked).await?;
        self.see_to_gateways().await;
        Ok(())
    }

    async fn make_docker_network(&self, asked: NetworkAsked) -> Result<(), EngineError> {
        // One after another, so that two engines that name one network make it once.
        let _one = self.describing.lock().await;
        let wish = asked.clone();
        let bound = self.turns.take(move |ledger| bind(ledger, &wish)).await??;
        if bound {
            return Ok(());
        }
        let subnets = asked.request.pools.iter().filter_map(|pool| pool.subnet);
        let subnets: Vec<Subnet> = subnets.collect();
        let (request, claimed) = self
            .look(move |state| {
                check_subnets(state, &subnets)?;
                let claimed = subnets
                    .into_iter()
                    .filter(|subnet| state.docker_pool(*subnet).is_some());
                Ok::<_, EngineError>((with_ranges(state, asked.request), claimed.collect()))
            })
            .await??;
        let origin = Origin::Docker {
            id: asked.id,
            claimed,
        };
        self.create_network_for(origin, request).await?;
        Ok(())
    }

    /// Takes a network from a Docker engine. One that was made for it goes, unless others are on it: an engine forgets its
    /// network whatever it is answered, so then it stays as one of netd's. Content if there is none.
    ///
    /// # Errors
    /// What could not be undone now, which stays recorded and is tried again.
    pub async fn delete_docker_network(&self, id: NetworkId) -> Result<(), EngineError> {
        let deleted = self.unmake_docker_network(id).await;
        self.see_to_gateways().await;
        deleted
    }

    async fn unmake_docker_network(&self, id: NetworkId) -> Result<(), EngineError> {
        let known = self.look(move |state| state.docker_network(id)).await?;
        let Some(known) = known else {
            return Ok(());
        };
        if known.is_own() {
            match self.remove_network_known_as(known.network, Some(id)).await {
                Ok(()) | Err(EngineError::NetworkNotFound(_)) => return Ok(()),
                Err(
                    used @ (EngineError::InUse { .. }
                    | EngineError::Way(_)
                    | EngineError::Docker(_)),
                ) => {
                    tracing::warn!(
                        "Docker's engine has removed a network that stays as one of netd's: {}",
                        used.sentence()
                    );
                }
                Err(failed) => return Err(failed),
            }
        }
        self.turns
            .take(move |ledger| {
                Ok(ledger.commit(&[Change::Docker(DockerChange::RemoveNetwork(id))])?)
            })
            .await?
    }
}

/// Lets an engine have the network that it means, if it is there; tells whether it is.
fn bind(ledger: &mut Ledger, asked: &NetworkAsked) -> Result<bool, EngineError> {
    let state = ledger.state();
    if state.docker_network(asked.id).is_some() {
        return Ok(true);
    }
    let Some(network) = asked
        .name
        .as_ref()
        .and_then(|name| state.network_named(name))
    else {
        return Ok(false);
    };
    if network.is_builtin() || network.phase != Phase::Attached {
        return Err(EngineError::Builtin {
            name: network.name.to_string(),
            action: "used by Docker's plugin",
        });
    }
    check_alike(network, &asked.request)?;
    let known = DockerNetwork {
        id: asked.id,
        network: network.id,
    };
    ledger.commit(&[Change::Docker(DockerChange::PutNetwork(known))])?;
    Ok(true)
}

/// The engine tells its containers subnet and gateway of its own book, so they have to be those of the network.
fn check_alike(network: &Arc<Network>, request: &NetworkRequest) -> Result<(), EngineError> {
    let differs = |has: String, asked: String| {
        let network = network.name.clone();
        Err(DockerError::Differs {
            network,
            has,
            asked,
        }
        .into())
    };
    if !matches!(network.driver, DriverSpec::Bridge(_)) {
        return differs(
            format!("driver {}", network.driver.name()),
            "driver bridge".to_owned(),
        );
    }
    for pool in &request.pools {
        let Some(subnet) = pool.subnet else { continue };
        let mut pools = network.pools.iter();
        let Some(has) = pools.find(|has| has.subnet == subnet) else {
            let has: Vec<_> = network
                .pools
                .iter()
                .map(|has| has.subnet.to_string())
                .collect();
            return differs(
                format!("subnet {}", has.join(" and ")),
                format!("subnet {subnet}"),
            );
        };
        if pool.gateway.is_some_and(|gateway| gateway != has.gateway) {
            let asked = pool.gateway.map(|gateway| gateway.to_string());
            return differs(
                format!("gateway {}", has.gateway),
                format!("gateway {}", asked.unwrap_or_default()),
            );
        }
    }
    let internal = |internal: bool| format!("internal {internal}");
    if network.policy.internal != request.internal {
        return differs(
            internal(network.policy.internal),
            internal(request.internal),
        );
    }
    match request.options.iter().find(|option| {
        let (key, value) = option;
        network.options.get(*key) != Some(*value)
    }) {
        Some((key, value)) => differs("no such option".to_owned(), format!("option {key}={value}")),
        None => Ok(()),
    }
}

/// A subnet that is a network's is had by its name only.
fn check_subnets(state: &State, subnets: &[Subnet]) -> Result<(), EngineError> {
    let taken = subnets
        .iter()
        .find_map(|subnet| Some((*subnet, state.network_with(*subnet)?)));
    match taken {
        Some((subnet, network)) => Err(DockerError::SubnetOf {
            subnet,
            network: network.name.clone(),
        }
        .into()),
        None => Ok(()),
    }
}

/// The engine does not tell the ranges that it asked for with the pools.
fn with_ranges(state: &State, request: NetworkRequest) -> NetworkRequest {
    let with_range = |pool: PoolRequest| {
        let asked = pool.subnet.and_then(|subnet| state.docker_pool(subnet));
        PoolRequest {
            range: asked.and_then(|asked| asked.range),
            ..pool
        }
    };
    NetworkRequest {
        pools: request.pools.into_iter().map(with_range).collect(),
        ..request
    }
}

/// A network that a Docker engine has goes with the engine's own.
pub(in crate::engine) fn check_not_dockers(
    state: &State,
    network: &Network,
    but: Option<NetworkId>,
) -> Result<(), EngineError> {
    let mut others = state.docker_identities(network.id);
    match others.find(|identity| Some(*identity) != but) {
        Some(identity) => Err(DockerError::NetworkOfDocker {
            network: network.name.clone(),
            identity,
        }
        .into()),
        None => Ok(()),
    }
}
