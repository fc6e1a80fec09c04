//! Kernel objects: what there shall be and what there is; `step` has the single steps between.
//!
//! The same types say both. What carries none of our marks appears only where it matters to a decision, and is never
//! changed: see [`Mark`].

mod bucket;
mod step;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

use crate::container::InterfaceSysctl;
use crate::{EndpointId, IfName, InstanceId, Mac, NetworkId, Subnet};

pub use bucket::{Bucket, IfbState};
pub use step::{FlowFilter, LinkChange, NewVeth, Op};

/// Identity of a network namespace: device and inode of its nsfs file (namespaces(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NetnsId {
    /// `st_dev` of the file.
    pub dev: u64,
    /// `st_ino` of the file.
    pub inode: u64,
}

impl fmt::Display for NetnsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net:[{}]", self.inode)
    }
}

/// Who made an interface: kept in its alias (`ip link set DEV alias TEXT`), where every tool shows it.
///
/// Only what carries a mark of this daemon's instance may ever be changed or deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark {
    /// First half of the maker's instance id, as a number.
    pub instance: u64,
    /// What the interface is for.
    pub purpose: Purpose,
}

/// What a marked interface is for; the first 8 bytes of the id it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// The bridge of a network.
    Bridge(u64),
    /// The host end of an endpoint's veth pair.
    Endpoint(u64),
    /// The device that holds back what an endpoint sends.
    Ifb(u64),
}

fn first_eight(bytes: &[u8; 32]) -> u64 {
    bytes
        .iter()
        .take(8)
        .fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

impl Mark {
    /// The mark of a network's bridge.
    #[must_use]
    pub fn bridge(instance: InstanceId, network: NetworkId) -> Self {
        Self {
            instance: first_eight(instance.as_bytes()),
            purpose: Purpose::Bridge(first_eight(network.as_bytes())),
        }
    }

    /// The mark of the host end of an endpoint's veth pair.
    #[must_use]
    pub fn endpoint(instance: InstanceId, endpoint: EndpointId) -> Self {
        Self {
            instance: first_eight(instance.as_bytes()),
            purpose: Purpose::Endpoint(first_eight(endpoint.as_bytes())),
        }
    }

    /// The mark of the device that holds back what an endpoint sends.
    #[must_use]
    pub fn ifb(instance: InstanceId, endpoint: EndpointId) -> Self {
        Self {
            instance: first_eight(instance.as_bytes()),
            purpose: Purpose::Ifb(first_eight(endpoint.as_bytes())),
        }
    }

    /// True if `instance` made it.
    #[must_use]
    pub fn is_of(&self, instance: InstanceId) -> bool {
        self.instance == first_eight(instance.as_bytes())
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.purpose {
            Purpose::Bridge(id) => write!(f, "netd:{:016x}:network:{id:016x}", self.instance),
            Purpose::Endpoint(id) => write!(f, "netd:{:016x}:endpoint:{id:016x}", self.instance),
            Purpose::Ifb(id) => write!(f, "netd:{:016x}:ifb:{id:016x}", self.instance),
        }
    }
}

/// A text is not one of our marks, so the interface is not ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a mark of netd")]
pub struct NotAMark;

impl FromStr for Mark {
    type Err = NotAMark;

    fn from_str(text: &str) -> Result<Self, NotAMark> {
        let number = |digits: &str| match digits.len() {
            16 => u64::from_str_radix(digits, 16).map_err(|_| NotAMark),
            _ => Err(NotAMark),
        };
        match text.split(':').collect::<Vec<_>>()[..] {
            ["netd", instance, kind, id] => {
                let id = number(id)?;
                let purpose = match kind {
                    "network" => Purpose::Bridge(id),
                    "endpoint" => Purpose::Endpoint(id),
                    "ifb" => Purpose::Ifb(id),
                    _ => return Err(NotAMark),
                };
                Ok(Self {
                    instance: number(instance)?,
                    purpose,
                })
            }
            _ => Err(NotAMark),
        }
    }
}

/// What there shall be, or what there is, on the host and in the sandboxes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelState {
    /// Objects in the daemon's own namespace.
    pub host: HostState,
    /// Objects in the containers' namespaces.
    pub sandboxes: BTreeMap<NetnsId, SandboxState>,
}

/// Objects in the daemon's own namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostState {
    /// Bridges by name.
    pub bridges: BTreeMap<IfName, BridgeState>,
    /// Host ends of veth pairs by name.
    pub veths: BTreeMap<IfName, VethState>,
    /// Devices that what containers send goes through, by name.
    pub ifbs: BTreeMap<IfName, IfbState>,
    /// Cards of the host that are ports of bridges, by name. One that is not plugged in is absent.
    pub uplinks: BTreeMap<IfName, UplinkState>,
    /// Routes that netd set: those of protocol [`ROUTE_PROTOCOL`] in the main table.
    pub routes: BTreeSet<RouteState>,
    /// Kernel parameters of the namespace.
    pub sysctls: BTreeMap<Sysctl, String>,
}

/// A bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeState {
    /// Who made it; `None` for a bridge that is only used: it is brought up, and otherwise left as it is.
    pub mark: Option<Mark>,
    /// Its Ethernet address. Always set: a bridge without one takes its lowest port's, and changes it as ports come
    /// and go, under its neighbours' ARP caches.
    pub mac: Mac,
    /// Its IP addresses, link-local ones left out.
    pub addresses: BTreeSet<IpNetwork>,
    /// MTU in bytes.
    pub mtu_bytes: u32,
    /// Whether iptables and ip6tables decide on what it switches between its ports, whatever
    /// `net.bridge.bridge-nf-call-iptables` says of bridges in general (ip-link(8) `nf_call_iptables`). Without it
    /// rules for FORWARD see only what is routed, and two ports of a bridge exchange frames past them.
    pub filtered: bool,
    /// Administrative state.
    pub up: bool,
}

/// The host end of a veth pair, and which end it has in which sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VethState {
    /// Who made it.
    pub mark: Option<Mark>,
    /// The bridge that it is a port of; `None` while it is cut off.
    pub bridge: Option<IfName>,
    /// Whether frames may return through the port they came by: a container reaches itself by its published port.
    pub hairpin: bool,
    /// Whether it exchanges no frames with other isolated ports of its bridge, whatever the packet filter says.
    pub isolated: bool,
    /// MTU in bytes.
    pub mtu_bytes: u32,
    /// Administrative state.
    pub up: bool,
    /// What holds back that which leaves by it, to the other end. Where none is wished for, what there is stays.
    pub bucket: Option<Bucket>,
    /// The ifb that takes all that comes in by it, from the other end. Where none is wished for, what there is stays.
    pub through: Option<IfName>,
    /// The namespace of the other end; `None` when the kernel shows none that is known.
    pub peer: Option<NetnsId>,
    /// Name of the other end at creation. An observer reports what it can see; `None` if the end is not there.
    pub peer_name: Option<IfName>,
}

/// A card of the host, which bears nobody's mark. It is made a port and brought up, and otherwise left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UplinkState {
    /// The bridge, bond or other device that it is a port of.
    pub holder: Option<IfName>,
    /// Administrative state.
    pub up: bool,
}

/// Objects in one container's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxState {
    /// Whether the loopback interface is up.
    pub loopback_up: bool,
    /// Interfaces by name, loopback left out.
    pub interfaces: BTreeMap<IfName, InterfaceState>,
    /// Routes that netd set: those of protocol [`ROUTE_PROTOCOL`].
    pub routes: BTreeSet<RouteState>,
    /// Kernel parameters of the namespace.
    pub sysctls: BTreeMap<Sysctl, String>,
    /// Port on 127.0.0.11 to which port 53 of that address is redirected, for UDP and TCP.
    pub dns_redirect: Option<u16>,
}

/// An interface inside a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceState {
    /// Its Ethernet address.
    pub mac: Mac,
    /// MTU in bytes.
    pub mtu_bytes: u32,
    /// Administrative state.
    pub up: bool,
    /// Its IP addresses. An observer leaves out the link-local ones that are not wished for: the kernel gives itself
    /// some.
    pub addresses: BTreeSet<IpNetwork>,
}

/// Route protocol number that marks netd's routes (rtnetlink(7) `rtm_protocol`; 0x6e is unassigned in
/// /etc/iproute2/rt_protos).
pub const ROUTE_PROTOCOL: u8 = 0x6e;

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteState {
    /// Where it leads; prefix 0 for the default route.
    pub destination: Subnet,
    /// The next hop.
    pub gateway: IpAddr,
    /// The interface that it leaves by, in a sandbox: two may reach the next hop. `None` on the host, where the kernel
    /// knows the only one.
    pub interface: Option<IfName>,
}

/// A kernel parameter below /proc/sys/net, as its path there: `ipv4/ip_forward`, `ipv6/conf/eth0/accept_ra`.
///
/// Two of one path are equal, whoever named them.
#[derive(Clone, Debug)]
pub struct Sysctl {
    path: String,
    of_user: bool,
}

impl Sysctl {
    /// A parameter of the whole namespace, such as `ipv4/ip_forward`.
    #[must_use]
    pub fn global(path: &'static str) -> Self {
        Self::own(path.to_owned())
    }

    const fn own(path: String) -> Self {
        Self {
            path,
            of_user: false,
        }
    }

    /// A parameter of one interface: family `ipv4` or `ipv6`, then the interface, then the key.
    #[must_use]
    pub fn of_interface(family: &'static str, interface: &IfName, key: &'static str) -> Self {
        Self::own(format!("{family}/conf/{interface}/{key}"))
    }

    /// A parameter that a user named for one interface.
    #[must_use]
    pub fn of_user(sysctl: &InterfaceSysctl, interface: &IfName) -> Self {
        let (family, group) = (sysctl.family(), sysctl.group.as_str());
        Self {
            path: format!("{family}/{group}/{interface}/{}", sysctl.key),
            of_user: true,
        }
    }

    /// The parameter that a new interface takes this one from, if it is one of an interface in IPv6.
    #[must_use]
    pub fn inherited_from(&self) -> Option<Self> {
        match self.path.split('/').collect::<Vec<_>>()[..] {
            ["ipv6", "conf", _, key] => Some(Self::own(format!("ipv6/conf/default/{key}"))),
            _ => None,
        }
    }

    /// The path below /proc/sys/net.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// True if a user named it, who is to hear that there is no such parameter.
    #[must_use]
    pub const fn is_of_user(&self) -> bool {
        self.of_user
    }

    /// True if it is what interfaces begin with that are yet to come (ip-sysctl.rst).
    #[must_use]
    pub fn is_of_future_interfaces(&self) -> bool {
        self.path.contains("/conf/default/")
    }

    /// True if the parameter may be absent: a kernel or namespace without IPv6 or br_netfilter has nothing to turn off.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        self.path.starts_with("ipv6/") || self.path.starts_with("bridge/")
    }
}

impl PartialEq for Sysctl {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for Sysctl {}

impl PartialOrd for Sysctl {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sysctl {
    fn cmp(&self, other: &Self) -> Ordering {
        self.path.cmp(&other.path)
    }
}

/// As people know it: `net.ipv4.conf.eth0.log_martians`.
impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net.{}", self.path.replace('/', "."))
    }
}
