//! One change of the state, with every index that it touches. A change that was committed cannot be refused any more.

use std::net::IpAddr;
use std::sync::Arc;

use netd_ipam::{Claim, Pool};
use netd_model::{
    ContainerId, ContainerName, Endpoint, EndpointId, IfName, Network, NetworkId, NetworkPair,
};

use super::State;
use crate::store::{Change, DockerChange, Reservation};

impl State {
    /// Makes one change, which the journal has.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::PutNetwork(network) => self.put_network(network),
            Change::RemoveNetwork(id) => {
                if let Some(network) = self.networks.remove(id) {
                    self.network_names.remove(&network.name);
                }
                self.pools.remove(id);
                self.of_network.remove(id);
                self.reservations.retain(|(network, _), _| network != id);
                self.drop_uplinks_of(*id);
                self.docker.drop_network(*id);
                for other in self.allowed.get(id).cloned().unwrap_or_default() {
                    if let Some(pair) = NetworkPair::new(*id, other) {
                        self.deny(pair);
                    }
                }
            }
            Change::PutContainer(container) => {
                self.drop_container(container.id);
                self.container_names
                    .insert(container.name.clone(), container.id);
                if let Some(sandbox) = &container.sandbox {
                    self.by_netns.insert(sandbox.netns, container.id);
                }
                if let Some(runtime_id) = &container.runtime_id {
                    self.runtime_ids.insert(runtime_id.clone(), container.id);
                }
                self.index_companion(container);
                self.index_links(container);
                self.containers
                    .insert(container.id, Arc::new(container.clone()));
            }
            Change::RemoveContainer(id) => {
                self.drop_container(*id);
                self.of_container.remove(id);
            }
            Change::PutEndpoint(endpoint) => self.put_endpoint(endpoint),
            Change::RemoveEndpoint(id) => self.drop_endpoint(*id),
            Change::PutReservation(reservation) => self.put_reservation(reservation),
            Change::RemoveReservations(network, container) => {
                self.drop_reservations(*network, container, |_| true);
            }
            Change::RemoveReservationsFor(network, container, interface) => {
                let same = |kept: &Option<IfName>| kept.is_none() || kept == interface;
                self.drop_reservations(*network, container, same);
            }
            Change::Allow(pair) => {
                for (one, other) in both_ways(*pair) {
                    self.allowed.entry(one).or_default().insert(other);
                }
            }
            Change::Deny(pair) => self.deny(*pair),
            Change::PutRoute(route) => self.put_peer_route(route),
            Change::RemoveRoute(subnet) => self.drop_peer_route(*subnet),
            Change::PutUplink(uplink) => self.put_uplink(uplink),
            Change::RemoveUplink(device) => self.drop_uplink(device),
            Change::Docker(change) => self.apply_of_docker(change),
            Change::ForwardingTurnedOn(place) => self.forwarding_turned_on = Some(place.clone()),
            Change::Booted(boot) => self.boot = Some(boot.clone()),
            Change::Ipv6ForwardingTurnedOn(place) => {
                self.ipv6_forwarding_turned_on = Some(place.clone());
            }
        }
    }

    fn apply_of_docker(&mut self, change: &DockerChange) {
        match change {
            DockerChange::PutPool(pool) => self.docker.put_pool(pool),
            DockerChange::RemovePool(subnet) => {
                for address in self.docker.drop_pool(*subnet) {
                    self.let_go(address);
                }
            }
            DockerChange::Hold(pool, address) => {
                self.docker.hold(*pool, *address);
                self.hold(*address);
            }
            DockerChange::LetGo(address) => {
                self.docker.let_go(*address);
                self.let_go(*address);
            }
            DockerChange::PutNetwork(network) => self.docker.put_network(*network),
            DockerChange::RemoveNetwork(id) => self.docker.remove_network(*id),
        }
    }

    fn deny(&mut self, pair: NetworkPair) {
        for (one, other) in both_ways(pair) {
            if let Some(others) = self.allowed.get_mut(&one) {
                others.remove(&other);
                if others.is_empty() {
                    self.allowed.remove(&one);
                }
            }
        }
    }

    fn put_network(&mut self, network: &Network) {
        self.next_rank = self.next_rank.max(network.rank + 1);
        let before = self.networks.insert(network.id, Arc::new(network.clone()));
        if let Some(before) = &before {
            self.network_names.remove(&before.name);
        }
        self.network_names.insert(network.name.clone(), network.id);
        if before.is_none_or(|before| before.pools != network.pools) {
            let pools = network.pools.iter().map(Pool::new).collect();
            self.pools.insert(network.id, pools);
            self.fill_pools(network.id);
        }
    }

    /// Tells new pools of a network what is leased and kept there.
    fn fill_pools(&mut self, network: NetworkId) {
        for endpoint in self.endpoints_on(network) {
            self.lease(&endpoint);
        }
        let of_network = (network, IpAddr::from([0; 4]))..;
        let kept: Vec<Reservation> = self
            .reservations
            .range(of_network)
            .take_while(|((id, _), _)| *id == network)
            .map(|(_, reservation)| reservation.clone())
            .collect();
        kept.iter()
            .for_each(|reservation| self.reserve(reservation));
        let pools = self.pools(network).iter();
        let held: Vec<IpAddr> = pools
            .flat_map(|pool| self.docker.held_in(pool.subnet()))
            .collect();
        held.into_iter().for_each(|address| self.hold(address));
    }

    fn drop_container(&mut self, id: ContainerId) {
        let Some(before) = self.containers.remove(&id) else {
            return;
        };
        self.container_names.remove(&before.name);
        self.unindex_companion(&before);
        self.unindex_links(&before);
        if let Some(sandbox) = &before.sandbox {
            self.by_netns.remove(&sandbox.netns);
        }
        if let Some(runtime_id) = &before.runtime_id {
            self.runtime_ids.remove(runtime_id);
        }
    }

    fn put_endpoint(&mut self, endpoint: &Endpoint) {
        let before = self.endpoints.get_mut(&endpoint.id);
        if let Some(before) = before.filter(|before| is_indexed_alike(before, endpoint)) {
            *before = Arc::new(endpoint.clone());
            return;
        }
        self.drop_endpoint(endpoint.id);
        self.next_rank = self.next_rank.max(endpoint.rank + 1);
        self.of_container
            .entry(endpoint.container)
            .or_default()
            .insert(endpoint.id);
        self.of_network
            .entry(endpoint.network)
            .or_default()
            .insert(endpoint.id);
        self.ports.put(endpoint);
        if let Some(interface) = &endpoint.interface {
            self.host_interfaces
                .insert(interface.outside.clone(), endpoint.id);
        }
        self.lease(endpoint);
        self.endpoints
            .insert(endpoint.id, Arc::new(endpoint.clone()));
    }

    fn lease(&mut self, endpoint: &Endpoint) {
        let name = self
            .containers
            .get(&endpoint.container)
            .map(|container| container.name.clone());
        for lease in &endpoint.leases {
            let pool = self
                .pools
                .get_mut(&endpoint.network)
                .and_then(|pools| pool_of(pools, lease.address));
            if let (Some(pool), Some(name)) = (pool, name.clone())
                && let Err(error) = pool.lease(lease.address, name)
            {
                // The store's constraints make this impossible; if it happens all the same, the record stands.
                tracing::error!(endpoint = %endpoint.id, %error, "a lease of the store does not fit its pool");
            }
        }
    }

    fn drop_endpoint(&mut self, id: EndpointId) {
        let Some(endpoint) = self.endpoints.remove(&id) else {
            return;
        };
        if let Some(ids) = self.of_container.get_mut(&endpoint.container) {
            ids.remove(&id);
        }
        if let Some(ids) = self.of_network.get_mut(&endpoint.network) {
            ids.remove(&id);
        }
        self.ports.remove(&endpoint);
        if let Some(interface) = &endpoint.interface {
            self.host_interfaces.remove(&interface.outside);
        }
        for lease in &endpoint.leases {
            if let Some(pool) = self
                .pools
                .get_mut(&endpoint.network)
                .and_then(|pools| pool_of(pools, lease.address))
            {
                pool.release(lease.address);
            }
        }
    }

    fn put_reservation(&mut self, reservation: &Reservation) {
        let key = (reservation.network, reservation.address);
        let before = self.reservations.insert(key, reservation.clone());
        if let Some(before) = before.filter(|before| before.container != reservation.container)
            && let Some(pool) = self
                .pools
                .get_mut(&key.0)
                .and_then(|pools| pool_of(pools, key.1))
        {
            pool.unreserve(key.1, &before.container);
        }
        self.reserve(reservation);
    }

    fn reserve(&mut self, reservation: &Reservation) {
        let claim = if reservation.firm {
            Claim::Requested
        } else {
            Claim::Remembered
        };
        let pools = self.pools.get_mut(&reservation.network);
        if let Some(pool) = pools.and_then(|pools| pool_of(pools, reservation.address)) {
            // Refused only if another has the address now, and then there is nothing to keep.
            let _ = pool.reserve(reservation.address, reservation.container.clone(), claim);
        }
    }

    /// Tells the network that has it that Docker's engine holds an address.
    fn hold(&mut self, address: IpAddr) {
        let mut pools = self.pools.values_mut().flatten();
        if let Some(pool) = pools.find(|pool| pool.subnet().contains(address)) {
            // It is inside.
            let _ = pool.hold(address);
        }
    }

    fn let_go(&mut self, address: IpAddr) {
        let pools = self.pools.values_mut().flatten();
        pools.for_each(|pool| pool.let_go(address));
    }

    fn drop_reservations(
        &mut self,
        network: NetworkId,
        container: &ContainerName,
        of: impl Fn(&Option<IfName>) -> bool,
    ) {
        let of_network = (network, IpAddr::from([0; 4]))..;
        let gone: Vec<IpAddr> = self
            .reservations
            .range(of_network)
            .take_while(|((id, _), _)| *id == network)
            .filter(|(_, kept)| kept.container == *container && of(&kept.interface))
            .map(|((_, address), _)| *address)
            .collect();
        for address in gone {
            self.reservations.remove(&(network, address));
            if let Some(pool) = self
                .pools
                .get_mut(&network)
                .and_then(|pools| pool_of(pools, address))
            {
                pool.unreserve(address, container);
            }
        }
    }
}

/// True if no index tells two records of an endpoint apart: an attach changes its record's phase only.
fn is_indexed_alike(before: &Endpoint, after: &Endpoint) -> bool {
    (before.network, before.container, before.rank) == (after.network, after.container, after.rank)
        && before.interface == after.interface
        && before.leases == after.leases
        && before.ports == after.ports
}

fn pool_of(pools: &mut [Pool], address: IpAddr) -> Option<&mut Pool> {
    pools
        .iter_mut()
        .find(|pool| pool.subnet().contains(address))
}

fn both_ways(pair: NetworkPair) -> [(NetworkId, NetworkId); 2] {
    [(pair.first(), pair.second()), (pair.second(), pair.first())]
}
