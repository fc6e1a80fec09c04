//! The contract suite on Linux. Each test unshares a network namespace for its own thread before it opens the kernel,
//! so that nothing is made in the machine's own; sandboxes are real processes, and `ip -j` is the oracle.
//!
//! Needs root, iproute2, util-linux and socat.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot make its values shall fail"
)]

mod contract;
mod oracle;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use contract::machine::{eventually, new_sandbox};
use contract::wish::{Net, bring, one_container};
use contract::{Machine, contract_suite};
use netd_kernel::linux::Linux;
use netd_kernel::{Kernel, Signal};
use netd_model::desired::KernelState;
use netd_model::{IfName, IpNetwork, NetnsId, Op, Protocol, Subnet};
use nix::sched::{CloneFlags, unshare};

/// How long a process that a test forgot lives at most, in seconds.
const LIFETIME: &str = "300";

struct LinuxMachine {
    kernel: Option<Linux>,
    children: Vec<Child>,
    bound: Vec<PathBuf>,
    files: tempfile::TempDir,
}

impl LinuxMachine {
    fn new() -> Self {
        unshare(CloneFlags::CLONE_NEWNET).expect("the suite needs root");
        run("ip", &["link", "set", "lo", "up"]);
        Self {
            kernel: Some(Linux::open().unwrap()),
            children: Vec::new(),
            bound: Vec::new(),
            files: tempfile::tempdir().unwrap(),
        }
    }

    /// Starts a command and waits until its namespace is as it shall be.
    fn start(&mut self, command: &mut Command, is_there: impl Fn(NetnsId) -> bool) -> u32 {
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        let pid = child.id();
        self.children.push(child);
        let path = namespace_file(pid);
        // While it is between fork and exec the link may be unreadable.
        eventually("the process is in its namespace", || {
            identity(&path).is_some_and(&is_there)
        });
        pid
    }

    /// A file that leads to a namespace.
    fn file_of(&self, netns: NetnsId) -> Option<PathBuf> {
        let processes = self.children.iter().map(|child| namespace_file(child.id()));
        let mut files = processes.chain(self.bound.iter().cloned());
        files.find(|file| identity(file) == Some(netns))
    }
}

fn namespace_file(pid: u32) -> PathBuf {
    format!("/proc/{pid}/ns/net").into()
}

fn identity(file: &Path) -> Option<NetnsId> {
    let found = std::fs::metadata(file).ok()?;
    Some(NetnsId {
        dev: found.dev(),
        inode: found.ino(),
    })
}

fn own_namespace() -> NetnsId {
    identity(Path::new("/proc/thread-self/ns/net")).unwrap()
}

/// Runs a program that must succeed; gives what it printed.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

impl Drop for LinuxMachine {
    fn drop(&mut self) {
        self.kernel = None;
        for child in &mut self.children {
            // Already ended ones are fine.
            let _: Result<(), _> = child.kill();
            let _: Result<_, _> = child.wait();
        }
        for path in &self.bound {
            let _: Result<_, _> = Command::new("umount").arg("--lazy").arg(path).status();
        }
    }
}

impl Machine for LinuxMachine {
    fn kernel(&self) -> &dyn Kernel {
        self.kernel.as_ref().unwrap()
    }

    fn restart(&mut self) {
        self.kernel = None;
        self.kernel = Some(Linux::open().unwrap());
    }

    fn new_process(&mut self) -> u32 {
        let own = own_namespace();
        let mut command = Command::new("unshare");
        command.args(["--net", "sleep", LIFETIME]);
        self.start(&mut command, |netns| netns != own)
    }

    fn new_process_in(&mut self, pid: u32) -> u32 {
        let file = namespace_file(pid);
        let wanted = identity(&file).unwrap();
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", file.display()));
        command.args(["sleep", LIFETIME]);
        self.start(&mut command, |netns| netns == wanted)
    }

    fn new_host_process(&mut self) -> u32 {
        self.start(Command::new("sleep").arg(LIFETIME), |_| true)
    }

    fn end_process(&mut self, pid: u32) {
        let at = self.children.iter().position(|child| child.id() == pid);
        let mut child = self.children.remove(at.unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn bind(&mut self, pid: u32) -> PathBuf {
        let path = self.files.path().join(pid.to_string());
        File::create(&path).unwrap();
        let from = namespace_file(pid);
        let (from, to) = (from.to_str().unwrap(), path.to_str().unwrap());
        run("mount", &["--bind", from, to]);
        self.bound.push(path.clone());
        path
    }

    fn unbind(&mut self, path: &Path) {
        // Lazily, as runtimes do: a process may have it open.
        run("umount", &["--lazy", path.to_str().unwrap()]);
        self.bound.retain(|bound| bound != path);
    }

    fn open_in_a_process(&mut self, path: Option<&Path>) -> (u32, u32) {
        let file = File::open(path.unwrap_or(Path::new("/dev/null"))).unwrap();
        let child = Command::new("sleep").arg(LIFETIME).stdin(file).spawn();
        let child = child.unwrap();
        let pid = child.id();
        self.children.push(child);
        (pid, 0)
    }

    fn add_foreign_bridge(&mut self, name: &IfName, addresses: &[IpNetwork]) {
        let name = name.as_str();
        // With an Ethernet address of its own; else it would take one of its ports'.
        let mac = ["address", "52:54:00:00:00:01"];
        run(
            "ip",
            &[&["link", "add", name, "up"], &mac[..], &["type", "bridge"]].concat(),
        );
        for address in addresses {
            run("ip", &["addr", "add", &address.to_string(), "dev", name]);
        }
    }

    fn add_card(&mut self, name: &IfName) {
        let name = name.as_str();
        let far = format!("{name}-far");
        let pair = ["type", "veth", "peer", "name", &far];
        run("ip", &[&["link", "add", name], &pair[..]].concat());
    }

    fn add_route(&mut self, to: Subnet, interface: &IfName) {
        let to = to.to_string();
        run("ip", &["route", "add", &to, "dev", interface.as_str()]);
    }

    fn remove_link(&mut self, name: &IfName) {
        run("ip", &["link", "del", name.as_str()]);
    }

    fn remove_bucket(&mut self, name: &IfName) {
        run("tc", &["qdisc", "del", "dev", name.as_str(), "root"]);
    }

    fn remove_redirection(&mut self, name: &IfName) {
        run("tc", &["qdisc", "del", "dev", name.as_str(), "ingress"]);
    }

    fn occupy(&mut self, protocol: Protocol, ip: IpAddr, port: u16) -> String {
        assert_eq!(protocol, Protocol::Tcp);
        let listen = format!("TCP-LISTEN:{port},bind={ip}");
        let mut command = Command::new("socat");
        command.args([&listen, "STDOUT"]);
        let pid = self.start(&mut command, |_| true);
        let filter = format!("sport = :{port}");
        eventually("socat listens", || {
            !run("ss", &["-Hltn", &filter]).is_empty()
        });
        format!("socat (pid {pid})")
    }

    fn links(&self) -> BTreeSet<IfName> {
        oracle::links(&run("ip", &["-j", "link"]))
    }

    fn oracle(&self, wished: &KernelState) -> KernelState {
        oracle::state(wished, |netns| self.file_of(netns))
    }
}

contract_suite!(LinuxMachine::new(), 12);

#[test]
fn a_bridge_has_1023_ports() {
    contract::bridges::a_bridge_has_1023_ports(&mut LinuxMachine::new());
}

#[test]
fn the_children_of_a_process_are_told() {
    let mut machine = LinuxMachine::new();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("sleep {LIFETIME} & wait")]);
    let pid = machine.start(&mut command, |_| true);
    let kernel = machine.kernel();
    let shell = kernel.identify(pid).unwrap();
    eventually("the shell has its child", || {
        kernel.children(shell).unwrap().len() == 1
    });
    let child = kernel.children(shell).unwrap()[0];
    assert!(kernel.signal(child, Signal::Terminate).unwrap());
    eventually("the child has ended", || {
        !kernel.signal(child, Signal::Probe).unwrap()
    });
}

/// Asks 127.0.0.11:53 inside a sandbox by `protocol`; gives the process that waits for the answer.
fn ask(pid: u32, protocol: &str) -> Child {
    let target = format!("{protocol}:127.0.0.11:53");
    let mut command = Command::new("nsenter");
    command.args(["-t", &pid.to_string(), "-n", "socat", "-t5", "-", &target]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"question").unwrap();
    child
}

#[test]
fn port_53_inside_a_sandbox_leads_to_the_resolver_and_back() {
    let mut machine = LinuxMachine::new();
    let (pid, sandbox) = new_sandbox(&mut machine);
    let netns = sandbox.netns;
    bring(&machine, &one_container(&Net::new(1), netns));
    let kernel = machine.kernel();
    let sockets = kernel.open_resolver(netns, None).unwrap();
    let port = sockets.port;
    kernel.apply(&[Op::RedirectDns { netns, port }]).unwrap();

    let child = ask(pid, "UDP4");
    let mut buffer = [0; 64];
    eventually("the datagram is there", || {
        sockets.udp.peek_from(&mut [0; 64]).is_ok()
    });
    let (length, from) = sockets.udp.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"question");
    sockets.udp.send_to(b"answer", from).unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"answer");

    let child = ask(pid, "TCP4");
    let accepted = std::cell::RefCell::new(None);
    eventually("the connection is there", || {
        *accepted.borrow_mut() = sockets.tcp.accept().ok();
        accepted.borrow().is_some()
    });
    let (mut connection, _) = accepted.into_inner().unwrap();
    connection.set_nonblocking(false).unwrap();
    connection.read_exact(&mut buffer[..8]).unwrap();
    assert_eq!(&buffer[..8], b"question");
    connection.write_all(b"answer").unwrap();
    drop(connection);
    assert_eq!(child.wait_with_output().unwrap().stdout, b"answer");
}
