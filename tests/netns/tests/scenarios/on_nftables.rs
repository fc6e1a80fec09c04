//! What is about the backend nftables itself, on hosts that are put on it whatever the rest of the run is on: the one
//! table `inet netd`, whose chains stay as they are, and what its sets hold.

use netns_tests::flow::Flow;
use netns_tests::lab::HOST;
use netns_tests::oracle::curl;
use netns_tests::{Firewall, HostOptions, Lab};
use serde_json::{Value, json};

use crate::s12_live_restore::Stage;
use crate::s13_two_bridges::six_containers;

/// The lines of a listing of the table that say what its chains are, without the sets.
fn chains(lab: &Lab) -> Vec<String> {
    let lines = lab.h1.tables_of_nft();
    let first = lines.iter().position(|line| line.starts_with("chain "));
    lines[first.unwrap_or_default()..].to_vec()
}

/// Whether what iptables has is as on a host where nobody used it.
fn iptables_is_as_it_was(lab: &Lab) {
    for table in ["raw", "nat", "filter"] {
        let rules = lab.h1.rules(table);
        assert!(
            rules.iter().all(|rule| rule.ends_with(" ACCEPT")),
            "{rules:#?}"
        );
    }
}

fn sorted(mut elements: Vec<Value>) -> Vec<Value> {
    elements.sort_by_key(Value::to_string);
    elements
}

fn subnet(text: &str) -> Value {
    let (address, length) = text.split_once('/').unwrap_or((text, "32"));
    let length: u8 = length.parse().unwrap_or(32);
    json!({"prefix": {"addr": address, "len": length}})
}

#[test]
fn s13_the_table_has_one_chain_for_each_place_and_nothing_stands_elsewhere() {
    let (lab, _) = six_containers(Firewall::Nftables);
    let tables = lab.h1.exec(&["nft", "list", "tables"]).ok().stdout;
    assert_eq!(
        tables
            .lines()
            .filter(|line| line.starts_with("table inet"))
            .collect::<Vec<_>>(),
        ["table inet netd"]
    );
    let chains = chains(&lab);
    let hooks: Vec<&String> = chains
        .iter()
        .filter(|line| line.starts_with("type "))
        .collect();
    assert_eq!(
        hooks,
        [
            "type filter hook prerouting priority raw; policy accept;",
            "type nat hook prerouting priority dstnat; policy accept;",
            "type nat hook output priority -100; policy accept;",
            "type filter hook forward priority filter; policy accept;",
            "type nat hook postrouting priority srcnat; policy accept;",
        ]
    );
    let forward = chains.iter().skip_while(|line| *line != "chain forward {");
    let rules: Vec<&str> = forward
        .skip(2)
        .take_while(|line| *line != "}")
        .filter_map(|line| line.split(" comment").next())
        .collect();
    assert_eq!(
        rules[..2],
        ["jump DOCKER-USER", "iifname . oifname vmap @pairs"],
        "{rules:#?}"
    );
    assert_eq!(
        rules[rules.len() - 3..],
        [
            "oifname @bridges jump entering",
            "iifname @bridges accept",
            "meta nfproto @own_only drop"
        ],
        "{rules:#?}"
    );
    iptables_is_as_it_was(&lab);
}

#[test]
fn s13_networks_and_ports_are_elements_and_no_rule_comes_with_them() {
    let before = Lab::on(Firewall::Nftables);
    let (lab, bridge) = six_containers(Firewall::Nftables);
    assert_eq!(chains(&lab), chains(&before));
    let networks = [
        ("172.17.0.0/16", "docker0"),
        ("172.18.0.0/16", bridge.as_str()),
    ];
    let all = |make: &dyn Fn(&str, &str) -> Value| {
        sorted(networks.map(|(one, other)| make(one, other)).to_vec())
    };
    let of = |kind, name| sorted(lab.h1.elements(kind, name));
    assert_eq!(of("set", "bridges"), all(&|_, name| json!(name)));
    // From a bridge to itself and to no other: whatever is not here comes to `entering`, which drops it.
    assert_eq!(
        of("map", "pairs"),
        all(&|_, name| json!([{"concat": [name, name]}, {"accept": null}]))
    );
    assert_eq!(
        of("set", "home4"),
        all(&|own, name| json!({"concat": [subnet(own), name]}))
    );
    assert_eq!(
        of("set", "masqueraded4"),
        all(&|own, _| json!({"concat": [subnet(own), subnet("0.0.0.0/0")]}))
    );
    let mut ports = Vec::new();
    for number in 0..6_u16 {
        let network = ["bridge", "net-redis"][usize::from(number / 3)];
        let address = lab.h1.address_of(&format!("redis{number}"), network);
        for port in [6379, 16379] {
            ports.push(json!([{"concat": ["tcp", port + number]}, {"concat": [address, port]}]));
        }
    }
    assert_eq!(of("map", "ports4"), sorted(ports));
    for empty in [
        "internal",
        "kept4",
        "peers4",
        "apart4",
        "routed4",
        "unprotected4",
        "opened4",
        "trusted4",
    ] {
        assert_eq!(lab.h1.elements("set", empty), [Value::Null; 0], "{empty}");
    }
}

#[test]
fn s21_each_published_port_and_each_range_is_one_element() {
    let lab = Lab::on(Firewall::Nftables);
    let forms = [
        "8080:80",
        "127.0.0.1:8081:81/udp",
        "7000:7000/sctp",
        "9000-9099:9000-9099",
        "9200-9201:80-81",
    ];
    let flags: Vec<&str> = forms.iter().flat_map(|form| ["-p", *form]).collect();
    lab.h1.idle("c", "bridge", &flags);
    let of = |name| sorted(lab.h1.elements("map", name));
    let port = |protocol: &str, host: u16, container: u16| json!([{"concat": [protocol, host]}, {"concat": ["172.17.0.2", container]}]);
    assert_eq!(
        of("ports4"),
        sorted(vec![
            port("tcp", 8080, 80),
            port("sctp", 7000, 7000),
            port("tcp", 9200, 80),
            port("tcp", 9201, 81)
        ])
    );
    assert_eq!(
        of("ports_at4"),
        [json!([{"concat": ["127.0.0.1", "udp", 8081]}, {"concat": ["172.17.0.2", 81]}])]
    );
    assert_eq!(
        of("ranges4"),
        [json!([{"concat": [subnet("0.0.0.0/0"), "tcp", {"range": [9000, 9099]}]}, "172.17.0.2"])]
    );
}

/// Nothing of what netd does here is done by a program.
#[test]
fn no_program_is_needed() {
    let lab = Lab::without_daemon(HostOptions::default());
    lab.h1.put_on(Firewall::Nftables);
    let hide = "mkdir /run/lab/none && mount --bind /run/lab/none /usr/sbin";
    let _ = lab.h1.sh(hide).ok();
    lab.h1.start();
    lab.h1.web("web", 80, &["-p", "8080:80"]);
    let page = lab.outside.get(&format!("http://{HOST}:8080/"));
    assert_eq!(page.ok().text(), "web");
}

/// Elements without rules translate and let through what they did; only what they kept out gets in until the start.
#[test]
fn s12_an_emptied_chain_is_healed_by_a_start() {
    let stage = Stage::on(Firewall::Nftables);
    let lab = &stage.lab;
    let rules = lab.h1.all_rules();
    let direct = format!("http://{}:7000/", lab.h1.address_of("server", "app"));
    let apart = || lab.h1.in_container("other", &curl(&direct)).code == 28;
    assert!(apart());
    let flows = stage.flows();
    lab.h1.kill();
    let _ = lab
        .h1
        .exec(&["nft", "flush", "chain", "inet", "netd", "forward"])
        .ok();
    stage.some_packets();
    lab.h1.start();
    stage.some_packets();
    assert_eq!(lab.h1.all_rules(), rules);
    assert!(apart());
    for report in Flow::stop_all(flows) {
        let _ = report.lossless();
    }
}

/// A table that is put to sleep lets everything by; the running daemon notices and wakes it.
#[test]
fn a_table_that_is_put_to_sleep_is_woken() {
    let lab = Lab::on(Firewall::Nftables);
    lab.h1.web("web", 80, &["-p", "8080:80"]);
    let rules = lab.h1.all_rules();
    let _ = lab
        .h1
        .exec(&["nft", "add", "table", "inet", "netd", "{ flags dormant; }"])
        .ok();
    netns_tests::eventually("the table to be awake", || {
        (lab.h1.all_rules() == rules).then_some(())
    });
    let page = lab.outside.get(&format!("http://{HOST}:8080/"));
    assert_eq!(page.ok().text(), "web");
}
