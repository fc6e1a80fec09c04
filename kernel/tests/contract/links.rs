//! Promises about links: made once, under their marks, mended when stolen.

use netd_kernel::{KernelError, KernelEvent};
use netd_model::desired::{KernelState, Mark, NewVeth, Sysctl};
use netd_model::diff::diff;
use netd_model::{NetnsId, NetworkId, Op};

use super::Machine;
use super::machine::{await_event, eventually, listen, new_sandbox};
use super::wish::*;

pub(super) fn pair(net: &Net, container: u8, netns: NetnsId) -> NewVeth {
    NewVeth {
        outside: outside(net, container),
        mark: veth_mark(net, container),
        bridge: net.bridge(),
        hairpin: net.hairpin,
        isolated: net.isolated,
        mtu_bytes: net.mtu_bytes,
        netns,
        inside: name("eth0"),
        mac: "02:42:0a:01:00:63".parse().unwrap(),
    }
}

pub(super) fn create(veth: NewVeth) -> [Op; 1] {
    [Op::CreateVeth(Box::new(veth))]
}

pub fn what_was_applied_is_observed_and_needs_no_step(machine: &mut dyn Machine) {
    let (_, first) = new_sandbox(machine);
    let (_, second) = new_sandbox(machine);
    let mut wished = one_container(&Net::new(1), first.netns);
    let mut plain = Net::new(2);
    (plain.hairpin, plain.isolated, plain.mtu_bytes) = (false, false, 1500);
    add_bridge(&mut wished, &plain);
    add_container(&mut wished, &plain, (0, first.netns));
    add_container(&mut wished, &plain, (1, second.netns));
    let sandbox = wished.sandboxes.get_mut(&first.netns).unwrap();
    sandbox.dns_redirect = Some(4053);
    let low_ports = Sysctl::global("ipv4/ip_unprivileged_port_start");
    sandbox.sysctls.insert(low_ports, "0".to_owned());
    bring(machine, &wished);

    let observed = machine.kernel().observe(&wished).unwrap();
    assert_eq!(observed, wished);
}

pub fn a_state_without_ipv6_is_observed_too(machine: &mut dyn Machine) {
    let (_, sandbox) = new_sandbox(machine);
    let net = Net {
        ipv6: false,
        ..Net::new(1)
    };
    let mut wished = one_container(&net, sandbox.netns);
    let off = Sysctl::of_interface("ipv6", &net.bridge(), "disable_ipv6");
    wished.host.sysctls.insert(off, "1".to_owned());
    bring(machine, &wished);
    assert_eq!(machine.kernel().observe(&wished).unwrap(), wished);
    // And IPv6 can be had later.
    let net = Net::new(1);
    let mut wished = one_container(&net, sandbox.netns);
    let off = Sysctl::of_interface("ipv6", &net.bridge(), "disable_ipv6");
    wished.host.sysctls.insert(off, "0".to_owned());
    bring(machine, &wished);
}

pub fn a_link_is_deleted_only_under_its_mark(machine: &mut dyn Machine) {
    let net = Net::new(1);
    let stranger = name("virbr0");
    machine.add_foreign_bridge(&stranger, &[]);
    let mut wished = KernelState::default();
    add_bridge(&mut wished, &net);
    bring(machine, &wished);
    let delete = |name, mark| [Op::DeleteLink { name, mark }];
    let other = Mark::bridge(OTHER, NetworkId::from_bytes([1; 32]));
    for refused in [
        delete(net.bridge(), other),
        delete(stranger.clone(), other),
        delete(stranger.clone(), net.mark()),
    ] {
        let error = machine.kernel().apply(&refused).unwrap_err();
        assert!(
            matches!(error.source, KernelError::ForeignLink { .. }),
            "{error}"
        );
    }
    assert_eq!(machine.links(), [net.bridge(), stranger.clone()].into());
    let gone = delete(net.bridge(), net.mark());
    machine.kernel().apply(&gone).unwrap();
    eventually("the bridge is gone", || {
        machine.links() == [stranger.clone()].into()
    });
    machine.kernel().apply(&gone).unwrap();
}

pub fn what_was_deleted_is_out_of_use_at_once(machine: &mut dyn Machine) {
    let (_, sandbox) = new_sandbox(machine);
    let net = Net::new(1);
    let wished = one_container(&net, sandbox.netns);
    bring(machine, &wished);
    let empty = nothing([sandbox.netns]);
    let gone = diff(&empty, &wished, ME);
    let kernel = machine.kernel();
    kernel.apply(&gone).unwrap();
    assert_eq!(steps(machine, &empty), []);
    let inside = kernel.inside_names(sandbox.netns).unwrap();
    assert!(!inside.contains(&name("eth0")), "{inside:?}");
    let seen = kernel.observe(&wished).unwrap();
    for (name, interface) in &seen.sandboxes[&sandbox.netns].interfaces {
        assert!(!interface.up && interface.addresses.is_empty(), "{name}");
    }
    let own = address("10.1.0.1/24").ip();
    assert!(!kernel.host_addresses().unwrap().contains(&own));
    // Nothing of it is in the way of the next with its names and addresses.
    bring(machine, &wished);
    let cycle = [gone, steps_from_nothing(&wished)].concat();
    kernel.apply(&cycle).unwrap();
    kernel.apply(&cycle).unwrap();
    bring(machine, &wished);
    assert_eq!(machine.links(), [net.bridge(), outside(&net, 0)].into());
}

/// The steps on a machine where nothing is.
fn steps_from_nothing(wished: &KernelState) -> Vec<Op> {
    diff(wished, &KernelState::default(), ME)
}

pub fn a_pair_under_a_taken_name_leaves_nothing(machine: &mut dyn Machine) {
    let (_, first) = new_sandbox(machine);
    let (_, second) = new_sandbox(machine);
    let net = Net::new(1);
    let mut wished = one_container(&net, first.netns);
    bring(machine, &wished);
    wished.sandboxes.entry(second.netns).or_default();
    let before = machine.oracle(&wished);

    let taken_outside = pair(&net, 0, second.netns);
    machine.kernel().apply(&create(taken_outside)).unwrap_err();
    let taken_inside = pair(&net, 1, first.netns);
    machine.kernel().apply(&create(taken_inside)).unwrap_err();
    let mut foreign = pair(&net, 2, second.netns);
    foreign.outside = net.bridge();
    let error = machine.kernel().apply(&create(foreign)).unwrap_err();
    assert!(
        matches!(error.source, KernelError::ForeignLink { .. }),
        "{error}"
    );
    assert_eq!(machine.oracle(&wished), before);
    assert_eq!(machine.links(), [net.bridge(), outside(&net, 0)].into());
}

pub fn a_stolen_link_is_told_of_and_made_anew(machine: &mut dyn Machine) {
    let (_, sandbox) = new_sandbox(machine);
    let net = Net::new(1);
    let wished = one_container(&net, sandbox.netns);
    bring(machine, &wished);
    for stolen in [outside(&net, 0), net.bridge()] {
        let events = listen(machine);
        machine.remove_link(&stolen);
        await_event(&events, &KernelEvent::LinkChanged(stolen.clone()));
        assert_ne!(steps(machine, &wished), []);
        bring(machine, &wished);
    }
}

pub fn a_failing_step_stops_the_list_and_is_named(machine: &mut dyn Machine) {
    let (first, second) = (Net::new(1), Net::new(2));
    let bridge = |net: &Net| Op::CreateBridge {
        name: net.bridge(),
        mark: net.mark(),
        mac: "02:42:0a:00:00:01".parse().unwrap(),
        mtu_bytes: 1500,
    };
    let broken = Op::AddAddress {
        netns: None,
        interface: name("missing"),
        address: address("10.9.0.1/24"),
    };
    let ops = [bridge(&first), broken, bridge(&second)];
    let error = machine.kernel().apply(&ops).unwrap_err();
    assert_eq!(error.index, 1);
    assert_eq!(machine.links(), [first.bridge()].into());
}
