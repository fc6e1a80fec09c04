//! Cards of the host that are on networks, by name.

use std::sync::Arc;

use netd_model::{IfName, NetworkId, Uplink};

use super::State;

impl State {
    /// Every card of the host that is on a network, by name.
    pub fn uplinks(&self) -> impl Iterator<Item = &Arc<Uplink>> {
        self.uplinks.values()
    }

    /// The network that a card is on.
    #[must_use]
    pub fn uplink(&self, device: &IfName) -> Option<&Arc<Uplink>> {
        self.uplinks.get(device)
    }

    /// The cards that are on a network, by name.
    pub fn uplinks_of(&self, network: NetworkId) -> impl Iterator<Item = &Arc<Uplink>> {
        self.uplinks().filter(move |one| one.network == network)
    }

    pub(super) fn put_uplink(&mut self, uplink: &Uplink) {
        let record = Arc::new(uplink.clone());
        self.uplinks.insert(uplink.device.clone(), record);
    }

    pub(super) fn drop_uplink(&mut self, device: &IfName) {
        self.uplinks.remove(device);
    }

    pub(super) fn drop_uplinks_of(&mut self, network: NetworkId) {
        self.uplinks.retain(|_, uplink| uplink.network != network);
    }
}
