//! One input for iptables-restore that turns what stands into what is wanted, and sentences about the difference.
//! Pure.

use std::collections::HashSet;

use super::arrange::{Insert, Steps, arrange};
use super::evidence::Evidence;
use super::names::ChainNames;
use super::rules::{Chain, Hold, Rules, Table};
use super::standing::{Line, Standing};

/// A change to be made.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// What iptables-restore is to read; empty if there is nothing to do.
    pub(super) text: String,
    /// True if a rule goes to a counted place in a chain that others use as well: what stands there must be known
    /// well, since one rule more would put ours in front of what should decide first.
    pub(super) counts_on_others: bool,
    /// New contents of chains.
    after: Vec<(Table, &'static str, Vec<Line>)>,
    /// The policy of FORWARD will be DROP.
    drops_forwarded: bool,
}

impl Plan {
    /// Writes down what stands once the plan is carried out.
    pub(super) fn record(self, standing: &mut Standing) {
        for (table, chain, lines) in self.after {
            standing.put(table, chain, lines);
        }
        standing.drops_forwarded |= self.drops_forwarded;
    }

    /// Writes down what may stand since the plan was tried: each table that was done has its new rules, and they are
    /// netd's, as the old ones are.
    pub(super) fn record_as_possible(self, standing: &mut Standing) {
        for (table, chain, lines) in self.after {
            let old = standing.lines(table, chain);
            let both = old.iter().cloned().chain(lines).collect();
            standing.put(table, chain, both);
        }
    }
}

/// Marks what netd put into shared chains: by the evidence of its own, or since it is remembered.
pub(super) fn claim(standing: &mut Standing, names: &ChainNames, before: Option<&Standing>) {
    let evidence = Evidence::of(standing, names);
    for (table, chain) in SHARED {
        standing.claim((table, chain), before, |rule| evidence.is_ours(table, rule));
    }
}

/// Chains of the kernel in which netd has rules.
const SHARED: [(Table, &str); 5] = [
    (Table::Raw, "PREROUTING"),
    (Table::Filter, "FORWARD"),
    (Table::Nat, "PREROUTING"),
    (Table::Nat, "OUTPUT"),
    (Table::Nat, "POSTROUTING"),
];

/// Plans the way from `standing` to `wanted`.
pub(super) fn plan(standing: &Standing, wanted: &Rules) -> Plan {
    let mut plan = Plan::default();
    for table in Table::ALL {
        let mut heading = String::new();
        let mut deletes = String::new();
        let mut inserts = String::new();
        if table == Table::Filter && wanted.drop_forwarded && !standing.drops_forwarded {
            heading.push_str(":FORWARD DROP [0:0]\n");
            plan.drops_forwarded = true;
        }
        for chain in wanted.chains.iter().filter(|chain| chain.table == table) {
            let Some((steps, absent)) = steps_for(standing, chain) else {
                continue;
            };
            // With --noflush, naming a chain makes it if it is absent and empties it if it is there.
            if absent || steps.empty {
                heading.push_str(&format!(":{} - [0:0]\n", chain.name));
            }
            for rule in &steps.deletes {
                deletes.push_str(&format!("-D {} {rule}\n", chain.name));
            }
            write_inserts(&mut inserts, chain.name, &steps);
            plan.counts_on_others |= matches!(chain.hold, Hold::Top | Hold::Among)
                && steps.inserts.iter().any(|insert| !insert.at_end);
            plan.after.push((table, chain.name, steps.after));
        }
        if !(heading.is_empty() && deletes.is_empty() && inserts.is_empty()) {
            plan.text
                .push_str(&format!("*{table}\n{heading}{deletes}{inserts}COMMIT\n"));
        }
    }
    plan
}

/// Steps for one chain, and whether it is to be made first. `None` if nothing is to be done or learned.
fn steps_for(standing: &Standing, chain: &Chain) -> Option<(Steps, bool)> {
    let absent = !standing.has(chain.table, chain.name);
    let hold = match chain.hold {
        Hold::Made if !absent => return None,
        Hold::Made => Hold::Whole,
        hold => hold,
    };
    match arrange(standing.lines(chain.table, chain.name), &chain.rules, hold) {
        Some(steps) => Some((steps, absent)),
        None => absent.then(|| (Steps::default(), true)),
    }
}

/// The rules at the top go in last one first, each to the top: for a counted place iptables-nft reads every rule of the chain
/// before (some 4 us each with 1.8.9, measured).
fn write_inserts(text: &mut String, chain: &str, steps: &Steps) {
    let is_top = |(nth, insert): &(usize, &Insert)| insert.place == *nth && !insert.at_end;
    let top = steps.inserts.iter().enumerate().take_while(is_top).count();
    let (top, rest) = steps.inserts.split_at(top);
    for Insert { rule, .. } in top.iter().rev() {
        text.push_str(&format!("-I {chain} 1 {rule}\n"));
    }
    for insert in rest {
        let rule = &insert.rule;
        if insert.at_end {
            text.push_str(&format!("-A {chain} {rule}\n"));
        } else {
            text.push_str(&format!("-I {chain} {} {rule}\n", insert.place + 1));
        }
    }
}

/// Says in what way `standing` is not what is wanted.
pub(super) fn differences(standing: &Standing, wanted: &Rules) -> Vec<String> {
    let mut sentences = Vec::new();
    for chain in &wanted.chains {
        match steps_for(standing, chain) {
            Some((_, true)) => sentences.push(format!(
                "chain {} of table {} is missing",
                chain.name, chain.table
            )),
            Some((steps, false)) if !steps.is_empty() => {
                describe(&mut sentences, standing, chain);
            }
            _ => {}
        }
    }
    if wanted.drop_forwarded && !standing.drops_forwarded {
        sentences.push("the policy of chain FORWARD of table filter is not DROP".to_owned());
    }
    sentences
}

/// How many rules of a chain are named one by one; a flush may take thousands.
const NAMED: usize = 8;

fn describe(sentences: &mut Vec<String>, standing: &Standing, chain: &Chain) {
    let wanted: HashSet<&str> = chain.rules.iter().map(String::as_str).collect();
    let lines = standing.lines(chain.table, chain.name);
    let there: HashSet<&str> = lines.iter().map(|line| line.rule.as_str()).collect();
    let place = format!("chain {} of table {}", chain.name, chain.table);
    let missing: Vec<&str> = chain
        .rules
        .iter()
        .map(String::as_str)
        .filter(|rule| !there.contains(rule))
        .collect();
    let surplus: Vec<&str> = lines
        .iter()
        .filter(|line| line.ours || chain.hold == Hold::Whole)
        .map(|line| line.rule.as_str())
        .filter(|rule| !wanted.contains(rule))
        .collect();
    name_each(sentences, &missing, &format!("is missing from {place}"));
    name_each(sentences, &surplus, &format!("should not be in {place}"));
    if missing.is_empty() && surplus.is_empty() {
        let on_top = if chain.hold == Hold::Top {
            " at its top"
        } else {
            ""
        };
        sentences.push(format!(
            "the rules of {place} do not stand once each and in order{on_top}"
        ));
    }
}

fn name_each(sentences: &mut Vec<String>, rules: &[&str], verdict: &str) {
    for rule in rules.iter().take(NAMED) {
        sentences.push(format!("rule \"{rule}\" {verdict}"));
    }
    if let Some(more @ 1..) = rules.len().checked_sub(NAMED) {
        sentences.push(format!("and {more} more: each {verdict}"));
    }
}
