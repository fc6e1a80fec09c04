//! Plans carried out by a small model of iptables-restore, on random wishes among random rules of others.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use netd_model::Ruleset;
use netd_model::ruleset::NetworkRules;
use proptest::prelude::*;
use proptest::sample::subsequence;

use super::super::arrange::{Steps, arrange};
use super::super::plan::{claim, differences, plan};
use super::super::standing::{Line, Standing};
use super::super::{ChainPrefix, Hold, Rules, Table, render};
use super::wish::{allowing, dual, endpoint, internal, network, port, wish, without_icc};
use crate::Family;

/// Tables and chains as iptables-restore(8) changes them.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    chains: BTreeMap<(String, String), Vec<String>>,
    drops_forwarded: bool,
}

const BUILT_IN: [&str; 4] = ["PREROUTING", "FORWARD", "OUTPUT", "POSTROUTING"];

impl Model {
    fn restore(&mut self, text: &str) {
        let mut table = String::new();
        for line in text.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            if let Some(name) = word.strip_prefix('*') {
                table = name.to_owned();
            } else if word == ":FORWARD" {
                self.drops_forwarded = rest.starts_with("DROP");
            } else if let Some(name) = word.strip_prefix(':') {
                let key = (table.clone(), name.to_owned());
                self.chains.insert(key, Vec::new());
            } else if word != "COMMIT" {
                let (chain, rule) = rest.split_once(' ').unwrap();
                self.edit((&table, chain), word, rule);
            }
        }
    }

    fn edit(&mut self, (table, chain): (&str, &str), command: &str, rule: &str) {
        let key = (table.to_owned(), chain.to_owned());
        let known = BUILT_IN.contains(&chain) || self.chains.contains_key(&key);
        assert!(known, "there is no chain {chain}");
        let rules = self.chains.entry(key).or_default();
        match command {
            "-A" => rules.push(rule.to_owned()),
            "-D" => {
                let place = rules.iter().position(|standing| standing == rule);
                rules.remove(place.unwrap_or_else(|| panic!("{chain} has no rule {rule}")));
            }
            _ => {
                let (number, rule) = rule.split_once(' ').unwrap();
                rules.insert(number.parse::<usize>().unwrap() - 1, rule.to_owned());
            }
        }
    }

    fn save(&self) -> String {
        let policy = if self.drops_forwarded {
            "DROP"
        } else {
            "ACCEPT"
        };
        let mut text = format!("*filter\n:FORWARD {policy} [0:0]\n");
        for ((table, chain), rules) in &self.chains {
            text.push_str(&format!("*{table}\n"));
            if chain != "FORWARD" {
                text.push_str(&format!(":{chain} - [0:0]\n"));
            }
            for rule in rules {
                text.push_str(&format!("-A {chain} {rule}\n"));
            }
        }
        text
    }

    fn rules(&self, table: Table, chain: &str) -> &[String] {
        self.chains
            .get(&(table.to_string(), chain.to_owned()))
            .map_or(&[], Vec::as_slice)
    }

    /// Reads what stands as after a restart: nothing is remembered.
    fn read(&self, prefix: ChainPrefix) -> Standing {
        let mut standing = Standing::parse(&self.save()).unwrap();
        claim(&mut standing, &prefix.names(), None);
        standing
    }

    /// Rules of others in the kernel's chains, in their order.
    fn foreign(&self) -> Vec<String> {
        self.chains
            .values()
            .flatten()
            .filter(|rule| rule.contains("foreign") || rule.contains("virbr0"))
            .cloned()
            .collect()
    }
}

/// What `wanted` says of each chain holds.
fn assert_stands(model: &Model, wanted: &Rules) {
    for chain in &wanted.chains {
        let there = model.rules(chain.table, chain.name);
        let found: Vec<_> = match chain.hold {
            Hold::Whole => there.iter().collect(),
            Hold::Top => there.iter().take(chain.rules.len()).collect(),
            Hold::Among => there
                .iter()
                .filter(|rule| chain.rules.contains(rule))
                .collect(),
            Hold::Made => continue,
        };
        assert!(
            found.iter().copied().eq(&chain.rules),
            "{} {}",
            chain.table,
            chain.name
        );
    }
    assert!(model.drops_forwarded || !wanted.drop_forwarded);
}

/// Nothing but `wanted` and the others' rules stands.
fn assert_nothing_else(model: &Model, wanted: &Rules, foreign: usize) {
    let ours: usize = wanted.chains.iter().map(|chain| chain.rules.len()).sum();
    let all: usize = model.chains.values().map(Vec::len).sum();
    assert_eq!(all, ours + foreign, "{model:#?}");
}

fn networks() -> impl Strategy<Value = Vec<(netd_model::NetworkId, NetworkRules)>> {
    let all: Vec<u8> = (1..7).collect();
    let ranks = subsequence(all, 0..7).prop_shuffle();
    (ranks, any::<[u8; 8]>()).prop_map(|(ranks, kinds)| {
        let made = |(place, number): (usize, u8)| {
            let (bridge, subnet) = (format!("br-{number}"), format!("10.{number}.0.0/16"));
            let make = [network, internal, without_icc][usize::from(kinds[place] % 3)];
            let (id, rules) = make(number, &bridge, &subnet);
            let rank = u64::from(kinds[place]);
            (id, NetworkRules { rank, ..rules })
        };
        ranks.into_iter().enumerate().map(made).collect()
    })
}

fn wishes() -> impl Strategy<Value = Ruleset> {
    let endpoints = prop::collection::vec((1_u8..7, 0_u8..4, any::<u8>()), 0..12);
    let pairs = prop::collection::vec((1_u8..7, 1_u8..7), 0..4);
    let all = (networks(), endpoints, pairs, any::<[bool; 2]>());
    all.prop_map(|(networks, endpoints, pairs, [drop, some_without_v6])| {
        let ports = [
            "0.0.0.0:80->80/tcp",
            "127.0.0.1:90-93->80-83/tcp",
            "0.0.0.0:53->53/udp",
        ];
        let endpoints: Vec<_> = (1..)
            .zip(endpoints)
            .map(|(number, (of, count, rank))| {
                let ports = &ports[..usize::from(count)];
                let (id, mut rules) = endpoint(number, of, &format!("10.{of}.0.{number}"), ports);
                rules.rank = u64::from(rank);
                (id, rules)
            })
            .collect();
        let mut wanted = dual(allowing(wish(&networks, &endpoints, drop), &pairs));
        let networks = wanted.networks.values_mut();
        for network in networks.filter(|network| some_without_v6 && network.rank % 2 == 1) {
            network.subnets.truncate(1);
        }
        wanted
    })
}

/// Rules of others, with the chain each goes to and its place there in 1/256 of the chain.
fn foreign_rules() -> impl Strategy<Value = Vec<(Table, &'static str, String, u8)>> {
    let chains = prop::sample::select(vec![
        (Table::Filter, "FORWARD"),
        (Table::Nat, "POSTROUTING"),
        (Table::Nat, "PREROUTING"),
        (Table::Raw, "PREROUTING"),
        (Table::Filter, "DOCKER-USER"),
    ]);
    let rule = prop_oneof![
        Just("-i virbr0 -o virbr0 -j ACCEPT".to_owned()),
        Just("-o virbr0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT".to_owned()),
        Just("-s 192.168.122.0/24 ! -o virbr0 -j MASQUERADE".to_owned()),
        (0..4).prop_map(|n| format!("-m comment --comment \"foreign {n}\" -j ACCEPT")),
    ];
    let one = (chains, rule, any::<u8>())
        .prop_map(|((table, chain), rule, place)| (table, chain, rule, place));
    prop::collection::vec(one, 0..8)
}

fn add_foreign(model: &mut Model, rules: &[(Table, &'static str, String, u8)]) {
    for (table, chain, rule, place) in rules {
        let key = (table.to_string(), (*chain).to_owned());
        let there = model.chains.entry(key).or_default();
        let place = usize::from(*place) * (there.len() + 1) / 256;
        there.insert(place, rule.clone());
    }
}

proptest! {
    #[test]
    fn every_way_from_wish_to_wish_ends_at_the_wish_and_leaves_others_alone(
        wishes in prop::collection::vec(wishes(), 1..5),
        family in prop::sample::select(Family::BOTH.to_vec()),
        foreign in foreign_rules(),
        restarts in any::<[bool; 5]>(),
    ) {
        let prefix = ChainPrefix::Docker;
        let mut model = Model::default();
        model.restore(&plan(&model.read(prefix), &render(&wishes[0], &prefix.names(), family)).text);
        add_foreign(&mut model, &foreign);
        let theirs = model.foreign();
        let mut standing = model.read(prefix);
        for (wanted, restart) in wishes.iter().zip(restarts) {
            let rules = render(wanted, &prefix.names(), family);
            if restart {
                standing = model.read(prefix);
            }
            let next = plan(&standing, &rules);
            model.restore(&next.text);
            next.record(&mut standing);
            assert_stands(&model, &rules);
            assert_nothing_else(&model, &rules, theirs.len());
            prop_assert_eq!(model.foreign(), theirs.clone());
            prop_assert_eq!(&plan(&standing, &rules).text, "");
            prop_assert_eq!(&plan(&model.read(prefix), &rules).text, "");
            prop_assert_eq!(differences(&model.read(prefix), &rules), Vec::<String>::new());
        }
    }

    #[test]
    fn any_heap_of_rules_in_a_chain_of_our_own_becomes_the_wanted_list(
        old in prop::collection::vec(0_u8..12, 0..12),
        wanted in subsequence((0_u8..16).collect::<Vec<_>>(), 0..16).prop_shuffle(),
    ) {
        let rule = |number: &u8| format!("-j R{number}");
        let wanted: Vec<String> = wanted.iter().map(rule).collect();
        let lines: Vec<Line> = old.iter().map(|n| Line { rule: rule(n), ours: true }).collect();
        let steps = arrange(&lines, &wanted, Hold::Whole).unwrap_or_else(|| Steps {
            after: lines.clone(),
            ..Steps::default()
        });
        let mut there: Vec<String> = if steps.empty { Vec::new() } else { old.iter().map(rule).collect() };
        for rule in &steps.deletes {
            let first = there.iter().position(|standing| standing == rule).unwrap();
            there.remove(first);
        }
        for insert in steps.inserts {
            prop_assert_eq!(insert.at_end, insert.place == there.len());
            there.insert(insert.place, insert.rule);
        }
        prop_assert_eq!(&there, &wanted);
        prop_assert!(steps.after.iter().map(|line| &line.rule).eq(&wanted));
    }
}

#[test]
fn a_second_copy_of_our_rule_is_left_to_whoever_made_it() {
    let prefix = ChainPrefix::Netd;
    let rules = render(&wish(&[], &[], false), &prefix.names(), Family::V4);
    let mut model = Model::default();
    model.restore(
        "*filter\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n-A FORWARD -j foreign\nCOMMIT\n",
    );
    model.restore(&plan(&model.read(prefix), &rules).text);
    model.restore("*filter\n-A FORWARD -j DOCKER-USER\nCOMMIT\n");
    assert_eq!(plan(&model.read(prefix), &rules).text, "");
    let forward = model.rules(Table::Filter, "FORWARD");
    let names = [
        "-j DOCKER-USER",
        "-j NETD-ISOLATION-STAGE-1",
        "-j foreign",
        "-j DOCKER-USER",
    ];
    assert_eq!(forward, names);
}

#[test]
fn the_user_s_chain_is_never_touched_even_when_empty() {
    let prefix = ChainPrefix::Docker;
    let rules = render(&wish(&[], &[], false), &prefix.names(), Family::V4);
    let mut model = Model::default();
    model.restore("*filter\n:DOCKER-USER - [0:0]\nCOMMIT\n");
    model.restore(&plan(&model.read(prefix), &rules).text);
    assert!(model.rules(Table::Filter, "DOCKER-USER").is_empty());
    assert_eq!(plan(&model.read(prefix), &rules).text, "");
}

#[test]
fn ten_thousand_ports_are_planned_in_no_time() {
    let prefix = ChainPrefix::Docker;
    let (id, mut many) = endpoint(1, 1, "10.1.0.2", &[]);
    many.ports = vec![port("0.0.0.0:10001-20000->20001-30000/tcp")];
    let net = network(1, "br-1", "10.1.0.0/16");
    let all = wish(std::slice::from_ref(&net), &[(id, many.clone())], false);
    many.ports = vec![port("0.0.0.0:15001-25000->25001-35000/tcp")];
    let moved = wish(&[net], &[(id, many)], false);
    let mut standing = Standing::default();
    let start = Instant::now();
    for (wanted, lines) in [(&all, 20_000), (&moved, 20_000), (&all, 20_000)] {
        let next = plan(&standing, &render(wanted, &prefix.names(), Family::V4));
        assert!(next.text.lines().count() > lines);
        next.record(&mut standing);
    }
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}
