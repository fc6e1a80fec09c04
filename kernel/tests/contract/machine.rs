//! A machine to hold the promises against, and waiting for what happens on it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use netd_kernel::{Kernel, KernelEvent, NetnsHandle};
use netd_model::desired::KernelState;
use netd_model::{IfName, IpNetwork, NetnsId, Protocol, Sandbox, Subnet};

/// How long the kernel may take for what it does later, such as ending a namespace.
const PATIENCE: Duration = Duration::from_secs(10);

/// A machine with a kernel, and the test's hands on the rest of it.
pub trait Machine {
    /// The kernel, as the daemon that runs now sees it.
    fn kernel(&self) -> &dyn Kernel;
    /// The daemon dies and another starts.
    fn restart(&mut self);
    /// Starts a process in a network namespace of its own.
    fn new_process(&mut self) -> u32;
    /// Starts a process in the namespace of another.
    fn new_process_in(&mut self, pid: u32) -> u32;
    /// Starts a process in the daemon's namespace.
    fn new_host_process(&mut self) -> u32;
    /// Kills a process and waits for its end.
    fn end_process(&mut self, pid: u32);
    /// Binds the namespace of a process to a new file.
    fn bind(&mut self, pid: u32) -> PathBuf;
    /// Takes such a file away.
    fn unbind(&mut self, path: &Path);
    /// Opens such a file, or /dev/null for `None`, in a process that stays in the daemon's namespace.
    fn open_in_a_process(&mut self, path: Option<&Path>) -> (u32, u32);
    /// Adds a bridge that is up and that nobody marked.
    fn add_foreign_bridge(&mut self, name: &IfName, addresses: &[IpNetwork]);
    /// Adds a card that is down and that nobody marked.
    fn add_card(&mut self, name: &IfName);
    /// Adds a route of the host.
    fn add_route(&mut self, to: Subnet, interface: &IfName);
    /// Removes a link of the host.
    fn remove_link(&mut self, name: &IfName);
    /// Takes away what holds back that which leaves by a link of the host.
    fn remove_bucket(&mut self, name: &IfName);
    /// Takes away what sends through an ifb that which comes in by a link of the host.
    fn remove_redirection(&mut self, name: &IfName);
    /// Lets a process listen on a port of the host; says what a holder is called there.
    fn occupy(&mut self, protocol: Protocol, ip: IpAddr, port: u16) -> String;
    /// Names of the host's links, loopback left out, not told by the code under test.
    fn links(&self) -> BTreeSet<IfName>;
    /// What there is of all that `wished` names, not told by the code under test; redirections left out.
    fn oracle(&self, wished: &KernelState) -> KernelState;
}

/// Starts a process in a namespace of its own and adopts that.
pub fn new_sandbox(machine: &mut dyn Machine) -> (u32, Sandbox) {
    let pid = machine.new_process();
    let adopted = machine.kernel().adopt(NetnsHandle::Process { pid });
    (pid, adopted.unwrap())
}

/// Waits until `condition` holds.
pub fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What the kernel tells from now on.
pub fn listen(machine: &dyn Machine) -> Receiver<KernelEvent> {
    let (sender, receiver) = channel();
    let tell = Box::new(move |event| {
        // Nobody listens any more when the test is over.
        let _: Result<(), _> = sender.send(event);
    });
    machine.kernel().watch(tell).unwrap();
    receiver
}

/// Waits for an event, whatever else is told before.
pub fn await_event(events: &Receiver<KernelEvent>, wanted: &KernelEvent) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match events.recv_timeout(left) {
            Ok(event) if event == *wanted => return,
            Ok(_) => {}
            Err(_) => panic!("waited in vain for {wanted:?}"),
        }
    }
}

/// True if the end of a sandbox was told so far.
pub fn has_ended(events: &Receiver<KernelEvent>, netns: NetnsId) -> bool {
    events
        .try_iter()
        .any(|event| event == KernelEvent::SandboxEnded(netns))
}
