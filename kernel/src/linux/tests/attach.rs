//! A whole wish, made true, mended, and timed.

use std::time::Instant;

use netd_model::desired::{
    BridgeState, HostState, InterfaceState, KernelState, RouteState, SandboxState, Sysctl,
    VethState,
};
use netd_model::diff::diff;

use super::*;

/// A bridge, and one container on it with everything.
fn wish(netns: NetnsId) -> KernelState {
    let veth = VethState {
        mark: Some(endpoint_mark(2)),
        bridge: Some(name("br0")),
        hairpin: true,
        isolated: true,
        mtu_bytes: 1400,
        up: true,
        bucket: None,
        through: None,
        peer: Some(netns),
        peer_name: Some(name("eth0")),
    };
    let bridge = BridgeState {
        mark: Some(bridge_mark(1)),
        mac: "02:42:00:00:00:01".parse().unwrap(),
        addresses: ["172.17.0.1/16", "fd00::1/64"]
            .map(|text| text.parse().unwrap())
            .into(),
        mtu_bytes: 1400,
        filtered: true,
        up: true,
    };
    let interface = InterfaceState {
        mac: "02:42:ac:11:00:02".parse().unwrap(),
        mtu_bytes: 1400,
        up: true,
        addresses: ["172.17.0.2/16", "fd00::2/64"]
            .map(|text| text.parse().unwrap())
            .into(),
    };
    let route = |to: &str, via: &str| RouteState {
        destination: to.parse().unwrap(),
        gateway: ip(via),
        interface: Some(name("eth0")),
    };
    let setting = |key: Sysctl, value: &str| (key, value.to_owned());
    let sandbox = SandboxState {
        loopback_up: true,
        interfaces: [(name("eth0"), interface)].into(),
        routes: [
            route("0.0.0.0/0", "172.17.0.1"),
            route("10.9.0.0/16", "172.17.0.7"),
            route("::/0", "fd00::1"),
        ]
        .into(),
        sysctls: [
            setting(Sysctl::global("ipv4/ip_unprivileged_port_start"), "0"),
            setting(Sysctl::global("ipv4/ping_group_range"), "0 2147483647"),
            setting(
                Sysctl::of_interface("ipv6", &name("eth0"), "accept_ra"),
                "0",
            ),
        ]
        .into(),
        dns_redirect: Some(40_053),
    };
    KernelState {
        host: HostState {
            ifbs: Default::default(),
            bridges: [(name("br0"), bridge)].into(),
            veths: [(name("veth1"), veth)].into(),
            uplinks: Default::default(),
            routes: Default::default(),
            sysctls: [
                setting(Sysctl::global("ipv4/ip_forward"), "1"),
                setting(Sysctl::global("bridge/there-is-no-such"), "1"),
                setting(
                    Sysctl::of_interface("ipv4", &name("br0"), "route_localnet"),
                    "1",
                ),
            ]
            .into(),
        },
        sandboxes: [(netns, sandbox)].into(),
    }
}

#[test]
fn a_wish_comes_true_once_and_is_seen_so_by_iproute2() {
    in_new_namespace(|linux| {
        let guest = Guest::start();
        let netns = pinned(&linux, &guest).netns;
        let wish = wish(netns);
        let ops = diff(&wish, &linux.observe(&wish).unwrap(), instance());
        linux.apply(&ops).unwrap();
        assert_eq!(linux.observe(&wish).unwrap(), wish);

        let bridge = run("ip -d link show br0");
        for part in [
            "netd:0101010101010101:network:0101010101010101",
            "mtu 1400",
            "02:42:00:00:00:01",
            "nf_call_iptables 1 nf_call_ip6tables 1 nf_call_arptables 0",
            ",UP",
        ] {
            assert!(bridge.contains(part), "{part} in {bridge}");
        }
        let veth = run("ip -d link show veth1");
        for part in [
            "endpoint:0202020202020202",
            "hairpin on",
            "isolated on",
            "master br0",
            "numtxqueues 1 numrxqueues 1",
        ] {
            assert!(veth.contains(part), "{part} in {veth}");
        }
        assert_eq!(run("ip -6 addr show dev veth1"), "");
        let inside = guest.run("ip addr show");
        for part in [
            "inet 172.17.0.2/16 brd 172.17.255.255 scope global eth0",
            "inet6 fd00::2/64",
            "127.0.0.1/8",
        ] {
            assert!(inside.contains(part), "{part} in {inside}");
        }
        assert!(inside.contains("fd00::2/64 scope global nodad"), "{inside}");
        let routes = guest.run("ip route show proto 0x6e; ip -6 route show proto 0x6e");
        for part in [
            "default via 172.17.0.1 dev eth0",
            "10.9.0.0/16 via 172.17.0.7",
            "default via fd00::1",
        ] {
            assert!(routes.contains(part), "{part} in {routes}");
        }
        assert_eq!(
            guest.run("sysctl -n net.ipv4.ip_unprivileged_port_start"),
            "0\n"
        );
        guest.run("ping -c1 -W2 172.17.0.1; ping -c1 -W2 fd00::1");
        run("ping -c1 -W2 172.17.0.2");
    });
}

/// Whether frames pass by an interface of the host, as the kernel has it at this moment. Read from the list of all: asked for one link,
/// newer kernels see to it first.
fn is_operational(linux: &Linux, interface: &str) -> bool {
    let all = crate::linux::links::all(&mut linux.home.session()).unwrap();
    let mut named = all.iter().filter(|link| link.name == name(interface));
    named.next().unwrap().operational
}

/// Or the first packet of a container would be lost, and asked for again only after a second (RFC 4861, arp(7)).
#[test]
fn frames_pass_as_soon_as_a_container_is_attached() {
    in_new_namespace(|linux| {
        for round in 0..50 {
            let bare = Bare::make();
            let netns = linux.adopt(bare.handle()).unwrap().netns;
            let wish = wish(netns);
            let ops = diff(&wish, &linux.observe(&wish).unwrap(), instance());
            linux.apply(&ops).unwrap();
            linux.settle(&name("veth1"));
            assert!(is_operational(&linux, "veth1"), "round {round}");
            linux.release(netns);
        }
    });
}

#[test]
fn what_was_changed_or_stolen_is_seen_and_mended() {
    in_new_namespace(|linux| {
        let guest = Guest::start();
        let netns = pinned(&linux, &guest).netns;
        let wish = wish(netns);
        let mend = || {
            let ops = diff(&wish, &linux.observe(&wish).unwrap(), instance());
            linux
                .apply(&ops)
                .unwrap_or_else(|error| panic!("{error} in {ops:#?}"));
            assert_eq!(linux.observe(&wish).unwrap(), wish);
            ops
        };
        mend();
        assert_eq!(mend(), []);
        for theft in [
            "ip link set veth1 nomaster",
            "ip link set br0 mtu 1300",
            "ip link del veth1",
            "ip addr flush dev br0",
            "sysctl -qw net.ipv4.ip_forward=0",
            "ip link set veth1 type bridge_slave isolated off",
            "ip link set br0 type bridge nf_call_iptables 0",
            "ip link set br0 type bridge nf_call_ip6tables 0",
            "ip link set veth1 down",
        ] {
            run(theft);
            assert_ne!(mend(), [], "{theft}");
        }
        for theft in [
            "ip link set eth0 down",
            "ip route del default",
            "ip route replace default via 172.17.0.9 proto 0x6e",
            "ip link set eth0 down && ip link set eth0 name eth7",
            "ip link del eth0",
            "ip addr del 172.17.0.2/16 dev eth0",
            "ip link set lo down",
            "nft flush chain ip netd-resolver queries",
            "nft flush ruleset",
        ] {
            guest.run(theft);
            assert_ne!(mend(), [], "{theft}");
        }
    });
}

#[test]
fn the_time_of_one_attach_is_printed() {
    in_new_namespace(|linux| {
        linux.apply(&[new_bridge("br0")]).unwrap();
        let gateway = Op::AddAddress {
            netns: None,
            interface: name("br0"),
            address: "172.17.0.1/16".parse().unwrap(),
        };
        linux
            .apply(&[
                gateway,
                Op::SetLink {
                    name: name("br0"),
                    change: up(),
                },
            ])
            .unwrap();
        let mut times: Vec<[u128; 3]> = (0..100u8)
            .map(|number| {
                let bare = Bare::make();
                let before = Instant::now();
                let netns = linux.adopt(bare.handle()).unwrap().netns;
                let adopted = Instant::now();
                let interface = name("eth0");
                let pair = NewVeth {
                    mac: Mac::from_ipv4([172, 17, 1, number].into()),
                    ..new_veth(&format!("veth{number}"), "br0", netns)
                };
                linux.apply(&[Op::CreateVeth(Box::new(pair))]).unwrap();
                let made = Instant::now();
                let set = |name: &IfName| Op::SetInterface {
                    netns,
                    name: name.clone(),
                    change: up(),
                };
                linux
                    .apply(&[
                        Op::WriteSysctl {
                            netns: Some(netns),
                            key: Sysctl::of_interface("ipv6", &interface, "disable_ipv6"),
                            value: "1".to_owned(),
                        },
                        set(&name("lo")),
                        Op::AddAddress {
                            netns: Some(netns),
                            interface: interface.clone(),
                            address: format!("172.17.1.{number}/16").parse().unwrap(),
                        },
                        set(&interface),
                        Op::AddRoute {
                            netns: Some(netns),
                            route: RouteState {
                                destination: "0.0.0.0/0".parse().unwrap(),
                                gateway: ip("172.17.0.1"),
                                interface: Some(interface.clone()),
                            },
                        },
                    ])
                    .unwrap();
                let done = Instant::now();
                linux.release(netns);
                [(adopted - before), (made - adopted), (done - made)].map(|time| time.as_micros())
            })
            .collect();
        for (at, what) in ["adopt", "create the pair", "the rest"].iter().enumerate() {
            times.sort_by_key(|time| time[at]);
            eprintln!("{what}: {} us (p90 {})", times[50][at], times[90][at]);
        }
        times.sort_by_key(|time| time[1] + time[2]);
        eprintln!("attach: {} us", times[50][1] + times[50][2]);
    });
}
