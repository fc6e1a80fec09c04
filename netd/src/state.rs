//! What netd knows, in memory, with the indexes that answer questions about it in logarithmic time.
//!
//! The state is the sum of its changes: [`State::apply`] is the only way to alter it, at run time and when a snapshot
//! is loaded. It decides nothing, waits for nothing and touches nothing outside itself.

mod apply;
mod companions;
mod docker;
mod links;
mod lookup;
mod ports;
mod routes;
mod uplinks;

pub use lookup::LookupError;
pub use ports::{EPHEMERAL, PortTable};

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use netd_ipam::Pool;
use netd_model::{
    Container, ContainerId, ContainerName, Endpoint, EndpointId, IfName, InstanceId, NetnsId,
    Network, NetworkId, NetworkName, NetworkPair, PeerRoute, Phase, RuntimeId, Subnet, Uplink,
};

use crate::store::{Change, DockerChange, Reservation, Snapshot};

/// Everything that netd knows.
#[derive(Debug)]
pub struct State {
    instance: InstanceId,
    forwarding_turned_on: Option<String>,
    ipv6_forwarding_turned_on: Option<String>,
    networks: BTreeMap<NetworkId, Arc<Network>>,
    network_names: BTreeMap<NetworkName, NetworkId>,
    /// With each network, those that it may talk to; each pair stands at both.
    allowed: BTreeMap<NetworkId, BTreeSet<NetworkId>>,
    containers: BTreeMap<ContainerId, Arc<Container>>,
    container_names: BTreeMap<ContainerName, ContainerId>,
    endpoints: BTreeMap<EndpointId, Arc<Endpoint>>,
    of_container: BTreeMap<ContainerId, BTreeSet<EndpointId>>,
    of_network: BTreeMap<NetworkId, BTreeSet<EndpointId>>,
    host_interfaces: BTreeMap<IfName, EndpointId>,
    by_netns: BTreeMap<NetnsId, ContainerId>,
    runtime_ids: BTreeMap<RuntimeId, ContainerId>,
    /// With each container, those that share its namespace or did.
    companions: BTreeMap<ContainerId, BTreeSet<ContainerId>>,
    /// With each container, those that have links to it.
    linked: BTreeMap<ContainerId, BTreeSet<ContainerId>>,
    boot: Option<String>,
    pools: BTreeMap<NetworkId, Vec<Pool>>,
    reservations: BTreeMap<(NetworkId, IpAddr), Reservation>,
    ports: PortTable,
    peer_routes: BTreeMap<Subnet, Arc<PeerRoute>>,
    uplinks: BTreeMap<IfName, Arc<Uplink>>,
    docker: docker::Docker,
    next_rank: u64,
}

impl State {
    /// The state that a snapshot holds.
    #[must_use]
    pub fn new(snapshot: Snapshot) -> Self {
        let mut state = Self {
            instance: snapshot.instance,
            forwarding_turned_on: snapshot.forwarding_turned_on,
            ipv6_forwarding_turned_on: snapshot.ipv6_forwarding_turned_on,
            networks: BTreeMap::new(),
            network_names: BTreeMap::new(),
            allowed: BTreeMap::new(),
            containers: BTreeMap::new(),
            container_names: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            of_container: BTreeMap::new(),
            of_network: BTreeMap::new(),
            host_interfaces: BTreeMap::new(),
            by_netns: BTreeMap::new(),
            runtime_ids: BTreeMap::new(),
            companions: BTreeMap::new(),
            linked: BTreeMap::new(),
            boot: snapshot.boot,
            pools: BTreeMap::new(),
            reservations: BTreeMap::new(),
            ports: PortTable::default(),
            peer_routes: BTreeMap::new(),
            uplinks: BTreeMap::new(),
            docker: docker::Docker::default(),
            next_rank: 1,
        };
        let networks = snapshot.networks.into_iter().map(Change::PutNetwork);
        let containers = snapshot.containers.into_iter().map(Change::PutContainer);
        let endpoints = snapshot.endpoints.into_iter().map(Change::PutEndpoint);
        let reservations = snapshot
            .reservations
            .into_iter()
            .map(Change::PutReservation);
        let allowances = snapshot.allowances.into_iter().map(Change::Allow);
        let routes = snapshot.routes.into_iter().map(Change::PutRoute);
        let uplinks = snapshot.uplinks.into_iter().map(Change::PutUplink);
        let pools = snapshot.docker_pools.into_iter();
        let held = snapshot.docker_addresses.into_iter();
        let docker = pools
            .map(|one| Change::Docker(DockerChange::PutPool(one)))
            .chain(held.map(|(pool, address)| Change::Docker(DockerChange::Hold(pool, address))))
            .chain(
                snapshot
                    .docker_networks
                    .into_iter()
                    .map(|one| Change::Docker(DockerChange::PutNetwork(one))),
            );
        for change in networks
            .chain(containers)
            .chain(endpoints)
            .chain(reservations)
            .chain(allowances)
            .chain(routes)
            .chain(uplinks)
            .chain(docker)
        {
            state.apply(&change);
        }
        state
    }

    /// Identity of the data root.
    #[must_use]
    pub fn instance(&self) -> InstanceId {
        self.instance
    }

    /// The boot and namespace in which netd turned forwarding on.
    #[must_use]
    pub fn forwarding_turned_on(&self) -> Option<&str> {
        self.forwarding_turned_on.as_deref()
    }

    /// The boot and namespace in which netd turned forwarding of IPv6 on.
    #[must_use]
    pub fn ipv6_forwarding_turned_on(&self) -> Option<&str> {
        self.ipv6_forwarding_turned_on.as_deref()
    }

    /// A rank that nothing had before.
    #[must_use]
    pub fn next_rank(&self) -> u64 {
        self.next_rank
    }

    /// Every network, by id.
    pub fn networks(&self) -> impl Iterator<Item = &Arc<Network>> {
        self.networks.values()
    }

    /// Every container, by id.
    pub fn containers(&self) -> impl Iterator<Item = &Arc<Container>> {
        self.containers.values()
    }

    /// Every endpoint, by id.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.endpoints.values()
    }

    /// A network.
    #[must_use]
    pub fn network(&self, id: NetworkId) -> Option<&Arc<Network>> {
        self.networks.get(&id)
    }

    /// A container.
    #[must_use]
    pub fn container(&self, id: ContainerId) -> Option<&Arc<Container>> {
        self.containers.get(&id)
    }

    /// An endpoint.
    #[must_use]
    pub fn endpoint(&self, id: EndpointId) -> Option<&Arc<Endpoint>> {
        self.endpoints.get(&id)
    }

    /// The container of a name.
    #[must_use]
    pub fn container_named(&self, name: &ContainerName) -> Option<&Arc<Container>> {
        self.container_names
            .get(name)
            .and_then(|id| self.containers.get(id))
    }

    /// The network of a name.
    #[must_use]
    pub fn network_named(&self, name: &NetworkName) -> Option<&Arc<Network>> {
        self.network_names
            .get(name)
            .and_then(|id| self.networks.get(id))
    }

    /// A container's endpoints, by age.
    #[must_use]
    pub fn endpoints_of(&self, container: ContainerId) -> Vec<Arc<Endpoint>> {
        self.sorted(self.of_container.get(&container))
    }

    /// A network's endpoints, by age.
    #[must_use]
    pub fn endpoints_on(&self, network: NetworkId) -> Vec<Arc<Endpoint>> {
        self.sorted(self.of_network.get(&network))
    }

    /// Number of endpoints on a network.
    #[must_use]
    pub fn count_on(&self, network: NetworkId) -> usize {
        self.of_network.get(&network).map_or(0, BTreeSet::len)
    }

    /// True if these two networks may talk.
    #[must_use]
    pub fn is_allowed(&self, pair: NetworkPair) -> bool {
        self.allowed
            .get(&pair.first())
            .is_some_and(|others| others.contains(&pair.second()))
    }

    /// Networks that a network may talk to, by id.
    pub fn allowed_with(&self, network: NetworkId) -> impl Iterator<Item = &Arc<Network>> {
        let others = self.allowed.get(&network).into_iter().flatten();
        others.filter_map(|other| self.networks.get(other))
    }

    /// Every pair of networks that may talk.
    pub fn allowances(&self) -> impl Iterator<Item = NetworkPair> {
        let pairs = self.allowed.iter().flat_map(|(network, others)| {
            let later = others.iter().filter(move |other| *other > network);
            later.map(move |other| NetworkPair::new(*network, *other))
        });
        pairs.flatten()
    }

    fn sorted(&self, ids: Option<&BTreeSet<EndpointId>>) -> Vec<Arc<Endpoint>> {
        let mut endpoints: Vec<_> = ids
            .into_iter()
            .flatten()
            .filter_map(|id| self.endpoints.get(id))
            .cloned()
            .collect();
        endpoints.sort_by_key(|endpoint| endpoint.rank);
        endpoints
    }

    /// A container's endpoints on a network, each with an interface of its own, by age.
    #[must_use]
    pub fn endpoints_between(
        &self,
        container: ContainerId,
        network: NetworkId,
    ) -> Vec<Arc<Endpoint>> {
        let mut endpoints = self.endpoints_of(container);
        endpoints.retain(|endpoint| endpoint.network == network);
        endpoints
    }

    /// True if an endpoint has a host interface of that name.
    #[must_use]
    pub fn has_host_interface(&self, name: &IfName) -> bool {
        self.host_interfaces.contains_key(name)
    }

    /// The container that an interface of the host leads to.
    #[must_use]
    pub fn container_with(&self, interface: &IfName) -> Option<&Arc<Container>> {
        let endpoint = self.host_interfaces.get(interface)?;
        self.containers
            .get(&self.endpoints.get(endpoint)?.container)
    }

    /// The container whose namespace it is.
    #[must_use]
    pub fn container_in(&self, netns: NetnsId) -> Option<&Arc<Container>> {
        self.by_netns
            .get(&netns)
            .and_then(|id| self.containers.get(id))
    }

    /// A network's pools.
    #[must_use]
    pub fn pools(&self, network: NetworkId) -> &[Pool] {
        self.pools.get(&network).map_or(&[], Vec::as_slice)
    }

    /// Addresses kept on a network for a name, those of an interface first.
    pub fn reserved_for<'a>(
        &'a self,
        network: NetworkId,
        container: &'a ContainerName,
    ) -> impl Iterator<Item = &'a Reservation> {
        self.reservations
            .range((network, IpAddr::from([0; 4]))..)
            .take_while(move |((id, _), _)| *id == network)
            .map(|(_, reservation)| reservation)
            .filter(move |reservation| reservation.container == *container)
    }

    /// Networks where an address is kept for a name.
    #[must_use]
    pub fn networks_reserving_for(&self, container: &ContainerName) -> BTreeSet<NetworkId> {
        let kept = self
            .reservations
            .values()
            .filter(|reservation| reservation.container == *container);
        kept.map(|reservation| reservation.network).collect()
    }

    /// Who has which host port.
    #[must_use]
    pub fn ports(&self) -> &PortTable {
        &self.ports
    }

    /// True if an endpoint was acknowledged and is not on its way out. While no flow is under way, every other is a
    /// leftover.
    #[must_use]
    pub fn stands(&self, endpoint: &Endpoint) -> bool {
        endpoint.phase == Phase::Attached
            && self
                .container(endpoint.container)
                .is_some_and(|container| container.stands())
    }

    /// Number of endpoints that are not on their way out.
    #[must_use]
    pub fn live_endpoints(&self) -> usize {
        self.endpoints
            .values()
            .filter(|endpoint| endpoint.phase != Phase::Detaching)
            .count()
    }
}
