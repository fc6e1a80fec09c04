//! Facts about the host's links, for those who decide whether one is fit for something.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netd_model::desired::Mark;
use netd_model::{IfName, IpNetwork};

/// Facts about an interface of the host, looked up by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostInterface {
    /// True if it is a bridge.
    pub is_bridge: bool,
    /// MTU in bytes.
    pub mtu_bytes: u32,
    /// Its IP addresses, link-local ones left out.
    pub addresses: BTreeSet<IpNetwork>,
}

/// What a link of the host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// `lo`.
    Loopback,
    /// A bridge.
    Bridge,
    /// One end of a veth pair.
    Veth,
    /// Anything else: a card, a VLAN on one, a bond of several, a tunnel.
    Other,
}

/// A link of the host, as far as it matters to who may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLink {
    /// Its name.
    pub name: IfName,
    /// What it is.
    pub kind: LinkKind,
    /// Whose it is, if a netd made it.
    pub mark: Option<Mark>,
    /// The bridge, bond or other device that it is a port of.
    pub holder: Option<IfName>,
    /// Administrative state.
    pub up: bool,
    /// Its IP addresses, link-local ones left out.
    pub addresses: BTreeSet<IpNetwork>,
    /// Whether a default route of the main table leads to it, in either family.
    pub has_default_route: bool,
}

impl HostLink {
    /// True if `address` is a neighbour's on this link: in the subnet of an address of the link, and not such an
    /// address itself.
    #[must_use]
    pub fn leads_to(&self, address: IpAddr) -> bool {
        let near = |own: &IpNetwork| own.contains(address) && own.ip() != address;
        self.up && self.addresses.iter().any(near)
    }
}
