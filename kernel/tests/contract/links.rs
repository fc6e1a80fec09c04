//! Promises about links, addresses, routes and parameters.

use netd_kernel::{KernelError, KernelEvent};
use netd_model::desired::{KernelState, LinkChange, Mark, NewVeth, RouteState, Sysctl};
use netd_model::{EndpointId, Mac, NetnsId, NetworkId, Op};

use super::Machine;
use super::machine::{await_event, eventually, listen, new_sandbox};
use super::wish::*;

fn pair(net: &Net, container: u8, netns: NetnsId) -> NewVeth {
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

fn create(veth: NewVeth) -> [Op; 1] {
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

pub fn steps_may_be_repeated(machine: &mut dyn Machine) {
    let (_, sandbox) = new_sandbox(machine);
    let netns = sandbox.netns;
    let net = Net::new(1);
    bring(machine, &one_container(&net, netns));
    let route = RouteState {
        destination: subnet("10.77.0.0/16"),
        gateway: "10.1.0.1".parse().unwrap(),
    };
    let moved = RouteState {
        gateway: "10.1.0.200".parse().unwrap(),
        ..route
    };
    let (interface, extra) = (name("eth0"), address("10.1.0.99/24"));
    let ops = [
        Op::AddAddress {
            netns: Some(netns),
            interface: interface.clone(),
            address: extra,
        },
        Op::AddRoute { netns, route },
        Op::AddRoute {
            netns,
            route: moved,
        },
        Op::AddRoute { netns, route },
        Op::RedirectDns { netns, port: 4000 },
        Op::RedirectDns { netns, port: 4001 },
    ];
    machine.kernel().apply(&ops).unwrap();
    machine.kernel().apply(&ops).unwrap();
    let mut about = one_container(&net, netns);
    about.sandboxes.get_mut(&netns).unwrap().dns_redirect = Some(4001);
    let observed = machine.kernel().observe(&about).unwrap();
    let there = &observed.sandboxes[&netns];
    assert!(there.routes.contains(&route) && !there.routes.contains(&moved));
    assert!(there.interfaces[&interface].addresses.contains(&extra));
    assert_eq!(there.dns_redirect, Some(4001));

    let ops = [
        Op::RemoveRoute { netns, route },
        Op::RemoveAddress {
            netns: Some(netns),
            interface: interface.clone(),
            address: extra,
        },
    ];
    machine.kernel().apply(&ops).unwrap();
    machine.kernel().apply(&ops).unwrap();
    let observed = machine.kernel().observe(&about).unwrap();
    assert_eq!(observed.sandboxes, about.sandboxes);
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

pub fn a_route_needs_a_way_to_its_gateway(machine: &mut dyn Machine) {
    let (_, sandbox) = new_sandbox(machine);
    let (netns, net) = (sandbox.netns, Net::new(1));
    bring(machine, &one_container(&net, netns));
    for gateway in ["10.55.0.1", "fd55::1"] {
        let gateway: std::net::IpAddr = gateway.parse().unwrap();
        let to = if gateway.is_ipv4() {
            "0.0.0.0/0"
        } else {
            "::/0"
        };
        let route = RouteState {
            destination: subnet(to),
            gateway,
        };
        machine
            .kernel()
            .apply(&[Op::AddRoute { netns, route }])
            .unwrap_err();
    }
    assert_eq!(steps(machine, &one_container(&net, netns)), []);
    // An interface that goes down takes its routes along, and they return with it.
    let change = LinkChange {
        up: Some(false),
        ..LinkChange::default()
    };
    let down = Op::SetInterface {
        netns,
        name: name("eth0"),
        change,
    };
    machine.kernel().apply(&[down]).unwrap();
    let about = one_container(&net, netns);
    let observed = machine.kernel().observe(&about).unwrap();
    assert!(observed.sandboxes[&netns].routes.is_empty());
    bring(machine, &about);
}

pub fn absent_parameters_are_told_apart(machine: &mut dyn Machine) {
    let write = |key: Sysctl| {
        [Op::WriteSysctl {
            netns: None,
            key,
            value: "1".to_owned(),
        }]
    };
    let missing = name("missing");
    let optional = Sysctl::of_interface("ipv6", &missing, "disable_ipv6");
    let needed = Sysctl::of_interface("ipv4", &missing, "route_localnet");
    machine.kernel().apply(&write(optional.clone())).unwrap();
    machine.kernel().apply(&write(needed)).unwrap_err();

    let mut wished = KernelState::default();
    wished.host.sysctls.insert(optional, "1".to_owned());
    assert_eq!(steps(machine, &wished), []);
    let forward = Sysctl::global("ipv4/ip_forward");
    assert!(!machine.kernel().forwards_ipv4().unwrap());
    machine.kernel().apply(&write(forward)).unwrap();
    assert!(machine.kernel().forwards_ipv4().unwrap());
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

pub fn routed_subnets_are_the_others(machine: &mut dyn Machine) {
    let stranger = name("virbr0");
    machine.add_foreign_bridge(&stranger, &[address("192.168.122.1/24")]);
    for to in ["10.8.0.0/16", "0.0.0.0/0"] {
        machine.add_route(subnet(to), &stranger);
    }
    let mut wished = KernelState::default();
    add_bridge(&mut wished, &Net::new(1));
    bring(machine, &wished);
    let routed = machine.kernel().routed_subnets().unwrap();
    let v4: Vec<_> = routed.into_iter().filter(|(to, _)| to.is_ipv4()).collect();
    let expected = ["10.8.0.0/16", "192.168.122.0/24"];
    let expected = expected.map(|to| (subnet(to), stranger.clone()));
    assert_eq!(std::collections::BTreeSet::from_iter(v4), expected.into());
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
