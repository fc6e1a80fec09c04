//! The door to the drivers: one function for each kind of question, which asks the driver in charge.
//!
//! Must not know what any driver does.

use std::net::IpAddr;

use netd_model::container::Phase;
use netd_model::desired::{HostState, Sysctl};
use netd_model::ruleset::{EndpointRules, NetworkRules};
use netd_model::{
    DriverSpec, Endpoint, EndpointId, IfName, InstanceId, Network, NetworkName, Subnet,
};

use crate::{bridge, host, null};

/// Whether the daemon sees to it that the host forwards packets (`ip-forward` in daemon.json).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarding {
    /// It does: containers reach other networks.
    TurnOn,
    /// The administrator does, or nobody.
    LeaveAlone,
}

/// What a network wants of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkPlan {
    /// Links and parameters.
    pub state: HostState,
    /// Its part of the firewall, if it has any.
    pub rules: Option<NetworkRules>,
}

/// A record that no kernel state can be made of. Requests are checked before they become records, so this means that
/// records do not fit together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A bridge network without addresses.
    #[error("network {network} has no address pool; give --subnet")]
    NoPool {
        /// The network.
        network: NetworkName,
    },
    /// Several pools of one family.
    #[error(
        "network {network} has two pools of one family, {first} and {second}; a bridge network has one of each"
    )]
    TwoPools {
        /// The network.
        network: NetworkName,
        /// One of them.
        first: Subnet,
        /// The other.
        second: Subnet,
    },
    /// A next hop that nobody on the network could reach.
    #[error("gateway {gateway} of network {network} is in none of its subnets; give one that is")]
    GatewayOutside {
        /// The network.
        network: NetworkName,
        /// The gateway.
        gateway: IpAddr,
    },
    /// IPv6 does not work on such a link: RFC 8200 section 5, and the kernel takes IPv6 off it.
    #[error(
        "network {network} has an IPv6 subnet and an MTU of {mtu_bytes}, but IPv6 needs 1280; raise the MTU or drop IPv6"
    )]
    MtuTooSmallForIpv6 {
        /// The network.
        network: NetworkName,
        /// Its MTU in bytes.
        mtu_bytes: u32,
    },
    /// Without an address of the bridge, nothing would lead out.
    #[error(
        "network {network} has the gateway mode isolated, which is for internal networks; give --internal or another mode"
    )]
    IsolatedButOpen {
        /// The network.
        network: NetworkName,
    },
    /// An endpoint came with a network that is not its own.
    #[error("endpoint {} is not on network {network}", endpoint.short())]
    WrongNetwork {
        /// The endpoint.
        endpoint: EndpointId,
        /// The network that it came with.
        network: NetworkName,
    },
    /// An endpoint has no interface on a network that needs one.
    #[error("endpoint {} on network {network} has no interface names", endpoint.short())]
    NoInterface {
        /// The endpoint.
        endpoint: EndpointId,
        /// Its network.
        network: NetworkName,
    },
    /// An address that the network does not have.
    #[error("address {address} of endpoint {} is not from a pool of network {network}", endpoint.short())]
    ForeignLease {
        /// The endpoint.
        endpoint: EndpointId,
        /// Its network.
        network: NetworkName,
        /// The address.
        address: IpAddr,
    },
    /// Two endpoints of one container want interfaces of one name.
    #[error(
        "interface name {name} is wanted on two networks, {first} and {second}; disconnect one of them"
    )]
    InterfaceTwice {
        /// The name.
        name: IfName,
        /// The network of one.
        first: NetworkName,
        /// The network of the other.
        second: NetworkName,
    },
}

/// What the host needs for any network at all: forwarding of each IP version.
#[must_use]
pub fn plan_host(ipv4: Forwarding, ipv6: Forwarding) -> HostState {
    let mut state = HostState::default();
    for (forwarding, key) in [
        (ipv4, "ipv4/ip_forward"),
        (ipv6, "ipv6/conf/all/forwarding"),
    ] {
        match forwarding {
            Forwarding::TurnOn => {
                let key = Sysctl::global(key);
                state.sysctls.insert(key, "1".to_owned());
            }
            Forwarding::LeaveAlone => {}
        }
    }
    state
}

/// What one network wants of the host; nothing if it is to be gone.
///
/// # Errors
/// [`PlanError`] when its record makes no working network.
pub fn plan_network(network: &Network, instance: InstanceId) -> Result<NetworkPlan, PlanError> {
    if network.phase == Phase::Detaching {
        return Ok(NetworkPlan::default());
    }
    match &network.driver {
        DriverSpec::Bridge(spec) => bridge::plan_network(network, spec, instance),
        DriverSpec::Host => Ok(host::plan_network()),
        DriverSpec::Null => Ok(null::plan_network()),
        DriverSpec::Template(_) => Ok(NetworkPlan::default()),
    }
}

/// What an endpoint wants of the firewall: `None` if nothing, or if it is to be gone.
#[must_use]
pub fn endpoint_rules(network: &Network, endpoint: &Endpoint) -> Option<EndpointRules> {
    if endpoint.phase == Phase::Detaching {
        return None;
    }
    match &network.driver {
        DriverSpec::Bridge(_) => bridge::endpoint_rules(network, endpoint),
        DriverSpec::Host | DriverSpec::Null | DriverSpec::Template(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{INSTANCE, endpoint, network};

    #[test]
    fn forwarding_is_turned_on_only_when_wanted() {
        use Forwarding::{LeaveAlone, TurnOn};
        let written = |ipv4, ipv6| -> Vec<String> {
            let sysctls = plan_host(ipv4, ipv6).sysctls;
            let text = |(key, value): (&Sysctl, &String)| format!("{}={value}", key.path());
            sysctls.iter().map(text).collect()
        };
        assert_eq!(plan_host(LeaveAlone, LeaveAlone), HostState::default());
        assert_eq!(written(TurnOn, LeaveAlone), ["ipv4/ip_forward=1"]);
        assert_eq!(written(LeaveAlone, TurnOn), ["ipv6/conf/all/forwarding=1"]);
        assert_eq!(written(TurnOn, TurnOn).len(), 2);
    }

    #[test]
    fn host_none_and_networks_on_their_way_out_want_nothing() {
        let mut leaving = network("a", 1, &["10.0.0.0/24"]);
        leaving.phase = Phase::Detaching;
        let mut host = network("host", 2, &[]);
        host.driver = DriverSpec::Host;
        let mut none = network("none", 3, &[]);
        none.driver = DriverSpec::Null;
        let mut template = network("template", 4, &[]);
        template.driver = DriverSpec::Template(netd_model::network::Template {
            ipv4: None,
            ipv6: None,
            pools: Vec::new(),
        });
        for network in [leaving, host, none, template] {
            let plan = plan_network(&network, INSTANCE);
            assert_eq!(plan, Ok(NetworkPlan::default()), "{}", network.name);
        }
    }

    #[test]
    fn ports_make_rules_until_the_endpoint_is_to_be_gone() {
        let network = network("a", 1, &["10.0.0.0/24", "fd00::/64"]);
        let mut endpoint = endpoint(&network, 7);
        assert_eq!(endpoint_rules(&network, &endpoint), None);
        endpoint.ports.push(netd_model::PublishedPort {
            from: Vec::new(),
            protocol: netd_model::Protocol::Tcp,
            host_ip: "0.0.0.0".parse().unwrap(),
            host_ports: netd_model::PortRange::new(8080, 8080).unwrap(),
            container_ports: netd_model::PortRange::new(80, 80).unwrap(),
        });
        let rules = endpoint_rules(&network, &endpoint).unwrap();
        assert_eq!((rules.rank, rules.network), (7, network.id));
        let addresses: Vec<IpAddr> = ["10.0.0.2", "fd00::2"].map(|a| a.parse().unwrap()).into();
        assert_eq!(rules.addresses, addresses);
        assert_eq!(rules.ports, endpoint.ports);
        let mut internal = network.clone();
        internal.policy.internal = true;
        assert_eq!(endpoint_rules(&internal, &endpoint), None);
        let mut host = network.clone();
        host.driver = DriverSpec::Host;
        assert_eq!(endpoint_rules(&host, &endpoint), None);
        endpoint.phase = Phase::Detaching;
        assert_eq!(endpoint_rules(&network, &endpoint), None);
    }
}
