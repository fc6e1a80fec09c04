//! The firewall that netd wishes for, in the words of networks and ports; each backend says it in its own language.
//!
//! Entries are keyed, so that a backend can turn the difference of two wishes into a few changes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::{
    EndpointId, IfName, NetworkId, NetworkPair, OpenPort, PeerRoute, PublishedPort, Reach, Subnet,
};

/// Everything that netd wants filtered and translated in its namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// What holds for the host as a whole.
    pub host: HostRules,
    /// Each bridge network's rules.
    pub networks: BTreeMap<NetworkId, NetworkRules>,
    /// Networks that may talk to each other, which others may not. Both are in [`Ruleset::networks`]; an internal one
    /// stays closed all the same.
    pub allowed: BTreeSet<NetworkPair>,
    /// Subnets of containers on other hosts, by which they talk to networks of this one; none overlaps another, or a
    /// network's.
    pub peers: BTreeMap<Subnet, PeerRules>,
    /// Each endpoint's published ports, for endpoints that have any.
    pub endpoints: BTreeMap<EndpointId, EndpointRules>,
}

/// What holds for the host as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostRules {
    /// Policy DROP on forwarded packets: set only when netd itself turned forwarding on, so that the host does not
    /// become a router for strangers.
    pub drop_forwarded: bool,
    /// The same for IPv6.
    pub drop_forwarded_v6: bool,
}

/// One bridge network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkRules {
    /// Rank by age: Docker puts a younger network's rules before an older one's.
    pub rank: u64,
    /// The bridge.
    pub bridge: IfName,
    /// The subnets of its pools.
    pub subnets: Vec<Subnet>,
    /// Translate the containers' addresses to the host's on the way out.
    pub masquerade: bool,
    /// Containers reach each other.
    pub icc: bool,
    /// Nothing in or out.
    pub internal: bool,
    /// How containers are met from outside.
    pub reach: Reach,
}

/// Containers of another host. They, and that host itself, reach the containers of open networks, and the other way
/// round; a network that is not named is kept from them, its published ports excepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRules {
    /// The other host, which speaks for its containers when it masquerades them.
    pub gateway: IpAddr,
    /// The only link by which their packets may come.
    pub device: IfName,
    /// The networks; `None` for all that are open. Those that are not in [`Ruleset::networks`] do not count.
    pub networks: Option<BTreeSet<NetworkId>>,
    /// Containers go there under the host's address, as they go anywhere else. Otherwise they keep their own.
    pub masquerade: bool,
}

impl PeerRules {
    /// What a record asks for.
    #[must_use]
    pub fn of(route: &PeerRoute) -> Self {
        Self {
            gateway: route.gateway,
            device: route.device.clone(),
            networks: route.networks.clone(),
            masquerade: route.masquerade,
        }
    }

    /// True if a network talks to them.
    #[must_use]
    pub fn is_for(&self, id: NetworkId, network: &NetworkRules) -> bool {
        let named = self.networks.as_ref();
        !network.internal && named.is_none_or(|networks| networks.contains(&id))
    }
}

/// The published ports of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointRules {
    /// Rank by age: older endpoints' rules come first in a chain.
    pub rank: u64,
    /// The network, which must be in [`Ruleset::networks`].
    pub network: NetworkId,
    /// The container's addresses, one of a family at most.
    pub addresses: Vec<IpAddr>,
    /// What is published, each to the address of its host address's family. Rules cannot serve a port on `::1`: Linux
    /// has no `route_localnet` for IPv6.
    pub ports: Vec<PublishedPort>,
    /// What is open at the container's own addresses.
    pub opened: Vec<OpenPort>,
}

/// One change of the wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RulesetChange {
    /// Replace what holds for the host as a whole.
    SetHost(HostRules),
    /// Put or replace a network's rules.
    PutNetwork(NetworkId, NetworkRules),
    /// Remove a network's rules, and what it is allowed.
    RemoveNetwork(NetworkId),
    /// Let two networks talk.
    Allow(NetworkPair),
    /// Keep two networks apart again.
    Deny(NetworkPair),
    /// Put or replace the rules about containers of another host.
    PutPeer(Subnet, PeerRules),
    /// Remove the rules about containers of another host.
    RemovePeer(Subnet),
    /// Put or replace an endpoint's rules.
    PutEndpoint(EndpointId, EndpointRules),
    /// Remove an endpoint's rules.
    RemoveEndpoint(EndpointId),
}

impl Ruleset {
    /// Makes one change, and says what undoes it. Removing what is not there changes nothing.
    pub fn change(&mut self, change: RulesetChange) -> Vec<RulesetChange> {
        match change {
            RulesetChange::SetHost(rules) => {
                let before = std::mem::replace(&mut self.host, rules);
                vec![RulesetChange::SetHost(before)]
            }
            RulesetChange::PutNetwork(id, rules) => vec![match self.networks.insert(id, rules) {
                Some(before) => RulesetChange::PutNetwork(id, before),
                None => RulesetChange::RemoveNetwork(id),
            }],
            RulesetChange::RemoveNetwork(id) => {
                let before = self.networks.remove(&id);
                let (gone, left) = self.allowed.iter().partition(|pair| pair.has(id));
                self.allowed = left;
                let gone: BTreeSet<NetworkPair> = gone;
                before
                    .map(|rules| RulesetChange::PutNetwork(id, rules))
                    .into_iter()
                    .chain(gone.into_iter().map(RulesetChange::Allow))
                    .collect()
            }
            RulesetChange::Allow(pair) => {
                let new = self.allowed.insert(pair);
                new.then_some(RulesetChange::Deny(pair))
                    .into_iter()
                    .collect()
            }
            RulesetChange::Deny(pair) => {
                let there = self.allowed.remove(&pair);
                let undo = there.then_some(RulesetChange::Allow(pair));
                undo.into_iter().collect()
            }
            RulesetChange::PutPeer(subnet, rules) => vec![match self.peers.insert(subnet, rules) {
                Some(before) => RulesetChange::PutPeer(subnet, before),
                None => RulesetChange::RemovePeer(subnet),
            }],
            RulesetChange::RemovePeer(subnet) => {
                let before = self.peers.remove(&subnet);
                let undo = before.map(|rules| RulesetChange::PutPeer(subnet, rules));
                undo.into_iter().collect()
            }
            RulesetChange::PutEndpoint(id, rules) => vec![match self.endpoints.insert(id, rules) {
                Some(before) => RulesetChange::PutEndpoint(id, before),
                None => RulesetChange::RemoveEndpoint(id),
            }],
            RulesetChange::RemoveEndpoint(id) => {
                let before = self.endpoints.remove(&id);
                let undo = before.map(|rules| RulesetChange::PutEndpoint(id, rules));
                undo.into_iter().collect()
            }
        }
    }
}
