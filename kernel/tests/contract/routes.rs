//! Promises about addresses, routes and parameters.

use netd_model::Op;
use netd_model::desired::{KernelState, LinkChange, RouteState, Sysctl};

use super::Machine;
use super::machine::new_sandbox;
use super::wish::*;

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
