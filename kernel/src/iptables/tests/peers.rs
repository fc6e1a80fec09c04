//! Real packets between containers of two hosts: the machine outside is the other host, with a container at
//! 192.168.200.5, and a stranger on another wire says that he is it.

use std::net::UdpSocket;
use std::time::Duration;

use netd_model::Ruleset;

use super::lab::Node;
use super::packets::everywhere_in;
use super::topology::{Lab, wanted};
use super::wish::{allowing, routing};
use crate::Family;

const PEER: (&str, &str, &str) = ("192.168.200.0/24", "192.0.2.2", "wan");

/// The wish with a route for the networks of these ranks, or for all if there are none.
fn routed(networks: &[u8], masquerade: bool) -> Ruleset {
    routing(wanted(true), PEER, (networks, masquerade))
}

/// Makes the machine outside the other host, which speaks as `source` to our containers.
fn join(lab: &Lab, source: &str) {
    let route = "ip route replace 192.168.200.0/24 via 192.0.2.2";
    lab.host.node.sh(route);
    lab.node("outside").sh(&format!(
        "ip link set lo up; ip addr replace 192.168.200.5/32 dev lo
         ip route replace 10.0.0.0/8 via 192.0.2.1 src {source}"
    ));
}

/// Whether a datagram of a machine on another wire, which forges a source of the peer, gets to a container.
fn forged_arrives(lab: &Lab, to: (&str, &str)) -> bool {
    let stranger = Node::new();
    lab.host.node.sh(&format!(
        "ip link add wan2 type veth peer name eth0 netns {}; ip addr add 198.51.100.1/24 dev wan2
         ip link set wan2 up",
        stranger.netns
    ));
    stranger.sh(
        "ip link set eth0 up; ip addr add 198.51.100.2/24 dev eth0; ip addr add 192.168.200.66/32 dev eth0
         ip route add 10.0.0.0/8 via 198.51.100.1",
    );
    let receiver = lab
        .node(to.0)
        .run(|| UdpSocket::bind("0.0.0.0:53").unwrap());
    let patience = Some(Duration::from_millis(100));
    receiver.set_read_timeout(patience).unwrap();
    let sender = stranger.run(|| UdpSocket::bind("192.168.200.66:0").unwrap());
    let target = format!("{}:53", to.1);
    // A fresh wire may lose the first.
    let arrives = (0..10).any(|_| {
        sender.send_to(b"x", &target).unwrap();
        receiver.recv(&mut [0; 1]).is_ok()
    });
    lab.host.node.sh("ip link del wan2");
    arrives
}

#[test]
fn containers_of_two_hosts_talk_under_their_own_addresses() {
    everywhere_in(Family::V4, |lab| {
        join(lab, "192.168.200.5");
        lab.does_not_reach("outside", "10.1.0.11:81");
        lab.reaches("a1", "192.168.200.5:7000", "192.0.2.1");
        lab.host.apply(&allowing(routed(&[], false), &[(1, 4)]));
        for (from, to, seen_as) in [
            ("outside", "10.1.0.11:81", "192.168.200.5"),
            ("outside", "10.2.0.12:80", "192.168.200.5"),
            ("outside", "10.4.0.11:81", "192.168.200.5"),
            ("outside", "192.0.2.1:8080", "192.0.2.2"),
            ("a1", "192.168.200.5:7000", "10.1.0.11"),
            ("n1", "192.168.200.5:7000", "10.4.0.11"),
            ("a1", "192.0.2.2:7000", "192.0.2.1"),
            ("a1", "10.4.0.11:81", "10.1.0.11"),
        ] {
            lab.reaches(from, to, seen_as);
        }
        for (from, to) in [
            ("a1", "10.2.0.11:81"),
            ("n1", "10.4.0.12:81"),
            ("i1", "192.168.200.5:7000"),
            ("outside", "10.3.0.11:81"),
            ("outside", "192.0.2.1:8081"),
        ] {
            lab.does_not_reach(from, to);
        }
        assert_eq!(
            lab.host.verify(&allowing(routed(&[], false), &[(1, 4)])),
            [""; 0]
        );
        lab.host.apply(&wanted(true));
        lab.does_not_reach("outside", "10.1.0.12:81");
    });
}

#[test]
fn a_forged_source_gets_in_neither_from_another_wire_nor_from_a_bridge() {
    everywhere_in(Family::V4, |lab| {
        join(lab, "192.168.200.5");
        lab.host.apply(&routed(&[], false));
        assert!(!forged_arrives(lab, ("a1", "10.1.0.11")));
        let forging = "ip addr add 192.168.200.77/32 dev eth0";
        lab.node("a2").sh(forging);
        let forged = ("a2", "192.168.200.77");
        assert!(lab.datagram_is_lost(forged, ("b1", "10.2.0.11:53")));
        // The other way round: who is on that wire with an address of his own is no peer.
        lab.node("outside").sh(
            "ip addr add 192.0.2.9/24 dev eth0; ip route replace 10.0.0.0/8 via 192.0.2.1 src 192.0.2.9",
        );
        lab.does_not_reach("outside", "10.1.0.11:81");
        // It takes the link in the rule.
        let host = &lab.host;
        host.tamper(
            "-I DOCKER -s 192.168.200.0/24 -o br-a -j ACCEPT",
            "insert rule inet netd entering ip saddr 192.168.200.0/24 oifname br-a accept",
        );
        assert!(forged_arrives(lab, ("a1", "10.1.0.11")));
    });
}

#[test]
fn masquerading_shows_the_host_and_the_other_host_may_speak_for_its_containers() {
    everywhere_in(Family::V4, |lab| {
        join(lab, "192.0.2.2");
        lab.host.apply(&routed(&[], true));
        lab.reaches("a1", "192.168.200.5:7000", "192.0.2.1");
        lab.reaches("outside", "10.1.0.11:81", "192.0.2.2");
        lab.host.apply(&routed(&[], false));
        lab.reaches("a1", "192.168.200.5:7000", "10.1.0.11");
    });
}

#[test]
fn networks_that_a_route_is_not_for_have_their_published_ports_only() {
    everywhere_in(Family::V4, |lab| {
        join(lab, "192.168.200.5");
        lab.host.apply(&routed(&[1, 3], false));
        lab.reaches("outside", "10.1.0.11:81", "192.168.200.5");
        lab.reaches("a1", "192.168.200.5:7000", "10.1.0.11");
        lab.does_not_reach("outside", "10.2.0.11:81");
        lab.does_not_reach("b1", "192.168.200.5:7000");
        lab.does_not_reach("outside", "10.3.0.11:81");
        lab.reaches("b1", "192.0.2.2:7000", "192.0.2.1");
        // Also when it is a container of the peer who asks.
        lab.node("outside")
            .sh("ip route replace 192.0.2.1/32 dev eth0 src 192.168.200.5");
        lab.reaches("outside", "192.0.2.1:8090", "192.168.200.5");
    });
}
