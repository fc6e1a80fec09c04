//! Real packets to ports that only some sources reach: with both flavours of iptables and with netd's own table.

use netd_model::Ruleset;

use super::packets::{everywhere, hosts};
use super::topology::{BridgeFilter, Lab};
use super::wish::{dual, endpoint, network, wish, without_icc};
use crate::Family;

/// The outside may, a network may, a neighbour may, some of these may, and everybody may.
fn limited() -> Ruleset {
    limited_to("192.0.2.2/32")
}

fn limited_to(source: &str) -> Ruleset {
    let of_outside = format!("0.0.0.0:8080->80/tcp,from={source}");
    let wanted = wish(
        &[
            network(1, "br-a", "10.1.0.0/24"),
            network(2, "br-b", "10.2.0.0/24"),
            without_icc(4, "br-n", "10.4.0.0/24"),
        ],
        &[
            endpoint(
                1,
                1,
                "10.1.0.11",
                &[
                    &of_outside,
                    "0.0.0.0:8081->80/tcp,from=10.1.0.0/24",
                    "192.0.2.1:8082->80/tcp,from=10.2.0.0/24,from=192.0.2.2/32",
                    "0.0.0.0:8083->80/tcp,from=0.0.0.0/0",
                    "0.0.0.0:8084-8085->80-81/tcp,from=10.2.0.11/32",
                    "0.0.0.0:5353->53/udp,from=10.2.0.12/32",
                ],
            ),
            endpoint(
                4,
                4,
                "10.4.0.11",
                &["0.0.0.0:8070->80/tcp,from=10.4.0.12/32"],
            ),
        ],
        true,
    );
    dual(wanted)
}

#[test]
fn only_the_sources_of_a_port_reach_it_and_the_host() {
    everywhere(|lab| {
        lab.host.apply(&limited());
        assert_eq!(lab.host.verify(&limited()), Vec::<String>::new());
        lab.reaches("outside", "192.0.2.1:8080", "192.0.2.2");
        for from in ["a1", "a2", "b1", "n1"] {
            lab.does_not_reach(from, "192.0.2.1:8080");
            lab.does_not_reach(from, "10.1.0.1:8080");
        }
        for from in ["a1", "a2"] {
            lab.reaches(from, "192.0.2.1:8081", "10.1.0.1");
        }
        for from in ["b1", "outside"] {
            lab.does_not_reach(from, "192.0.2.1:8081");
        }
        lab.reaches("b2", "192.0.2.1:8082", "10.1.0.1");
        lab.reaches("outside", "192.0.2.1:8082", "192.0.2.2");
        lab.does_not_reach("a2", "192.0.2.1:8082");
        for from in ["outside", "a1", "b1"] {
            assert!(lab.ask(from, "192.0.2.1:8083", PATIENCE).is_some());
        }
        for port in [8084, 8085] {
            let to = format!("192.0.2.1:{port}");
            lab.reaches("b1", &to, "10.1.0.1");
            lab.does_not_reach("b2", &to);
            lab.does_not_reach("outside", &to);
        }
        lab.reaches("n2", "192.0.2.1:8070", "10.4.0.1");
        lab.does_not_reach("n1", "192.0.2.1:8070");
        let to = ("a1", "192.0.2.1:5353");
        assert!(lab.datagram_arrives(("b2", "10.2.0.12"), to));
        assert!(lab.datagram_is_lost(("b1", "10.2.0.11"), to));
        assert!(lab.datagram_is_lost(("outside", "192.0.2.2"), to));
        for port in [8080, 8081, 8082, 8083, 8084, 8085] {
            lab.reaches("host", &format!("192.0.2.1:{port}"), "10.1.0.1");
        }
        if lab.family == Family::V4 {
            lab.reaches("host", "127.0.0.1:8080", "10.1.0.1");
        }
        // As ever, no way leads past the published ports.
        lab.does_not_reach("outside", "10.1.0.11:80");
    });
}

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(3);

#[test]
fn who_is_let_in_changes_with_the_list() {
    everywhere(|lab| {
        lab.host.apply(&limited());
        lab.reaches("outside", "192.0.2.1:8080", "192.0.2.2");
        lab.does_not_reach("b1", "192.0.2.1:8080");
        let other = limited_to("10.2.0.0/24");
        lab.host.apply(&other);
        assert_eq!(lab.host.verify(&other), Vec::<String>::new());
        lab.reaches("b1", "192.0.2.1:8080", "10.1.0.1");
        lab.does_not_reach("outside", "192.0.2.1:8080");
        let all = limited_to("0.0.0.0/0");
        lab.host.apply(&all);
        assert_eq!(lab.host.verify(&all), Vec::<String>::new());
        lab.reaches("b1", "192.0.2.1:8080", "10.1.0.1");
        lab.reaches("outside", "192.0.2.1:8080", "192.0.2.2");
    });
}

/// Who says that he is the host, or one of the sources, on a wire where these are not.
#[test]
fn a_forged_source_gets_nothing_of_a_connection() {
    for host in hosts() {
        let lab = Lab::on(host, BridgeFilter::Off, Family::V4);
        lab.host.apply(&limited());
        lab.add_address("b1", "192.0.2.1");
        assert!(lab.datagram_is_lost(("b1", "192.0.2.1"), ("a1", "10.2.0.1:5353")));
        // What the host itself sends with that source arrives, so it is not the source that is in the way.
        assert!(lab.datagram_arrives(("host", "192.0.2.1"), ("a1", "10.2.0.1:5353")));
    }
}

#[test]
fn an_interface_that_is_trusted_does_not_make_up_for_a_list() {
    let trusting = |lab: &Lab, ports: &[&str]| {
        let mut wanted = wish(
            &[network(1, "br-a", "10.1.0.0/24")],
            &[endpoint(1, 1, "10.1.0.11", ports)],
            true,
        );
        for network in wanted.networks.values_mut() {
            network.reach.trusted = vec![netd_model::IfName::new("wan").unwrap()];
        }
        lab.host.apply(&dual(wanted));
    };
    everywhere(|lab| {
        trusting(lab, &["0.0.0.0:8080->80/tcp"]);
        lab.reaches("outside", "10.1.0.11:80", "192.0.2.2");
        trusting(lab, &["0.0.0.0:8080->80/tcp,from=192.0.2.2/32"]);
        lab.does_not_reach("outside", "10.1.0.11:80");
        lab.reaches("outside", "192.0.2.1:8080", "192.0.2.2");
    });
}
