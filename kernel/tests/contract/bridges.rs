//! Promises about bridges: their ports, what they keep, and those of others.

use netd_kernel::KernelError;
use netd_model::desired::{KernelState, LinkChange, Mark, UplinkState};
use netd_model::{EndpointId, Mac, Op};

use super::Machine;
use super::links::{create, pair};
use super::machine::{eventually, new_sandbox};
use super::wish::*;

pub fn a_bridge_under_a_taken_name_leaves_the_stranger_alone(machine: &mut dyn Machine) {
    let net = Net::new(1);
    let own = address("192.168.7.1/24");
    machine.add_foreign_bridge(&net.bridge(), &[own]);
    let mut wished = KernelState::default();
    add_bridge(&mut wished, &net);
    let before = machine.oracle(&wished);
    let error = machine
        .kernel()
        .apply(&steps(machine, &wished))
        .unwrap_err();
    assert!(
        matches!(&error.source, KernelError::ForeignLink { name } if *name == net.bridge()),
        "{error}"
    );
    assert_eq!(machine.oracle(&wished).host.bridges, before.host.bridges);
}

pub fn only_a_bridge_has_ports(machine: &mut dyn Machine) {
    let (_, sandbox) = new_sandbox(machine);
    let net = Net::new(1);
    bring(machine, &one_container(&net, sandbox.netns));
    let links = machine.links();
    for master in [name("missing"), outside(&net, 0)] {
        let mut veth = pair(&net, 5, sandbox.netns);
        (veth.bridge, veth.inside) = (master.clone(), name("eth5"));
        machine.kernel().apply(&create(veth)).unwrap_err();
        let change = LinkChange {
            bridge: Some(Some(master)),
            ..LinkChange::default()
        };
        let name = outside(&net, 0);
        let moved = [Op::SetLink { name, change }];
        machine.kernel().apply(&moved).unwrap_err();
    }
    assert_eq!(machine.links(), links);
    assert_eq!(steps(machine, &one_container(&net, sandbox.netns)), []);
}

pub fn a_deleted_bridge_cuts_its_ports_off(machine: &mut dyn Machine) {
    let (_, sandbox) = new_sandbox(machine);
    let net = Net::new(1);
    let wished = one_container(&net, sandbox.netns);
    bring(machine, &wished);
    let delete = Op::DeleteLink {
        name: net.bridge(),
        mark: net.mark(),
    };
    machine.kernel().apply(&[delete]).unwrap();
    let port = outside(&net, 0);
    let veths = machine.kernel().observe(&wished).unwrap().host.veths;
    assert_eq!(veths[&port].bridge, None);
    assert!(!veths[&port].hairpin && !veths[&port].isolated);
    bring(machine, &wished);
    // The same under one name with another mark.
    let next = Net {
        generation: 1,
        ..net
    };
    bring(machine, &one_container(&next, sandbox.netns));
}

pub fn a_bridge_keeps_its_mac_and_mtu_as_ports_come_and_go(machine: &mut dyn Machine) {
    let (_, sandbox) = new_sandbox(machine);
    let net = Net::new(1);
    let mut empty = nothing([sandbox.netns]);
    add_bridge(&mut empty, &net);
    bring(machine, &empty);
    let smaller = Net {
        mtu_bytes: 1300,
        ..net
    };
    let mut small_port = one_container(&smaller, sandbox.netns);
    add_bridge(&mut small_port, &net);
    bring(machine, &small_port);
    bring(machine, &empty);
    assert_eq!(machine.links(), [net.bridge()].into());
    assert_eq!(steps(machine, &empty), []);
}

pub fn a_filtered_bridge_stays_so_until_it_is_changed_back(machine: &mut dyn Machine) {
    let net = Net::new(1);
    let wish = |filtered| {
        let mut wished = KernelState::default();
        add_bridge(&mut wished, &Net { filtered, ..net });
        wished
    };
    let set = |filtered| {
        let change = LinkChange {
            filtered: Some(filtered),
            ..LinkChange::default()
        };
        let name = net.bridge();
        [Op::SetLink { name, change }]
    };
    for filtered in [false, true, false, true] {
        bring(machine, &wish(filtered));
        let observed = machine.kernel().observe(&wish(filtered)).unwrap();
        assert_eq!(observed.host.bridges[&net.bridge()].filtered, filtered);
        assert_eq!(steps(machine, &wish(!filtered)), set(!filtered));
    }
    machine.restart();
    assert_eq!(steps(machine, &wish(true)), []);
    // Nothing but a bridge can be.
    let (_, sandbox) = new_sandbox(machine);
    bring(machine, &one_container(&net, sandbox.netns));
    let [Op::SetLink { change, .. }] = set(true) else {
        panic!("another step");
    };
    let name = outside(&net, 0);
    let port = [Op::SetLink { name, change }];
    machine.kernel().apply(&port).unwrap_err();
    assert_eq!(steps(machine, &one_container(&net, sandbox.netns)), []);
}

pub fn foreign_objects_are_shown_when_named_and_stay_untouched(machine: &mut dyn Machine) {
    let (_, sandbox) = new_sandbox(machine);
    let stranger = name("virbr0");
    let own = address("192.168.122.1/24");
    machine.add_foreign_bridge(&stranger, &[own]);
    let kernel = machine.kernel();
    let seen = kernel.observe(&KernelState::default()).unwrap();
    assert_eq!(seen.host.bridges.get(&stranger), None);
    let facts = kernel.host_interface(&stranger).unwrap().unwrap();
    assert!(facts.is_bridge && facts.addresses == [own].into());
    assert_eq!(kernel.host_interface(&name("missing")).unwrap(), None);
    assert!(kernel.host_addresses().unwrap().contains(&own.ip()));

    let net = Net::new(1);
    let mut wished = one_container(&net, sandbox.netns);
    let mut about = wished.clone();
    about
        .host
        .bridges
        .insert(stranger.clone(), wished.host.bridges[&net.bridge()].clone());
    let before = machine.oracle(&about).host.bridges[&stranger].clone();
    let shown = kernel.observe(&about).unwrap();
    assert_eq!(shown.host.bridges[&stranger], before);
    // Used as a network's bridge without a mark, it serves, and is what it was.
    let mut used = before.clone();
    (used.mark, used.mtu_bytes, used.mac) = (None, 9000, Mac::from_octets([2; 6]));
    wished.host.bridges.insert(stranger.clone(), used);
    wished.host.veths.get_mut(&outside(&net, 0)).unwrap().bridge = Some(stranger.clone());
    bring(machine, &wished);
    bring(machine, &nothing([sandbox.netns]));
    eventually("only the stranger is left", || {
        machine.links() == [stranger.clone()].into()
    });
    assert_eq!(machine.oracle(&about).host.bridges[&stranger], before);
}

/// Not in the list of the suite for every machine: it takes seconds where the pairs are real.
pub fn a_bridge_has_1023_ports(machine: &mut dyn Machine) {
    let (_, sandbox) = new_sandbox(machine);
    let net = Net::new(1);
    let mut wished = nothing([sandbox.netns]);
    add_bridge(&mut wished, &net);
    bring(machine, &wished);
    let numbered = |number: u16| {
        let mut veth = pair(&net, 0, sandbox.netns);
        veth.outside = name(&format!("port{number}"));
        veth.inside = name(&format!("eth{number}"));
        let id = number.to_be_bytes().repeat(16).try_into().unwrap();
        veth.mark = Mark::endpoint(ME, EndpointId::from_bytes(id));
        Op::CreateVeth(Box::new(veth))
    };
    let ops: Vec<Op> = (0..1023).map(numbered).collect();
    machine.kernel().apply(&ops).unwrap();
    let error = machine.kernel().apply(&[numbered(1023)]).unwrap_err();
    let KernelError::Os { source, .. } = error.source else {
        panic!("{error}");
    };
    // EXFULL (errno-base: 54 on Linux).
    assert_eq!(source.raw_os_error(), Some(54));
    assert_eq!(machine.links().len(), 1024);
}

pub fn a_card_joins_a_bridge_and_what_is_another_s_stays_there(machine: &mut dyn Machine) {
    let (card, net) = (name("eth7"), Net::new(1));
    let mut wished = KernelState::default();
    add_bridge(&mut wished, &net);
    let uplink = UplinkState {
        holder: Some(net.bridge()),
        up: true,
    };
    wished.host.uplinks.insert(card.clone(), uplink.clone());
    // Not plugged in: nothing to be done.
    bring(machine, &wished);
    machine.add_card(&card);
    bring(machine, &wished);
    let seen = |machine: &dyn Machine| {
        let observed = machine.kernel().observe(&wished).unwrap();
        observed.host.uplinks[&card].clone()
    };
    assert_eq!(seen(machine), uplink);
    // It loses its bridge, and finds it again when that is made anew.
    machine.remove_link(&net.bridge());
    assert_eq!(seen(machine).holder, None);
    bring(machine, &wished);
    assert_eq!(seen(machine), uplink);
    // Nobody wishes for it any more, and it is no link of netd's: it stays where it is.
    let mut without = wished.clone();
    without.host.uplinks.clear();
    assert_eq!(steps(machine, &without), []);
    // Somebody else has it.
    let stranger = name("br9");
    machine.add_foreign_bridge(&stranger, &[]);
    let change = LinkChange {
        bridge: Some(Some(stranger.clone())),
        ..LinkChange::default()
    };
    let name = card.clone();
    let taken = [Op::SetLink { name, change }];
    machine.kernel().apply(&taken).unwrap();
    assert_eq!(steps(machine, &wished), []);
    assert_eq!(seen(machine).holder, Some(stranger));
}
