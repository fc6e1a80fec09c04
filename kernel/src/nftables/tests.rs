//! The table as nft(8) sees it, and what it does when others change it. Packets go through it in the tests of
//! iptables, which are the same.

use std::collections::BTreeSet;

use netd_model::Ruleset;
use netd_model::ruleset::RulesetChange;

use crate::iptables::tests::lab::{Host, with_own_table};
use crate::iptables::tests::topology::wanted;
use crate::iptables::tests::wish::{allowing, endpoint, network, port, wish};
use crate::{Firewall, FirewallError};

/// What `nft list` prints of a set or chain, comments left out, one line each and indentation removed.
fn listed(host: &Host<dyn Firewall>, what: &str) -> Vec<String> {
    let text = host.node.sh(&format!("nft list {what}"));
    let lines = text.lines().map(|line| {
        let line = line.trim();
        line.split(" comment \"").next().unwrap_or(line).to_owned()
    });
    lines.collect()
}

/// The elements of a set, as nft prints them.
fn elements(host: &Host<dyn Firewall>, set: &str) -> BTreeSet<String> {
    let text = listed(
        host,
        &format!("set inet netd {set} || nft list map inet netd {set}"),
    )
    .join(" ");
    let inside = text.split_once("elements = {").map_or("", |(_, rest)| {
        rest.split_once('}').map_or("", |(inside, _)| inside)
    });
    let words = inside.split(',').map(|element| element.trim().to_owned());
    words.filter(|element| !element.is_empty()).collect()
}

fn texts<const N: usize>(texts: [&str; N]) -> BTreeSet<String> {
    texts.map(str::to_owned).into()
}

fn change(
    host: &Host<dyn Firewall>,
    wanted: &mut Ruleset,
    change: RulesetChange,
) -> Result<(), FirewallError> {
    wanted.change(change.clone());
    let (firewall, wanted) = (host.firewall.clone(), wanted.clone());
    host.node.run(move || firewall.change(&wanted, &[change]))
}

#[test]
fn a_wish_is_elements_of_a_few_sets() {
    let host = with_own_table();
    host.apply(&allowing(wanted(false), &[(1, 2), (1, 3)]));
    assert_eq!(
        elements(&host, "bridges"),
        texts(["\"br-a\"", "\"br-b\"", "\"br-i\"", "\"br-n\""])
    );
    assert_eq!(elements(&host, "internal"), texts(["\"br-i\""]));
    assert_eq!(
        elements(&host, "pairs"),
        texts([
            "\"br-a\" . \"br-a\" : accept",
            "\"br-b\" . \"br-b\" : accept",
            "\"br-i\" . \"br-i\" : accept",
            "\"br-n\" . \"br-n\" : jump neighbours",
            "\"br-a\" . \"br-b\" : accept",
            "\"br-b\" . \"br-a\" : accept",
        ])
    );
    assert_eq!(
        elements(&host, "kept4"),
        texts(["10.1.0.0/24 . 10.2.0.0/24", "10.2.0.0/24 . 10.1.0.0/24"])
    );
    assert_eq!(
        elements(&host, "masqueraded4"),
        texts([
            "10.1.0.0/24 . 0.0.0.0/0",
            "10.2.0.0/24 . 0.0.0.0/0",
            "10.4.0.0/24 . 0.0.0.0/0"
        ])
    );
    assert_eq!(
        elements(&host, "ports4"),
        texts([
            "tcp . 8070 : 10.4.0.11 . 80",
            "tcp . 8080 : 10.1.0.11 . 80",
            "tcp . 8090 : 10.2.0.11 . 80",
            "udp . 5353 : 10.1.0.11 . 53",
        ])
    );
    assert_eq!(
        elements(&host, "ports_at4"),
        texts([
            "127.0.0.1 . tcp . 8081 : 10.1.0.11 . 80",
            "192.0.2.1 . tcp . 8091 : 10.2.0.11 . 80"
        ])
    );
    let forward = listed(&host, "chain inet netd forward");
    assert!(
        forward.contains(&"type filter hook forward priority filter; policy accept;".to_owned())
    );
    assert!(forward.contains(&"iifname . oifname vmap @pairs".to_owned()));
}

#[test]
fn an_ipv6_network_stands_beside_an_ipv4_one() {
    let host = with_own_table();
    let (id, mut both) = network(1, "br-a", "10.1.0.0/24");
    both.subnets.push("fd00:1::/64".parse().unwrap());
    let (endpoint_id, mut web) = endpoint(1, 1, "10.1.0.11", &["0.0.0.0:8080->80/tcp"]);
    web.addresses.push("fd00:1::11".parse().unwrap());
    web.ports.push(port("[::]:8080->80/tcp"));
    host.apply(&wish(&[(id, both)], &[(endpoint_id, web)], false));
    assert_eq!(elements(&host, "home6"), texts(["fd00:1::/64 . \"br-a\""]));
    assert_eq!(
        elements(&host, "masqueraded6"),
        texts(["fd00:1::/64 . ::/0"])
    );
    assert_eq!(
        elements(&host, "ports6"),
        texts(["tcp . 8080 : fd00:1::11 . 80"])
    );
    assert_eq!(
        elements(&host, "ports4"),
        texts(["tcp . 8080 : 10.1.0.11 . 80"])
    );
}

#[test]
fn what_no_rule_accepts_is_dropped_in_the_version_of_ip_that_asks_for_it() {
    let host = with_own_table();
    let mut wanted = wanted(false);
    for (v4, v6, dropped) in [
        (true, false, texts(["ipv4"])),
        (false, true, texts(["ipv6"])),
        (true, true, texts(["ipv4", "ipv6"])),
        (false, false, texts([])),
    ] {
        wanted.host.drop_forwarded = v4;
        wanted.host.drop_forwarded_v6 = v6;
        host.apply(&wanted);
        assert_eq!(elements(&host, "own_only"), dropped);
        assert_eq!(host.verify(&wanted), Vec::<String>::new());
        wanted.host.drop_forwarded = !v4;
        assert!(!host.verify(&wanted).is_empty());
    }
}

#[test]
fn a_port_of_ipv6_loopback_has_no_element() {
    let host = with_own_table();
    host.apply(&wanted(false));
    assert_eq!(
        elements(&host, "ports_at6"),
        texts(["2001:db8::1 . tcp . 8091 : fd00:2::11 . 80"])
    );
    let output = listed(&host, "chain inet netd output");
    let kept = output.iter().any(|rule| rule == "ip6 daddr ::1 return");
    assert!(kept, "{output:?}");
}

#[test]
fn a_range_that_keeps_its_numbers_is_one_element() {
    let host = with_own_table();
    let net = network(1, "br-a", "10.1.0.0/24");
    let ports = [
        "0.0.0.0:1-65535->1-65535/tcp",
        "192.0.2.1:7000-7001->80-81/udp",
    ];
    host.apply(&wish(&[net], &[endpoint(1, 1, "10.1.0.11", &ports)], false));
    assert_eq!(
        elements(&host, "ranges4"),
        texts(["0.0.0.0/0 . tcp . 1-65535 : 10.1.0.11"])
    );
    assert_eq!(
        elements(&host, "ports_at4"),
        texts([
            "192.0.2.1 . udp . 7000 : 10.1.0.11 . 80",
            "192.0.2.1 . udp . 7001 : 10.1.0.11 . 81"
        ])
    );
}

#[test]
fn many_neighbours_are_one_element_and_come_apart() {
    let host = with_own_table();
    let net = network(1, "br-a", "10.1.0.0/24");
    let run = |from: u16, to: u16| (from..to).map(|n| format!("0.0.0.0:{n}->80/tcp"));
    let kept = (9000..9016).map(|n| format!("192.0.2.1:{n}->{n}/udp"));
    let all: Vec<String> = run(8000, 8100).chain(run(8200, 8215)).chain(kept).collect();
    let published = |all: &[String]| {
        let texts: Vec<&str> = all.iter().map(String::as_str).collect();
        endpoint(1, 1, "10.1.0.11", &texts)
    };
    let mut now = wish(&[net], &[published(&all)], false);
    host.apply(&now);
    assert_eq!(host.verify(&now), Vec::<String>::new());
    let alone = "0.0.0.0/0 . tcp . 8000-8099 : 10.1.0.11 . 80";
    assert_eq!(elements(&host, "runs4"), texts([alone]));
    let span = "192.0.2.1 . udp . 9000-9015 : 10.1.0.11";
    assert_eq!(elements(&host, "ranges4"), texts([span]));
    assert_eq!(elements(&host, "ports4").len(), 15);
    // One in their midst is given up, and then all but a few.
    let without: Vec<String> = all
        .into_iter()
        .filter(|one| !one.contains(":8050->"))
        .collect();
    for (left, spans) in [
        (
            &without[..],
            texts([
                "0.0.0.0/0 . tcp . 8000-8049 : 10.1.0.11 . 80",
                "0.0.0.0/0 . tcp . 8051-8099 : 10.1.0.11 . 80",
            ]),
        ),
        (&without[..3], texts([])),
    ] {
        let (id, rules) = published(left);
        change(&host, &mut now, RulesetChange::PutEndpoint(id, rules)).unwrap();
        assert_eq!(elements(&host, "runs4"), spans);
        assert_eq!(host.verify(&now), Vec::<String>::new());
    }
    assert_eq!(elements(&host, "ports4").len(), 3);
}

#[test]
fn a_change_is_told_by_its_entry_alone() {
    let host = with_own_table();
    let mut now = wanted(false);
    host.apply(&now);
    let (id, other) = endpoint(1, 1, "10.1.0.12", &["0.0.0.0:8080->81/tcp"]);
    change(&host, &mut now, RulesetChange::PutEndpoint(id, other)).unwrap();
    assert!(elements(&host, "ports4").contains("tcp . 8080 : 10.1.0.12 . 81"));
    assert_eq!(elements(&host, "ports_at4").len(), 1);
    let (bridge, rules) = network(2, "br-b", "10.2.0.0/24");
    let internal = netd_model::ruleset::NetworkRules {
        internal: true,
        ..rules
    };
    let closed = RulesetChange::PutNetwork(bridge, internal);
    change(&host, &mut now, closed).unwrap();
    assert!(!elements(&host, "ports4").contains("tcp . 8090 : 10.2.0.11 . 80"));
    for change_now in [
        RulesetChange::RemoveEndpoint(id),
        RulesetChange::RemoveEndpoint(endpoint(2, 2, "10.2.0.11", &[]).0),
        RulesetChange::RemoveNetwork(bridge),
    ] {
        change(&host, &mut now, change_now).unwrap();
        assert_eq!(host.verify(&now), Vec::<String>::new());
    }
    assert_eq!(
        elements(&host, "bridges"),
        texts(["\"br-a\"", "\"br-i\"", "\"br-n\""])
    );
}

#[test]
fn a_network_that_goes_takes_what_it_was_allowed() {
    let host = with_own_table();
    let mut now = allowing(wanted(false), &[(1, 2)]);
    host.apply(&now);
    let id = network(2, "br-b", "10.2.0.0/24").0;
    change(&host, &mut now, RulesetChange::RemoveNetwork(id)).unwrap();
    assert!(elements(&host, "kept4").is_empty());
    assert_eq!(host.verify(&now), Vec::<String>::new());
}

#[test]
fn what_others_break_is_seen_and_mended() {
    let host = with_own_table();
    let wanted = wanted(true);
    host.apply(&wanted);
    for (tampering, sentence) in [
        ("flush ruleset", "table inet netd is missing"),
        ("delete table inet netd", "table inet netd is missing"),
        (
            "flush chain inet netd entering",
            "rules of table inet netd were changed",
        ),
        (
            "insert rule inet netd forward accept",
            "rules of table inet netd were changed",
        ),
        (
            "delete element inet netd ports4 { tcp . 8080 }",
            "an element is missing in set ports4",
        ),
        (
            "add element inet netd bridges { \"eth7\" }",
            "an element is too much in set bridges",
        ),
        (
            "add table inet netd { flags dormant ; }",
            "table inet netd has flags (dormant?)",
        ),
        (
            "delete element inet netd own_only { 2 }",
            "an element is missing in set own_only",
        ),
    ] {
        host.tamper("", tampering);
        assert_eq!(host.verify(&wanted), [sentence], "{tampering}");
        host.apply(&wanted);
        assert_eq!(host.verify(&wanted), Vec::<String>::new(), "{tampering}");
    }
}

#[test]
fn a_change_on_a_table_that_others_broke_makes_it_whole() {
    let host = with_own_table();
    let mut now = wanted(false);
    host.apply(&now);
    host.tamper("", "delete element inet netd ports4 { tcp . 8080 }");
    let gone = endpoint(1, 1, "10.1.0.11", &[]).0;
    change(&host, &mut now, RulesetChange::RemoveEndpoint(gone)).unwrap();
    assert_eq!(host.verify(&now), Vec::<String>::new());
}

#[test]
fn rules_of_others_stay_and_so_do_the_user_s_in_our_table() {
    let host = with_own_table();
    host.node.sh("nft add table ip theirs; nft 'add chain ip theirs x { type filter hook forward priority 0; }'");
    host.apply(&wanted(false));
    host.tamper("", "add rule inet netd DOCKER-USER ip saddr 192.0.2.9 drop");
    host.apply(&wanted(true));
    host.tamper("", "flush chain inet netd neighbours");
    assert_eq!(host.verify(&wanted(true)).len(), 1);
    host.apply(&wanted(true));
    let user = listed(&host, "chain inet netd DOCKER-USER");
    assert!(user.contains(&"ip saddr 192.0.2.9 drop".to_owned()));
    assert!(host.node.sh("nft list tables").contains("table ip theirs"));
}

#[test]
fn another_start_takes_the_table_over_without_a_gap() {
    let mut host = with_own_table();
    host.apply(&wanted(false));
    host.tamper("", "add element inet netd bridges { \"stale\" }");
    host.firewall = host
        .node
        .run(|| std::sync::Arc::new(super::Nftables::open().unwrap()));
    host.apply(&wanted(false));
    assert_eq!(host.verify(&wanted(false)), Vec::<String>::new());
    assert!(!elements(&host, "bridges").contains("\"stale\""));
}

#[test]
fn ten_thousand_shifted_ports_come_and_go_in_one_transaction() {
    let host = with_own_table();
    let net = network(1, "br-a", "10.1.0.0/24");
    let (id, mut many) = endpoint(1, 1, "10.1.0.11", &[]);
    many.ports = vec![port("0.0.0.0:10001-20000->20001-30000/tcp")];
    let mut now = wish(&[net], &[(id, many)], false);
    host.apply(&now);
    assert_eq!(host.verify(&now), Vec::<String>::new());
    assert_eq!(elements(&host, "ports4").len(), 10_000);
    change(&host, &mut now, RulesetChange::RemoveEndpoint(id)).unwrap();
    assert!(elements(&host, "ports4").is_empty());
}

#[test]
fn trying_what_the_kernel_can_leaves_nothing() {
    let host = with_own_table();
    assert_eq!(host.node.sh("nft list ruleset"), "");
}
