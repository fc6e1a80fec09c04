//! Containers, their namespaces, and their presence on networks.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Alias, ContainerId, ContainerName, EndpointId, Hostname, IfName, LinkLocal, Mac, NetnsId,
    NetworkId, OpenPort, PublishedPort, Rates, RuntimeId, Subnet,
};

/// A container of any runtime, or a process that `net run` started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its identity: the runtime's id when it has one.
    pub id: ContainerId,
    /// Its name, unique.
    pub name: ContainerName,
    /// What it calls itself.
    pub hostname: Hostname,
    /// When it became known.
    pub created: Timestamp,
    /// Whose network namespace it runs in.
    pub namespace: NamespaceMode,
    /// Its namespace, while it runs in one of its own, and after that for as long as others are in there; a container
    /// in another's has none here.
    pub sandbox: Option<Sandbox>,
    /// The namespace that a container in another's entered. The other may have moved on to a new one since.
    #[serde(default)]
    pub joined: Option<NetnsId>,
    /// Running or ended.
    pub state: ContainerState,
    /// The command line, for people.
    pub command: Vec<String>,
    /// The process that started it and ends with it, when `net run` did.
    pub supervisor: Option<Supervisor>,
    /// Resolver settings of its own; empty fields take the daemon's.
    pub dns: DnsSettings,
    /// Other containers that it knows by further names in its /etc/hosts (`--link`).
    pub links: Vec<Link>,
    /// True if its record goes when it ends (`--rm`).
    pub auto_remove: bool,
    /// The user's own marks.
    pub labels: BTreeMap<String, String>,
    /// What the runtime calls it that handed it over by a key of its own (CNI), unique among those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_id: Option<RuntimeId>,
}

impl Container {
    /// True from its acknowledged start until its end is noticed.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state == ContainerState::Running
    }

    /// True once it is over. Its network may be kept nevertheless ([`Container::is_kept`]).
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.state, ContainerState::Exited { .. })
    }

    /// True if it has ended and its namespace stays for the containers that share it.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.has_ended() && self.sandbox.is_some()
    }

    /// The record of before, if it is about to return into a namespace that was kept for it.
    #[must_use]
    pub fn returns_to(&self) -> Option<&Container> {
        let ContainerState::Starting {
            before: Some(before),
            ..
        } = &self.state
        else {
            return None;
        };
        (before.is_kept() && before.netns() == self.netns()).then_some(&**before)
    }

    /// True while its addresses, ports and names stand: it runs, or its namespace is kept.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.is_running() || self.is_kept() || self.returns_to().is_some()
    }

    /// The identity of its own namespace, if it has one now.
    #[must_use]
    pub fn netns(&self) -> Option<NetnsId> {
        self.sandbox.as_ref().map(|sandbox| sandbox.netns)
    }

    /// The container whose namespace it shares.
    #[must_use]
    pub fn shares(&self) -> Option<ContainerId> {
        match self.namespace {
            NamespaceMode::Container(owner) => Some(owner),
            NamespaceMode::Private | NamespaceMode::Host | NamespaceMode::Docker => None,
        }
    }
}

/// Whose network namespace a container runs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NamespaceMode {
    /// One of its own.
    Private,
    /// The daemon's own.
    Host,
    /// Another container's.
    Container(ContainerId),
    /// One that a Docker engine sees to: netd has the outside of it only, each place on a network by itself.
    Docker,
}

/// How far a container's life has come. Written before anything is done about it, as a [`Phase`] is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerState {
    /// It joins its first network; nobody was told yet. A restart undoes it.
    Starting {
        /// The record that it continues, and that comes back if the start fails.
        before: Option<Box<Container>>,
        /// Its places on networks before it began to return into a namespace that was kept.
        #[serde(default)]
        places: Vec<Endpoint>,
    },
    /// Its namespace lives.
    Running,
    /// Its end is known, and it leaves its networks. A restart finishes it.
    Ending {
        /// When it was noticed.
        at: Timestamp,
        /// As in [`ContainerState::Exited`].
        code: Option<i32>,
    },
    /// It is over; the record keeps its name and its addresses for when it returns. Its namespace is gone, unless others
    /// are in there.
    Exited {
        /// When it was noticed.
        at: Timestamp,
        /// Exit status of the command (128 + signal number if a signal ended it), when known.
        code: Option<i32>,
    },
}

/// A network namespace: who it is, and what keeps it alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// The namespace's identity.
    pub netns: NetnsId,
    /// Where it can be opened again after a restart of the daemon, and whose end means its end.
    pub anchor: Anchor,
    /// Port of the embedded resolver on 127.0.0.11, the same for UDP and TCP, once it listens.
    pub dns_port: Option<u16>,
}

/// What keeps a network namespace alive besides the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// A process in it.
    Process(Supervisor),
    /// A file it is bound to, such as one under /run/netns.
    Path(PathBuf),
}

/// A process, told from a later one with the same number by its start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Supervisor {
    /// Process id in the daemon's pid namespace.
    pub pid: u32,
    /// Field 22 of /proc/PID/stat: clock ticks after boot (proc(5)).
    pub start_ticks: u64,
}

/// Another container under a further name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The other container.
    pub target: ContainerId,
    /// What this container calls it.
    pub alias: Alias,
}

/// Resolver settings; an empty list means "not said".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct DnsSettings {
    /// Upstream resolvers.
    pub servers: Vec<IpAddr>,
    /// Search domains.
    pub search: Vec<String>,
    /// `options` of resolv.conf(5).
    pub options: Vec<String>,
}

/// One container's presence on one network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its identity.
    pub id: EndpointId,
    /// The network.
    pub network: NetworkId,
    /// The container.
    pub container: ContainerId,
    /// Rank by age, ascending and never reused: older endpoints' firewall rules come first.
    pub rank: u64,
    /// Interface inside the container, and its partner on the host; `None` on networks without interfaces.
    pub interface: Option<Interface>,
    /// Addresses, at most one of each family.
    pub leases: Vec<Lease>,
    /// Further addresses of the interface, which mean something on this network only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub link_local: Vec<LinkLocal>,
    /// Ports that the host forwards.
    #[serde(with = "crate::port::runs")]
    pub ports: Vec<PublishedPort>,
    /// Ports that are open at the container's own address, on networks that translate nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub opened: Vec<OpenPort>,
    /// Kernel parameters of the interface inside, besides those that netd sees to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sysctls: Vec<InterfaceSysctl>,
    /// How fast its traffic may be.
    #[serde(default, skip_serializing_if = "Rates::is_unlimited")]
    pub rates: Rates,
    /// Further names on this network.
    pub aliases: Vec<Alias>,
    /// The network with the highest number carries the default route; the name decides among equals.
    pub gateway_priority: i32,
    /// Routes by way of this network besides the default route.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<ContainerRoute>,
    /// Name of the runtime's network configuration that it came by. With the container's
    /// [`runtime_id`](Container::runtime_id) and the name of the interface inside, it is what the runtime knows it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined_as: Option<RuntimeId>,
    /// How far its life has come.
    pub phase: Phase,
}

impl Endpoint {
    /// What its interface is called inside, if it has one. A container has no two of a name.
    #[must_use]
    pub fn inside(&self) -> Option<&IfName> {
        self.interface.as_ref().map(|own| &own.inside)
    }
}

/// What a runtime knows a container's presence on a network by (CNI specification: the primary key of an attachment).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RuntimeKey {
    /// Name of the runtime's network configuration, which need not be that of the network.
    pub network: RuntimeId,
    /// The runtime's id of the container.
    pub container: RuntimeId,
    /// Name of the interface inside.
    pub interface: IfName,
}

/// A route of one container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ContainerRoute {
    /// Where it leads.
    pub destination: Subnet,
    /// The next hop; `None` for the network's gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
}

/// A kernel parameter of one interface (ip-sysctl.rst), whatever that is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceSysctl {
    /// Of IPv6, else of IPv4.
    pub ipv6: bool,
    /// Which directory it is in.
    pub group: SysctlGroup,
    /// Its name: lower-case letters, digits and underscores.
    pub key: String,
    /// Its value.
    pub value: i64,
}

/// The directories of /proc/sys/net/ipv4 and ipv6 that have one for each interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SysctlGroup {
    /// `conf`.
    Conf,
    /// `neigh`.
    Neigh,
}

impl InterfaceSysctl {
    /// `ipv4` or `ipv6`.
    #[must_use]
    pub const fn family(&self) -> &'static str {
        match self.ipv6 {
            true => "ipv6",
            false => "ipv4",
        }
    }

    /// True if both are about the same parameter.
    #[must_use]
    pub fn is_same_key(&self, other: &Self) -> bool {
        (self.ipv6, self.group, &self.key) == (other.ipv6, other.group, &other.key)
    }
}

impl SysctlGroup {
    /// The directory's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conf => "conf",
            Self::Neigh => "neigh",
        }
    }
}

impl std::fmt::Display for InterfaceSysctl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (family, group) = (self.family(), self.group.as_str());
        write!(f, "net.{family}.{group}.IFNAME.{}={}", self.key, self.value)
    }
}

/// The two ends of an endpoint's veth pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Name inside the container, such as `eth0`; of a Docker engine's, the one that the engine finds it by on the host.
    pub inside: IfName,
    /// Name on the host, such as `veth3f2a91c`.
    pub outside: IfName,
    /// Ethernet address inside the container.
    pub mac: Mac,
}

/// An address held by an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lease {
    /// The pool it came from.
    pub pool: Subnet,
    /// The address.
    pub address: IpAddr,
    /// True if the user asked for this one: it stays reserved while the container is stopped.
    pub requested: bool,
}

impl Lease {
    /// The address with its pool's prefix, as the interface carries it.
    #[must_use]
    pub fn interface_address(&self) -> IpNetwork {
        self.pool.with_address(self.address)
    }
}

/// How far the life of a network or an endpoint has come. Written before the kernel is touched, so that a restart
/// knows what to finish and what to undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Intended; nobody was told yet. A restart undoes it.
    Attaching,
    /// Acknowledged. A restart restores it.
    Attached,
    /// To be gone. A restart finishes it.
    Detaching,
}
