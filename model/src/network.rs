//! Networks: what was created, completely parsed. How one becomes kernel objects is the drivers' business.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::container::Phase;
use crate::{IfName, InterfacePrefix, NetworkId, NetworkName, Reach, Subnet};

/// A network of this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its identity.
    pub id: NetworkId,
    /// Its name, unique.
    pub name: NetworkName,
    /// When it was created.
    pub created: Timestamp,
    /// Rank by age, ascending and never reused: Docker puts a younger network's rules before an older one's.
    pub rank: u64,
    /// What kind it is, and that kind's options.
    pub driver: DriverSpec,
    /// Its address pools; at most one of each family.
    pub pools: Vec<PoolSpec>,
    /// Who may talk to whom.
    pub policy: Policy,
    /// The user's own marks.
    pub labels: BTreeMap<String, String>,
    /// Options as the user gave them (`-o key=value`), only to be shown again; their meaning is in `driver`.
    pub options: BTreeMap<String, String>,
    /// Docker's `--attachable`; shown, without effect on one host.
    pub attachable: bool,
    /// Resolvers that its containers' questions are forwarded to; empty for the daemon's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_servers: Vec<IpAddr>,
    /// The configuration that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_from: Option<NetworkId>,
    /// How far its life has come: `Attaching` while it is made, `Detaching` while it is removed.
    pub phase: Phase,
    /// The record as it was, while a change of it is under way that nobody was told of. A restart returns to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<Network>>,
}

impl Network {
    /// True for `bridge`, `host` and `none`, which every daemon has and nobody removes.
    #[must_use]
    pub fn is_builtin(&self) -> bool {
        match &self.driver {
            DriverSpec::Bridge(spec) => spec.is_default,
            DriverSpec::Host | DriverSpec::Null => true,
            DriverSpec::Template(_) => false,
        }
    }

    /// The bridge options, if this is a bridge network.
    #[must_use]
    pub fn bridge(&self) -> Option<&BridgeSpec> {
        match &self.driver {
            DriverSpec::Bridge(spec) => Some(spec),
            DriverSpec::Host | DriverSpec::Null | DriverSpec::Template(_) => None,
        }
    }
}

/// The kind of a network with its typed options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriverSpec {
    /// A Linux bridge with a veth pair for each container, NAT to the outside.
    Bridge(BridgeSpec),
    /// No namespace of its own: the host's interfaces as they are.
    Host,
    /// Nothing but the loopback interface.
    Null,
    /// No network at all: a configuration to make others from (Docker's `--config-only`). Its options, labels and
    /// resolvers stand where a network has its own.
    Template(Template),
}

impl DriverSpec {
    /// The driver's name in Docker's terms.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Bridge(_) => "bridge",
            Self::Host => "host",
            Self::Null | Self::Template(_) => "null",
        }
    }
}

/// Options of a bridge network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeSpec {
    /// The bridge interface.
    pub bridge: IfName,
    /// True for the network named `bridge`: no embedded DNS, links only.
    pub is_default: bool,
    /// False for a bridge that was there before and is only used (`"bridge"` in daemon.json): never created or deleted.
    pub owned: bool,
    /// MTU in bytes; `None` leaves the kernel's 1500.
    pub mtu_bytes: Option<u32>,
    /// Whether containers reach the outside by the host's address.
    pub masquerade: bool,
    /// Whether containers of this network reach each other.
    pub icc: bool,
    /// Host address that published ports are bound to unless told otherwise.
    pub host_binding: IpAddr,
    /// How containers are met from outside.
    #[serde(default)]
    pub reach: Reach,
    /// False if the bridge gets no IPv4 address of ours; one that it has is left there.
    #[serde(default = "yes")]
    pub has_ipv4_address: bool,
    /// What interfaces inside containers are called.
    #[serde(default)]
    pub interface_prefix: InterfacePrefix,
    /// Gateway that containers use when it is not the bridge itself (`"default-gateway"` in daemon.json).
    pub gateway_override: Option<IpAddr>,
    /// The same for IPv6 (`"default-gateway-v6"`).
    #[serde(default)]
    pub gateway_override_v6: Option<IpAddr>,
}

fn yes() -> bool {
    true
}

/// A configuration's address pools, as they were asked for: each network that is made from it chooses the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Whether its networks have IPv4 addresses; `None` if nothing was said.
    #[serde(default)]
    pub ipv4: Option<bool>,
    /// Whether its networks have IPv6 addresses; `None` if nothing was said.
    #[serde(default)]
    pub ipv6: Option<bool>,
    /// At most one of each family.
    pub pools: Vec<PoolWish>,
}

/// An address pool as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolWish {
    /// All addresses; `None` leaves the choice to whoever makes the network.
    pub subnet: Option<Subnet>,
    /// The part that addresses are handed out from.
    pub range: Option<Subnet>,
    /// Address of the gateway.
    pub gateway: Option<IpAddr>,
    /// Addresses kept out of allocation, by the name of what has them.
    pub aux: BTreeMap<String, IpAddr>,
}

/// Who may talk to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// True if nothing goes out of or comes into this network, names included.
    pub internal: bool,
}

/// An address pool as it was asked for, complete: the gateway is chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSpec {
    /// All addresses.
    pub subnet: Subnet,
    /// The part that addresses are handed out from; `None` for the whole subnet.
    pub range: Option<Subnet>,
    /// Address of the gateway: the bridge's own.
    pub gateway: IpAddr,
    /// True if the user named the gateway (Docker shows only those).
    pub gateway_given: bool,
    /// Addresses kept out of allocation, by the name of what has them (`--aux-address`).
    pub aux: BTreeMap<String, IpAddr>,
    /// True if the user named the subnet: only then may a container ask for an address.
    pub subnet_given: bool,
}

impl PoolSpec {
    /// The gateway with the subnet's prefix, as the bridge carries it.
    #[must_use]
    pub fn gateway_address(&self) -> IpNetwork {
        self.subnet.with_address(self.gateway)
    }
}

/// Two different networks, in no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkPair {
    first: NetworkId,
    second: NetworkId,
}

impl NetworkPair {
    /// The pair of these two; `None` if they are one.
    #[must_use]
    pub fn new(one: NetworkId, other: NetworkId) -> Option<Self> {
        let (first, second) = (one.min(other), one.max(other));
        (first != second).then_some(Self { first, second })
    }

    /// The one of the lower id.
    #[must_use]
    pub const fn first(&self) -> NetworkId {
        self.first
    }

    /// The one of the higher id.
    #[must_use]
    pub const fn second(&self) -> NetworkId {
        self.second
    }

    /// True if `network` is one of them.
    #[must_use]
    pub fn has(&self, network: NetworkId) -> bool {
        self.first == network || self.second == network
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_the_same_whichever_comes_first_and_never_one_network() {
        let [low, high] = [1, 2].map(|byte| NetworkId::from_bytes([byte; 32]));
        let pair = NetworkPair::new(high, low).unwrap();
        assert_eq!(Some(pair), NetworkPair::new(low, high));
        assert_eq!((pair.first(), pair.second()), (low, high));
        assert!(pair.has(low) && pair.has(high));
        assert_eq!(NetworkPair::new(low, low), None);
    }
}
