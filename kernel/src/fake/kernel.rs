//! The [`Kernel`] trait on the fake machine: each call is admitted, does its work, and says what the trait promises.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::sync::Arc;

use netd_model::desired::{KernelState, SandboxState, Sysctl};
use netd_model::{EndpointId, IfName, NetnsId, Op, PublishedPort, Sandbox, Subnet, Supervisor};

use super::fuel::Crashed;
use super::machine::Machine;
use super::world::Handle;
use crate::{
    AdoptError, ApplyError, HostInterface, HostLink, Kernel, KernelError, KernelEvent,
    LocalListener, NetnsHandle, ReservePortError, ResolverSockets, Signal,
};

/// How often a free pair of ports is looked for: the UDP port of a free TCP port may be taken.
const RESOLVER_ATTEMPTS: usize = 16;

/// The fake of the kernel, as one daemon's process sees it. It is dead after [`World::restart`](super::World::restart):
/// the next daemon asks the world for another.
#[derive(Clone)]
pub struct FakeKernel(pub(super) Handle);

impl From<Crashed> for KernelError {
    fn from(dead: Crashed) -> Self {
        Self::Os {
            action: "call the kernel".to_owned(),
            source: io::Error::other(dead),
        }
    }
}

impl Kernel for FakeKernel {
    fn adopt(&self, handle: NetnsHandle) -> Result<Sandbox, AdoptError> {
        let answer = self.0.change(|machine| machine.adopt(handle));
        answer.map_err(KernelError::from)?
    }

    fn pinned(&self, netns: NetnsId) -> Option<Sandbox> {
        // The dead have pinned nothing.
        let pinned = self.0.read(|machine| machine.pinned(netns));
        pinned.ok().flatten()
    }

    fn readopt(&self, sandbox: &Sandbox) -> Result<(), AdoptError> {
        let answer = self.0.change(|machine| machine.readopt(sandbox));
        answer.map_err(KernelError::from)?
    }

    fn release(&self, netns: NetnsId) {
        // The dead release nothing, and have nobody to tell.
        let _: Result<(), Crashed> = self.0.change(|machine| machine.release(netns));
    }

    fn own_netns(&self) -> NetnsId {
        self.0.own_netns()
    }

    fn observe(&self, about: &KernelState) -> Result<KernelState, KernelError> {
        Ok(self.0.read(|machine| machine.observe(about))?)
    }

    fn apply(&self, ops: &[Op]) -> Result<(), ApplyError> {
        for (index, op) in ops.iter().enumerate() {
            let step = self.0.change(|machine| machine.step(op));
            step.map_err(KernelError::from)
                .flatten()
                .map_err(|source| ApplyError { index, source })?;
        }
        Ok(())
    }

    /// Frames pass at once.
    fn settle(&self, _: &IfName) {}

    fn routed_subnets(&self) -> Result<Vec<(Subnet, IfName)>, KernelError> {
        Ok(self.0.read(|machine| machine.routed_subnets())?)
    }

    fn host_interface(&self, name: &IfName) -> Result<Option<HostInterface>, KernelError> {
        Ok(self.0.read(|machine| machine.host_interface(name))?)
    }

    fn host_links(&self) -> Result<Vec<HostLink>, KernelError> {
        Ok(self.0.read(|machine| machine.host_links())?)
    }

    fn inside_names(&self, netns: NetnsId) -> Result<BTreeSet<IfName>, KernelError> {
        let about = KernelState {
            sandboxes: [(netns, SandboxState::default())].into(),
            ..KernelState::default()
        };
        let mut seen = self.0.read(|machine| machine.observe(&about))?;
        let sandbox = seen.sandboxes.remove(&netns);
        let sandbox = sandbox.ok_or(KernelError::SandboxGone { netns })?;
        Ok(sandbox.interfaces.into_keys().collect())
    }

    fn host_addresses(&self) -> Result<BTreeSet<IpAddr>, KernelError> {
        Ok(self.0.read(|machine| machine.host_addresses())?)
    }

    fn forwards_ipv4(&self) -> Result<bool, KernelError> {
        let key = Sysctl::global("ipv4/ip_forward");
        let value = self
            .0
            .read(|machine| machine.read_sysctl(machine.host, &key))?;
        Ok(value.is_some_and(|value| value != "0"))
    }

    fn forwards_ipv6(&self) -> Result<bool, KernelError> {
        let key = Sysctl::global("ipv6/conf/all/forwarding");
        let value = self
            .0
            .read(|machine| machine.read_sysctl(machine.host, &key))?;
        Ok(value.is_some_and(|value| value != "0"))
    }

    fn keep_router_advertisements(&self) -> Result<Vec<IfName>, KernelError> {
        self.0
            .change(|machine| machine.keep_router_advertisements())?
    }

    fn identify(&self, pid: u32) -> Result<Supervisor, AdoptError> {
        let process = self.0.read(|machine| machine.supervisor_of(pid));
        let process = process.map_err(KernelError::from)?;
        process.ok_or(AdoptError::NoSuchProcess { pid })
    }

    fn is_held_besides(&self, netns: NetnsId, besides: &[Supervisor]) -> Result<bool, KernelError> {
        Ok(self
            .0
            .read(|machine| machine.is_held_besides(netns, besides))?)
    }

    fn netns_of(&self, pid: u32) -> Result<NetnsId, AdoptError> {
        let netns = self.0.read(|machine| {
            let process = machine.processes.get(&pid);
            process.map(|process| process.netns)
        });
        let netns = netns.map_err(KernelError::from)?;
        netns.ok_or(AdoptError::NoSuchProcess { pid })
    }

    fn signal(&self, process: Supervisor, signal: Signal) -> Result<bool, KernelError> {
        let lives = |machine: &Machine| machine.supervisor_of(process.pid) == Some(process);
        if signal == Signal::Probe {
            return Ok(self.0.read(lives)?);
        }
        Ok(self.0.change(|machine| {
            let lives = lives(machine);
            if lives {
                machine.end_process(process.pid);
            }
            lives
        })?)
    }

    fn children(&self, process: Supervisor) -> Result<Vec<Supervisor>, KernelError> {
        Ok(self.0.read(|machine| machine.children_of(process))?)
    }

    fn boot_id(&self) -> Result<String, KernelError> {
        Ok(self.0.read(|machine| machine.boot_id.clone())?)
    }

    fn reserve_ports(
        &self,
        endpoint: EndpointId,
        ports: &[PublishedPort],
    ) -> Result<(), ReservePortError> {
        let Some(first) = ports.first() else {
            return Ok(());
        };
        let answer = self
            .0
            .change(|machine| machine.reserve_ports(endpoint, ports));
        answer.map_err(|dead| ReservePortError::Os {
            protocol: first.protocol,
            host_ip: first.host_ip,
            ports: first.host_ports,
            source: io::Error::other(dead),
        })?
    }

    /// None: no packet goes through a fake.
    fn local_listeners(&self, _endpoint: EndpointId) -> Result<Vec<LocalListener>, KernelError> {
        Ok(Vec::new())
    }

    fn release_ports(&self, endpoint: EndpointId, keep: &[PublishedPort]) {
        // As with `release`.
        let _: Result<(), Crashed> = self
            .0
            .change(|machine| machine.release_ports(endpoint, keep));
    }

    fn open_resolver(
        &self,
        netns: NetnsId,
        preferred: Option<u16>,
    ) -> Result<ResolverSockets, KernelError> {
        self.0
            .change(|machine| machine.reach(Some(netns)).map(|_| ()))??;
        let bound = preferred.and_then(|port| bind_both(port).ok());
        let bound = bound.map_or_else(bind_anywhere, Ok);
        bound.map_err(|source| KernelError::Os {
            action: format!("open a resolver for {netns} on loopback"),
            source,
        })
    }

    fn open_gateway_resolver(
        &self,
        bridge: &IfName,
        address: Ipv4Addr,
    ) -> Result<ResolverSockets, KernelError> {
        let has_bridge = |machine: &mut Machine| {
            machine
                .reach(None)
                .map(|host| host.links.contains_key(bridge))
        };
        let refuse = |source| KernelError::Os {
            action: format!("answer names at {address} port 53 of {bridge}"),
            source,
        };
        match self.0.change(has_bridge)?? {
            true => bind_anywhere().map_err(refuse),
            false => Err(refuse(std::io::Error::from(nix::errno::Errno::ENODEV))),
        }
    }

    fn watch(&self, tell: Box<dyn Fn(KernelEvent) + Send + Sync>) -> Result<(), KernelError> {
        let tell = Arc::from(tell);
        Ok(self
            .0
            .change(|machine| machine.daemon.listeners.push(tell))?)
    }
}

/// Binds UDP and TCP on one loopback port of the machine that the test runs on; 0 for any.
fn bind_both(port: u16) -> io::Result<ResolverSockets> {
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let port = tcp.local_addr()?.port();
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
    tcp.set_nonblocking(true)?;
    udp.set_nonblocking(true)?;
    Ok(ResolverSockets { udp, tcp, port })
}

fn bind_anywhere() -> io::Result<ResolverSockets> {
    let mut attempts = (0..RESOLVER_ATTEMPTS).map(|_| bind_both(0));
    let mut last = Err(io::Error::from(io::ErrorKind::AddrInUse));
    while last.is_err() {
        match attempts.next() {
            Some(attempt) => last = attempt,
            None => break,
        }
    }
    last
}
