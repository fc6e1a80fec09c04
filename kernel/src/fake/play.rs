//! The rest of the machine, played by a test: processes come and go, others steal, flush and occupy.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use netd_model::{IfName, IpNetwork, Mac, NetnsId, Protocol, Subnet};

use super::machine::{ETHERNET_MTU_BYTES, Kind, Link, Machine, Occupied, Process, Route};
use super::world::World;
use crate::KernelEvent;

/// Route protocol of routes that an administrator made (`RTPROT_STATIC`, rtnetlink(7)).
const STATIC_PROTOCOL: u8 = 4;

impl World {
    /// Starts a process in a network namespace of its own; gives its id.
    pub fn spawn_process(&self) -> u32 {
        self.play(|machine| {
            let netns = machine.new_namespace();
            let pid = machine.next_number();
            machine.start_process(pid, netns);
            pid
        })
    }

    /// Starts a process in the namespace of another; in the host's if that does not exist.
    pub fn spawn_process_in(&self, pid: u32) -> u32 {
        self.play(|machine| {
            let other = machine.processes.get(&pid);
            let netns = other.map_or(machine.host, |process| process.netns);
            let pid = machine.next_number();
            machine.start_process(pid, netns);
            pid
        })
    }

    /// Starts a process in the host's namespace.
    pub fn spawn_host_process(&self) -> u32 {
        self.spawn_process_in(0)
    }

    /// Starts a process as the child of another, in its namespace, which the child may leave by
    /// [`World::unshare_process`].
    pub fn spawn_child(&self, parent: u32) -> u32 {
        let pid = self.spawn_process_in(parent);
        self.play(|machine| {
            let alive = machine.processes.contains_key(&parent);
            if let Some(child) = machine.processes.get_mut(&pid) {
                child.parent = alive.then_some(parent);
            }
        });
        pid
    }

    /// Moves a process into a new namespace of its own, as unshare(2) does.
    pub fn unshare_process(&self, pid: u32) {
        self.play(|machine| {
            let netns = machine.new_namespace();
            if let Some(process) = machine.processes.get_mut(&pid) {
                process.netns = netns;
            }
            machine.settle();
        });
    }

    /// Ends a process, and gives its number to a new one in a namespace of its own, as a busy machine does.
    pub fn reuse_pid(&self, pid: u32) {
        self.end_process(pid);
        self.play(|machine| {
            let netns = machine.new_namespace();
            machine.start_process(pid, netns);
        });
    }

    /// Ends a process.
    pub fn end_process(&self, pid: u32) {
        self.play(|machine| machine.end_process(pid));
    }

    /// The namespace of a process.
    #[must_use]
    pub fn netns_of(&self, pid: u32) -> Option<NetnsId> {
        self.play(|machine| Some(machine.processes.get(&pid)?.netns))
    }

    /// Binds the namespace of a process to a file, as `ip netns attach` does.
    pub fn bind_path(&self, pid: u32, path: impl AsRef<Path>) {
        self.play(|machine| {
            if let Some(netns) = machine.processes.get(&pid).map(|process| process.netns) {
                machine.paths.insert(path.as_ref().to_owned(), netns);
            }
        });
    }

    /// Takes that file away again.
    pub fn unbind_path(&self, path: impl AsRef<Path>) {
        self.play(|machine| {
            machine.paths.remove(path.as_ref());
            machine.settle();
        });
    }

    /// Opens the namespace bound to `path` in a process, or /dev/null if none is; gives the descriptor.
    pub fn open_descriptor(&self, pid: u32, path: impl Into<PathBuf>) -> u32 {
        self.play(|machine| {
            let file = machine.paths.get(&path.into()).copied();
            let fd = machine.next_number();
            if let Some(process) = machine.processes.get_mut(&pid) {
                process.descriptors.insert(fd, file);
            }
            fd
        })
    }

    /// Removes a link of the host, whoever's it is.
    pub fn remove_link(&self, name: &IfName) {
        self.play(|machine| {
            let gone = machine.remove_link(machine.host, name);
            machine.tell_links(gone);
            machine.events.push(KernelEvent::HostChanged);
        });
    }

    /// Removes all firewall rules.
    pub fn flush_rules(&self) {
        self.play(Machine::flush_rules);
    }

    /// Nobody is told any more of what is done to the rules, as with iptables-legacy.
    pub fn silence_rules(&self) {
        self.play(|machine| machine.rules_are_silent = true);
    }

    /// Adds a route of the host. Nothing happens if there is no such interface.
    pub fn add_host_route(&self, subnet: Subnet, interface: &IfName) {
        let route = Route {
            gateway: None,
            interface: interface.clone(),
            protocol: STATIC_PROTOCOL,
        };
        self.play(|machine| {
            let host = machine.namespaces.get_mut(&machine.host);
            if let Some(host) = host.filter(|host| host.links.contains_key(interface)) {
                host.routes.insert(subnet, route);
                machine.events.push(KernelEvent::HostChanged);
            }
        });
    }

    /// Takes a link of the host off its bridge, and sets it down.
    pub fn take_off(&self, name: &IfName) {
        self.play(|machine| {
            let host = machine.namespaces.get_mut(&machine.host);
            if let Some(link) = host.and_then(|host| host.links.get_mut(name)) {
                link.port = None;
                link.set_up(false);
            }
            machine.events.push(KernelEvent::HostChanged);
        });
    }

    /// Removes a route of the host, whoever's it is.
    pub fn remove_host_route(&self, subnet: Subnet) {
        self.play(|machine| {
            if let Some(host) = machine.namespaces.get_mut(&machine.host) {
                host.routes.remove(&subnet);
            }
            machine.events.push(KernelEvent::HostChanged);
        });
    }

    /// Adds a link of the host that is up and bears no mark: a bridge, or an Ethernet card.
    pub fn add_foreign_link(&self, name: &IfName, is_bridge: bool, addresses: &[IpNetwork]) {
        let kind = if is_bridge {
            Kind::Bridge
        } else {
            Kind::Device
        };
        self.play(|machine| {
            let [_, _, a, b, c, d] = u64::from(machine.next_number()).to_be_bytes()[2..]
                .try_into()
                .unwrap_or_default();
            let mac = Mac::from_octets([0x52, 0x54, a, b, c, d]);
            let mut link = Link::new(kind, None, mac, ETHERNET_MTU_BYTES);
            link.up = true;
            link.addresses = addresses.iter().copied().collect();
            machine.add_link(machine.host, name, link);
            machine.events.push(KernelEvent::HostChanged);
        });
    }

    /// Lets a process of the host listen on a port; `holder` as `nginx (pid 7)`.
    pub fn occupy_port(&self, protocol: Protocol, ip: IpAddr, port: u16, holder: &str) {
        let occupied = Occupied {
            port: (protocol, ip, port),
            holder: holder.to_owned(),
        };
        self.play(|machine| machine.occupied.push(occupied));
    }

    /// Ends whatever process listens on a port.
    pub fn vacate_port(&self, protocol: Protocol, ip: IpAddr, port: u16) {
        self.play(|machine| {
            machine
                .occupied
                .retain(|other| other.port != (protocol, ip, port));
        });
    }

    /// Takes IPv6 and br_netfilter out of this machine's kernel, with their parameters.
    pub fn without_optional_parameters(&self) {
        self.play(|machine| {
            machine.has_ipv6 = false;
            machine.has_br_netfilter = false;
        });
    }
}

impl Machine {
    fn start_process(&mut self, pid: u32, netns: NetnsId) {
        let process = Process {
            start_ticks: u64::from(self.next_number()),
            parent: None,
            netns,
            descriptors: std::collections::BTreeMap::new(),
        };
        self.processes.insert(pid, process);
    }

    fn tell_links(&mut self, gone: Vec<IfName>) {
        self.events
            .extend(gone.into_iter().map(KernelEvent::LinkChanged));
    }
}
