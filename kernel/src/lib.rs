//! Everything that touches Linux: links, addresses, routes, namespaces, parameters, the firewall, conntrack, sockets.
//!
//! Two doors: [`Kernel`] and [`Firewall`]. Each has a Linux implementation and a faithful fake, and one contract suite
//! (`tests/`) runs on both. Calls block: the caller keeps them off its async threads (rtnetlink works inside
//! sendmsg(2), so an "asynchronous" netlink call would stall its runtime all the same).
//!
//! Nothing here decides what there shall be. The only crate where `unsafe` may stand, each block with its reason.

pub mod fake;
pub mod iptables;
pub mod linux;
pub mod nftables;

pub mod succession;

mod commits;
mod error;
mod family;
mod host;
mod program;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};

use netd_model::container::Anchor;
use netd_model::desired::KernelState;
use netd_model::ruleset::RulesetChange;
use netd_model::{
    EndpointId, IfName, NetnsId, Op, PublishedPort, Ruleset, Sandbox, Subnet, Supervisor,
};

pub use commits::RulesCommit;
pub use family::Family;

pub use error::{AdoptError, ApplyError, FirewallError, KernelError, ReservePortError};
pub use host::{HostInterface, HostLink, LinkKind};

/// How a caller hands over a network namespace: by something the daemon can open itself, whatever the caller's mount
/// namespace looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetnsHandle {
    /// The namespace of a process.
    Process {
        /// Its id in the daemon's pid namespace.
        pid: u32,
    },
    /// An open descriptor of a process, which refers to a namespace file.
    Descriptor {
        /// The process that holds it open.
        pid: u32,
        /// Its number there.
        fd: u32,
    },
}

/// The machine as netd sees it, from the namespace that it was started in.
pub trait Kernel: Send + Sync + 'static {
    /// Opens a namespace and pins it: it cannot vanish until [`Kernel::release`]. Finds its anchor, so that its real
    /// end is noticed nevertheless. Adopting one that is pinned already gives the same answer.
    ///
    /// # Errors
    /// [`AdoptError`]; nothing is pinned then.
    fn adopt(&self, handle: NetnsHandle) -> Result<Sandbox, AdoptError>;

    /// What [`Kernel::adopt`] said of a namespace, if that is pinned still.
    fn pinned(&self, netns: NetnsId) -> Option<Sandbox>;

    /// Pins a namespace known from before a restart, by its anchor.
    ///
    /// # Errors
    /// [`AdoptError::Gone`] when the anchor is no more or leads to another namespace.
    fn readopt(&self, sandbox: &Sandbox) -> Result<(), AdoptError>;

    /// [`Kernel::readopt`] of each, in their order. What is needed to enter one is spent once for all.
    fn readopt_all(&self, sandboxes: &[Sandbox]) -> Vec<Result<(), AdoptError>> {
        let each = sandboxes.iter();
        each.map(|sandbox| self.readopt(sandbox)).collect()
    }

    /// Unpins a namespace and forgets its anchor. What [`Op::WriteSysctl`](netd_model::Op) changed for interfaces that are
    /// yet to come ([`Sysctl::is_of_future_interfaces`](netd_model::desired::Sysctl)) since it was pinned is put back,
    /// since it may live on with somebody else. One that is not pinned is fine.
    fn release(&self, netns: NetnsId);

    /// Identity of the daemon's own namespace.
    fn own_netns(&self) -> NetnsId;

    /// Reports all links with marks, whoever's, netd's own routes, and besides them the links, cards, parameters and pinned sandboxes that
    /// `about` names. A sandbox that is not pinned is left out.
    ///
    /// A parameter that is absent and may be ([`netd_model::desired::Sysctl::is_optional`]) is reported as `about`
    /// wishes it: there is nothing to turn off. A redirection of port 53 costs a program's run to see, so it is looked
    /// for only where `about` has one, and reported as none elsewhere; and so is what holds traffic back. Of link-local addresses only those inside sandboxes are
    /// reported that `about` names: the kernel gives interfaces others by itself.
    ///
    /// # Errors
    /// [`KernelError`] when the kernel did not answer.
    fn observe(&self, about: &KernelState) -> Result<KernelState, KernelError>;

    /// Makes the steps in their order and stops at the first that fails.
    ///
    /// # Errors
    /// [`ApplyError`] names the step; those before it are done, those behind it are not. A bridge cannot be filtered in
    /// a kernel without br_netfilter: [`KernelError::NoBridgeFilter`].
    fn apply(&self, ops: &[Op]) -> Result<(), ApplyError>;

    /// Waits until frames pass by the outer end of a pair that is up at both ends; a moment at most. The kernel sees to it only
    /// after both are, and a packet that comes before is lost.
    fn settle(&self, outside: &IfName);

    /// Destinations that the host already routes somewhere, default routes, netd's own routes and bridges left out, with the
    /// interface that each leads to. For choosing and refusing subnets.
    ///
    /// # Errors
    /// [`KernelError`] when the kernel did not answer.
    fn routed_subnets(&self) -> Result<Vec<(Subnet, IfName)>, KernelError>;

    /// Facts about an interface of the host, or `None` if there is none of that name.
    ///
    /// # Errors
    /// [`KernelError`] when the kernel did not answer.
    fn host_interface(&self, name: &IfName) -> Result<Option<HostInterface>, KernelError>;

    /// The links of the host, whoever made them.
    ///
    /// # Errors
    /// [`KernelError`] when the kernel did not answer.
    fn host_links(&self) -> Result<Vec<HostLink>, KernelError>;

    /// Names of the interfaces inside a pinned sandbox, whoever made them.
    ///
    /// # Errors
    /// [`KernelError::SandboxGone`] when it is not pinned.
    fn inside_names(&self, netns: NetnsId) -> Result<BTreeSet<IfName>, KernelError>;

    /// Addresses of the host, on every interface.
    ///
    /// # Errors
    /// [`KernelError`] when the kernel did not answer.
    fn host_addresses(&self) -> Result<BTreeSet<IpAddr>, KernelError>;

    /// Whether the kernel forwards IPv4 packets now.
    ///
    /// # Errors
    /// [`KernelError`] when it cannot be read.
    fn forwards_ipv4(&self) -> Result<bool, KernelError>;

    /// Whether the kernel forwards IPv6 packets now, on all interfaces. False in a kernel without IPv6.
    ///
    /// # Errors
    /// [`KernelError`] when it cannot be read.
    fn forwards_ipv6(&self) -> Result<bool, KernelError>;

    /// Has the host heed router advertisements although it becomes a router itself: interfaces that heed them as a host
    /// (`accept_ra` is 1) would no longer, and so lose their addresses and the default route, once forwarding is on
    /// (ip-sysctl.rst `accept_ra`). Tells which interfaces those were.
    ///
    /// # Errors
    /// [`KernelError`] when a parameter cannot be read or written.
    fn keep_router_advertisements(&self) -> Result<Vec<IfName>, KernelError>;

    /// Tells a running process from a later one with the same number.
    ///
    /// # Errors
    /// [`AdoptError::NoSuchProcess`] when there is none.
    fn identify(&self, pid: u32) -> Result<Supervisor, AdoptError>;

    /// The network namespace that a process runs in now.
    ///
    /// # Errors
    /// [`AdoptError::NoSuchProcess`] when there is none.
    fn netns_of(&self, pid: u32) -> Result<NetnsId, AdoptError>;

    /// True if somebody holds a namespace besides these processes, what descends from them, and the daemon: a process, a
    /// mount or an open descriptor.
    ///
    /// # Errors
    /// [`KernelError`] when it cannot be found out.
    fn is_held_besides(&self, netns: NetnsId, besides: &[Supervisor]) -> Result<bool, KernelError>;

    /// Sends a signal to exactly this process, never to a later one with its number. `false` if it has ended.
    ///
    /// # Errors
    /// [`KernelError`] when the kernel refuses.
    fn signal(&self, process: Supervisor, signal: Signal) -> Result<bool, KernelError>;

    /// The processes that this one started and that still run (/proc/PID/task/*/children). None if it has ended.
    ///
    /// # Errors
    /// [`KernelError`] when they cannot be read.
    fn children(&self, process: Supervisor) -> Result<Vec<Supervisor>, KernelError>;

    /// Identity of this boot of the machine (/proc/sys/kernel/random/boot_id).
    ///
    /// # Errors
    /// [`KernelError`] when it cannot be read.
    fn boot_id(&self) -> Result<String, KernelError>;

    /// Takes the host ports for `endpoint` by sockets of its own, so that no process can listen there behind the
    /// translation's back. All or none. Ports that this endpoint has already stay as they are.
    ///
    /// # Errors
    /// [`ReservePortError`] names the port and, where /proc shows it, the process that holds it.
    fn reserve_ports(
        &self,
        endpoint: EndpointId,
        ports: &[PublishedPort],
    ) -> Result<(), ReservePortError>;

    /// Gives up the sockets of `endpoint` that are not in `keep`.
    fn release_ports(&self, endpoint: EndpointId, keep: &[PublishedPort]);

    /// The TCP sockets of `endpoint` that answer on ::1, non-blocking. The kernel translates no way from there to a
    /// container: unlike 127.0.0.0/8 (`route_localnet`), what has ::1 for its sender never leaves the host. They end when
    /// their port is released.
    ///
    /// # Errors
    /// [`KernelError`] when there is no descriptor left for them.
    fn local_listeners(&self, endpoint: EndpointId) -> Result<Vec<LocalListener>, KernelError>;

    /// Opens sockets on 127.0.0.11 inside a pinned sandbox, UDP and TCP on one port: `preferred` if it is free, so
    /// that a restart finds the redirection in place.
    ///
    /// # Errors
    /// [`KernelError`] when the sandbox is not pinned or no port is to be had.
    fn open_resolver(
        &self,
        netns: NetnsId,
        preferred: Option<u16>,
    ) -> Result<ResolverSockets, KernelError>;

    /// [`Kernel::open_resolver`] of each, in their order. What is needed to enter one is spent once for all.
    fn open_resolvers(
        &self,
        wanted: &[(NetnsId, Option<u16>)],
    ) -> Vec<Result<ResolverSockets, KernelError>> {
        let each = wanted.iter();
        each.map(|(netns, preferred)| self.open_resolver(*netns, *preferred))
            .collect()
    }

    /// Opens sockets of both protocols at an address that a bridge of the host has, on port 53. Only what comes in by that
    /// bridge reaches them (socket(7), SO_BINDTODEVICE).
    ///
    /// # Errors
    /// [`KernelError`] when the address is not there, or another resolver has the port.
    fn open_gateway_resolver(
        &self,
        bridge: &IfName,
        address: Ipv4Addr,
    ) -> Result<ResolverSockets, KernelError>;

    /// Starts to tell of changes that others made; those that this daemon made may be told as well, for the kernel
    /// does not say whose a change was. The sender is dropped when the kernel can tell no more.
    ///
    /// # Errors
    /// [`KernelError`] when the kernel refuses.
    fn watch(&self, tell: Box<dyn Fn(KernelEvent) + Send + Sync>) -> Result<(), KernelError>;
}

/// What to tell a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Nothing; only see whether it lives.
    Probe,
    /// SIGTERM, and SIGCONT after it: a stopped process ends, too.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// A port of the host that is asked on ::1.
#[derive(Debug)]
pub struct LocalListener {
    /// Where it listens: `::` or `::1`.
    pub host_ip: IpAddr,
    /// The port.
    pub port: u16,
    /// The socket.
    pub socket: TcpListener,
}

/// Open sockets of the embedded resolver, non-blocking.
#[derive(Debug)]
pub struct ResolverSockets {
    /// Bound to 127.0.0.11, or a gateway's address, and [`ResolverSockets::port`].
    pub udp: UdpSocket,
    /// Listening there as well.
    pub tcp: TcpListener,
    /// The port of both.
    pub port: u16,
}

/// Something changed, perhaps by netd itself, or a namespace came to its end. A hint: what is true is observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelEvent {
    /// The last anchor of a sandbox is gone: no process, mount or open file outside netd holds the namespace.
    SandboxEnded(NetnsId),
    /// A sandbox's anchor is gone and another holder took its place: where it is found again after a restart.
    SandboxAnchored(NetnsId, Anchor),
    /// A link with a mark appeared, changed or vanished.
    LinkChanged(IfName),
    /// Addresses, routes or links without a mark changed.
    HostChanged,
    /// Somebody changed what holds traffic back on some link of the host.
    RatesChanged,
    /// Netfilter rules were changed, by these transactions. Whose they were the [`Firewall`] knows.
    RulesChanged(Vec<RulesCommit>),
    /// Events were lost: look at everything.
    Overrun,
}

/// The packet filter and translation of the daemon's namespace.
pub trait Firewall: Send + Sync + 'static {
    /// Makes the kernel's rules say `wanted`: the difference to what stands, as one change.
    ///
    /// # Errors
    /// [`FirewallError`]; what stood before still stands.
    fn apply(&self, wanted: &Ruleset) -> Result<(), FirewallError>;

    /// As [`Firewall::apply`], for a wish that differs from the last one by `changes` at most: a backend that can keeps
    /// to those, whatever else there is.
    ///
    /// # Errors
    /// As [`Firewall::apply`].
    fn change(&self, wanted: &Ruleset, changes: &[RulesetChange]) -> Result<(), FirewallError> {
        let _ = changes;
        self.apply(wanted)
    }

    /// Compares the kernel's rules with `wanted` and says what is missing, surplus or out of order, one sentence each;
    /// empty when all is well. Reads afresh, never from memory.
    ///
    /// # Errors
    /// [`FirewallError`] when they cannot be read.
    fn verify(&self, wanted: &Ruleset) -> Result<Vec<String>, FirewallError>;

    /// What other tables drop of the packets that `wanted` lets through: where, why, and what to do, a sentence each. Only
    /// what is certain is said. Called in the network namespace of the firewall.
    ///
    /// # Errors
    /// [`FirewallError`] when they cannot be read.
    fn obstacles(&self, wanted: &Ruleset) -> Result<Vec<String>, FirewallError> {
        let _ = wanted;
        Ok(Vec::new())
    }

    /// Whether a transaction was this firewall's own. When in doubt it was not.
    fn made(&self, commit: RulesCommit) -> bool {
        let _ = commit;
        false
    }

    /// Whether [`Kernel::watch`] hears of what others do to the rules. If not, it has to be looked for.
    fn changes_are_told(&self) -> bool;

    /// Name and flavour for people, such as `iptables (nf_tables, 1.8.9)`.
    fn describe(&self) -> String;
}
