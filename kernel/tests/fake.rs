//! The contract suite on the fake, and what only the fake promises: crashes, faults, reused numbers.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot make its values shall fail"
)]

mod contract;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use contract::wish::{Net, add_bridge, bring, name, nothing, one_container, steps};
use contract::{Machine, contract_suite};
use netd_kernel::fake::{FakeKernel, Fuel, World};
use netd_kernel::{AdoptError, Firewall, Kernel, KernelError, NetnsHandle};
use netd_model::desired::KernelState;
use netd_model::ruleset::{EndpointRules, NetworkRules};
use netd_model::{EndpointId, IfName, IpNetwork, NetworkId, Op, Protocol, Ruleset, Subnet};

struct FakeMachine {
    world: World,
    kernel: FakeKernel,
    paths: usize,
}

impl FakeMachine {
    fn new() -> Self {
        let world = World::new();
        Self {
            kernel: world.kernel(),
            world,
            paths: 0,
        }
    }
}

impl Machine for FakeMachine {
    fn kernel(&self) -> &dyn Kernel {
        &self.kernel
    }

    fn restart(&mut self) {
        self.world.restart();
        self.kernel = self.world.kernel();
    }

    fn new_process(&mut self) -> u32 {
        self.world.spawn_process()
    }

    fn new_process_in(&mut self, pid: u32) -> u32 {
        self.world.spawn_process_in(pid)
    }

    fn new_host_process(&mut self) -> u32 {
        self.world.spawn_host_process()
    }

    fn end_process(&mut self, pid: u32) {
        self.world.end_process(pid);
    }

    fn bind(&mut self, pid: u32) -> PathBuf {
        self.paths += 1;
        let path = PathBuf::from(format!("/run/netns/{}", self.paths));
        self.world.bind_path(pid, &path);
        path
    }

    fn unbind(&mut self, path: &Path) {
        self.world.unbind_path(path);
    }

    fn open_in_a_process(&mut self, path: Option<&Path>) -> (u32, u32) {
        let pid = self.world.spawn_host_process();
        let path = path.unwrap_or(Path::new("/dev/null"));
        (pid, self.world.open_descriptor(pid, path))
    }

    fn add_foreign_bridge(&mut self, name: &IfName, addresses: &[IpNetwork]) {
        self.world.add_foreign_link(name, true, addresses);
    }

    fn add_card(&mut self, name: &IfName) {
        self.world.add_foreign_link(name, false, &[]);
        self.world.take_off(name);
    }

    fn add_route(&mut self, to: Subnet, interface: &IfName) {
        self.world.add_host_route(to, interface);
    }

    fn remove_link(&mut self, name: &IfName) {
        self.world.remove_link(name);
    }

    fn remove_bucket(&mut self, name: &IfName) {
        self.world.remove_bucket(name);
    }

    fn remove_redirection(&mut self, name: &IfName) {
        self.world.remove_redirection(name);
    }

    fn occupy(&mut self, protocol: Protocol, ip: IpAddr, port: u16) -> String {
        let holder = "nginx (pid 7)";
        self.world.occupy_port(protocol, ip, port, holder);
        holder.to_owned()
    }

    fn links(&self) -> BTreeSet<IfName> {
        self.world.links()
    }

    fn oracle(&self, wished: &KernelState) -> KernelState {
        let mut state = self.world.snapshot();
        state.host.sysctls = self.world.sysctls(None, wished.host.sysctls.keys());
        let asked = &wished.sandboxes;
        state.sandboxes.retain(|netns, _| asked.contains_key(netns));
        for (netns, sandbox) in &mut state.sandboxes {
            let keys = asked[netns].sysctls.keys();
            sandbox.sysctls = self.world.sysctls(Some(*netns), keys);
            sandbox.dns_redirect = None;
        }
        state
    }
}

contract_suite!(FakeMachine::new(), 2000);

#[test]
fn a_bridge_has_1023_ports() {
    contract::bridges::a_bridge_has_1023_ports(&mut FakeMachine::new());
}

#[test]
fn a_reused_process_number_is_another_process() {
    let mut machine = FakeMachine::new();
    let (pid, sandbox) = contract::machine::new_sandbox(&mut machine);
    machine.world.reuse_pid(pid);
    machine.restart();
    let error = machine.kernel().readopt(&sandbox).unwrap_err();
    assert!(matches!(error, AdoptError::Gone { .. }), "{error}");
}

#[test]
fn optional_parameters_may_be_absent_from_the_whole_machine() {
    let mut machine = FakeMachine::new();
    machine.world.without_optional_parameters();
    let (_, sandbox) = contract::machine::new_sandbox(&mut machine);
    let net = Net {
        ipv6: false,
        filtered: false,
        ..Net::new(1)
    };
    let wished = one_container(&net, sandbox.netns);
    machine.kernel().apply(&steps(&machine, &wished)).unwrap();
    assert_eq!(steps(&machine, &wished), []);
}

#[test]
fn a_kernel_without_br_netfilter_refuses_to_filter_and_shows_no_bridge_as_filtered() {
    let machine = FakeMachine::new();
    let mut wished = nothing([]);
    add_bridge(&mut wished, &Net::new(1));
    bring(&machine, &wished);
    machine.world.without_optional_parameters();
    let ops = steps(&machine, &wished);
    let error = machine.kernel().apply(&ops).unwrap_err();
    let KernelError::NoBridgeFilter { bridge } = error.source else {
        panic!("{error}");
    };
    assert_eq!(bridge, name("br1"));
}

#[test]
fn a_daemon_that_dies_at_any_step_is_repaired_by_the_next() {
    for left in 0..=40 {
        let mut machine = FakeMachine::new();
        let (_, sandbox) = contract::machine::new_sandbox(&mut machine);
        let wished = one_container(&Net::new(1), sandbox.netns);
        machine.world.set_fuel(Fuel::limited(left));
        let before = machine.world.snapshot();
        let died = machine.kernel().apply(&steps(&machine, &wished)).is_err();
        assert_eq!(died, machine.kernel().observe(&wished).is_err());
        if left == 0 {
            assert_eq!(machine.world.snapshot(), before);
        }
        machine.restart();
        machine.kernel().readopt(&sandbox).unwrap();
        bring(&machine, &wished);
        if !died {
            return;
        }
    }
    panic!("the steps have no end");
}

#[test]
fn the_dead_change_nothing_even_after_a_restart() {
    let mut machine = FakeMachine::new();
    let pid = machine.new_process();
    let (dead, dead_firewall) = (machine.world.kernel(), machine.world.firewall());
    let adopted = dead.adopt(NetnsHandle::Process { pid }).unwrap();
    machine.restart();
    assert!(machine.world.pinned().is_empty());
    assert!(dead.readopt(&adopted).is_err());
    assert!(dead_firewall.apply(&Ruleset::default()).is_err());
    machine.kernel().readopt(&adopted).unwrap();
    dead.release(adopted.netns);
    assert_eq!(machine.world.pinned(), [adopted.netns].into());
}

#[test]
fn a_fault_strikes_once_and_leaves_the_step_undone() {
    let mut machine = FakeMachine::new();
    let (_, sandbox) = contract::machine::new_sandbox(&mut machine);
    let wished = one_container(&Net::new(1), sandbox.netns);
    machine
        .world
        .fail_next(|op| matches!(op, Op::CreateVeth(_)));
    let ops = steps(&machine, &wished);
    let error = machine.kernel().apply(&ops).unwrap_err();
    assert!(matches!(ops[error.index], Op::CreateVeth(_)));
    assert_eq!(machine.links(), [name("br1")].into());
    bring(&machine, &wished);
}

#[test]
fn a_child_outlives_its_parent_as_nobody_s() {
    let mut machine = FakeMachine::new();
    let parent = machine.new_process();
    let child = machine.world.spawn_child(parent);
    machine.world.unshare_process(child);
    assert_ne!(
        machine.world.netns_of(child),
        machine.world.netns_of(parent)
    );
    let known = machine.kernel().identify(parent).unwrap();
    let children = machine.kernel().children(known).unwrap();
    assert_eq!(children, [machine.kernel().identify(child).unwrap()]);
    machine.end_process(parent);
    assert_eq!(machine.kernel().children(known).unwrap(), []);
    assert!(machine.kernel().identify(child).is_ok());
}

#[test]
fn a_reboot_leaves_nothing_and_changes_the_boot_id() {
    let mut machine = FakeMachine::new();
    let (_, sandbox) = contract::machine::new_sandbox(&mut machine);
    bring(&machine, &one_container(&Net::new(1), sandbox.netns));
    let before = machine.kernel().boot_id().unwrap();
    machine.world.reboot();
    machine.kernel = machine.world.kernel();
    assert_ne!(machine.kernel().boot_id().unwrap(), before);
    assert!(machine.links().is_empty());
    assert!(machine.kernel().readopt(&sandbox).is_err());
    assert_eq!(steps(&machine, &nothing([])), []);
}

#[test]
fn the_firewall_says_what_differs_and_refuses_rules_of_unknown_networks() {
    let world = World::new();
    let firewall = world.firewall();
    let network = NetworkId::from_bytes([1; 32]);
    let mut wanted = Ruleset::default();
    let rules = NetworkRules {
        rank: 1,
        bridge: name("br1"),
        subnets: vec!["10.1.0.0/24".parse().unwrap()],
        masquerade: true,
        icc: true,
        internal: false,
        reach: Default::default(),
    };
    wanted.networks.insert(network, rules);
    firewall.apply(&wanted).unwrap();
    assert_eq!(world.rules(), wanted);
    assert_eq!(firewall.verify(&wanted).unwrap(), [""; 0]);
    world.flush_rules();
    assert_eq!(
        firewall.verify(&wanted).unwrap(),
        [format!("the rules of network {network} are missing")]
    );

    let mut orphan = wanted.clone();
    let rules = EndpointRules {
        rank: 1,
        network: NetworkId::from_bytes([2; 32]),
        addresses: Vec::new(),
        ports: Vec::new(),
        opened: Vec::new(),
    };
    let endpoint = EndpointId::from_bytes([3; 32]);
    orphan.endpoints.insert(endpoint, rules);
    assert!(firewall.apply(&orphan).is_err());
    world.refuse_next_rules("no room");
    assert!(firewall.apply(&wanted).is_err());
    assert_eq!(world.rules(), Ruleset::default(), "what stood still stands");
    firewall.apply(&wanted).unwrap();
}
