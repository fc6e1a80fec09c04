//! Names between Docker's containers and those of others. Among its own the engine answers itself; netd has the names that it
//! learnt of Docker's for the others, and answers for the others at the gateways of Docker's networks, where the engine's
//! resolver asks if it was told to (`docker run --dns GATEWAY`).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use netd_model::{
    Alias, Container, ContainerId, ContainerName, Endpoint, Hostname, IfName, NamespaceMode,
    Network, NetworkId, Phase,
};

use super::endpoints::of_docker;
use crate::engine::names::has_names;
use crate::engine::{Engine, EngineError};
use crate::ledger::Ledger;
use crate::state::State;
use crate::store::Change;

/// What an engine calls a container. What netd cannot say is passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DockerNames {
    /// Its name.
    pub name: String,
    /// What it calls itself.
    pub hostname: String,
    /// Its further names on the network.
    pub aliases: Vec<String>,
}

impl Engine {
    /// Gives an endpoint of a Docker engine the names that its container has there. Content if it is gone.
    ///
    /// # Errors
    /// [`EngineError`] when the store does not take them.
    pub async fn name_docker_endpoint(
        &self,
        id: ContainerId,
        names: DockerNames,
    ) -> Result<(), EngineError> {
        let _house = self.house.read().await;
        let _lane = self.containers.alone(id).await;
        let zones = std::sync::Arc::clone(&self.names);
        self.turns
            .take(move |ledger| {
                let endpoint = rename(ledger, id, &names)?;
                if let Some(endpoint) = endpoint {
                    zones.publish_endpoint(ledger.state(), &endpoint);
                }
                Ok(())
            })
            .await?
    }

    /// Endpoints of Docker engines, each with what the engines call its network.
    ///
    /// # Errors
    /// [`EngineError::Closed`] when the daemon is ending.
    pub async fn docker_endpoints(&self) -> Result<Vec<(NetworkId, ContainerId)>, EngineError> {
        self.look(|state| {
            let dockers = state
                .containers()
                .filter(|one| one.namespace == NamespaceMode::Docker);
            let with_networks = dockers.flat_map(|one| {
                let networks = state.endpoints_of(one.id).into_iter();
                networks.flat_map(move |endpoint| {
                    let identities = state.docker_identities(endpoint.network);
                    identities.map(move |identity| (identity, one.id))
                })
            });
            with_networks.collect()
        })
        .await
    }

    /// Answers names at the gateways of Docker's networks, and stops where a network is none of Docker's any more.
    pub(in crate::engine) async fn see_to_gateways(&self) {
        let _turn = self.names.gateways_turn().await;
        self.open_gateways().await;
    }

    /// As [`Engine::see_to_gateways`], with new sockets: a bridge that was made anew is not the one they were bound to.
    pub(in crate::engine) async fn renew_gateways(&self) {
        let _turn = self.names.gateways_turn().await;
        self.names.keep_gateways(&BTreeSet::new()).await;
        self.open_gateways().await;
    }

    async fn open_gateways(&self) {
        let Ok(wanted) = self.look(gateways).await else {
            return;
        };
        let ids: BTreeSet<NetworkId> = wanted.iter().map(|gateway| gateway.network).collect();
        self.names.keep_gateways(&ids).await;
        for gateway in wanted {
            if self.names.serves_gateway(gateway.network) {
                continue;
            }
            let Err(error) = self.open_gateway(&gateway).await else {
                continue;
            };
            // One that was removed meanwhile is nobody's gateway any more.
            if self.is_gateway(gateway.network).await {
                tracing::warn!(bridge = %gateway.bridge, error = %error.sentence(), "Docker's containers cannot ask for names at their gateway");
            }
        }
    }

    async fn open_gateway(&self, gateway: &Gateway) -> Result<(), EngineError> {
        let (network, bridge, address) = (gateway.network, gateway.bridge.clone(), gateway.address);
        let sockets = self
            .kernel(move |kernel| kernel.open_gateway_resolver(&bridge, address))
            .await?;
        let names = std::sync::Arc::clone(&self.names);
        self.look(move |state| names.serve_gateway(state, network, sockets))
            .await?
    }

    async fn is_gateway(&self, network: NetworkId) -> bool {
        let wanted = self.look(gateways).await.unwrap_or_default();
        wanted.iter().any(|gateway| gateway.network == network)
    }
}

/// Where the names of a network are answered on the host.
struct Gateway {
    network: NetworkId,
    bridge: IfName,
    address: Ipv4Addr,
}

fn gateways(state: &State) -> Vec<Gateway> {
    let dockers = state
        .networks()
        .filter(|network| network.phase == Phase::Attached && has_names(network))
        .filter(|network| state.docker_identities(network.id).next().is_some());
    dockers.filter_map(|network| gateway(network)).collect()
}

fn gateway(network: &Network) -> Option<Gateway> {
    let spec = network.bridge().filter(|spec| spec.has_ipv4_address)?;
    let mut pools = network.pools.iter();
    let address = pools.find_map(|pool| match pool.gateway {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    })?;
    Some(Gateway {
        network: network.id,
        bridge: spec.bridge.clone(),
        address,
    })
}

/// Writes the names; gives the endpoint that has others than before. A name that another container of netd's has is only an
/// alias.
fn rename(
    ledger: &mut Ledger,
    id: ContainerId,
    names: &DockerNames,
) -> Result<Option<Endpoint>, EngineError> {
    let state = ledger.state();
    let Some((container, endpoint)) = of_docker(state, id) else {
        return Ok(None);
    };
    let free = |name: &ContainerName| state.container_named(name).is_none_or(|one| one.id == id);
    let name = ContainerName::new(&names.name).ok().filter(free);
    let renamed = Container {
        name: name.unwrap_or_else(|| container.name.clone()),
        hostname: Hostname::new(&names.hostname).unwrap_or_else(|_| container.hostname.clone()),
        ..Container::clone(container)
    };
    let mut aliases: Vec<Alias> = Vec::new();
    for alias in names.aliases.iter().chain([&names.name]) {
        let Ok(alias) = Alias::new(alias) else {
            continue;
        };
        if alias.as_str() != renamed.name.as_str() && !aliases.contains(&alias) {
            aliases.push(alias);
        }
    }
    if renamed == **container && aliases == endpoint.aliases {
        return Ok(None);
    }
    let endpoint = Endpoint {
        aliases,
        ..Endpoint::clone(&endpoint)
    };
    ledger.commit(&[
        Change::PutContainer(renamed),
        Change::PutEndpoint(endpoint.clone()),
    ])?;
    Ok(Some(endpoint))
}
