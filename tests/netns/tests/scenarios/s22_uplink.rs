//! S22: a card of each of two hosts joins docker0, and their containers are neighbours.

use std::time::Duration;

use netns_tests::host::CONFIG_FILE;
use netns_tests::{Host, HostOptions, eventually, within};

use crate::two_hosts::{TwoHosts, seen_as, seen_from, teller};

/// Halves of one subnet, and bridges with addresses of their own.
const HALVES: [&str; 2] = [
    r#"{"bip": "172.17.0.1/16", "fixed-cidr": "172.17.0.0/17"}"#,
    r#"{"bip": "172.17.128.1/16", "fixed-cidr": "172.17.128.0/17"}"#,
];

/// Two hosts with those halves, whose eth1 are on a second wire; on each a teller, `on-1` and `on-2`.
fn two_hosts() -> TwoHosts {
    let both = TwoHosts::with(HALVES);
    for (host, number) in [(both.h1(), 1), (&both.h2, 2)] {
        both.lab.second_card(host);
        teller(host, &format!("on-{number}"), &[]);
    }
    both
}

fn uplink(both: &TwoHosts) {
    for host in [both.h1(), &both.h2] {
        assert_eq!(host.net(&["uplink", "bridge", "eth1"]).ok().text(), "");
    }
}

#[track_caller]
fn talk(both: &TwoHosts) {
    let (h1, h2) = (both.h1(), &both.h2);
    let on_1 = h1.address_of("on-1", "bridge");
    let on_2 = h2.address_of("on-2", "bridge");
    // The first frames of a wire that just came up may be lost.
    eventually("a page of the other host", || {
        seen_as(h1, "on-1", &on_2).filter(|source| *source == on_1)
    });
    assert_eq!(seen_as(h2, "on-2", &on_1), Some(on_2));
}

fn master(host: &Host, device: &str) -> String {
    let show = ["ip", "-j", "link", "show", device];
    let links = host.exec(&show).ok().json();
    links[0]["master"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn s22_containers_of_two_hosts_are_neighbours() {
    let both = two_hosts();
    let (h1, h2) = (both.h1(), &both.h2);
    let before = h1.all_rules();
    let on_2 = h2.address_of("on-2", "bridge");
    assert!(on_2.starts_with("172.17.128."), "{on_2}");
    assert_eq!(seen_as(h1, "on-1", &on_2), None);
    uplink(&both);
    uplink(&both);
    talk(&both);
    assert_eq!(h1.inspect("bridge")["Uplinks"], serde_json::json!(["eth1"]));
    let format = ["inspect", "--format", "{{json .Uplinks}}", "bridge"];
    assert_eq!(h2.net(&format).ok().text(), r#"["eth1"]"#);
    // Neighbours: by Ethernet, not by way of a host.
    let neighbours = h1
        .in_container("on-1", &["ip", "neigh", "show", &on_2])
        .ok();
    assert!(neighbours.text().contains("lladdr"), "{neighbours}");
    assert_eq!(h1.all_rules(), before, "no rule is about it");
    assert_eq!(
        h1.net(&["uplink", "--rm", "bridge", "eth1"]).ok().text(),
        ""
    );
    assert_eq!(master(h1, "eth1"), "");
    assert_eq!(seen_as(h1, "on-1", &on_2), None);
    assert!(h1.inspect("bridge").get("Uplinks").is_none());
    h1.restart();
    assert_eq!(master(h1, "eth1"), "");
}

#[test]
fn s22_rules_leave_bridged_frames_alone_when_all_bridges_are_filtered() {
    let both = two_hosts();
    for host in [both.h1(), &both.h2] {
        let _ = host
            .sh("echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables")
            .ok();
    }
    uplink(&both);
    talk(&both);
    // Published ports work on both hosts, and by the wire of the card.
    let _ = both.h1().net(&["publish", "on-1", "-p", "9000:8000"]).ok();
    assert!(seen_from(&both.lab.outside, None, "10.0.0.204:9000").is_some());
    assert!(seen_as(&both.h2, "on-2", "172.17.0.1:9000").is_some());
    // Other networks of the host stay isolated from whoever is behind the card.
    let _ = both
        .h1()
        .net(&["create", "--subnet", "172.31.1.0/24", "lab"])
        .ok();
    teller(both.h1(), "on-lab", &["--network", "lab"]);
    let route = "ip route add 172.31.1.0/24 via 172.17.0.1";
    let _ = both.h2.in_container("on-2", &["sh", "-c", route]).ok();
    assert_eq!(seen_as(&both.h2, "on-2", "172.31.1.2"), None);
}

#[test]
fn s22_a_card_comes_back_after_kill_restart_and_being_unplugged() {
    let both = two_hosts();
    let h1 = both.h1();
    uplink(&both);
    h1.restart();
    talk(&both);
    h1.kill();
    let _ = h1
        .sh("ip link set eth1 nomaster; ip link set eth1 down")
        .ok();
    h1.start();
    talk(&both);
    let is_back = |what: &str| {
        within(Duration::from_secs(3), what, || {
            (master(h1, "eth1") == "docker0").then_some(())
        });
        talk(&both);
    };
    let _ = h1.sh("ip link set eth1 nomaster").ok();
    is_back("the card that was taken off");
    let _ = h1.sh("ip link set eth1 down").ok();
    eventually("the card to be up", || {
        let show = h1.exec(&["ip", "-j", "link", "show", "eth1"]).ok().json();
        show[0]["flags"]
            .as_array()?
            .iter()
            .any(|flag| flag == "UP")
            .then_some(())
    });
    is_back("the card that was set down");
    let _ = h1.sh("ip link del docker0").ok();
    is_back("the bridge with its card");
    let _ = h1.sh("ip link del eth1").ok();
    let problems = || h1.net(&["status", "--json"]).json()["problems"].clone();
    eventually("the card to be missed", || {
        problems().to_string().contains("uplink eth1").then_some(())
    });
    assert_eq!(h1.inspect("bridge")["Uplinks"], serde_json::json!(["eth1"]));
    both.lab.second_card(h1);
    is_back("the card that was plugged in again");
    eventually("no problem to be left", || {
        (problems() == serde_json::json!([])).then_some(())
    });
}

#[test]
fn s22_a_network_of_one_s_own_lets_its_card_go_when_it_is_removed() {
    let both = TwoHosts::with(["", ""]);
    for (host, range, gateway) in [
        (both.h1(), "172.28.1.0/24", "172.28.1.1"),
        (&both.h2, "172.28.2.0/24", "172.28.2.1"),
    ] {
        both.lab.second_card(host);
        let create = [
            "create",
            "--subnet",
            "172.28.0.0/16",
            "--ip-range",
            range,
            "--gateway",
            gateway,
            "lan",
        ];
        let _ = host.net(&create).ok();
        let _ = host.net(&["uplink", "lan", "eth1"]).ok();
    }
    let (h1, h2) = (both.h1(), &both.h2);
    teller(h1, "on-1", &["--network", "lan"]);
    teller(h2, "on-2", &["--network", "lan"]);
    eventually("a page of the other host", || {
        let on_2 = h2.address_of("on-2", "lan");
        seen_as(h1, "on-1", &on_2).filter(|source| *source == h1.address_of("on-1", "lan"))
    });
    let _ = h1.net(&["stop", "on-1"]).ok();
    let _ = h1.net(&["rm", "lan"]).ok();
    assert_eq!(master(h1, "eth1"), "");
    // The name is free for another, which does not inherit.
    let _ = h1.net(&["create", "lan"]).ok();
    assert!(h1.inspect("lan").get("Uplinks").is_none());
    let _ = h1.net(&["uplink", "bridge", "eth1"]).ok();
}

#[test]
fn s22_an_existing_bridge_takes_a_card_too() {
    let mut both = TwoHosts::with(["", HALVES[1]]);
    let own =
        "ip link add br0 type bridge; ip address add 172.17.0.1/16 dev br0; ip link set br0 up";
    let _ = both.h1().sh(own).ok();
    let code = both.h1().terminate();
    assert_eq!(code, 0);
    both.lab.h1.configure(HostOptions {
        config: r#"{"bridge": "br0", "fixed-cidr": "172.17.0.0/17"}"#.to_owned(),
        ..HostOptions::default()
    });
    both.h1().start();
    for (host, number) in [(both.h1(), 1), (&both.h2, 2)] {
        both.lab.second_card(host);
        teller(host, &format!("on-{number}"), &[]);
    }
    uplink(&both);
    talk(&both);
    assert_eq!(master(both.h1(), "eth1"), "br0");
    both.h1().restart();
    talk(&both);
    let _ = both.h1().net(&["uplink", "--rm", "bridge", "eth1"]).ok();
    assert_eq!(master(both.h1(), "eth1"), "");
    // Without its network a card goes, and the bridge stays.
    let _ = both.h1().net(&["uplink", "bridge", "eth1"]).ok();
    let _ = both.h1().net(&["stop", "on-1"]).ok();
    assert_eq!(both.h1().terminate(), 0);
    both.lab.h1.configure(HostOptions {
        config: r#"{"bridge": "none"}"#.to_owned(),
        ..HostOptions::default()
    });
    both.h1().start();
    assert_eq!(master(both.h1(), "eth1"), "");
    let _ = both.h1().exec(&["ip", "link", "show", "br0"]).ok();
}

#[test]
fn s22_what_cannot_be_an_uplink_says_why() {
    let both = two_hosts();
    let h1 = both.h1();
    let _ = h1.net(&["create", "lab"]).ok();
    let _ = h1.net(&["create", "--internal", "closed"]).ok();
    let _ = h1.net(&["uplink", "lab", "eth1"]).ok();
    let _ = h1.sh("ip link add br9 type bridge; ip link add eth7 type veth peer name far7; ip link set eth7 master br9; ip link add eth8 type veth peer name far8; ip address add 172.29.0.1/24 dev eth8; ip link set eth8 up").ok();
    let veth = h1
        .sh("ls /sys/class/net | grep ^veth")
        .ok()
        .text()
        .to_owned();
    for (network, device, part) in [
        ("bridge", "eth0", "carries the host's default route"),
        ("bridge", "eth8", "172.29.0.1/24, which stop working"),
        ("bridge", "eth5", "no such device; this host has eth0, "),
        ("bridge", "lo", "the loopback interface"),
        ("bridge", "br9", "it is a bridge"),
        ("bridge", "docker0", "netd's own"),
        ("bridge", &veth, "netd's own"),
        (
            "bridge",
            "eth7",
            "a port of br9; take it off with `ip link set eth7 nomaster`",
        ),
        (
            "bridge",
            "eth1",
            "an uplink of network lab; take it off with `net uplink --rm lab eth1`",
        ),
        ("host", "eth8", "host is no bridge network"),
        ("none", "eth8", "none is no bridge network"),
        ("closed", "eth8", "closed is internal"),
        ("nowhere", "eth8", "network nowhere not found"),
    ] {
        let ran = h1.net(&["uplink", network, device]).fails(1);
        assert!(ran.stderr.contains(part), "{ran}");
    }
    let ran = h1.net(&["uplink", "--rm", "bridge", "eth8"]).fails(1);
    assert!(ran.stderr.contains("no uplink of network bridge"), "{ran}");
    let _ = h1
        .net(&["uplink", "bridge", "a-name-that-is-too-long"])
        .fails(2);
    let _ = h1.net(&["uplink", "bridge"]).fails(2);
    let _ = h1
        .net(&["uplink", "--rm", "--force", "lab", "eth1"])
        .fails(2);
    for (device, place) in [
        ("eth0", ""),
        ("eth8", ""),
        ("eth7", "br9"),
        ("eth1", h1.inspect("lab")["Id"].as_str().unwrap_or_default()),
    ] {
        let holder = master(h1, device);
        assert!(
            place.contains(holder.trim_start_matches("br-")) || holder == place,
            "{device}: {holder}"
        );
    }
    let _ = h1.net(&["uplink", "--force", "bridge", "eth8"]).ok();
    assert_eq!(master(h1, "eth8"), "docker0");
    for (path, method, body) in [
        ("bridge/uplinks", "POST", "{}"),
        ("bridge/uplinks", "POST", r#"{"device": 1}"#),
        ("bridge/uplinks", "POST", r#"{"device": "a/b"}"#),
        ("bridge/uplinks", "POST", r#"{"device": "eth1", "x": 1}"#),
        ("bridge/uplinks/a%2Fb", "DELETE", ""),
        ("bridge/uplinks/eth1", "POST", "{}"),
    ] {
        both.is_invalid(&format!("networks/{path}"), method, body);
    }
}

#[test]
fn s22_without_icc_nobody_on_the_wire_is_a_neighbour_either() {
    let both = two_hosts();
    let (h1, h2) = (both.h1(), &both.h2);
    uplink(&both);
    talk(&both);
    let [on_1, on_2] =
        [(h1, "on-1"), (h2, "on-2")].map(|(host, name)| host.address_of(name, "bridge"));
    // h1 has it for its containers, on whichever side the other one is.
    let apart = r#"{"bip": "172.17.0.1/16", "fixed-cidr": "172.17.0.0/17", "icc": false}"#;
    h1.write(CONFIG_FILE, apart);
    h1.restart();
    teller(h1, "near", &[]);
    assert_eq!(seen_as(h1, "near", &on_1), None);
    assert_eq!(seen_as(h1, "on-1", &on_2), None);
    assert_eq!(seen_as(h2, "on-2", &on_1), None);
    // Its published ports are reached from the wire, from a neighbour and from the world.
    let _ = h1.net(&["publish", "on-1", "-p", "9000:8000"]).ok();
    assert!(seen_as(h2, "on-2", "172.17.0.1:9000").is_some());
    assert!(seen_as(h1, "near", "10.0.0.204:9000").is_some());
    assert!(seen_from(&both.lab.outside, None, "10.0.0.204:9000").is_some());
    // And the containers reach their host, and the world.
    assert!(seen_as(h1, "near", "172.17.0.1:9000").is_some());
}
