//! The fake machine itself: namespaces, links, processes, and what holds what alive. One owner of all state, no locks.
//!
//! Knows nothing of the daemon's traits; the modules beside it translate.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use netd_model::container::{Anchor, Supervisor};
use netd_model::desired::{Bucket, FlowFilter, Mark, ROUTE_PROTOCOL, Sysctl};
use netd_model::{EndpointId, IfName, IpNetwork, Mac, NetnsId, Op, Protocol, Ruleset, Subnet};
use nix::errno::Errno;

use crate::{KernelError, KernelEvent};

/// Device number that the fake's namespace files have.
const NSFS_DEV: u64 = 4;
/// What /proc/sys/kernel/random/boot_id says at first.
const FIRST_BOOT: &str = "00000000-0000-4000-8000-000000000000";
/// MTU of Ethernet in bytes, which a new link has if nobody says otherwise.
pub(super) const ETHERNET_MTU_BYTES: u32 = 1500;

/// Where the kernel's change reports go.
pub(super) type Listener = Arc<dyn Fn(KernelEvent) + Send + Sync>;
/// Picks the step that shall fail.
pub(super) type Fault = Box<dyn Fn(&Op) -> bool + Send>;

/// Everything there is on the machine.
pub(super) struct Machine {
    pub(super) boot_id: String,
    pub(super) host: NetnsId,
    pub(super) namespaces: BTreeMap<NetnsId, Namespace>,
    pub(super) processes: BTreeMap<u32, Process>,
    /// Namespace files bound somewhere, such as below /run/netns.
    pub(super) paths: BTreeMap<PathBuf, NetnsId>,
    /// Ports that processes of the host listen on.
    pub(super) occupied: Vec<Occupied>,
    pub(super) daemon: Daemon,
    pub(super) rules: Ruleset,
    /// Whether nobody is told of what is done to the rules.
    pub(super) rules_are_silent: bool,
    /// How often all rules were compared.
    pub(super) verifications: AtomicU64,
    pub(super) forgotten: Vec<FlowFilter>,
    pub(super) has_ipv6: bool,
    pub(super) has_br_netfilter: bool,
    pub(super) faults: Vec<Fault>,
    pub(super) refuse_rules: Option<String>,
    /// What is to be told once the machine is unlocked.
    pub(super) events: Vec<KernelEvent>,
    last_number: u32,
}

/// What dies with the daemon's process.
#[derive(Default)]
pub(super) struct Daemon {
    /// Counts the daemons: a dead one's calls reach nothing.
    pub(super) generation: u64,
    pub(super) pins: BTreeMap<NetnsId, Pin>,
    pub(super) reserved: BTreeMap<EndpointId, BTreeSet<HostPort>>,
    /// Links of the host that are out of use and wait for their deletion.
    pub(super) retired: BTreeSet<IfName>,
    pub(super) listeners: Vec<Listener>,
}

/// A namespace held open by the daemon.
pub(super) struct Pin {
    pub(super) anchor: Option<Anchor>,
    /// What parameters were that the daemon wrote and that concern interfaces of others.
    pub(super) former: BTreeMap<Sysctl, String>,
}

/// A port of the host that a socket is bound to.
pub(super) type HostPort = (Protocol, IpAddr, u16);

/// A port taken by another process.
pub(super) struct Occupied {
    pub(super) port: HostPort,
    pub(super) holder: String,
}

/// A process, its namespace, and its open namespace files (`None`: another file).
pub(super) struct Process {
    pub(super) start_ticks: u64,
    pub(super) parent: Option<u32>,
    pub(super) netns: NetnsId,
    pub(super) descriptors: BTreeMap<u32, Option<NetnsId>>,
}

/// A network namespace.
#[derive(Default)]
pub(super) struct Namespace {
    pub(super) links: BTreeMap<IfName, Link>,
    pub(super) routes: BTreeMap<Subnet, Route>,
    /// Parameters that belong to no interface, those written so far.
    pub(super) sysctls: BTreeMap<String, String>,
    pub(super) dns_redirect: Option<u16>,
}

/// A route of the main table.
pub(super) struct Route {
    pub(super) gateway: Option<IpAddr>,
    pub(super) interface: IfName,
    pub(super) protocol: u8,
}

impl Route {
    /// True if it carries netd's protocol number.
    pub(super) fn is_ours(&self) -> bool {
        self.protocol == ROUTE_PROTOCOL
    }
}

/// What a link is.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Loopback,
    Bridge,
    /// One end of a pair, and where the other is.
    Veth {
        peer: (NetnsId, IfName),
    },
    /// A device that packets go through to be held back.
    Ifb,
    /// A device that netd has no word for, such as an Ethernet card.
    Device,
}

/// A network interface.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) kind: Kind,
    pub(super) mark: Option<Mark>,
    pub(super) mac: Mac,
    pub(super) mtu_bytes: u32,
    pub(super) up: bool,
    pub(super) addresses: BTreeSet<IpNetwork>,
    pub(super) port: Option<Port>,
    /// Whether a bridge asks for iptables' verdict; nothing follows from it without br_netfilter.
    pub(super) filtered: bool,
    /// What holds back that which leaves by it.
    pub(super) bucket: Option<Bucket>,
    /// The ifb that what comes in by it goes through.
    pub(super) through: Option<IfName>,
    /// Its own parameters, by family and key, those written so far.
    pub(super) sysctls: BTreeMap<(String, String), String>,
}

/// A link's place on a bridge; its settings go when it leaves.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) bridge: IfName,
    pub(super) hairpin: bool,
    pub(super) isolated: bool,
}

/// An answer of the kernel to what was tried.
pub(super) fn refused(errno: Errno, action: impl Into<String>) -> KernelError {
    KernelError::Os {
        action: action.into(),
        source: io::Error::from(errno),
    }
}

impl Machine {
    /// A machine with a loopback interface and nothing else.
    pub(super) fn new() -> Self {
        let host = NetnsId {
            dev: NSFS_DEV,
            inode: 0,
        };
        let mut machine = Self {
            boot_id: FIRST_BOOT.to_owned(),
            host,
            namespaces: BTreeMap::new(),
            processes: BTreeMap::new(),
            paths: BTreeMap::new(),
            occupied: Vec::new(),
            daemon: Daemon::default(),
            rules: Ruleset::default(),
            rules_are_silent: false,
            verifications: AtomicU64::new(0),
            forgotten: Vec::new(),
            has_ipv6: true,
            has_br_netfilter: true,
            faults: Vec::new(),
            refuse_rules: None,
            events: Vec::new(),
            last_number: 1000,
        };
        machine.namespaces.insert(host, Namespace::with_loopback());
        machine.set_up_loopback_of(host);
        machine
    }

    /// A number that was never given out: an inode, a process id, an interface index, a start time.
    pub(super) fn next_number(&mut self) -> u32 {
        self.last_number += 1;
        self.last_number
    }

    /// Makes a namespace that nobody holds yet.
    pub(super) fn new_namespace(&mut self) -> NetnsId {
        let id = NetnsId {
            dev: NSFS_DEV,
            inode: u64::from(self.next_number()),
        };
        self.namespaces.insert(id, Namespace::with_loopback());
        id
    }

    fn set_up_loopback_of(&mut self, netns: NetnsId) {
        if let Some(namespace) = self.namespaces.get_mut(&netns) {
            for link in namespace.links.values_mut() {
                link.set_up(true);
            }
        }
    }

    /// The daemon's own namespace.
    pub(super) fn host(&self) -> Option<&Namespace> {
        self.namespaces.get(&self.host)
    }

    /// The namespace of a step: the host's, or a pinned one.
    pub(super) fn reach(&mut self, netns: Option<NetnsId>) -> Result<&mut Namespace, KernelError> {
        let id = netns.unwrap_or(self.host);
        if netns.is_some_and(|netns| !self.daemon.pins.contains_key(&netns)) {
            return Err(KernelError::SandboxGone { netns: id });
        }
        self.namespaces
            .get_mut(&id)
            .ok_or(KernelError::SandboxGone { netns: id })
    }

    /// Adds a link with what a new one inherits from the `default` parameters.
    pub(super) fn add_link(&mut self, netns: NetnsId, name: &IfName, mut link: Link) {
        link.index = self.next_number();
        if let Some(namespace) = self.namespaces.get_mut(&netns) {
            link.sysctls = namespace.defaults();
            namespace.links.insert(name.clone(), link);
        }
    }

    /// Removes a link with its addresses, routes and parameters, the other end of a pair with it, and cuts off the
    /// ports of a bridge. Names the marked links of the host that went.
    pub(super) fn remove_link(&mut self, netns: NetnsId, name: &IfName) -> Vec<IfName> {
        let Some(namespace) = self.namespaces.get_mut(&netns) else {
            return Vec::new();
        };
        let Some(link) = namespace.links.remove(name) else {
            return Vec::new();
        };
        namespace.routes.retain(|_, route| route.interface != *name);
        for other in namespace.links.values_mut() {
            if other.port.as_ref().is_some_and(|port| port.bridge == *name) {
                other.port = None;
            }
            // A filter whose ifb is gone stays and leads nowhere.
            other.through = other.through.take().filter(|ifb| ifb != name);
        }
        let mut gone = Vec::new();
        if netns == self.host && link.mark.is_some() {
            gone.push(name.clone());
        }
        if let Kind::Veth { peer } = link.kind {
            gone.extend(self.remove_link(peer.0, &peer.1));
        }
        gone
    }

    /// The process with a number, told from a later one.
    pub(super) fn supervisor_of(&self, pid: u32) -> Option<Supervisor> {
        let process = self.processes.get(&pid)?;
        Some(process.supervisor(pid))
    }

    /// The processes that a process started, if it still runs.
    pub(super) fn children_of(&self, parent: Supervisor) -> Vec<Supervisor> {
        if self.supervisor_of(parent.pid) != Some(parent) {
            return Vec::new();
        }
        let children = self.processes.iter();
        children
            .filter(|(_, process)| process.parent == Some(parent.pid))
            .map(|(pid, process)| process.supervisor(*pid))
            .collect()
    }

    /// Ends a process, and what only it held. Its children are nobody's then.
    pub(super) fn end_process(&mut self, pid: u32) {
        self.processes.remove(&pid);
        for orphan in self.processes.values_mut() {
            orphan.parent = orphan.parent.filter(|parent| *parent != pid);
        }
        self.settle();
    }

    /// Switches the machine off and on: all that lives in memory is gone.
    pub(super) fn reboot(&mut self) {
        let mut fresh = Self::new();
        fresh.last_number = self.last_number;
        fresh.boot_id = format!("00000000-0000-4000-8000-{:012x}", fresh.next_number());
        fresh.daemon.generation = self.daemon.generation + 1;
        *self = fresh;
    }

    /// What shows that a namespace lives without the daemon: a file it is bound to, else a process in it, else a
    /// process that has it open.
    pub(super) fn anchor_of(&self, netns: NetnsId) -> Option<Anchor> {
        let process = |is_it: &dyn Fn(&Process) -> bool| {
            let found = self.processes.iter().find(|(_, process)| is_it(process));
            found.map(|(pid, process)| Anchor::Process(process.supervisor(*pid)))
        };
        let path = || {
            let bound = self.paths.iter().find(|(_, bound)| **bound == netns);
            bound.map(|(path, _)| Anchor::Path(path.clone()))
        };
        path()
            .or_else(|| process(&|process| process.netns == netns))
            .or_else(|| process(&|process| process.holds(netns)))
    }

    /// True if an anchor still leads to the namespace.
    pub(super) fn holds(&self, anchor: &Anchor, netns: NetnsId) -> bool {
        match anchor {
            Anchor::Process(known) => self.processes.get(&known.pid).is_some_and(|process| {
                process.supervisor(known.pid) == *known && process.holds(netns)
            }),
            Anchor::Path(path) => self.paths.get(path) == Some(&netns),
        }
    }

    /// Draws the consequences after something let go of a namespace: pins get a new anchor or the news that there is
    /// none, and what nobody holds ends with its interfaces and their partners.
    pub(super) fn settle(&mut self) {
        let pinned: Vec<NetnsId> = self.daemon.pins.keys().copied().collect();
        for netns in pinned {
            let anchor = self.anchor_of(netns);
            let Some(known) = self.daemon.pins.get(&netns).and_then(|p| p.anchor.clone()) else {
                continue;
            };
            if self.holds(&known, netns) {
                continue;
            }
            self.events.push(match &anchor {
                None => KernelEvent::SandboxEnded(netns),
                Some(anchor) => KernelEvent::SandboxAnchored(netns, anchor.clone()),
            });
            if let Some(pin) = self.daemon.pins.get_mut(&netns) {
                pin.anchor = anchor;
            }
        }
        let ended: Vec<NetnsId> = self
            .namespaces
            .keys()
            .copied()
            .filter(|netns| !self.is_held(*netns))
            .collect();
        for netns in ended {
            self.end_namespace(netns);
        }
    }

    fn is_held(&self, netns: NetnsId) -> bool {
        netns == self.host
            || self.daemon.pins.contains_key(&netns)
            || self.paths.values().any(|bound| *bound == netns)
            || self.processes.values().any(|process| process.holds(netns))
    }

    fn end_namespace(&mut self, netns: NetnsId) {
        let links: Vec<IfName> = self
            .namespaces
            .get(&netns)
            .map(|namespace| namespace.links.keys().cloned().collect())
            .unwrap_or_default();
        for name in links {
            let gone = self.remove_link(netns, &name);
            self.events
                .extend(gone.into_iter().map(KernelEvent::LinkChanged));
        }
        self.namespaces.remove(&netns);
    }
}
