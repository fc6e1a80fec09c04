//! What stands in the kernel, read from the output of iptables-save(8). Knows neither who asked nor what is wanted.

use std::collections::{HashMap, HashSet};

use super::canonical::canonical;
use super::names::ChainNames;
use super::rules::Table;

/// A rule in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The rule without `-A CHAIN`, in canonical form.
    pub(super) rule: String,
    /// True if netd put it there; it goes when it is wanted no longer. Of meaning in chains that are shared.
    pub(super) ours: bool,
}

/// Chains and rules of the tables that netd uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    chains: HashMap<(Table, String), Vec<Line>>,
    /// Whether the policy of FORWARD is DROP.
    pub(super) drops_forwarded: bool,
}

/// iptables-save cannot show a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) String);

impl Standing {
    /// Reads what iptables-save printed; other tables are skipped. No rule is taken for ours.
    pub(super) fn parse(saved: &str) -> Result<Self, Unreadable> {
        let mut standing = Self::default();
        let mut table = None;
        for line in saved.lines() {
            let (kind, rest) = line.split_at_checked(1).unwrap_or((line, ""));
            match kind {
                "*" => table = Table::ALL.into_iter().find(|table| table.as_str() == rest),
                // iptables-nft says so of a table that nft(8) filled with what iptables has no words for.
                "#" if line.contains("is incompatible") => {
                    return Err(Unreadable(rest.trim().to_owned()));
                }
                ":" => standing.declare(table, rest),
                "-" | "[" => standing.append(table, line),
                _ => {}
            }
        }
        Ok(standing)
    }

    fn declare(&mut self, table: Option<Table>, heading: &str) {
        let mut words = heading.split(' ');
        let (Some(table), Some(name)) = (table, words.next()) else {
            return;
        };
        if table == Table::Filter && name == "FORWARD" {
            self.drops_forwarded = words.next() == Some("DROP");
        }
        self.chains.entry((table, name.to_owned())).or_default();
    }

    fn append(&mut self, table: Option<Table>, line: &str) {
        let after_counters = line.split_once("-A ").map_or("", |(_, rest)| rest);
        let (name, rule) = after_counters
            .split_once(' ')
            .unwrap_or((after_counters, ""));
        if let Some(table) = table {
            self.chains
                .entry((table, name.to_owned()))
                .or_default()
                .push(Line {
                    rule: canonical(rule),
                    ours: false,
                });
        }
    }

    /// The lines of a chain; none if it is absent.
    pub(super) fn lines(&self, table: Table, chain: &str) -> &[Line] {
        self.chains
            .get(&(table, chain.to_owned()))
            .map_or(&[], Vec::as_slice)
    }

    /// The rules of a chain.
    pub(super) fn rules(&self, table: Table, chain: &str) -> impl Iterator<Item = &str> {
        self.lines(table, chain)
            .iter()
            .map(|line| line.rule.as_str())
    }

    /// True if the chain is there. A chain of the kernel's always is, also in a table nobody has used yet.
    pub(super) fn has(&self, table: Table, chain: &str) -> bool {
        is_built_in(chain) || self.chains.contains_key(&(table, chain.to_owned()))
    }

    /// True if there are rules in netd's own chains, or rules of netd's in others.
    pub(super) fn has_rules_of(&self, names: &ChainNames) -> bool {
        let own = [names.ports, names.stage_1, names.stage_2];
        self.chains.iter().any(|((_, chain), lines)| {
            let is_own = own.contains(&chain.as_str());
            lines.iter().any(|line| is_own || line.ours)
        })
    }

    /// Replaces the lines of a chain.
    pub(super) fn put(&mut self, table: Table, chain: &str, lines: Vec<Line>) {
        self.chains.insert((table, chain.to_owned()), lines);
    }

    /// Takes those rules of a chain for ours for which `is_ours` holds, or which `before` had as ours.
    pub(super) fn claim(
        &mut self,
        (table, chain): (Table, &str),
        before: Option<&Self>,
        is_ours: impl Fn(&str) -> bool,
    ) {
        let remembered: HashSet<&str> = before
            .map_or(&[][..], |before| before.lines(table, chain))
            .iter()
            .filter(|line| line.ours)
            .map(|line| line.rule.as_str())
            .collect();
        if let Some(lines) = self.chains.get_mut(&(table, chain.to_owned())) {
            for line in lines {
                line.ours = remembered.contains(line.rule.as_str()) || is_ours(&line.rule);
            }
        }
    }
}

fn is_built_in(chain: &str) -> bool {
    matches!(
        chain,
        "PREROUTING" | "INPUT" | "FORWARD" | "OUTPUT" | "POSTROUTING"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_iptables_save_prints_is_read() {
        let standing = Standing::parse(
            "# Generated by iptables-save v1.8.9 (nf_tables)\n*mangle\n:FORWARD DROP [0:0]\nCOMMIT\n*filter\n\
             :INPUT ACCEPT [0:0]\n:FORWARD DROP [12:34]\n:DOCKER - [0:0]\n-A FORWARD -j DOCKER\n\
             [5:60] -A FORWARD -d 10.0.0.1 -j ACCEPT\nCOMMIT\n",
        )
        .unwrap();
        assert!(standing.drops_forwarded);
        assert!(standing.has(Table::Filter, "DOCKER"));
        assert!(!standing.has(Table::Nat, "DOCKER"));
        assert!(standing.has(Table::Nat, "PREROUTING"));
        let rules: Vec<_> = standing.rules(Table::Filter, "FORWARD").collect();
        assert_eq!(rules, ["-j DOCKER", "-d 10.0.0.1/32 -j ACCEPT"]);
    }

    #[test]
    fn a_table_that_iptables_cannot_show_is_not_taken_for_empty() {
        let said = "# Table `filter' is incompatible, use 'nft' tool.\n";
        assert_eq!(
            Standing::parse(said),
            Err(Unreadable(
                "Table `filter' is incompatible, use 'nft' tool.".to_owned()
            ))
        );
    }
}
