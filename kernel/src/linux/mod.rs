//! The kernel of this machine, by netlink, /proc and the namespaces' own files.
//!
//! Reading order: `session` and `attributes` (how to talk), `namespace`, `sysctl` and `views` (where), `links`, `ifbs`, `queues`, `carrier`, `reaper`,
//! `addresses`, `routes` and `flows` (what about), `ports`, `resolver` and `redirect` (sockets), `holders`, `nsids`, `sandboxes` and `adopt` (whose end
//! is whose), `apply` and `observe` (the two halves of the door), `host` (facts for decisions), `events` (who else does something).

pub(crate) mod attributes;
pub(crate) mod session;

mod namespace;
mod sysctl;
mod views;

mod addresses;
mod carrier;
mod flows;
mod ifbs;
mod links;
mod queues;
mod reaper;
mod routes;

mod listeners;
mod ports;
mod redirect;
mod resolver;

mod adopt;
mod holders;
mod nsids;
mod processes;
mod sandboxes;

mod apply;
mod events;
mod host;
mod observe;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};

use netd_model::desired::{KernelState, Sysctl};
use netd_model::{EndpointId, IfName, NetnsId, Op, PublishedPort, Sandbox, Subnet, Supervisor};
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit};

use self::apply::Application;
use self::events::Watch;
use self::namespace::Namespace;
use self::ports::Ports;
use self::reaper::Reaper;
use self::sandboxes::Sandboxes;
use self::session::{Session, errno};
use crate::{
    AdoptError, ApplyError, HostInterface, HostLink, Kernel, KernelError, KernelEvent,
    LocalListener, NetnsHandle, ReservePortError, ResolverSockets, Signal,
};

/// Netlink sockets in the daemon's namespace: as many requests go on at a time. More would only wait for the kernel's
/// own lock (rtnl).
const SESSIONS: usize = 4;

/// The kernel of this machine, seen from one network namespace.
pub struct Linux {
    home: Namespace,
    reaper: Reaper,
    sandboxes: Arc<Sandboxes>,
    ports: Ports,
    watch: Mutex<Option<Watch>>,
    /// Links that routes lead to and that bore a daemon's mark when they were looked at, by their numbers, which the kernel does not
    /// give twice: a thousand networks are not asked for one by one each time.
    marked_links: Mutex<BTreeSet<u32>>,
}

impl Linux {
    /// Works in the network namespace of the calling thread, from whatever threads it is used later.
    ///
    /// # Errors
    /// [`KernelError::Os`] when the kernel has no netlink or the files of namespaces, or forbids them: netd needs
    /// `CAP_NET_ADMIN` and `CAP_SYS_ADMIN`.
    pub fn open() -> Result<Self, KernelError> {
        let open = || {
            Ok(Self {
                home: Namespace::here(SESSIONS)?,
                reaper: Reaper::start(Session::open(NETLINK_ROUTE)?)?,
                sandboxes: Arc::new(Sandboxes::new()?),
                ports: Ports::default(),
                watch: Mutex::default(),
                marked_links: Mutex::default(),
            })
        };
        open().map_err(refused("open netlink in the daemon's network namespace"))
    }
}

/// A number that others will hardly pick: the standard library's hash keys are random.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A name that others will hardly pick, for a link that is not in use yet, or no more.
fn unused_name() -> io::Result<IfName> {
    IfName::new(&format!("nd{:08x}", random() >> 32)).map_err(io::Error::other)
}

/// Makes a [`KernelError`] of the kernel's answer.
fn refused(action: impl Into<String>) -> impl FnOnce(io::Error) -> KernelError {
    // A sentence of our own may already have come up from below.
    |error| match error.downcast::<KernelError>() {
        Ok(known) => known,
        Err(source) if errno(&source) == Some(libc::EMFILE) => KernelError::OutOfFiles {
            action: action.into(),
            limit: getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft),
        },
        Err(source) => KernelError::Os {
            action: action.into(),
            source,
        },
    }
}

impl Kernel for Linux {
    fn adopt(&self, handle: NetnsHandle) -> Result<Sandbox, AdoptError> {
        adopt::adopt(&self.sandboxes, self.home.id, handle)
    }

    fn pinned(&self, netns: NetnsId) -> Option<Sandbox> {
        self.sandboxes.known(netns)
    }

    fn readopt(&self, sandbox: &Sandbox) -> Result<(), AdoptError> {
        adopt::readopt(&self.sandboxes, sandbox)
    }

    fn readopt_all(&self, sandboxes: &[Sandbox]) -> Vec<Result<(), AdoptError>> {
        namespace::travel(sandboxes, |sandbox| self.readopt(sandbox))
    }

    fn release(&self, netns: NetnsId) {
        self.sandboxes.release(netns);
    }

    fn own_netns(&self) -> NetnsId {
        self.home.id
    }

    fn observe(&self, about: &KernelState) -> Result<KernelState, KernelError> {
        observe::observe(self, about).map_err(refused("look at the state of the kernel"))
    }

    fn apply(&self, ops: &[Op]) -> Result<(), ApplyError> {
        Application::new(self).run(ops)
    }

    fn settle(&self, outside: &IfName) {
        carrier::settle(&self.home, outside);
    }

    fn routed_subnets(&self) -> Result<Vec<(Subnet, IfName)>, KernelError> {
        host::routed_subnets(self).map_err(refused("list the host's routes"))
    }

    fn host_interface(&self, name: &IfName) -> Result<Option<HostInterface>, KernelError> {
        host::host_interface(self, name)
            .map_err(|error| refused(format!("look at interface {name}"))(error))
    }

    fn host_links(&self) -> Result<Vec<HostLink>, KernelError> {
        host::host_links(self).map_err(refused("list the host's links"))
    }

    fn inside_names(&self, netns: NetnsId) -> Result<BTreeSet<IfName>, KernelError> {
        let pin = self.sandboxes.get(netns)?;
        observe::inside_names(&pin.namespace)
            .map_err(|error| refused(format!("list the interfaces of {netns}"))(error))
    }

    fn host_addresses(&self) -> Result<BTreeSet<IpAddr>, KernelError> {
        host::host_addresses(self).map_err(refused("list the host's addresses"))
    }

    fn forwards_ipv4(&self) -> Result<bool, KernelError> {
        let read = self
            .home
            .read_parameter(&Sysctl::global("ipv4/ip_forward"))
            .map_err(refused("read ipv4/ip_forward"))?;
        Ok(read.as_deref() == Some("1"))
    }

    fn forwards_ipv6(&self) -> Result<bool, KernelError> {
        let read = self
            .home
            .read_parameter(&Sysctl::global("ipv6/conf/all/forwarding"))
            .map_err(refused("read ipv6/conf/all/forwarding"))?;
        Ok(read.as_deref() == Some("1"))
    }

    fn keep_router_advertisements(&self) -> Result<Vec<IfName>, KernelError> {
        sysctl::keep_router_advertisements(&self.home)
            .map_err(refused("keep router advertisements for the host"))
    }

    fn identify(&self, pid: u32) -> Result<Supervisor, AdoptError> {
        processes::process(pid).ok_or(AdoptError::NoSuchProcess { pid })
    }

    fn netns_of(&self, pid: u32) -> Result<NetnsId, AdoptError> {
        namespace::identity_at(&holders::namespace_of(pid))
            .map_err(|_| AdoptError::NoSuchProcess { pid })
    }

    fn is_held_besides(&self, netns: NetnsId, besides: &[Supervisor]) -> Result<bool, KernelError> {
        Ok(holders::is_held_besides(netns, besides))
    }

    fn signal(&self, process: Supervisor, signal: Signal) -> Result<bool, KernelError> {
        processes::signal(process, signal)
            .map_err(|error| refused(format!("signal process {}", process.pid))(error))
    }

    fn children(&self, process: Supervisor) -> Result<Vec<Supervisor>, KernelError> {
        processes::children(process)
            .map_err(|error| refused(format!("list the children of {}", process.pid))(error))
    }

    fn boot_id(&self) -> Result<String, KernelError> {
        let read = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        let text = read.map_err(refused("read the identity of this boot"))?;
        Ok(text.trim_end().to_owned())
    }

    fn reserve_ports(
        &self,
        endpoint: EndpointId,
        ports: &[PublishedPort],
    ) -> Result<(), ReservePortError> {
        self.ports.reserve(&self.home, endpoint, ports)
    }

    fn local_listeners(&self, endpoint: EndpointId) -> Result<Vec<LocalListener>, KernelError> {
        self.ports
            .local_listeners(endpoint)
            .map_err(refused("open the host's ports on ::1 a second time"))
    }

    fn release_ports(&self, endpoint: EndpointId, keep: &[PublishedPort]) {
        self.ports.release(endpoint, keep);
    }

    fn open_resolver(
        &self,
        netns: NetnsId,
        preferred: Option<u16>,
    ) -> Result<ResolverSockets, KernelError> {
        let pin = self.sandboxes.get(netns)?;
        resolver::open(&pin, preferred)
            .map_err(|error| refused(format!("open the resolver's sockets in {netns}"))(error))
    }

    fn open_resolvers(
        &self,
        wanted: &[(NetnsId, Option<u16>)],
    ) -> Vec<Result<ResolverSockets, KernelError>> {
        namespace::travel(wanted, |(netns, preferred)| {
            self.open_resolver(*netns, *preferred)
        })
    }

    fn open_gateway_resolver(
        &self,
        bridge: &IfName,
        address: Ipv4Addr,
    ) -> Result<ResolverSockets, KernelError> {
        let action = || format!("answer names at {address} port 53 of {bridge}");
        resolver::open_at(bridge, address).map_err(|error| refused(action())(error))
    }

    fn watch(&self, tell: Box<dyn Fn(KernelEvent) + Send + Sync>) -> Result<(), KernelError> {
        let refuse = refused("listen to the kernel's notices");
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        match &*watch {
            Some(watch) => watch.also(tell),
            None => {
                let started = events::start(&self.home, Arc::clone(&self.sandboxes), tell);
                *watch = Some(started.map_err(refuse)?);
            }
        }
        Ok(())
    }
}
