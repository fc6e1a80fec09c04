//! Routes to containers of other hosts, by subnet.

use std::sync::Arc;

use netd_model::{NetworkId, PeerRoute, Subnet};

use super::State;

impl State {
    /// Every route to another host's containers, by subnet.
    pub fn peer_routes(&self) -> impl Iterator<Item = &Arc<PeerRoute>> {
        self.peer_routes.values()
    }

    /// The route to exactly this subnet.
    #[must_use]
    pub fn peer_route(&self, subnet: Subnet) -> Option<&Arc<PeerRoute>> {
        self.peer_routes.get(&subnet)
    }

    /// Routes that name a network.
    pub fn peer_routes_naming(&self, network: NetworkId) -> impl Iterator<Item = &Arc<PeerRoute>> {
        let names = move |route: &&Arc<PeerRoute>| {
            let networks = route.networks.as_ref();
            networks.is_some_and(|networks| networks.contains(&network))
        };
        self.peer_routes.values().filter(names)
    }

    pub(super) fn put_peer_route(&mut self, route: &PeerRoute) {
        self.peer_routes
            .insert(route.subnet, Arc::new(route.clone()));
    }

    pub(super) fn drop_peer_route(&mut self, subnet: Subnet) {
        self.peer_routes.remove(&subnet);
    }
}
