//! Every promise of the door, on namespaces of our own: the oracle is iproute2, iptables-save, conntrack.

mod attach;
mod flows;
mod links;
mod ports;
mod resolver;
mod sandboxes;
mod watch;

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use netd_model::desired::{LinkChange, Mark, NewVeth};
use netd_model::{EndpointId, IfName, InstanceId, Mac, NetnsId, NetworkId, Op, Sandbox};
use nix::sched::{CloneFlags, unshare};

use super::Linux;
use crate::{Kernel, NetnsHandle};

/// Runs `test` on a thread in a fresh network namespace, as a daemon there.
fn in_new_namespace(test: impl FnOnce(Linux) + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("the tests need root");
            run("ip link set lo up");
            test(Linux::open().unwrap());
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Runs a command line in the namespace of the calling thread; gives what it printed.
fn run(command: &str) -> String {
    let (success, text) = attempt(command);
    assert!(success, "{command}: {text}");
    text
}

fn attempt(command: &str) -> (bool, String) {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    let mut text = String::from_utf8(output.stdout).unwrap();
    if !output.status.success() {
        text += &String::from_utf8_lossy(&output.stderr);
    }
    (output.status.success(), text)
}

/// A process in a namespace of its own, ended when dropped.
struct Guest(Child);

impl Guest {
    fn start() -> Self {
        let child = Command::new("unshare")
            .args(["-n", "sleep", "1000"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let guest = Self(child);
        let link = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        let own = link("thread-self");
        wait_for("the guest's namespace", || {
            link(&guest.pid().to_string()).is_some_and(|there| Some(there) != own)
        });
        guest
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn handle(&self) -> NetnsHandle {
        NetnsHandle::Process { pid: self.pid() }
    }

    /// Runs a command line inside.
    fn run(&self, command: &str) -> String {
        run(&self.command(command))
    }

    /// What runs `command` inside.
    fn command(&self, command: &str) -> String {
        format!("nsenter -t {} -n sh -c '{command}'", self.pid())
    }

    fn end(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A namespace without a process, held open here.
struct Bare(File);

impl Bare {
    fn make() -> Self {
        let thread = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        Self(thread.join().unwrap())
    }

    fn handle(&self) -> NetnsHandle {
        NetnsHandle::Descriptor {
            pid: std::process::id(),
            fd: self.0.as_raw_fd().cast_unsigned(),
        }
    }
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

fn name(text: &str) -> IfName {
    IfName::new(text).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn instance() -> InstanceId {
    InstanceId::from_bytes([1; 32])
}

fn bridge_mark(number: u8) -> Mark {
    Mark::bridge(instance(), NetworkId::from_bytes([number; 32]))
}

fn endpoint_mark(number: u8) -> Mark {
    Mark::endpoint(instance(), EndpointId::from_bytes([number; 32]))
}

fn up() -> LinkChange {
    LinkChange {
        up: Some(true),
        ..LinkChange::default()
    }
}

fn new_bridge(bridge: &str) -> Op {
    Op::CreateBridge {
        name: name(bridge),
        mark: bridge_mark(1),
        mac: "02:42:00:00:00:01".parse().unwrap(),
        mtu_bytes: 1500,
    }
}

fn new_veth(outside: &str, bridge: &str, netns: NetnsId) -> NewVeth {
    NewVeth {
        outside: name(outside),
        mark: endpoint_mark(2),
        bridge: name(bridge),
        hairpin: false,
        isolated: false,
        mtu_bytes: 1500,
        netns,
        inside: name("eth0"),
        mac: Mac::from_ipv4("172.17.0.2".parse().unwrap()),
    }
}

fn pinned(linux: &Linux, guest: &Guest) -> Sandbox {
    linux.adopt(guest.handle()).unwrap()
}
