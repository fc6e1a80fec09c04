//! S23 in IPv6: containers of two hosts talk by a route on each.

use netns_tests::{Host, within};

use crate::two_hosts::{TwoHosts, seen_as, seen_from, teller};

const FIRST: &str = "fd00:1::/64";
const SECOND: &str = "fd00:2::/64";
const GATEWAYS: [&str; 2] = ["2001:db8:7::204", "2001:db8:7::208"];

/// Two hosts on one wire with IPv6; on each a network `six` of IPv6 alone and one `lab`, with the tellers `on-1` or `on-2`
/// at ::2 of FIRST or SECOND and `lab-1` or `lab-2` at ::2 of fd00:1N::/64.
fn two_hosts() -> TwoHosts {
    let both = TwoHosts::with(["", ""]);
    let wire = [
        (both.h1() as &netns_tests::Machine, GATEWAYS[0]),
        (&both.h2, GATEWAYS[1]),
        (&both.lab.outside, "2001:db8:7::99"),
    ];
    for (machine, address) in wire {
        let address = format!("{address}/64");
        let add = ["ip", "address", "add", &address, "dev", "eth0", "nodad"];
        let _ = machine.exec(&add).ok();
    }
    for (host, number) in [(both.h1(), 1), (&both.h2, 2)] {
        for (network, subnet) in [
            ("six", format!("fd00:{number}")),
            ("lab", format!("fd00:1{number}")),
        ] {
            let line = [
                "create",
                "--ipv4=false",
                "--subnet",
                &format!("{subnet}::/64"),
                network,
            ];
            let _ = host.net(&line).ok();
            let name = if network == "six" { "on" } else { network };
            let flags = ["--network", network, "--ip6", &format!("{subnet}::2")];
            teller(host, &format!("{name}-{number}"), &flags);
        }
    }
    both
}

fn route(both: &TwoHosts, flags: &[&str]) {
    for (host, there, gateway) in [
        (both.h1(), SECOND, GATEWAYS[1]),
        (&both.h2, FIRST, GATEWAYS[0]),
    ] {
        let line = [&["route", "add", there, "via", gateway], flags].concat();
        let _ = host.net(&line).ok();
    }
}

/// The teller at ::2 of a subnet.
fn at(subnet: &str) -> String {
    format!("[{}]:8000", subnet.replace("/64", "2"))
}

fn asks(host: &Host, container: &str, subnet: &str) -> Option<String> {
    let seen = seen_as(host, container, &at(subnet));
    // busybox writes all digits.
    seen.map(|text| {
        text.parse::<std::net::Ipv6Addr>()
            .map_or(text, |ip| ip.to_string())
    })
}

#[test]
fn s23_a_route_on_each_host_is_all_it_takes_in_ipv6() {
    let both = two_hosts();
    let (h1, h2) = (both.h1(), &both.h2);
    assert_eq!(asks(h1, "on-1", SECOND), None);
    route(&both, &["--network", "six"]);
    assert_eq!(asks(h1, "on-1", SECOND).as_deref(), Some("fd00:1::2"));
    assert_eq!(asks(h2, "on-2", FIRST).as_deref(), Some("fd00:2::2"));
    // It is for no other network, and other networks are as isolated as before.
    let _ = h2
        .net(&["route", "add", "fd00:11::/64", "via", GATEWAYS[0]])
        .ok();
    assert_eq!(asks(h1, "lab-1", SECOND), None);
    assert_eq!(asks(h2, "on-2", "fd00:11::/64"), None);
    assert_eq!(asks(h1, "lab-1", FIRST), None);
    // Who is on the wire and no peer gets in by no route, whatever source he claims to be.
    let _ = both
        .lab
        .outside
        .sh(&format!("ip -6 route add {FIRST} via {}", GATEWAYS[0]))
        .ok();
    assert_eq!(seen_from(&both.lab.outside, None, &at(FIRST)), None);
    // Kept over a crash, a flush, and the deletion of the route.
    let is_back = |what: &str| {
        within(std::time::Duration::from_secs(5), what, || {
            asks(h1, "on-1", SECOND).filter(|source| source == "fd00:1::2")
        });
    };
    h1.kill();
    let _ = h1
        .sh(&format!("nft flush ruleset; ip -6 route del {SECOND}"))
        .ok();
    h1.start();
    is_back("all after a start");
    let _ = h1.sh(&format!("ip -6 route del {SECOND}")).ok();
    is_back("the route");
    let _ = h1.sh("nft flush ruleset").ok();
    is_back("the rules");
    let _ = h1.sh("ip link set eth0 down; ip link set eth0 up; ip address add 2001:db8:7::204/64 dev eth0 nodad").ok();
    is_back("the route that went with its link");
    assert_eq!(h1.net(&["route", "rm", SECOND]).ok().text(), SECOND);
    assert_eq!(asks(h1, "on-1", SECOND), None);
    let show = ["ip", "-6", "route", "show", "proto", "0x6e"];
    assert_eq!(h1.exec(&show).ok().text(), "");
}

#[test]
fn s23_masquerade_shows_the_host_s_address_in_ipv6() {
    let both = two_hosts();
    route(&both, &["--masquerade"]);
    assert_eq!(
        asks(both.h1(), "on-1", SECOND).as_deref(),
        Some(GATEWAYS[0])
    );
    assert_eq!(asks(&both.h2, "on-2", FIRST).as_deref(), Some(GATEWAYS[1]));
    assert_eq!(
        asks(both.h1(), "lab-1", SECOND).as_deref(),
        Some(GATEWAYS[0])
    );
}
