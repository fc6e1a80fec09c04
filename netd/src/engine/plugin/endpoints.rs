//! Docker's endpoints: each is a container of netd's with one place on a network, until the engine tells more of it.
//!
//! An endpoint is made with its interface, whose inner end waits on the host until the engine takes it; that the engine
//! gives it to a sandbox and takes it back again needs nothing of netd. When the inner end goes with its namespace
//! (`lost` in [`repair`](crate::engine::repair)), so does the endpoint, whether or not the engine ever tells.

use std::net::IpAddr;
use std::sync::Arc;

use netd_drivers::{EndpointOptions, gateway_for};
use netd_model::{
    Container, ContainerId, ContainerName, Endpoint, Hostname, IfName, InterfacePrefix, Lease, Mac,
    NamespaceMode, Network, NetworkId, PublishRequest, PublishedPort,
};

use crate::engine::containers::Joining;
use crate::engine::ending::Ending;
use crate::engine::register::Facts;
use crate::engine::{DockerError, Engine, EngineError, NewContainer, Wish};
use crate::state::State;

/// An endpoint as an engine asks for it. netd knows it as a container of the same identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointAsked {
    /// The engine's identity of the network.
    pub network: NetworkId,
    /// The engine's identity of the endpoint.
    pub id: ContainerId,
    /// The addresses that the engine has chosen, at most one of each family; none leaves the choice to netd.
    pub addresses: Vec<IpAddr>,
    /// Ethernet address that the engine has chosen.
    pub mac: Option<Mac>,
}

/// An endpoint as an engine takes it into a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedOver {
    /// Name of netd's network.
    pub network: String,
    /// The interface to take, on the host.
    pub interface: IfName,
    /// Its other end, which stays there.
    pub outside: IfName,
    /// What interfaces inside are called, without their numbers.
    pub prefix: InterfacePrefix,
    /// Ethernet address of the interface.
    pub mac: Mac,
    /// Addresses of the interface.
    pub leases: Vec<Lease>,
    /// Next hops of the default routes; none on an internal network.
    pub gateways: Vec<IpAddr>,
}

impl Engine {
    /// Makes an endpoint with its interface. The same wish again gives the same answer.
    ///
    /// # Errors
    /// [`EngineError`]; nothing of the attempt is left then.
    pub async fn create_docker_endpoint(
        &self,
        asked: EndpointAsked,
    ) -> Result<HandedOver, EngineError> {
        let _house = self.house.read().await;
        let lane = self.containers.alone(asked.id).await;
        let (id, network) = (asked.id, asked.network);
        let known = self.look(move |state| {
            let network = state.docker_network(network);
            let network = network.ok_or(DockerError::UnknownNetwork(asked.network))?;
            Ok::<_, EngineError>((network.network, handed_over(state, id)))
        });
        let (network, there) = known.await??;
        if let Some(there) = there {
            let has = |address: &IpAddr| there.leases.iter().any(|lease| lease.address == *address);
            let is_alike =
                asked.addresses.iter().all(has) && asked.mac.is_none_or(|mac| mac == there.mac);
            return match is_alike {
                true => Ok(there),
                false => Err(DockerError::EndpointExists(id).into()),
            };
        }
        let facts = Facts {
            id,
            namespace: NamespaceMode::Docker,
            joined: None,
            sandbox: None,
            supervisor: None,
        };
        let new = new_container(&asked)?;
        let wish = new.wish.clone();
        self.arrive(new, facts, Some(network)).await?;
        let made = self.bring_up(id, Joining::First(network), wish).await;
        if let Err(error) = made {
            let undone = self.conclude(id).await;
            drop(lane);
            if let Err(undo) = undone {
                tracing::warn!(container = %id.short(), error = %undo.sentence(), "undoing waits for the next reconcile");
            }
            return Err(error);
        }
        self.docker_endpoint(id).await
    }

    /// An endpoint of a Docker engine.
    ///
    /// # Errors
    /// [`DockerError::UnknownEndpoint`].
    pub async fn docker_endpoint(&self, id: ContainerId) -> Result<HandedOver, EngineError> {
        let found = self.look(move |state| handed_over(state, id)).await?;
        Ok(found.ok_or(DockerError::UnknownEndpoint(id))?)
    }

    /// Takes an endpoint apart. Content if there is none.
    ///
    /// # Errors
    /// What could not be undone now, which stays recorded and is tried again.
    pub async fn delete_docker_endpoint(&self, id: ContainerId) -> Result<(), EngineError> {
        let known = self.look(move |state| of_docker(state, id).is_some());
        match known.await? {
            true => self.end_container(id, Ending::Forgotten).await,
            false => Ok(()),
        }
    }

    /// Publishes ports of an endpoint. What is published already stays.
    ///
    /// # Errors
    /// [`EngineError`] names the holder of a port that is taken; nothing new is published then.
    pub async fn publish_of_docker(
        &self,
        id: ContainerId,
        requests: Vec<PublishRequest>,
    ) -> Result<(), EngineError> {
        self.docker_endpoint(id).await?;
        match requests.is_empty() {
            true => Ok(()),
            false => self.publish(id, requests).await,
        }
    }

    /// Withdraws every published port of an endpoint. Content if there is none.
    ///
    /// # Errors
    /// What could not be withdrawn now.
    pub async fn unpublish_of_docker(&self, id: ContainerId) -> Result<(), EngineError> {
        let published = self.look(move |state| {
            let (_, endpoint) = of_docker(state, id)?;
            let ports = endpoint.ports.iter().cloned();
            Some(ports.map(as_request).collect::<Vec<_>>())
        });
        match published.await?.unwrap_or_default() {
            none if none.is_empty() => Ok(()),
            published => self.unpublish(id, published).await,
        }
    }
}

fn new_container(asked: &EndpointAsked) -> Result<NewContainer, EngineError> {
    // What the engine calls the container is learnt once it has joined.
    let name = name_of(asked.id);
    // The inner end stands on the host for a moment, where its name must be nobody else's.
    let digits: String = asked.id.to_string().chars().take(10).collect();
    let inside = IfName::new(&format!("netd-{digits}"))?;
    Ok(NewContainer {
        id: Some(asked.id),
        name: Some(ContainerName::new(&name)?),
        hostname: Some(Hostname::new(&name)?),
        wish: Wish {
            ips: asked.addresses.clone(),
            mac: asked.mac,
            options: EndpointOptions {
                inside: Some(inside),
                ..EndpointOptions::default()
            },
            ..Wish::default()
        },
        auto_remove: true,
        ..NewContainer::default()
    })
}

/// The name of a container of which only its identity is known.
fn name_of(id: ContainerId) -> String {
    format!("docker-{}", id.short())
}

/// A container of a Docker engine with its place.
pub(super) fn of_docker(
    state: &State,
    id: ContainerId,
) -> Option<(&Arc<Container>, Arc<Endpoint>)> {
    let container = state.container(id)?;
    let is_dockers = container.namespace == NamespaceMode::Docker;
    let endpoint = state.endpoints_of(id).into_iter().next();
    Some((container, endpoint?)).filter(|_| is_dockers)
}

fn handed_over(state: &State, id: ContainerId) -> Option<HandedOver> {
    let (container, endpoint) = of_docker(state, id)?;
    let network = state.network(endpoint.network)?;
    let spec = network.bridge()?;
    let interface = endpoint.interface.as_ref()?;
    container.is_running().then(|| HandedOver {
        network: network.name.to_string(),
        interface: interface.inside.clone(),
        outside: interface.outside.clone(),
        prefix: spec.interface_prefix.clone(),
        mac: interface.mac,
        gateways: gateways(network, &endpoint.leases),
        leases: endpoint.leases.clone(),
    })
}

fn gateways(network: &Network, leases: &[Lease]) -> Vec<IpAddr> {
    let spec = network.bridge().filter(|_| !network.policy.internal);
    let hop = |lease| gateway_for(network, spec?, lease);
    leases.iter().filter_map(hop).collect()
}

fn as_request(port: PublishedPort) -> PublishRequest {
    PublishRequest {
        protocol: port.protocol,
        host_ip: Some(port.host_ip),
        host_ports: Some(port.host_ports),
        container_ports: port.container_ports,
        from: port.from,
    }
}
