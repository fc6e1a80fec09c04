//! Ranges of ports, and ports beside each other, with real packets: each port leads where it would lead alone.

use std::path::PathBuf;

use netd_model::Ruleset;

use super::super::{Flavour, Table};
use super::lab::{FLAVOURS, Host};
use super::packets::everywhere;
use super::topology::Server;
use super::wish::{dual, endpoint, network, wish};
use crate::Family;

/// One that keeps its numbers, one that does not, some that all lead to one port, and one on loopback.
const PORTS: [&str; 7] = [
    "0.0.0.0:7000-7002->7000-7002/tcp",
    "0.0.0.0:5000-5001->80-81/tcp",
    "0.0.0.0:6000->80/tcp",
    "0.0.0.0:6001->80/tcp",
    "0.0.0.0:6002->80/tcp",
    "127.0.0.1:7100-7102->7100-7102/tcp",
    "0.0.0.0:52-54->52-54/udp",
];

fn wanted(ports: &[&str]) -> Ruleset {
    let networks = [
        network(1, "br-a", "10.1.0.0/24"),
        network(2, "br-b", "10.2.0.0/24"),
    ];
    dual(wish(&networks, &[endpoint(1, 1, "10.1.0.11", ports)], true))
}

#[test]
fn each_port_of_a_range_leads_where_it_would_alone() {
    // Together with those that lead to port 80 already these are many neighbours.
    let more: Vec<String> = (6003..6020)
        .map(|port| format!("0.0.0.0:{port}->80/tcp"))
        .collect();
    let ports: Vec<&str> = PORTS
        .into_iter()
        .chain(more.iter().map(String::as_str))
        .collect();
    everywhere(|lab| {
        lab.host.apply(&wanted(&ports));
        assert_eq!(lab.host.verify(&wanted(&ports)), [""; 0]);
        // Whoever answers behind the range does so on one port only: numbers are kept.
        let _servers = ["[::]:7001", "[::]:7102"].map(|at| Server::new(lab.node("a1"), at));
        for from in ["host", "a1", "a2", "b1"] {
            lab.reaches(from, "192.0.2.1:7001", "10.1.0.1");
            lab.reaches(from, "192.0.2.1:5000", "10.1.0.1");
            lab.reaches(from, "192.0.2.1:6002", "10.1.0.1");
        }
        for port in [5000, 5001, 6000, 6001, 6010, 6019, 7001] {
            lab.reaches("outside", &format!("192.0.2.1:{port}"), "192.0.2.2");
        }
        for port in [4999, 5002, 5999, 6020, 6999, 7000, 7002, 7003, 7102] {
            lab.does_not_reach("outside", &format!("192.0.2.1:{port}"));
        }
        // Past the published ports there is no way, and what is published on loopback is the host's alone.
        lab.does_not_reach("outside", "10.1.0.11:7001");
        lab.does_not_reach("b1", "10.1.0.11:7001");
        if lab.family == Family::V4 {
            lab.reaches("host", "127.0.0.1:7102", "10.1.0.1");
            lab.does_not_reach("outside", "127.0.0.1:7102");
            lab.does_not_reach("a2", "127.0.0.1:7102");
        }
        assert!(lab.datagram_arrives(("outside", "192.0.2.2"), ("a1", "192.0.2.1:53")));
        lab.host.apply(&wanted(&ports[1..]));
        lab.does_not_reach("outside", "192.0.2.1:7001");
        lab.reaches("outside", "192.0.2.1:6001", "192.0.2.2");
    });
}

#[test]
fn a_run_of_ports_is_one_rule_in_each_chain() {
    for flavour in FLAVOURS {
        let host = Host::new(flavour);
        let ports: Vec<String> = (10_000..10_100)
            .map(|port| format!("0.0.0.0:{port}->80/tcp"))
            .collect();
        let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
        let wanted = wanted(&[&ports[..], &["127.0.0.1:20000-20099->20000-20099/tcp"]].concat());
        host.apply(&wanted);
        host.assert_exact_in_both(&wanted);
        let about = |table, chain| {
            let rules = host.chain(table, chain).into_iter();
            rules
                .filter(|rule| rule.contains("--dport"))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            about(Table::Nat, "DOCKER"),
            [
                "-p tcp -m tcp --dport 10000:10099 -j DNAT --to-destination 10.1.0.11:80",
                "-d 127.0.0.1/32 -p tcp -m tcp --dport 20000:20099 -j DNAT --to-destination 10.1.0.11",
            ]
        );
        assert_eq!(
            about(Table::Filter, "DOCKER"),
            [
                "-d 10.1.0.11/32 ! -i br-a -o br-a -p tcp -m tcp --dport 80 -j ACCEPT",
                "-d 10.1.0.11/32 ! -i br-a -o br-a -p tcp -m tcp --dport 20000:20099 -j ACCEPT",
            ]
        );
        assert_eq!(
            about(Table::Raw, "PREROUTING"),
            ["-d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 20000:20099 -j DROP"]
        );
        assert_eq!(about(Table::Nat, "POSTROUTING"), [""; 0]);
    }
}

#[test]
fn rules_are_not_read_again_before_somebody_else_changed_any() {
    let flavour = FLAVOURS
        .into_iter()
        .find(|(flavour, _)| *flavour == Flavour::Nft);
    let host = Host::new(flavour.unwrap());
    let networks =
        [1, 2, 3].map(|rank| network(rank, &format!("br-{rank}"), &format!("10.{rank}.0.0/24")));
    let wanted = |count: usize| wish(&networks[..count], &[], true);
    host.apply(&wanted(1));
    let save = std::mem::replace(
        &mut host.firewall.workers().v4.programs.save,
        PathBuf::from("/nowhere/iptables-save"),
    );
    // The second network's rules go between others, to a counted place.
    host.apply(&wanted(2));
    host.iptables("-I FORWARD -i virbr0 -j ACCEPT");
    assert!(host.try_apply(&wanted(3)).is_err());
    host.firewall.workers().v4.programs.save = save;
    host.apply(&wanted(3));
    let forward = host.chain(Table::Filter, "FORWARD");
    assert_eq!(forward.last().unwrap(), "-i virbr0 -j ACCEPT");
    assert_eq!(host.verify(&wanted(3)), [""; 0]);
}
