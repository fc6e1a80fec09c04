//! What Docker's engines asked for by the plugin protocol: pools, addresses, and their identities of networks.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use netd_ipam::Pool;
use netd_model::{DockerNetwork, DockerPool, Network, NetworkId, PoolSpec, Subnet};

use super::State;

/// What they asked for.
#[derive(Debug, Default)]
pub(super) struct Docker {
    pools: BTreeMap<Subnet, Asked>,
    /// With each address that is held, its pool.
    held: BTreeMap<IpAddr, Subnet>,
    networks: BTreeMap<NetworkId, DockerNetwork>,
}

#[derive(Debug)]
struct Asked {
    record: Arc<DockerPool>,
    /// Who has which address while no network of netd has the subnet.
    addresses: Pool,
}

impl Docker {
    pub(super) fn put_pool(&mut self, pool: &DockerPool) {
        let record = Arc::new(pool.clone());
        match self.pools.get_mut(&pool.subnet) {
            Some(asked) => asked.record = record,
            None => {
                let addresses = Pool::new(&as_spec(pool));
                let asked = Asked { record, addresses };
                self.pools.insert(pool.subnet, asked);
            }
        }
    }

    /// Gives the addresses that were held in it.
    pub(super) fn drop_pool(&mut self, subnet: Subnet) -> Vec<IpAddr> {
        self.pools.remove(&subnet);
        let held: Vec<IpAddr> = self.held_in(subnet).collect();
        for address in &held {
            self.held.remove(address);
        }
        held
    }

    pub(super) fn hold(&mut self, pool: Subnet, address: IpAddr) {
        self.held.insert(address, pool);
        if let Some(asked) = self.pools.get_mut(&pool) {
            // What is outside was refused before it was written.
            let _ = asked.addresses.hold(address);
        }
    }

    pub(super) fn let_go(&mut self, address: IpAddr) {
        let pool = self.held.remove(&address);
        if let Some(asked) = pool.and_then(|pool| self.pools.get_mut(&pool)) {
            asked.addresses.let_go(address);
        }
    }

    pub(super) fn held_in(&self, pool: Subnet) -> impl Iterator<Item = IpAddr> {
        let inside = self.held.range(pool.first()..=pool.last());
        inside.map(|(address, _)| *address)
    }

    pub(super) fn put_network(&mut self, network: DockerNetwork) {
        self.networks.insert(network.id, network);
    }

    pub(super) fn remove_network(&mut self, id: NetworkId) {
        self.networks.remove(&id);
    }

    /// Forgets every identity of a network of netd.
    pub(super) fn drop_network(&mut self, network: NetworkId) {
        self.networks.retain(|_, known| known.network != network);
    }
}

/// A pool without a gateway: its first address, which nobody gets anyhow, stands for it.
fn as_spec(pool: &DockerPool) -> PoolSpec {
    PoolSpec {
        subnet: pool.subnet,
        range: pool.range,
        gateway: pool.subnet.first(),
        gateway_given: false,
        aux: BTreeMap::new(),
        subnet_given: true,
    }
}

impl State {
    /// Every pool that a Docker engine asked for, by subnet.
    pub fn docker_pools(&self) -> impl Iterator<Item = &Arc<DockerPool>> {
        self.docker.pools.values().map(|asked| &asked.record)
    }

    /// The pool of a subnet that a Docker engine asked for.
    #[must_use]
    pub fn docker_pool(&self, subnet: Subnet) -> Option<&Arc<DockerPool>> {
        Some(&self.docker.pools.get(&subnet)?.record)
    }

    /// True if an address is held for a Docker engine.
    #[must_use]
    pub fn is_held(&self, address: IpAddr) -> bool {
        self.docker.held.contains_key(&address)
    }

    /// Who has which address of a pool that Docker asked for: the network's own book, if one has that subnet.
    #[must_use]
    pub fn addresses_of_docker(&self, subnet: Subnet) -> Option<&Pool> {
        let asked = self.docker.pools.get(&subnet)?;
        let mut of_networks = self.pools.values().flatten();
        let of_network = of_networks.find(|pool| pool.subnet() == subnet);
        Some(of_network.unwrap_or(&asked.addresses))
    }

    /// The network that has precisely this subnet.
    #[must_use]
    pub fn network_with(&self, subnet: Subnet) -> Option<&Arc<Network>> {
        let has_it = |network: &&Arc<Network>| {
            let mut pools = network.pools.iter();
            pools.any(|pool| pool.subnet == subnet)
        };
        self.networks().find(has_it)
    }

    /// The network that a Docker engine knows by this identity.
    #[must_use]
    pub fn docker_network(&self, id: NetworkId) -> Option<DockerNetwork> {
        self.docker.networks.get(&id).copied()
    }

    /// The identities that Docker's engines gave a network.
    pub fn docker_identities(&self, network: NetworkId) -> impl Iterator<Item = NetworkId> {
        let known = self.docker.networks.values();
        let of_network = known.filter(move |known| known.network == network);
        of_network.map(|known| known.id)
    }
}
