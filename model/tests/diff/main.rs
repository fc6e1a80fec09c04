//! What `diff` promises: nothing to do means no steps, strangers stay untouched, and steps come in an order in which
//! they can be made. That the steps lead where they should is tried on kernels, in the contract suite of `kernel/`.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot make its values shall fail"
)]

mod rates;

use std::collections::{BTreeMap, BTreeSet};

use netd_model::desired::{
    BridgeState, InterfaceState, KernelState, LinkChange, Mark, RouteState, SandboxState, Sysctl,
    VethState,
};
use netd_model::diff::diff;
use netd_model::{EndpointId, IfName, InstanceId, Mac, NetnsId, NetworkId, Op};

const ME: InstanceId = InstanceId::from_bytes([1; 32]);
const OTHER: InstanceId = InstanceId::from_bytes([2; 32]);
const SANDBOX: NetnsId = NetnsId { dev: 4, inode: 77 };

fn name(text: &str) -> IfName {
    IfName::new(text).unwrap()
}

fn bridge_mark(network: u8) -> Mark {
    Mark::bridge(ME, NetworkId::from_bytes([network; 32]))
}

fn veth_mark() -> Mark {
    Mark::endpoint(ME, EndpointId::from_bytes([9; 32]))
}

fn accept_ra(interface: &str) -> Sysctl {
    Sysctl::of_interface("ipv6", &name(interface), "accept_ra")
}

/// One bridge, one container on it.
fn wish() -> KernelState {
    let mut state = KernelState::default();
    let bridge = BridgeState {
        mark: Some(bridge_mark(7)),
        mac: "02:42:0a:00:00:01".parse().unwrap(),
        addresses: BTreeSet::from(["10.0.0.1/24".parse().unwrap()]),
        mtu_bytes: 1450,
        filtered: false,
        up: true,
    };
    let veth = VethState {
        mark: Some(veth_mark()),
        bridge: Some(name("br0")),
        hairpin: true,
        isolated: false,
        mtu_bytes: 1450,
        up: true,
        bucket: None,
        through: None,
        peer: Some(SANDBOX),
        peer_name: Some(name("eth0")),
    };
    let inside = InterfaceState {
        mac: Mac::from_ipv4("10.0.0.2".parse().unwrap()),
        mtu_bytes: 1450,
        up: true,
        addresses: BTreeSet::from(["10.0.0.2/24".parse().unwrap()]),
    };
    let route = RouteState {
        destination: "0.0.0.0/0".parse().unwrap(),
        gateway: "10.0.0.1".parse().unwrap(),
        interface: Some(name("eth0")),
    };
    let sandbox = SandboxState {
        loopback_up: true,
        interfaces: BTreeMap::from([(name("eth0"), inside)]),
        routes: BTreeSet::from([route]),
        sysctls: BTreeMap::from([(accept_ra("eth0"), "0".to_owned())]),
        dns_redirect: Some(4053),
    };
    state.host.bridges.insert(name("br0"), bridge);
    state.host.veths.insert(name("veth0"), veth);
    state.host.sysctls = BTreeMap::from([
        (Sysctl::global("ipv4/ip_forward"), "1".to_owned()),
        (accept_ra("br0"), "0".to_owned()),
        (accept_ra("veth0"), "0".to_owned()),
    ]);
    state.sandboxes.insert(SANDBOX, sandbox);
    state
}

fn veth_of(state: &mut KernelState) -> &mut VethState {
    state.host.veths.get_mut(&name("veth0")).unwrap()
}

fn bridge_of(state: &mut KernelState) -> &mut BridgeState {
    state.host.bridges.get_mut(&name("br0")).unwrap()
}

fn sandbox_of(state: &mut KernelState) -> &mut SandboxState {
    state.sandboxes.get_mut(&SANDBOX).unwrap()
}

fn empty_sandbox() -> KernelState {
    KernelState {
        sandboxes: BTreeMap::from([(SANDBOX, SandboxState::default())]),
        ..KernelState::default()
    }
}

/// Short words for the steps, in order.
fn words(ops: &[Op]) -> Vec<String> {
    let word = |op: &Op| match op {
        Op::WriteSysctl { key, .. } => format!("write {}", key.path()),
        Op::CreateBridge { name, .. } => format!("bridge {name}"),
        Op::CreateVeth(veth) => format!("veth {}", veth.outside),
        Op::CreateIfb { name, .. } => format!("ifb {name}"),
        Op::SetBucket { name, .. } => format!("bucket {name}"),
        Op::Redirect { name, to } => format!("{name} through {to}"),
        Op::SetLink { name, .. } => format!("set {name}"),
        Op::SetInterface { name, .. } => format!("set inside {name}"),
        Op::AddAddress { interface, .. } => format!("address {interface}"),
        Op::RemoveAddress { interface, .. } => format!("no address {interface}"),
        Op::AddRoute { route, .. } => format!("route {}", route.destination),
        Op::RemoveRoute { route, .. } => format!("no route {}", route.destination),
        Op::RedirectDns { port, .. } => format!("dns {port}"),
        Op::DeleteLink { name, .. } => format!("delete {name}"),
        Op::ForgetFlows(_) => "forget".to_owned(),
    };
    ops.iter().map(word).collect()
}

#[test]
fn equal_states_need_no_steps() {
    assert_eq!(diff(&wish(), &wish(), ME), []);
}

#[test]
fn from_nothing_each_thing_comes_after_what_it_needs() {
    assert_eq!(
        words(&diff(&wish(), &empty_sandbox(), ME)),
        [
            "write ipv4/ip_forward",
            "bridge br0",
            "write ipv6/conf/br0/accept_ra",
            "address br0",
            "set br0",
            "set inside lo",
            "veth veth0",
            "write ipv6/conf/veth0/accept_ra",
            "write ipv6/conf/eth0/accept_ra",
            "address eth0",
            "set inside eth0",
            "route 0.0.0.0/0",
            "dns 4053",
        ]
    );
}

#[test]
fn what_nobody_wishes_for_goes_pairs_before_bridges() {
    let nothing = empty_sandbox();
    let mut there = wish();
    sandbox_of(&mut there).routes.clear();
    assert_eq!(
        words(&diff(&nothing, &there, ME)),
        ["delete veth0", "delete br0"]
    );
}

#[test]
fn another_instance_s_links_are_never_deleted() {
    assert_eq!(diff(&KernelState::default(), &wish(), OTHER), []);
}

#[test]
fn a_stranger_under_a_wished_name_is_neither_changed_nor_deleted() {
    for mark in [
        None,
        Some(Mark::endpoint(OTHER, EndpointId::from_bytes([9; 32]))),
    ] {
        let mut there = wish();
        veth_of(&mut there).mark = mark;
        veth_of(&mut there).up = false;
        bridge_of(&mut there).mark = mark;
        bridge_of(&mut there).mtu_bytes = 1400;
        let ops = words(&diff(&wish(), &there, ME));
        // Both are asked for, so that the kernel's refusal is heard.
        assert_eq!(ops[0], "bridge br0");
        assert!(ops.contains(&"veth veth0".to_owned()), "{ops:?}");
        assert!(!ops.iter().any(|op| op.starts_with("delete")), "{ops:?}");
        assert!(!ops.contains(&"set veth0".to_owned()), "{ops:?}");
    }
}

#[test]
fn somebody_else_s_bridge_is_only_brought_up() {
    let mut wished = wish();
    bridge_of(&mut wished).mark = None;
    let mut there = wished.clone();
    bridge_of(&mut there).mac = "02:00:00:00:00:07".parse().unwrap();
    bridge_of(&mut there).mtu_bytes = 9000;
    bridge_of(&mut there).addresses.clear();
    assert_eq!(diff(&wished, &there, ME), []);
    bridge_of(&mut there).up = false;
    assert_eq!(words(&diff(&wished, &there, ME)), ["set br0"]);
    // Neither is it brought down for anybody's wish.
    bridge_of(&mut wished).up = false;
    bridge_of(&mut there).up = true;
    assert_eq!(diff(&wished, &there, ME), []);
}

#[test]
fn a_pair_whose_inner_end_is_lost_is_made_anew_with_its_routes() {
    let mut there = wish();
    veth_of(&mut there).peer_name = Some(name("renamed"));
    assert_eq!(
        words(&diff(&wish(), &there, ME)),
        [
            "delete veth0",
            "veth veth0",
            "write ipv6/conf/veth0/accept_ra",
            "write ipv6/conf/eth0/accept_ra",
            "address eth0",
            "set inside eth0",
            "route 0.0.0.0/0",
        ]
    );
}

#[test]
fn a_cut_off_port_returns_with_its_settings() {
    let mut there = wish();
    let veth = veth_of(&mut there);
    (veth.bridge, veth.hairpin) = (None, false);
    let change = LinkChange {
        bridge: Some(Some(name("br0"))),
        hairpin: Some(true),
        ..LinkChange::default()
    };
    assert_eq!(
        diff(&wish(), &there, ME),
        [Op::SetLink {
            name: name("veth0"),
            change
        }]
    );
}

#[test]
fn the_ports_of_a_bridge_that_is_made_anew_are_put_back() {
    let mut there = wish();
    bridge_of(&mut there).mark = Some(bridge_mark(8));
    let ops = diff(&wish(), &there, ME);
    let change = LinkChange {
        bridge: Some(Some(name("br0"))),
        hairpin: Some(true),
        ..LinkChange::default()
    };
    assert!(
        ops.contains(&Op::SetLink {
            name: name("veth0"),
            change
        }),
        "{ops:?}"
    );
    assert_eq!(words(&ops)[..2], ["delete br0", "bridge br0"]);
}

#[test]
fn what_shall_be_no_port_is_given_no_port_settings() {
    let mut wished = wish();
    veth_of(&mut wished).bridge = None;
    let change = LinkChange {
        bridge: Some(None),
        ..LinkChange::default()
    };
    assert_eq!(
        diff(&wished, &wish(), ME),
        [Op::SetLink {
            name: name("veth0"),
            change
        }]
    );
}

#[test]
fn a_link_that_goes_down_gets_its_ipv6_addresses_back() {
    let mut there = wish();
    let v6 = "fd00::2/64".parse().unwrap();
    let inside = |state: &mut KernelState| {
        let interfaces = &mut sandbox_of(state).interfaces;
        interfaces
            .get_mut(&name("eth0"))
            .unwrap()
            .addresses
            .insert(v6);
    };
    inside(&mut there);
    let mut wished = there.clone();
    let interfaces = &mut sandbox_of(&mut wished).interfaces;
    interfaces.get_mut(&name("eth0")).unwrap().up = false;
    assert_eq!(
        words(&diff(&wished, &there, ME)),
        ["set inside eth0", "address eth0"]
    );
}

#[test]
fn a_route_is_replaced_and_not_removed_first() {
    let mut there = wish();
    let old = RouteState {
        destination: "0.0.0.0/0".parse().unwrap(),
        gateway: "10.0.0.254".parse().unwrap(),
        interface: Some(name("eth0")),
    };
    let surplus = RouteState {
        destination: "10.9.0.0/16".parse().unwrap(),
        gateway: "10.0.0.254".parse().unwrap(),
        interface: Some(name("eth0")),
    };
    sandbox_of(&mut there).routes = BTreeSet::from([old, surplus]);
    assert_eq!(
        words(&diff(&wish(), &there, ME)),
        ["no route 10.9.0.0/16", "route 0.0.0.0/0"]
    );
}

#[test]
fn a_bridge_is_filtered_before_it_is_up_and_one_of_others_never() {
    let mut wished = wish();
    bridge_of(&mut wished).filtered = true;
    let set = |filtered| Op::SetLink {
        name: name("br0"),
        change: LinkChange {
            filtered: Some(filtered),
            ..LinkChange::default()
        },
    };
    let made = diff(&wished, &empty_sandbox(), ME);
    let place = |op: &Op| made.iter().position(|made| made == op);
    let up = LinkChange {
        up: Some(true),
        ..LinkChange::default()
    };
    let up = Op::SetLink {
        name: name("br0"),
        change: up,
    };
    assert!(place(&set(true)).is_some() && place(&set(true)) < place(&up));
    assert_eq!(diff(&wished, &wish(), ME), [set(true)]);
    assert_eq!(diff(&wish(), &wished, ME), [set(false)]);

    let mut theirs = wish();
    bridge_of(&mut theirs).mark = None;
    bridge_of(&mut wished).mark = None;
    assert_eq!(diff(&wished, &theirs, ME), []);
    assert_eq!(diff(&theirs, &wished, ME), []);
}

#[test]
fn what_others_added_stays() {
    let mut there = wish();
    bridge_of(&mut there)
        .addresses
        .insert("10.7.0.1/24".parse().unwrap());
    let foreign = sandbox_of(&mut there).interfaces[&name("eth0")].clone();
    sandbox_of(&mut there)
        .interfaces
        .insert(name("tun0"), foreign);
    let other = NetnsId { dev: 4, inode: 78 };
    there.sandboxes.insert(other, SandboxState::default());
    assert_eq!(diff(&wish(), &there, ME), []);
}
