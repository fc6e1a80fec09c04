//! Ways to containers of other hosts: routes to their subnets, and cards that join a network here with one there.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::container::Phase;
use crate::{IfName, NetworkId, Subnet};

/// A subnet of containers on another host, and the way there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRoute {
    /// The subnet over there; no other route of netd overlaps it.
    pub subnet: Subnet,
    /// The other host: a neighbour on one of this host's links, of the subnet's family.
    pub gateway: IpAddr,
    /// The link that leads to the gateway, by which alone the peer's packets may come in.
    pub device: IfName,
    /// The networks that it is for; `None` for every bridge network that is not internal, whenever it is made.
    pub networks: Option<BTreeSet<NetworkId>>,
    /// True if containers of this host are seen over there under the host's address instead of their own.
    pub masquerade: bool,
    /// How far its life has come: `Attaching` while it is set, `Detaching` while it is removed.
    pub phase: Phase,
}

impl PeerRoute {
    /// True if it is for that network, should that be an open bridge network.
    #[must_use]
    pub fn is_for(&self, network: NetworkId) -> bool {
        let named = self.networks.as_ref();
        named.is_none_or(|networks| networks.contains(&network))
    }

    /// True if both say the same to the user: where to, by whom, for whom and how.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let said = |route: &Self| (route.subnet, route.gateway, route.masquerade);
        said(self) == said(other) && self.networks == other.networks
    }
}

/// A card of the host that is a port of a network's bridge: the wire behind it belongs to the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uplink {
    /// The card; it is on one network at most.
    pub device: IfName,
    /// The network.
    pub network: NetworkId,
    /// How far its life has come: `Attaching` while it joins, `Detaching` while it leaves.
    pub phase: Phase,
}
