//! Packets about ::1, where IPv6 is not as IPv4.

use std::time::{Duration, Instant};

use super::lab::{FLAVOURS, Host, Node};
use super::packets::everywhere_in;
use super::topology::{BridgeFilter, Lab, Server};
use crate::Family;

const PATIENCE: Duration = Duration::from_secs(3);

#[test]
fn what_the_host_asks_of_its_own_loopback_is_not_translated() {
    everywhere_in(Family::V6, |lab| {
        // Both ports are published: one on every address, one on ::1.
        let servers = ["[::1]:8080", "[::1]:8081"].map(|at| Server::new(&lab.host.node, at));
        for to in ["[::1]:8080", "[::1]:8081"] {
            let answer = lab.ask("host", to, PATIENCE);
            assert_eq!(answer.as_deref(), Some("::1"), "{to}");
        }
        lab.reaches("outside", "192.0.2.1:8080", "192.0.2.2");
        drop(servers);
        lab.does_not_reach("host", "[::1]:8081");
    });
}

#[test]
fn the_kernel_itself_keeps_loopback_closed() {
    everywhere_in(Family::V6, |lab| {
        let _server = Server::new(&lab.host.node, "[::1]:9999");
        assert!(lab.ask("host", "[::1]:9999", PATIENCE).is_some());
        for from in ["outside", "a2", "b1", "i1"] {
            let gateway = match from {
                "outside" => "2001:db8::1".to_owned(),
                name => lab
                    .node(name)
                    .sh("ip -6 route show default | cut -d' ' -f3"),
            };
            lab.node(from).sh(&format!(
                "ip -6 route flush table local ::1; ip -6 route add ::1 via {}",
                gateway.trim()
            ));
            let before = refused_headers(&lab.host.node);
            // The first packets may wait for the gateway's neighbour entry, so it is tried until some have arrived.
            let deadline = Instant::now() + 3 * PATIENCE;
            while refused_headers(&lab.host.node) == before {
                assert!(Instant::now() < deadline, "nothing of {from} arrives");
                lab.does_not_reach(from, "[::1]:9999");
                lab.does_not_reach(from, "[::1]:8081");
            }
        }
    });
}

/// IPv6 packets that the host dropped before any rule (RFC 4293 ipSystemStatsInHdrErrors).
fn refused_headers(node: &Node) -> u64 {
    let counters = node.run(|| std::fs::read_to_string("/proc/thread-self/net/snmp6").unwrap());
    let line = counters
        .lines()
        .find_map(|line| line.strip_prefix("Ip6InHdrErrors"));
    line.unwrap().trim().parse().unwrap()
}

#[test]
fn no_rule_alone_can_serve_a_port_on_loopback() {
    for (filter, route, is_served) in [
        (BridgeFilter::Off, "", false),
        (BridgeFilter::On, "", false),
        (
            BridgeFilter::Off,
            "local ::1 dev br-a table local metric 4096",
            true,
        ),
        (
            BridgeFilter::On,
            "local ::1 dev br-a table local metric 4096",
            false,
        ),
    ] {
        let lab = Lab::on(Host::new(FLAVOURS[0]).any(), filter, Family::V6);
        lab.tamper(
            "-t nat -I OUTPUT -d ::1 -p tcp --dport 8080 -j DNAT --to-destination [fd00:1::11]:80",
            "",
        );
        if !route.is_empty() {
            lab.host.node.sh(&format!("ip -6 route add {route}"));
        }
        let patience = if is_served {
            PATIENCE
        } else {
            Duration::from_millis(500)
        };
        let answer = lab.ask("host", "[::1]:8080", patience);
        let expected = is_served.then(|| "fd00:1::1".to_owned());
        assert_eq!(answer, expected, "{filter:?} {route}");
    }
}
