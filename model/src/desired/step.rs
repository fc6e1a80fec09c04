//! The single steps that change kernel objects.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::{Bucket, Mark, NetnsId, RouteState, Sysctl};
use crate::{IfName, Mac, Protocol, Subnet};

/// One step of the kernel's state. Steps are applied in order; each either happens entirely or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Write a kernel parameter. An absent optional one counts as done, unless a user named it.
    WriteSysctl {
        /// The namespace; `None` for the host.
        netns: Option<NetnsId>,
        /// The parameter.
        key: Sysctl,
        /// Its new value.
        value: String,
    },
    /// Create a bridge with its mark, MAC and MTU, still down, without addresses, not yet filtered.
    CreateBridge {
        /// Its name.
        name: IfName,
        /// Its mark.
        mark: Mark,
        /// Its Ethernet address.
        mac: Mac,
        /// MTU in bytes.
        mtu_bytes: u32,
    },
    /// Create a veth pair: host end up and port of `bridge`, other end made inside `netns`, still down. That may be the
    /// daemon's own namespace, from where somebody else will take the other end.
    CreateVeth(Box<NewVeth>),
    /// Create an ifb with its mark, up and without a bucket.
    CreateIfb {
        /// Its name.
        name: IfName,
        /// Its mark.
        mark: Mark,
    },
    /// Hold back what leaves by a link of the host, instead of whatever queues its frames so far.
    SetBucket {
        /// The link.
        name: IfName,
        /// How.
        bucket: Bucket,
    },
    /// Have all that comes in by a link of the host go through an ifb, instead of another.
    Redirect {
        /// The link.
        name: IfName,
        /// The ifb.
        to: IfName,
    },
    /// Change a link of the host; only the given fields.
    SetLink {
        /// The link.
        name: IfName,
        /// What to change.
        change: LinkChange,
    },
    /// Change an interface inside a sandbox; only the given fields.
    SetInterface {
        /// The namespace.
        netns: NetnsId,
        /// The interface; `lo` for the loopback one.
        name: IfName,
        /// What to change.
        change: LinkChange,
    },
    /// Add an address.
    AddAddress {
        /// The namespace; `None` for the host.
        netns: Option<NetnsId>,
        /// The interface.
        interface: IfName,
        /// The address with its prefix.
        address: IpNetwork,
    },
    /// Remove an address. One that is gone counts as removed.
    RemoveAddress {
        /// The namespace; `None` for the host.
        netns: Option<NetnsId>,
        /// The interface.
        interface: IfName,
        /// The address with its prefix.
        address: IpNetwork,
    },
    /// Add a route, of protocol [`ROUTE_PROTOCOL`](super::ROUTE_PROTOCOL), replacing one of that protocol to the
    /// same destination. One of somebody else's is left alone and goes before it.
    AddRoute {
        /// The namespace; `None` for the host.
        netns: Option<NetnsId>,
        /// The route.
        route: RouteState,
    },
    /// Remove a route of protocol [`ROUTE_PROTOCOL`](super::ROUTE_PROTOCOL). One that is gone counts as removed.
    RemoveRoute {
        /// The namespace; `None` for the host.
        netns: Option<NetnsId>,
        /// The route.
        route: RouteState,
    },
    /// Redirect port 53 of 127.0.0.11 inside a sandbox to `port` there, replacing an earlier redirection.
    RedirectDns {
        /// The namespace.
        netns: NetnsId,
        /// The port, for UDP and TCP.
        port: u16,
    },
    /// Delete an interface of the host that carries `mark` (a bridge, an ifb, or a veth pair with both ends). One that is gone
    /// counts as deleted; one that carries another mark is an error.
    DeleteLink {
        /// Its name.
        name: IfName,
        /// The mark that it must carry.
        mark: Mark,
    },
    /// Forget tracked flows that would go on to use a stale translation (conntrack).
    ForgetFlows(FlowFilter),
}

/// A veth pair to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewVeth {
    /// Name of the host end.
    pub outside: IfName,
    /// Its mark.
    pub mark: Mark,
    /// The bridge it becomes a port of.
    pub bridge: IfName,
    /// Reflective relay on the port.
    pub hairpin: bool,
    /// Port isolation on the port.
    pub isolated: bool,
    /// MTU of both ends in bytes.
    pub mtu_bytes: u32,
    /// The namespace of the other end.
    pub netns: NetnsId,
    /// Its name there.
    pub inside: IfName,
    /// Its Ethernet address.
    pub mac: Mac,
}

/// Fields of a link to change; `None` leaves one as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkChange {
    /// Administrative state.
    pub up: Option<bool>,
    /// MTU in bytes.
    pub mtu_bytes: Option<u32>,
    /// Ethernet address.
    pub mac: Option<Mac>,
    /// Whether iptables decides on what a bridge switches.
    pub filtered: Option<bool>,
    /// Bridge to become a port of (`Some(None)`: of none).
    pub bridge: Option<Option<IfName>>,
    /// Reflective relay on the bridge port.
    pub hairpin: Option<bool>,
    /// Port isolation on the bridge port.
    pub isolated: Option<bool>,
}

/// Which tracked flows to forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowFilter {
    /// Flows that came to `port` of the host, whatever address, before translation.
    ToHostPort {
        /// The transport protocol.
        protocol: Protocol,
        /// The port that the flow was opened to.
        port: u16,
    },
    /// Flows from or to a container's address.
    OfAddress(IpAddr),
    /// Flows that somebody in a subnet opened, or that were opened to it.
    OfSubnet(Subnet),
}
