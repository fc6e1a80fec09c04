//! Whether an Ethernet address that was asked for is to be had: a pure decision over the state.

use std::sync::Arc;

use netd_drivers::bridge_mac;
use netd_model::{Endpoint, Mac, Network};

use crate::engine::EngineError;
use crate::state::State;

/// An Ethernet address that follows from an IP address is as unique as that; one that was asked for may not be.
pub(super) fn check(state: &State, network: &Network, mac: Mac) -> Result<(), EngineError> {
    let has_it = |other: &Arc<Endpoint>| {
        other
            .interface
            .as_ref()
            .is_some_and(|interface| interface.mac == mac)
    };
    let by_container = || {
        let other = state.endpoints_on(network.id).into_iter().find(has_it)?;
        let holder = state.container(other.container)?;
        Some(format!("container {}", holder.name))
    };
    let owned = network.bridge().filter(|spec| spec.owned);
    let bridge = owned.filter(|_| bridge_mac(network.id) == mac);
    let bridge = bridge.map(|spec| format!("bridge {}", spec.bridge));
    match bridge.or_else(by_container) {
        Some(holder) => Err(EngineError::MacTaken {
            mac,
            network: network.name.clone(),
            holder,
        }),
        None => Ok(()),
    }
}
