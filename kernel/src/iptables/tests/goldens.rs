//! Rendered rules against rules that a real Docker Engine 20.10 made (`docker-20.10/`, by iptables-save) and against
//! `everything.rules`. The oracle is Docker; what may differ is written down here.

use super::super::standing::Standing;
use super::super::{ChainPrefix, Rules, Table, render};
use super::wish::{dual, endpoint, everything, internal, network, wish, without_icc};
use crate::Family;
use netd_model::Ruleset;
use netd_model::ruleset::NetworkRules;

const CHAINS: [(Table, &str); 9] = [
    (Table::Filter, "FORWARD"),
    (Table::Filter, "DOCKER"),
    (Table::Filter, "DOCKER-ISOLATION-STAGE-1"),
    (Table::Filter, "DOCKER-ISOLATION-STAGE-2"),
    (Table::Filter, "DOCKER-USER"),
    (Table::Nat, "PREROUTING"),
    (Table::Nat, "OUTPUT"),
    (Table::Nat, "POSTROUTING"),
    (Table::Nat, "DOCKER"),
];

/// The rules that netd has and no Docker, numbered as in `render`.
fn is_extra(rule: &str, networks: &[&NetworkRules]) -> bool {
    let extras = networks.iter().flat_map(|network| {
        let (br, subnet) = (&network.bridge, network.subnets[0]);
        let closed = [
            format!("! -i {br} -o {br} -j DROP"),
            format!("-i {br} ! -o {br} -j DROP"),
        ];
        let open = [
            format!("! -i {br} -o {br} -m conntrack ! --ctstate DNAT -j DROP"),
            format!("-s {subnet} -o {br} -m conntrack --ctstate DNAT -j MASQUERADE"),
        ];
        let without_icc = [format!(
            "-i {br} -o {br} -m conntrack --ctstate DNAT -j ACCEPT"
        )];
        [
            if network.internal {
                closed.to_vec()
            } else {
                open.to_vec()
            },
            if network.icc {
                Vec::new()
            } else {
                without_icc.to_vec()
            },
        ]
        .concat()
    });
    rule == "-m conntrack --ctstate DNAT -j RETURN" || extras.into_iter().any(|extra| extra == rule)
}

/// Docker's rules as they would be without its proxy: nothing keeps packets from the translation.
fn without_proxy(rules: Vec<String>) -> Vec<String> {
    rules
        .into_iter()
        .filter(|rule| !(rule.starts_with("-i ") && rule.ends_with(" -j RETURN")))
        .map(|rule| match rule.split_once("! -i ") {
            Some((before, after)) if rule.contains("-j DNAT") => {
                format!("{before}{}", after.split_once(' ').unwrap().1)
            }
            _ => rule.replace("! -d 127.0.0.0/8 ", ""),
        })
        .collect()
}

/// Docker puts a user network's DROP to the end of FORWARD; it stands in the network's place here.
fn with_drops_at_the_end(rules: Vec<String>) -> Vec<String> {
    let (drops, others): (Vec<_>, Vec<_>) = rules
        .into_iter()
        .partition(|rule| rule.starts_with("-i ") && rule.ends_with("-j DROP"));
    [others, drops].concat()
}

/// A MASQUERADE of what a container sends to itself.
fn is_about_itself(rule: &str) -> bool {
    let words: Vec<&str> = rule.split(' ').collect();
    matches!(words[..], ["-s", from, "-d", to, .., "-j", "MASQUERADE"] if from == to)
}

enum Proxy {
    Runs,
    None,
}

fn compare(docker: &str, proxy: Proxy, wanted: &Ruleset) {
    let docker = Standing::parse(docker).unwrap();
    assert_eq!(docker.drops_forwarded, wanted.host.drop_forwarded);
    let ours = render(wanted, &ChainPrefix::Docker.names(), Family::V4);
    let networks: Vec<_> = wanted.networks.values().collect();
    for (table, chain) in CHAINS {
        let mut docker: Vec<String> = docker.rules(table, chain).map(str::to_owned).collect();
        let mut ours = ours.chain(table, chain).unwrap().rules.clone();
        ours.retain(|rule| !is_extra(rule, &networks));
        // 4. Docker's rule for a container that asks itself; that about its network says the same and more.
        docker.retain(|rule| !is_about_itself(rule));
        if matches!(proxy, Proxy::Runs) {
            docker = without_proxy(docker);
            ours.retain(|rule| !rule.contains("--src-type LOCAL"));
        }
        if chain == "FORWARD" {
            (docker, ours) = (with_drops_at_the_end(docker), with_drops_at_the_end(ours));
        }
        assert_eq!(ours, docker, "chain {chain} of table {table}");
    }
}

macro_rules! docker {
    ($name:literal) => {
        include_str!(concat!("docker-20.10/", $name, ".iptables"))
    };
}

/// The networks of the captures, in the order in which they were made.
fn captured_networks() -> Vec<(netd_model::NetworkId, NetworkRules)> {
    let (id, routed) = network(6, "brnomasq", "172.32.0.0/16");
    vec![
        network(1, "docker0", "172.17.0.0/16"),
        network(2, "br-b9ab74e08264", "172.28.0.0/16"),
        network(3, "br-751c0f2fe62c", "172.29.0.0/16"),
        internal(4, "br-47c894d1461d", "172.30.0.0/16"),
        without_icc(5, "br-ae891c48150e", "172.31.0.0/16"),
        (
            id,
            NetworkRules {
                masquerade: false,
                ..routed
            },
        ),
    ]
}

#[test]
fn each_situation_is_docker_s_but_for_the_documented_differences() {
    let networks = captured_networks();
    let port = endpoint(
        1,
        2,
        "172.28.5.0",
        &[
            "0.0.0.0:8082->80/tcp",
            "127.0.0.1:8081->80/tcp",
            "0.0.0.0:5353->53/udp",
        ],
    );
    let ports = [port];
    for (docker, made, ports) in [
        (docker!("01-start"), 1, &[][..]),
        (docker!("03-usernet"), 2, &[]),
        (docker!("04-ports"), 2, &ports),
        (docker!("07-two-usernets"), 3, &ports),
        (docker!("08-internal"), 4, &ports),
        (docker!("09-noicc"), 5, &ports),
        (docker!("10-nomasq"), 6, &ports),
    ] {
        compare(docker, Proxy::Runs, &wish(&networks[..made], ports, true));
    }
}

#[test]
fn without_its_proxy_docker_differs_by_our_extra_rules_only() {
    let wanted = wish(
        &[
            network(1, "docker0", "172.17.0.0/16"),
            network(2, "br-706dcb16705b", "172.28.0.0/16"),
        ],
        &[
            endpoint(1, 1, "172.17.0.2", &["0.0.0.0:8090->80/tcp"]),
            endpoint(
                2,
                2,
                "172.28.0.2",
                &["127.0.0.1:8092->81/udp", "0.0.0.0:8091->80/tcp"],
            ),
        ],
        false,
    );
    compare(docker!("15-userland-proxy-false"), Proxy::None, &wanted);
}

#[test]
fn every_kind_of_network_and_port_renders_as_written_down() {
    let names = ChainPrefix::Docker.names();
    let render = |wanted: &Ruleset, family| -> Rules { render(wanted, &names, family) };
    let v4 = render(&everything(), Family::V4);
    assert_eq!(v4.to_text(), include_str!("everything.rules"));
    let both = dual(everything());
    let v6 = render(&both, Family::V6);
    assert_eq!(v6.to_text(), include_str!("everything-v6.rules"));
    assert_eq!(
        render(&both, Family::V4),
        v4,
        "IPv6 changes nothing in IPv4"
    );
}

#[test]
fn with_our_own_prefix_only_the_user_s_chain_is_docker_s() {
    let text = render(&everything(), &ChainPrefix::Netd.names(), Family::V4).to_text();
    let docker = text.replace("DOCKER-USER", "").contains("DOCKER");
    assert!(!docker, "{text}");
    let renamed = text.replace("NETD-", "DOCKER-").replace("NETD ", "DOCKER ");
    let renamed = renamed.replace("-j NETD\n", "-j DOCKER\n");
    assert_eq!(renamed, include_str!("everything.rules"));
}

#[test]
fn a_network_without_ipv6_has_no_rule_in_ipv6() {
    let names = ChainPrefix::Docker.names();
    let mut mixed = dual(everything());
    for network in mixed.networks.values_mut().skip(1) {
        network.subnets.truncate(1);
    }
    let text = render(&mixed, &names, Family::V6).to_text();
    assert!(text.contains("docker0"), "{text}");
    assert!(!text.contains(" br-"), "{text}");
    let none = render(&everything(), &names, Family::V6);
    assert_eq!(none, render(&Ruleset::default(), &names, Family::V6));
}
