//! The bridge as its network's gateway: which addresses it has itself.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netd_model::network::BridgeSpec;
use netd_model::{GatewayMode, IpNetwork, Lease, Network, PoolSpec};

use crate::plan::PlanError;

/// The gateways that are the bridge itself.
pub(super) fn addresses(network: &Network, spec: &BridgeSpec) -> BTreeSet<IpNetwork> {
    let is_ours = |pool: &&PoolSpec| {
        let inhibited = pool.subnet.is_ipv4() && !spec.has_ipv4_address;
        spec.owned && !inhibited && spec.reach.mode(pool.gateway) != GatewayMode::Isolated
    };
    let pools = network.pools.iter().filter(is_ours);
    pools.map(PoolSpec::gateway_address).collect()
}

/// A bridge without an address leads nowhere, which only an internal network can want.
pub(super) fn check_mode(network: &Network, spec: &BridgeSpec) -> Result<(), PlanError> {
    let isolated = [spec.reach.mode_v4, spec.reach.mode_v6].contains(&GatewayMode::Isolated);
    if isolated && !network.policy.internal {
        return Err(PlanError::IsolatedButOpen {
            network: network.name.clone(),
        });
    }
    Ok(())
}

/// The next hop out of the network in the family of `lease`: the bridge, unless the administrator named another.
#[must_use]
pub fn gateway_for(network: &Network, spec: &BridgeSpec, lease: &Lease) -> Option<IpAddr> {
    let same_family = |gateway: &IpAddr| gateway.is_ipv4() == lease.address.is_ipv4();
    [spec.gateway_override, spec.gateway_override_v6]
        .into_iter()
        .flatten()
        .find(same_family)
        .or_else(|| super::pool_of(network, lease).map(|pool| pool.gateway))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{network, spec};

    fn texts(network: &mut Network) -> Vec<String> {
        let spec = spec(network).clone();
        let addresses = addresses(network, &spec).into_iter();
        addresses.map(|address| address.to_string()).collect()
    }

    #[test]
    fn an_inhibited_or_isolated_family_has_no_address() {
        let mut both = network("a", 1, &["10.0.0.0/24", "fd00::/64"]);
        assert_eq!(texts(&mut both), ["10.0.0.1/24", "fd00::1/64"]);
        spec(&mut both).has_ipv4_address = false;
        assert_eq!(texts(&mut both), ["fd00::1/64"]);
        spec(&mut both).reach.mode_v6 = GatewayMode::Isolated;
        assert_eq!(texts(&mut both), [""; 0]);
        spec(&mut both).has_ipv4_address = true;
        assert_eq!(texts(&mut both), ["10.0.0.1/24"]);
    }

    #[test]
    fn isolated_is_for_internal_networks() {
        let mut network = network("a", 1, &["10.0.0.0/24"]);
        spec(&mut network).reach.mode_v4 = GatewayMode::Isolated;
        let isolated = spec(&mut network).clone();
        let refused = check_mode(&network, &isolated).unwrap_err();
        assert!(refused.to_string().contains("give --internal"), "{refused}");
        network.policy.internal = true;
        assert_eq!(check_mode(&network, &isolated), Ok(()));
    }
}
