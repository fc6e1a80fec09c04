//! Kernel parameters of a bridge.

use std::collections::BTreeMap;

use netd_model::Network;
use netd_model::desired::Sysctl;
use netd_model::network::BridgeSpec;

use super::has_ipv6;

/// What the host is told about a network's bridge.
pub(super) fn of_bridge(network: &Network, spec: &BridgeSpec) -> BTreeMap<Sysctl, String> {
    let mut sysctls = BTreeMap::new();
    let mut set = |family, key, value: &str| {
        let key = Sysctl::of_interface(family, &spec.bridge, key);
        sysctls.insert(key, value.to_owned());
    };
    // A port published on 127.0.0.1 leaves by the bridge with that sender; without this the kernel takes it for a
    // martian (ip-sysctl.rst). The firewall keeps neighbours from using it the other way (CVE-2020-8558).
    set("ipv4", "route_localnet", "1");
    if spec.owned {
        // A container must not become the host's router (CVE-2020-13401), not even when somebody turns IPv6 on later.
        set("ipv6", "accept_ra", "0");
        // Without IPv6: or the bridge gets a link-local address, and containers reach the host by it, past the IPv4
        // rules. With it: written although it is the kernel's default, which the host's administrator may have changed.
        let disabled = if has_ipv6(network) { "0" } else { "1" };
        set("ipv6", "disable_ipv6", disabled);
        if has_ipv6(network) {
            // The kernel asks for a neighbour from its link-local address, and does not while that is tentative
            // (`ndisc_send_ns`, net/ipv6/ndisc.c): what is forwarded in the first two seconds would be lost.
            set("ipv6", "accept_dad", "0");
        }
    }
    sysctls
}
