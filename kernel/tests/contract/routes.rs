//! Promises about addresses, routes and parameters.

use netd_kernel::{KernelError, LinkKind};
use netd_model::container::{InterfaceSysctl, SysctlGroup};
use netd_model::desired::{KernelState, LinkChange, RouteState, Sysctl};
use netd_model::{NetnsId, Op};

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
        interface: Some(name("eth0")),
    };
    let moved = RouteState {
        gateway: "10.1.0.200".parse().unwrap(),
        ..route.clone()
    };
    let (interface, extra) = (name("eth0"), address("10.1.0.99/24"));
    let ops = [
        Op::AddAddress {
            netns: Some(netns),
            interface: interface.clone(),
            address: extra,
        },
        add_route(netns, &route),
        add_route(netns, &moved),
        add_route(netns, &route),
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
        Op::RemoveRoute {
            netns: Some(netns),
            route,
        },
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

fn add_route(netns: NetnsId, route: &RouteState) -> Op {
    Op::AddRoute {
        netns: Some(netns),
        route: route.clone(),
    }
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
            interface: None,
        };
        machine
            .kernel()
            .apply(&[add_route(netns, &route)])
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

pub fn a_route_leaves_by_the_interface_that_it_names(machine: &mut dyn Machine) {
    let (_, sandbox) = new_sandbox(machine);
    let (netns, net) = (sandbox.netns, Net::new(1));
    let mut wished = one_container(&net, netns);
    let one = wished.clone();
    add_container(&mut wished, &net, (1, netns));
    bring(machine, &wished);
    let by = |wished: &mut KernelState, interface: &str| {
        let inside = wished.sandboxes.get_mut(&netns).unwrap();
        let routes = std::mem::take(&mut inside.routes).into_iter();
        let moved = routes.map(|route| RouteState {
            interface: Some(name(interface)),
            ..route
        });
        inside.routes = moved.collect();
    };
    for interface in ["eth1", "eth0", "eth1"] {
        by(&mut wished, interface);
        bring(machine, &wished);
        let observed = machine.kernel().observe(&wished).unwrap();
        let there = &observed.sandboxes[&netns].routes;
        assert_eq!(*there, wished.sandboxes[&netns].routes, "{interface}");
    }
    // The interface that goes takes the routes along, which then leave by the other.
    bring(machine, &one);
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

pub fn what_a_user_says_of_a_missing_parameter_is_refused(machine: &mut dyn Machine) {
    let (_, sandbox) = new_sandbox(machine);
    bring(machine, &one_container(&Net::new(1), sandbox.netns));
    for ipv6 in [false, true] {
        let said = InterfaceSysctl {
            ipv6,
            group: SysctlGroup::Conf,
            key: "forwarding".to_owned(),
            value: 1,
        };
        let write = |interface: &str| {
            let write = Op::WriteSysctl {
                netns: Some(sandbox.netns),
                key: Sysctl::of_user(&said, &name(interface)),
                value: said.value.to_string(),
            };
            machine.kernel().apply(&[write])
        };
        write("eth0").unwrap();
        let error = write("eth7").unwrap_err();
        let wanted = format!("net.{}.conf.eth7.forwarding", said.family());
        match error.source {
            KernelError::NoSuchParameter { parameter } => assert_eq!(parameter, wanted),
            other => panic!("{other}"),
        }
    }
}

pub fn only_link_local_addresses_that_are_wished_for_are_seen(machine: &mut dyn Machine) {
    let (_, sandbox) = new_sandbox(machine);
    let netns = sandbox.netns;
    let mut wished = one_container(&Net::new(1), netns);
    let eth0 = name("eth0");
    let set = |wished: &mut KernelState, asked: &[&str]| {
        let sandbox = wished.sandboxes.get_mut(&netns).unwrap();
        let addresses = &mut sandbox.interfaces.get_mut(&eth0).unwrap().addresses;
        addresses.retain(|address| !asked.contains(&address.to_string().as_str()));
        addresses.extend(asked.iter().map(|text| address(text)));
    };
    // On an interface that stands, and on one that is made with them.
    bring(machine, &wished);
    set(&mut wished, &["169.254.7.1/16", "fe80::7/64"]);
    bring(machine, &wished);
    machine.remove_link(&outside(&Net::new(1), 0));
    bring(machine, &wished);
    assert_eq!(machine.kernel().observe(&wished).unwrap(), wished);
    // Others' stay, and are not told of.
    let others = ["169.254.9.9/16", "fe80::99/64"].map(|text| Op::AddAddress {
        netns: Some(netns),
        interface: eth0.clone(),
        address: address(text),
    });
    machine.kernel().apply(&others).unwrap();
    assert_eq!(steps(machine, &wished), []);
    assert_eq!(machine.kernel().observe(&wished).unwrap(), wished);
    let mut all = wished.clone();
    set(&mut all, &["169.254.9.9/16", "fe80::99/64"]);
    assert_eq!(steps(machine, &all), [], "they are there all the same");
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

pub fn a_route_of_the_host_stays_until_it_is_not_wished_for(machine: &mut dyn Machine) {
    let stranger = name("wan0");
    machine.add_foreign_bridge(&stranger, &[address("192.0.2.1/24")]);
    machine.add_route(subnet("10.8.0.0/16"), &stranger);
    let route = |to: &str, gateway: &str| RouteState {
        destination: subnet(to),
        gateway: gateway.parse().unwrap(),
        interface: None,
    };
    let mut wished = KernelState::default();
    let routes = &mut wished.host.routes;
    routes.insert(route("10.66.0.0/16", "192.0.2.66"));
    routes.insert(route("10.67.0.0/16", "192.0.2.67"));
    bring(machine, &wished);
    let routed = machine.kernel().routed_subnets().unwrap();
    assert!(routed.contains(&(subnet("10.8.0.0/16"), stranger.clone())));
    assert!(!routed.iter().any(|(to, _)| *to == subnet("10.66.0.0/16")));
    // Another gateway, and one route less.
    wished.host.routes = [route("10.66.0.0/16", "192.0.2.68")].into();
    bring(machine, &wished);
    // The link goes down and takes the route along, which cannot be until it is up again.
    let set = |up| Op::SetLink {
        name: stranger.clone(),
        change: LinkChange {
            up: Some(up),
            ..LinkChange::default()
        },
    };
    machine.kernel().apply(&[set(false)]).unwrap();
    let ops = steps(machine, &wished);
    assert_eq!(ops.len(), 1);
    machine.kernel().apply(&ops).unwrap_err();
    machine.kernel().apply(&[set(true)]).unwrap();
    bring(machine, &wished);
    wished.host.routes.clear();
    bring(machine, &wished);
    let observed = machine.kernel().observe(&wished).unwrap();
    assert!(observed.host.routes.is_empty());
}

pub fn the_host_s_links_are_told(machine: &mut dyn Machine) {
    let stranger = name("wan0");
    machine.add_foreign_bridge(&stranger, &[address("192.0.2.1/24")]);
    machine.add_route(subnet("0.0.0.0/0"), &stranger);
    let mut wished = KernelState::default();
    let net = Net::new(1);
    add_bridge(&mut wished, &net);
    bring(machine, &wished);
    let links = machine.kernel().host_links().unwrap();
    let link = |wanted: &str| links.iter().find(|link| link.name == name(wanted)).unwrap();
    let wan = link("wan0");
    assert_eq!((wan.kind, wan.mark, wan.up), (LinkKind::Bridge, None, true));
    assert!(wan.has_default_route && wan.holder.is_none());
    assert_eq!(wan.addresses, [address("192.0.2.1/24")].into());
    for (neighbour, is_one) in [
        ("192.0.2.9", true),
        ("192.0.2.1", false),
        ("10.8.0.1", false),
    ] {
        assert_eq!(
            wan.leads_to(neighbour.parse().unwrap()),
            is_one,
            "{neighbour}"
        );
    }
    let own = link(net.bridge().as_str());
    assert_eq!(own.mark, Some(net.mark()));
    assert!(!own.has_default_route);
    assert_eq!(link("lo").kind, LinkKind::Loopback);
}
