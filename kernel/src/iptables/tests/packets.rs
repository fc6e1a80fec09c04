//! Real packets through the rules: with both flavours of iptables and with netd's own table, with and without bridge-nf,
//! in IPv4 and IPv6. What is about loopback differs: here it is about 127.0.0.0/8.

use std::net::UdpSocket;
use std::time::Duration;

use super::super::{ChainPrefix, render};
use super::lab::{FLAVOURS, Host, Node, program, with_own_table};
use super::topology::{BridgeFilter, Lab, wanted};
use super::wish::allowing;
use crate::{Family, Firewall};

/// Runs `test` with every firewall, with and without bridge-nf, in IPv4 and IPv6.
pub(super) fn everywhere(test: impl Fn(&Lab)) {
    for family in Family::BOTH {
        everywhere_in(family, &test);
    }
}

/// Runs `test` with every firewall, with and without bridge-nf.
pub(super) fn everywhere_in(family: Family, test: impl Fn(&Lab)) {
    for filter in [BridgeFilter::Off, BridgeFilter::On] {
        for host in hosts() {
            println!("{family:?}, {} with bridge-nf {filter:?}", host.name);
            test(&Lab::on(host, filter, family));
        }
    }
}

pub(super) fn hosts() -> impl Iterator<Item = Host<dyn Firewall>> {
    let iptables = FLAVOURS.into_iter().map(|flavour| Host::new(flavour).any());
    iptables.chain(std::iter::once_with(with_own_table))
}

#[test]
fn a_published_port_is_reached_from_everywhere() {
    everywhere(|lab| {
        lab.reaches("outside", "192.0.2.1:8080", "192.0.2.2");
        lab.reaches("host", "192.0.2.1:8080", "10.1.0.1");
        lab.reaches("a2", "192.0.2.1:8080", "10.1.0.1");
        lab.reaches("a2", "10.1.0.1:8080", "10.1.0.1");
        lab.reaches("a1", "192.0.2.1:8080", "10.1.0.1");
        lab.reaches("b1", "192.0.2.1:8080", "10.1.0.1");
        lab.reaches("b1", "10.2.0.1:8080", "10.1.0.1");
        lab.reaches("a1", "192.0.2.1:8090", "10.2.0.1");
        lab.reaches("n1", "192.0.2.1:8070", "10.4.0.1");
        lab.reaches("n2", "192.0.2.1:8070", "10.4.0.1");
        lab.reaches("a2", "192.0.2.1:8070", "10.4.0.1");
        if lab.family == Family::V4 {
            lab.reaches("host", "127.0.0.1:8080", "10.1.0.1");
            lab.reaches("host", "127.0.0.1:8081", "10.1.0.1");
        }
        assert!(lab.datagram_arrives(("outside", "192.0.2.2"), ("a1", "192.0.2.1:5353")));
        assert!(lab.datagram_arrives(("b2", "10.2.0.12"), ("a1", "192.0.2.1:5353")));
    });
}

#[test]
fn a_port_of_one_address_is_not_one_of_the_others() {
    everywhere(|lab| {
        lab.reaches("outside", "192.0.2.1:8091", "192.0.2.2");
        lab.reaches("host", "192.0.2.1:8091", "10.2.0.1");
        lab.reaches("a1", "192.0.2.1:8091", "10.2.0.1");
        for from in ["host", "a1", "b2"] {
            lab.does_not_reach(from, "10.1.0.1:8091");
            lab.does_not_reach(from, "10.2.0.1:8091");
        }
    });
}

#[test]
fn containers_reach_their_neighbours_and_the_world() {
    everywhere(|lab| {
        lab.reaches("a1", "10.1.0.12:81", "10.1.0.11");
        lab.reaches("host", "10.1.0.12:81", "10.1.0.1");
        lab.reaches("a1", "192.0.2.2:7000", "192.0.2.1");
        lab.reaches("n1", "192.0.2.2:7000", "192.0.2.1");
    });
}

#[test]
fn members_without_icc_meet_only_at_published_ports() {
    everywhere(|lab| {
        for port in ["80", "81"] {
            lab.does_not_reach("n2", &format!("10.4.0.11:{port}"));
            lab.does_not_reach("n1", &format!("10.4.0.12:{port}"));
        }
        assert!(!pings(lab, "n1", "10.4.0.12"));
        let datagram = ("n2", "10.4.0.12");
        assert!(lab.datagram_is_lost(datagram, ("n1", "10.4.0.11:53")));
        // As in Docker, they see each other on the wire.
        let neighbour = lab.meant("10.4.0.12".parse().unwrap());
        let neighbours = lab.node("n1").sh(&format!("ip neigh show {neighbour}"));
        // In IPv4, that is: there the asking is IP, too, and neighbours may not talk.
        let is_seen = lab.family == Family::V4;
        assert_eq!(neighbours.contains("lladdr"), is_seen, "{neighbours}");

        lab.reaches("n2", "192.0.2.1:8070", "10.4.0.1");
        lab.reaches("n2", "10.4.0.1:8070", "10.4.0.1");
        lab.reaches("n1", "192.0.2.1:8070", "10.4.0.1");
        lab.reaches("outside", "192.0.2.1:8070", "192.0.2.2");
        lab.reaches("host", "10.4.0.12:81", "10.4.0.1");
        // It takes the rule and the bridge's own attribute.
        lab.tamper(
            "-D FORWARD -i br-n -o br-n -j DROP",
            "insert rule inet netd neighbours accept",
        );
        lab.reaches("n1", "10.4.0.12:81", "10.4.0.11");
        assert!(pings(lab, "n1", "10.4.0.12"));
    });
}

#[test]
fn only_a_bridge_that_asks_for_it_is_filtered() {
    for (filter, family) in [
        (BridgeFilter::Off, Family::V4),
        (BridgeFilter::On, Family::V4),
        (BridgeFilter::Off, Family::V6),
        (BridgeFilter::On, Family::V6),
    ] {
        let lab = Lab::on(Host::new(FLAVOURS[0]).any(), filter, family);
        let all = filter == BridgeFilter::On;
        lab.tamper("-I FORWARD -i br-a -o br-a -j DROP", "");
        if all {
            lab.does_not_reach("a1", "10.1.0.12:81");
        } else {
            lab.reaches("a1", "10.1.0.12:81", "10.1.0.11");
        }
        let call = |value| {
            let program = program(family);
            let bridge = format!("ip link set br-n type bridge nf_call_{program} {value}");
            lab.host.node.sh(&bridge);
        };
        call(0);
        if all {
            lab.does_not_reach("n1", "10.4.0.12:81");
        } else {
            lab.reaches("n1", "10.4.0.12:81", "10.4.0.11");
        }
        call(1);
        lab.does_not_reach("n1", "10.4.0.12:81");
    }
}

/// Whether an echo request of `from` is answered.
fn pings(lab: &Lab, from: &str, to: &str) -> bool {
    let to = lab.meant(to.parse().unwrap());
    let answer = lab
        .node(from)
        .sh(&format!("ping -c1 -W1 {to} || echo unanswered"));
    !answer.contains("unanswered")
}

#[test]
fn what_is_not_published_is_not_reached_whatever_forward_s_policy() {
    everywhere(|lab| {
        for drop_forwarded in [false, true] {
            lab.host.apply(&wanted(drop_forwarded));
            lab.does_not_reach("outside", "10.1.0.11:80");
            lab.does_not_reach("outside", "10.1.0.11:81");
            lab.does_not_reach("outside", "192.0.2.1:81");
            lab.does_not_reach("outside", "10.4.0.11:80");
            assert!(lab.datagram_is_lost(("outside", "192.0.2.2"), ("a1", "10.1.0.11:53")));
        }
        lab.reaches("outside", "192.0.2.1:8080", "192.0.2.2");
        lab.reaches("a1", "192.0.2.2:7000", "192.0.2.1");
    });
}

#[test]
fn a_port_on_loopback_is_the_host_s_alone() {
    everywhere_in(Family::V4, |lab| {
        for (from, to) in [
            ("outside", "192.0.2.1:8081"),
            ("outside", "127.0.0.1:8081"),
            ("a2", "10.1.0.1:8081"),
            ("a2", "127.0.0.1:8081"),
            ("b1", "10.2.0.1:8081"),
            ("b1", "127.0.0.1:8081"),
            ("b1", "127.0.0.1:9999"),
            ("i1", "127.0.0.1:9999"),
        ] {
            send_loopback_abroad(lab.node(from));
            lab.does_not_reach(from, to);
        }
        // The same attacks succeed without the raw table, so it is what stops them.
        lab.tamper("-t raw -F PREROUTING", "flush chain inet netd guard");
        lab.reaches("b1", "127.0.0.1:9999", "10.2.0.11");
        // And it is where the translation stands that stops the others, in a table of our own.
        if !lab.host.is_nftables() {
            lab.reaches("outside", "127.0.0.1:8081", "192.0.2.2");
        }
    });
}

/// 127.0.0.1 is then a machine elsewhere, to which the default route leads.
fn send_loopback_abroad(node: &Node) {
    node.sh("ip route flush table local 127.0.0.0/8 2>/dev/null || true");
}

#[test]
fn bridges_are_isolated_from_each_other() {
    everywhere(|lab| {
        for (from, to) in [
            ("a1", "10.2.0.11:80"),
            ("a1", "10.2.0.11:81"),
            ("b1", "10.1.0.11:80"),
            ("b1", "10.4.0.11:80"),
            ("n1", "10.1.0.12:80"),
        ] {
            lab.does_not_reach(from, to);
        }
        lab.add_address("a2", "10.2.0.99");
        assert!(lab.datagram_is_lost(("a2", "10.2.0.99"), ("b1", "10.2.0.11:53")));
    });
}

#[test]
fn networks_that_may_talk_do_so_under_their_own_addresses_and_others_do_not() {
    everywhere(|lab| {
        lab.host
            .apply(&allowing(wanted(true), &[(1, 2), (1, 4), (1, 3)]));
        for (from, to, seen_as) in [
            ("a1", "10.2.0.11:81", "10.1.0.11"),
            ("b1", "10.1.0.12:81", "10.2.0.11"),
            ("a2", "10.4.0.11:81", "10.1.0.12"),
            ("n1", "10.1.0.11:81", "10.4.0.11"),
            ("a1", "192.0.2.1:8090", "10.1.0.11"),
            ("b1", "192.0.2.1:8070", "10.4.0.1"),
            ("a1", "192.0.2.2:7000", "192.0.2.1"),
            ("host", "10.2.0.11:81", "10.2.0.1"),
        ] {
            lab.reaches(from, to, seen_as);
        }
        for (from, to) in [
            ("b1", "10.4.0.11:81"),
            ("n1", "10.2.0.11:81"),
            ("n1", "10.4.0.12:81"),
            ("a1", "10.3.0.11:81"),
            ("i1", "10.1.0.11:81"),
            ("outside", "10.2.0.11:81"),
        ] {
            lab.does_not_reach(from, to);
        }
        // It takes the exception from masquerading, too.
        lab.tamper(
            "-t nat -D POSTROUTING -s 10.1.0.0/24 -d 10.2.0.0/24 -o br-b -j RETURN",
            "delete element inet netd kept4 { 10.1.0.0/24 . 10.2.0.0/24 }",
        );
        lab.reaches("a1", "10.2.0.11:81", "10.2.0.1");
        lab.host.apply(&wanted(true));
        lab.does_not_reach("a1", "10.2.0.11:81");
        lab.does_not_reach("b1", "10.1.0.12:81");
        assert_eq!(lab.host.verify(&wanted(true)), Vec::<String>::new());
    });
}

#[test]
fn an_established_flow_ends_when_its_networks_may_not_talk_any_more() {
    let in_family = |family| hosts().map(move |host| Lab::on(host, BridgeFilter::Off, family));
    for lab in Family::BOTH.into_iter().flat_map(in_family) {
        lab.host.apply(&allowing(wanted(true), &[(1, 2)]));
        let receiver = lab.node("b1").run(|| UdpSocket::bind("[::]:53").unwrap());
        let (source, to) = (lab.socket("10.1.0.11:0"), lab.socket("10.2.0.11:53"));
        let sender = lab.node("a1").run(move || UdpSocket::bind(source).unwrap());
        for socket in [&receiver, &sender] {
            socket
                .set_read_timeout(Some(Duration::from_millis(500)))
                .unwrap();
        }
        let mut letter = [0; 1];
        // Sockets stay in the namespace that they were made in.
        sender.send_to(b"1", to).unwrap();
        let (_, from) = receiver.recv_from(&mut letter).unwrap();
        receiver.send_to(b"2", from).unwrap();
        assert!(sender.recv(&mut letter).is_ok());
        lab.host.apply(&wanted(true));
        sender.send_to(b"3", to).unwrap();
        assert!(receiver.recv(&mut letter).is_err(), "{}", lab.host.name);
        receiver.send_to(b"4", from).unwrap();
        assert!(sender.recv(&mut letter).is_err(), "{}", lab.host.name);
        lab.host.apply(&allowing(wanted(true), &[(1, 2)]));
        sender.send_to(b"5", to).unwrap();
        assert!(receiver.recv(&mut letter).is_ok(), "{}", lab.host.name);
    }
}

#[test]
fn an_internal_network_is_closed_both_ways() {
    everywhere(|lab| {
        lab.reaches("i1", "10.3.0.12:80", "10.3.0.11");
        for (from, to) in [
            ("i1", "192.0.2.2:7000"),
            ("i1", "192.0.2.1:8080"),
            ("i1", "10.3.0.1:8080"),
            ("i1", "10.1.0.11:80"),
            ("outside", "10.3.0.11:80"),
            ("outside", "192.0.2.1:8060"),
            ("a1", "10.3.0.11:80"),
            ("a1", "192.0.2.1:8060"),
        ] {
            lab.does_not_reach(from, to);
        }
        let forged = ("a2", "10.3.0.99");
        lab.add_address("a2", "10.3.0.99");
        assert!(lab.datagram_is_lost(forged, ("i1", "10.3.0.11:53")));
        // It takes our rule by interface: Docker's by address lets a forged one pass.
        lab.tamper(
            "-D DOCKER-ISOLATION-STAGE-1 ! -i br-i -o br-i -j DROP",
            "insert rule inet netd forward oifname br-i accept",
        );
        assert!(lab.datagram_arrives(forged, ("i1", "10.3.0.11:53")));
    });
}

#[test]
fn each_extra_rule_is_needed() {
    let host = Host::new(FLAVOURS[0]).any();
    let lab = Lab::on(host, BridgeFilter::Off, Family::V4);
    let rules = render(&wanted(false), &ChainPrefix::Docker.names(), Family::V4).to_text();
    for (rule, broken) in [
        (
            "DOCKER-ISOLATION-STAGE-2 -m conntrack --ctstate DNAT -j RETURN",
            Some(("b1", "192.0.2.1:8080")),
        ),
        (
            "FORWARD -i br-n -o br-n -m conntrack --ctstate DNAT -j ACCEPT",
            Some(("n2", "192.0.2.1:8070")),
        ),
        (
            "POSTROUTING -s 10.1.0.0/24 -o br-a -m conntrack --ctstate DNAT -j MASQUERADE",
            Some(("a2", "192.0.2.1:8080")),
        ),
        (
            "DOCKER ! -i br-a -o br-a -m conntrack ! --ctstate DNAT -j DROP",
            None,
        ),
    ] {
        assert!(rules.contains(&format!("-A {rule}\n")), "{rule}");
        let table = if rule.starts_with("POSTROUTING") {
            "nat"
        } else {
            "filter"
        };
        lab.host.iptables(&format!("-t {table} -D {rule}"));
        match broken {
            Some((from, to)) => lab.does_not_reach(from, to),
            None => lab.reaches("outside", "10.1.0.11:81", "192.0.2.2"),
        }
        assert_eq!(lab.host.verify(&wanted(false)).len(), 1);
        lab.host.apply(&wanted(false));
        match broken {
            Some((from, to)) => assert!(lab.ask(from, to, Duration::from_secs(3)).is_some()),
            None => lab.does_not_reach("outside", "10.1.0.11:81"),
        }
    }
}
