//! Names of the visible networks, as Docker answers them.

use netd_dns::Forwarding;

use crate::rig::{Rig, dig, dig_at, host, in_namespace, network, to, view};
use crate::upstream::Upstream;

/// Two networks: `net1` and, with a dot, `lab.v2`. Sandbox 1 sees the first, sandbox 2 both.
fn two_networks(forwarding: Forwarding) -> Rig {
    let rig = Rig::new(|_| {});
    let web = host(
        &["web1", "d278d2f9561f", "myhost.example.org", "web"],
        &["172.28.0.2"],
    );
    let dual = host(&["dual", "web"], &["172.28.0.3", "fd00::3"]);
    rig.put(1, "net1", vec![web, dual]);
    rig.put(
        2,
        "lab.v2",
        vec![
            host(&["Iso_1.x"], &["172.29.0.2"]),
            host(&["web1"], &["fd00:1::9"]),
        ],
    );
    rig.serve(1, view(1, forwarding.clone()));
    rig.serve(2, view(2, forwarding));
    rig
}

#[test]
fn a_known_name_is_answered_as_docker_does() {
    in_namespace(|| async {
        let rig = two_networks(Forwarding::Refuse);
        let names = [
            "web1",
            "d278d2f9561f",
            "myhost.example.org",
            "web1.net1",
            "WeB1",
            "WEB1.Net1",
        ];
        for name in names {
            let dug = dig(&format!("+noedns {name} A")).await;
            assert_eq!(
                (dug.status.as_str(), dug.flags.as_str()),
                ("NOERROR", "qr rd ra"),
                "{}",
                dug.text
            );
            assert_eq!(
                dug.answers,
                [[&format!("{name}."), "600", "IN", "A", "172.28.0.2"]]
            );
            assert!(!dug.text.contains("OPT PSEUDOSECTION"), "{}", dug.text);
        }
        assert_eq!(rig.resolver.stats().answered_locally, 6);
        assert_eq!(dig("+norecurse web1 A").await.flags, "qr ra");
    });
}

#[test]
fn the_network_part_may_contain_dots_and_the_name_too() {
    in_namespace(|| async {
        let _rig = two_networks(Forwarding::Refuse);
        assert_eq!(dig_at(2, "iso_1.x A").await.data(), ["172.29.0.2"]);
        assert_eq!(dig_at(2, "iso_1.x.LAB.v2 A").await.data(), ["172.29.0.2"]);
        assert_eq!(dig_at(2, "iso_1.x.v2 A").await.status, "SERVFAIL");
        assert_eq!(
            dig("iso_1.x A").await.status,
            "SERVFAIL",
            "another network's name"
        );
    });
}

#[test]
fn other_types_of_a_known_name_are_empty_and_never_leave() {
    in_namespace(|| async {
        let upstream = Upstream::good(1).await;
        let rig = two_networks(to(&[upstream.address]));
        for kind in [
            "AAAA",
            "MX",
            "TXT",
            "SRV",
            "HTTPS",
            "NS",
            "TYPE65280",
            "PTR",
        ] {
            let dug = dig(&format!("web1 {kind}")).await;
            assert!(dug.is_nodata(), "{kind}: {}", dug.text);
        }
        assert!(dig("-t MX web1.net1").await.is_nodata());
        assert!(dig("-t TXT 2.0.28.172.in-addr.arpa").await.is_nodata());
        assert_eq!((upstream.seen(), rig.resolver.stats().forwarded), (0, 0));
    });
}

#[test]
fn both_families_and_any_are_answered() {
    in_namespace(|| async {
        let _rig = two_networks(Forwarding::Refuse);
        assert_eq!(dig("dual A").await.data(), ["172.28.0.3"]);
        assert_eq!(dig("dual AAAA").await.data(), ["fd00::3"]);
        assert_eq!(
            dig("+notcp dual ANY").await.data(),
            ["172.28.0.3", "fd00::3"]
        );
        assert_eq!(dig("+notcp web1 ANY").await.data(), ["172.28.0.2"]);
    });
}

#[test]
fn addresses_have_the_name_and_network_of_their_holder() {
    in_namespace(|| async {
        let _rig = two_networks(Forwarding::Refuse);
        let dug = dig("-x 172.28.0.2").await;
        assert_eq!(
            dug.answers,
            [["2.0.28.172.in-addr.arpa.", "600", "IN", "PTR", "web1.net1."]]
        );
        assert_eq!(dig("-x fd00::3").await.data(), ["dual.net1."]);
        assert_eq!(dig_at(2, "-x 172.29.0.2").await.data(), ["Iso_1.x.lab.v2."]);
        assert_eq!(
            dig("-x 172.29.0.2").await.status,
            "SERVFAIL",
            "another network's address"
        );
    });
}

#[test]
fn all_holders_of_an_alias_answer_each_first_in_its_turn() {
    in_namespace(|| async {
        let _rig = two_networks(Forwarding::Refuse);
        let mut first = Vec::new();
        for _ in 0..4 {
            let dug = dig("web A").await;
            assert_eq!(dug.data(), ["172.28.0.2", "172.28.0.3"]);
            first.push(dug.answers[0][4].clone());
        }
        assert_eq!(first[..2], first[2..]);
        assert_ne!(first[0], first[1]);
    });
}

#[test]
fn the_first_network_with_the_wanted_kind_answers() {
    in_namespace(|| async {
        let _rig = two_networks(Forwarding::Refuse);
        assert_eq!(dig_at(2, "web1 A").await.data(), ["172.28.0.2"]);
        assert_eq!(dig_at(2, "web1 AAAA").await.data(), ["fd00:1::9"]);
        assert!(dig("web1 AAAA").await.is_nodata());
    });
}

#[test]
fn changes_hold_from_the_next_query_on() {
    in_namespace(|| async {
        let rig = two_networks(Forwarding::Refuse);
        rig.put(1, "net1", vec![host(&["web1"], &["172.28.0.77"])]);
        assert_eq!(dig("web1 A").await.data(), ["172.28.0.77"]);
        assert_eq!(dig("dual A").await.status, "SERVFAIL");
        rig.resolver
            .set_view(crate::rig::sandbox(1), view(2, Forwarding::Refuse))
            .unwrap();
        assert_eq!(dig("iso_1.x A").await.data(), ["172.29.0.2"]);
        rig.directory.remove_network(network(1));
        rig.directory.remove_network(network(1));
        assert_eq!(dig("web1.net1 A").await.status, "SERVFAIL");
        assert!(
            rig.resolver
                .set_view(crate::rig::sandbox(9), view(1, Forwarding::Refuse))
                .is_err()
        );
    });
}

#[test]
fn a_sandbox_on_internal_networks_asks_nobody() {
    in_namespace(|| async {
        let upstream = Upstream::good(1).await;
        let rig = two_networks(Forwarding::Refuse);
        rig.resolver
            .set_view(crate::rig::sandbox(2), view(2, to(&[upstream.address])))
            .unwrap();
        for words in [
            "example.org A",
            "nosuchname A",
            "-x 203.0.113.5",
            ". NS",
            "+tcp example.org",
        ] {
            let dug = dig(words).await;
            assert_eq!(dug.status, "SERVFAIL", "{}", dug.text);
        }
        assert_eq!((upstream.seen(), rig.resolver.stats().withheld), (0, 5));
        assert_eq!(dig_at(2, "example.org A").await.data(), ["203.0.113.1"]);
    });
}
