//! S23: containers of two hosts talk by a route on each, under their own addresses.

use std::time::Duration;

use netns_tests::firewall::FLUSH;
use netns_tests::{Host, eventually, stands_still, within};

use crate::s14_allowed_networks::TEN_BEATS;
use crate::two_hosts::{TwoHosts, seen_as, seen_from, teller};

const FIRST: &str = "192.168.100.0/24";
pub(crate) const SECOND: &str = "192.168.200.0/24";

/// Hosts with bip 192.168.100.1/24 and 192.168.200.1/24; on each `on-1` or `on-2` at .2 and `lab-1` or `lab-2` on a
/// further network, 172.31.N.0/24, all tellers.
pub(crate) fn two_hosts() -> TwoHosts {
    let both = TwoHosts::with([
        r#"{"bip": "192.168.100.1/24"}"#,
        r#"{"bip": "192.168.200.1/24"}"#,
    ]);
    for (host, number) in [(both.h1(), 1), (&both.h2, 2)] {
        let subnet = format!("172.31.{number}.0/24");
        let _ = host.net(&["create", "--subnet", &subnet, "lab"]).ok();
        teller(host, &format!("on-{number}"), &[]);
        teller(host, &format!("lab-{number}"), &["--network", "lab"]);
    }
    both
}

fn route(both: &TwoHosts, flags: &[&str]) {
    for (host, there, gateway) in [
        (both.h1(), SECOND, "10.0.0.208"),
        (&both.h2, FIRST, "10.0.0.204"),
    ] {
        let line = [&["route", "add", there, "via", gateway], flags].concat();
        assert_eq!(host.net(&line).ok().text(), "");
    }
}

#[track_caller]
fn talk(both: &TwoHosts) {
    let (h1, h2) = (both.h1(), &both.h2);
    for (host, from, to, source) in [
        (h1, "on-1", "192.168.200.2", "192.168.100.2"),
        (h2, "on-2", "192.168.100.2", "192.168.200.2"),
    ] {
        assert_eq!(seen_as(host, from, to).as_deref(), Some(source), "{from}");
    }
}

#[track_caller]
fn are_apart(both: &TwoHosts) {
    assert_eq!(seen_as(both.h1(), "on-1", "192.168.200.2"), None);
    assert_eq!(seen_as(&both.h2, "on-2", "192.168.100.2"), None);
}

pub(crate) fn kernel_route(host: &Host) -> String {
    let show = ["ip", "route", "show", "proto", "0x6e"];
    host.exec(&show).ok().text().to_owned()
}

const ROUTE: &str = "192.168.200.0/24 via 10.0.0.208 dev eth0";

#[test]
fn s23_a_route_on_each_host_is_all_it_takes_and_addresses_stay() {
    let both = two_hosts();
    let (h1, h2) = (both.h1(), &both.h2);
    let before = h1.all_rules();
    are_apart(&both);
    route(&both, &[]);
    talk(&both);
    assert_eq!(kernel_route(h1), ROUTE);
    // Every network of a host, under its own address; also one that is made later.
    assert_eq!(
        seen_as(h1, "lab-1", "192.168.200.2"),
        None,
        "h2 has no route to it"
    );
    let _ = h2
        .net(&["route", "add", "172.31.1.0/24", "via", "10.0.0.204"])
        .ok();
    assert_eq!(
        seen_as(h1, "lab-1", "192.168.200.2").as_deref(),
        Some("172.31.1.2")
    );
    let _ = h1
        .net(&["create", "--subnet", "172.31.9.0/24", "later"])
        .ok();
    teller(h1, "on-later", &["--network", "later"]);
    let _ = h2
        .net(&["route", "add", "172.31.9.0/24", "via", "10.0.0.204"])
        .ok();
    assert_eq!(
        seen_as(h2, "on-2", "172.31.9.2").as_deref(),
        Some("192.168.200.2")
    );
    // The hosts themselves, and the world as ever.
    assert_eq!(
        seen_from(h2, None, "192.168.100.2").as_deref(),
        Some("10.0.0.208")
    );
    assert_eq!(
        seen_from(h1, None, "192.168.200.2").as_deref(),
        Some("10.0.0.204")
    );
    // Networks of one host stay isolated.
    assert_eq!(seen_as(h1, "on-1", "172.31.1.2"), None);
    assert_eq!(seen_as(h1, "lab-1", "192.168.100.2"), None);
    let _ = h1.net(&["stop", "on-later"]).ok();
    let _ = h1.net(&["rm", "later"]).ok();
    for subnet in [FIRST, "172.31.1.0/24", "172.31.9.0/24"] {
        let _ = h2.net(&["route", "rm", subnet]).ok();
    }
    assert_eq!(h1.net(&["route", "rm", SECOND]).ok().text(), SECOND);
    are_apart(&both);
    assert_eq!(kernel_route(h1), "");
    assert_eq!(h1.all_rules(), before);
}

#[test]
fn s23_masquerade_shows_the_host_s_address() {
    let both = two_hosts();
    route(&both, &["--masquerade"]);
    let (h1, h2) = (both.h1(), &both.h2);
    let by = |host, from, to| seen_as(host, from, to);
    assert_eq!(
        by(h1, "on-1", "192.168.200.2").as_deref(),
        Some("10.0.0.204")
    );
    assert_eq!(
        by(h2, "on-2", "192.168.100.2").as_deref(),
        Some("10.0.0.208")
    );
    // It may differ on the two sides, and change.
    let _ = h1.net(&["route", "rm", SECOND]).ok();
    let _ = h1.net(&["route", "add", SECOND, "via", "10.0.0.208"]).ok();
    assert_eq!(
        by(h1, "on-1", "192.168.200.2").as_deref(),
        Some("192.168.100.2")
    );
    assert_eq!(
        by(h2, "on-2", "192.168.100.2").as_deref(),
        Some("10.0.0.208")
    );
}

#[test]
fn s23_only_the_networks_that_are_named_talk() {
    let both = two_hosts();
    let (h1, h2) = (both.h1(), &both.h2);
    let _ = h1
        .net(&[
            "create",
            "--internal",
            "--subnet",
            "172.31.8.0/24",
            "closed",
        ])
        .ok();
    teller(h1, "on-closed", &["--network", "closed"]);
    route(&both, &["--network", "bridge"]);
    let _ = h2
        .net(&["route", "add", "172.31.1.0/24", "via", "10.0.0.204"])
        .ok();
    let _ = h2
        .net(&["route", "add", "172.31.8.0/24", "via", "10.0.0.204"])
        .ok();
    talk(&both);
    assert_eq!(seen_as(h1, "lab-1", "192.168.200.2"), None);
    assert_eq!(seen_as(h2, "on-2", "172.31.1.2"), None);
    assert_eq!(seen_as(h2, "lab-2", "192.168.100.2"), None);
    assert_eq!(seen_as(h2, "on-2", "172.31.8.2"), None);
    assert_eq!(seen_as(h1, "on-closed", "192.168.200.2"), None);
    // What is published is reached all the same.
    let _ = h1.net(&["publish", "lab-1", "-p", "9000:8000"]).ok();
    assert!(seen_as(h2, "on-2", "10.0.0.204:9000").is_some());
    let _ = h1.net(&["stop", "lab-1"]).ok();
    let _ = h1
        .net(&[
            "route",
            "add",
            "192.168.7.0/24",
            "via",
            "10.0.0.208",
            "--network",
            "lab",
        ])
        .ok();
    let ran = h1.net(&["rm", "lab"]).fails(1);
    assert!(ran.stderr.contains("net route rm"), "{ran}");
    let _ = h1.net(&["route", "rm", "192.168.7.0/24"]).ok();
    let _ = h1.net(&["rm", "lab"]).ok();
}

#[test]
fn s23_routes_survive_kill_flush_deletion_and_a_link_that_goes() {
    let both = two_hosts();
    let h1 = both.h1();
    route(&both, &[]);
    h1.restart();
    talk(&both);
    h1.kill();
    let without_daemon = seen_as(&both.h2, "on-2", "192.168.100.2");
    assert_eq!(without_daemon.as_deref(), Some("192.168.200.2"));
    h1.start();
    talk(&both);
    let is_back = |what: &str| {
        within(Duration::from_secs(3), what, || {
            (kernel_route(h1) == ROUTE).then_some(())
        });
        eventually(what, || {
            (seen_as(h1, "on-1", "192.168.200.2").as_deref() == Some("192.168.100.2")).then_some(())
        });
        talk(&both);
    };
    let _ = h1.sh(FLUSH).ok();
    is_back("the rules to be back");
    let _ = h1.sh("ip route del 192.168.200.0/24").ok();
    is_back("the route that was deleted");
    let _ = h1.sh("ip link set eth0 down; ip link set eth0 up").ok();
    is_back("the route that went with its link");
    let _ = h1
        .sh("ip address flush dev eth0; ip address add 10.0.0.204/24 dev eth0")
        .ok();
    is_back("the route that went with the address");
    // The same while nobody looks.
    h1.kill();
    let _ = h1
        .sh(&format!("{FLUSH}; ip route del 192.168.200.0/24"))
        .ok();
    h1.start();
    is_back("all after a start");
    assert_eq!(h1.status()["problems"], serde_json::json!([]));
    // And what was removed does not return.
    let _ = h1.net(&["route", "rm", SECOND]).ok();
    h1.restart();
    assert_eq!(kernel_route(h1), "");
    are_apart(&both);
}

#[test]
fn s23_a_forged_source_gets_in_from_no_other_wire() {
    let both = two_hosts();
    let (h1, outside) = (both.h1(), &both.lab.outside);
    route(&both, &[]);
    // Who is on the wire and no peer.
    let _ = outside
        .sh("ip route add 192.168.100.0/24 via 10.0.0.204")
        .ok();
    assert_eq!(seen_from(outside, None, "192.168.100.2"), None);
    assert_eq!(seen_from(outside, Some("10.0.0.99"), "192.168.100.2"), None);
    // Who says on another wire that he is the peer, even where the way back leads to him.
    both.lab.second_card(h1);
    both.lab.second_card(outside);
    let _ = h1.sh("ip address add 198.51.100.1/24 dev eth1; for f in all eth0 eth1; do echo 0 > /proc/sys/net/ipv4/conf/$f/rp_filter; done").ok();
    let _ = outside.sh("ip address add 198.51.100.2/24 dev eth1; ip address add 192.168.200.66/32 dev eth1; ip route replace 192.168.100.0/24 via 198.51.100.1 src 192.168.200.66; ip route add 10.0.0.204/32 via 198.51.100.1").ok();
    let _ = h1
        .sh("ip route add 192.168.200.66/32 via 198.51.100.2")
        .ok();
    let forged = Some("192.168.200.66");
    assert_eq!(seen_from(outside, forged, "192.168.100.2"), None);
    let _ = h1.net(&["publish", "on-1", "-p", "9000:8000"]).ok();
    assert!(seen_from(outside, Some("198.51.100.2"), "198.51.100.1:9000").is_some());
    // A container of the next network that forges it.
    let _ = h1
        .in_container(
            "lab-1",
            &["ip", "address", "add", "192.168.200.77/32", "dev", "eth0"],
        )
        .ok();
    let ask = [
        "curl",
        "-sS",
        "--max-time",
        "2",
        "--interface",
        "192.168.200.77",
        "http://192.168.100.2:8000/cgi-bin/who",
    ];
    assert!(!h1.in_container("lab-1", &ask).is_ok());
    talk(&both);
}

#[test]
fn s23_a_flow_ends_with_its_route() {
    let both = two_hosts();
    let (h1, h2) = (both.h1(), &both.h2);
    route(&both, &[]);
    h1.run_detached(
        &["--name", "echo"],
        &["socat", "TCP-LISTEN:7001,fork,reuseaddr", "EXEC:cat"],
    );
    h1.listening("echo", "-t", "7001");
    let echo = h1.address_of("echo", "bridge");
    let line = format!(
        "(n=0; while :; do n=$((n+1)); echo $n; sleep 0.05; done) | socat -t5 - TCP:{echo}:7001 > /run/lab/flow"
    );
    h2.run_detached(&["--name", "client"], &["sh", "-c", &line]);
    let count = || h2.read("/run/lab/flow").lines().count();
    eventually("the flow to go on", || (count() > 5).then_some(()));
    let _ = h1.net(&["route", "rm", SECOND]).ok();
    stands_still("the flow to stand still", TEN_BEATS, count);
    let _ = h1.net(&["route", "add", SECOND, "via", "10.0.0.208"]).ok();
    let seen = count();
    eventually("the flow to go on", || (count() > seen + 5).then_some(()));
}
