//! The scenarios that the project was asked for: their titles, and how many tests of each ran.
//!
//! A test says by its name which scenario it is about: `s13_two_bridges_do_not_talk`.

use std::collections::BTreeMap;
use std::io::IsTerminal;

use crate::say;

/// A firewall that the scenarios run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Firewall {
    Iptables,
    Nftables,
}

impl Firewall {
    /// Both, in the order of the columns.
    pub(crate) const BOTH: [Self; 2] = [Self::Iptables, Self::Nftables];

    /// What the laboratory and netd call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Iptables => "iptables",
            Self::Nftables => "nftables",
        }
    }

    /// The module of tests that are put on it in every run.
    pub(crate) fn module(self) -> String {
        format!("on_{}::", self.name())
    }
}

/// What each scenario is about, S1 first. The one place that has the titles.
const TITLES: [&str; 25] = [
    "Three built-in networks, which stay",
    "The default bridge: addresses, MACs, names of interfaces",
    "Outside by masquerade, inside by a published port",
    "Host mode: the host's own interfaces",
    "None mode: nothing but lo",
    "Container mode: a network for as long as anybody is in it",
    "A stopped container returns, its name follows its address",
    "Option bip moves docker0",
    "Option bridge: one made by hand, never deleted",
    "Option icc=false: neighbours do not talk",
    "Options dns, dns-search, dns-opts, for all and for one",
    "Live-restore: a restart of the daemon loses no packet",
    "Two bridges do not talk; the rules are Docker's",
    "Two networks are allowed to talk, and denied again",
    "A container on a second network",
    "A subnet, a range and a gateway of one's own",
    "A chosen subnet and a chosen address",
    "Inspect prints what Docker's prints",
    "Refusals say why, and who is in the way",
    "Names, aliases, short ids, links",
    "Published ports in all forms",
    "Hosts joined by an uplink (L2)",
    "Hosts joined by routes (L3)",
    "A person's shell: group, socket, errors",
    "Exec: the host's tools inside",
];

/// Width of the longest title, in characters.
const TITLE_WIDTH: usize = 58;

/// How one test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Passed,
    Failed,
}

/// Tests of scenarios, by firewall and name, with how they ended.
#[derive(Debug, Default)]
pub(crate) struct Scenarios {
    ends: BTreeMap<(Firewall, String), End>,
}

impl Scenarios {
    /// Reads a line of cargo-nextest, such as `PASS [   0.713s] (1/5) netns-tests::scenarios s12_live::s12_a_test`, or
    /// one of libtest, such as `test s12_live::s12_a_test ... ok`, of a run on `firewall`. Other lines are passed over.
    pub(crate) fn read(&mut self, firewall: Firewall, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let found = match words[..] {
            ["test", path, "...", "ok"] => Some((path, End::Passed)),
            ["test", path, "...", "FAILED"] => Some((path, End::Failed)),
            ["PASS" | "LEAK", .., "netns-tests::scenarios", path] => Some((path, End::Passed)),
            // FAIL, TIMEOUT, ABORT, SIGSEGV ...
            [_, time, .., "netns-tests::scenarios", path] if time.starts_with('[') => {
                Some((path, End::Failed))
            }
            _ => None,
        };
        if let Some((path, end)) = found {
            let name = path.rsplit("::").next().unwrap_or(path);
            let put_on = |one: &Firewall| path.starts_with(&one.module());
            let firewall = Firewall::BOTH.into_iter().find(put_on).unwrap_or(firewall);
            if number(name).is_some() {
                self.ends.insert((firewall, name.to_owned()), end);
            }
        }
    }

    /// Prints what became of each scenario, on iptables and on nftables; of those without a test only if `all` were to
    /// run. Gives the numbers of those that have none on one of them.
    pub(crate) fn summarize(&self, all: bool) -> Vec<usize> {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let paint = |text: String, code: &str| match colour {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text,
        };
        let mut without = Vec::new();
        let mut lines = Vec::new();
        for (number, title) in (1..).zip(TITLES) {
            let [one, other] = Firewall::BOTH.map(|firewall| self.counts(firewall, number));
            let passed = format!("{:>2} + {:>2} passed", one.0, other.0);
            let said = match [one, other] {
                [(0, 0), (0, 0)] if !all => continue,
                [(0, 0), _] | [_, (0, 0)] if all => {
                    without.push(number);
                    paint(passed, "31")
                }
                [(_, 0), (_, 0)] => paint(passed, "32"),
                [(_, one), (_, other)] => paint(format!("{passed}, {one} + {other} failed"), "31"),
            };
            lines.push(format!(
                "  {:<4} {title:<TITLE_WIDTH$} {said}",
                format!("S{number}")
            ));
        }
        if !lines.is_empty() {
            let title = "The scenarios, on iptables + on nftables:";
            say(&format!("\n{title}\n{}\n", lines.join("\n")));
        }
        without
    }

    /// How many tests of a scenario passed and failed.
    fn counts(&self, firewall: Firewall, wanted: usize) -> (usize, usize) {
        let own = self
            .ends
            .iter()
            .filter(|((on, name), _)| *on == firewall && number(name) == Some(wanted));
        let (passed, failed): (Vec<_>, Vec<_>) = own.partition(|(_, end)| **end == End::Passed);
        (passed.len(), failed.len())
    }
}

/// The scenario that a test is about.
fn number(name: &str) -> Option<usize> {
    let (digits, _) = name.strip_prefix('s')?.split_once('_')?;
    let number = digits.parse().ok().filter(|_| digits.len() == 2)?;
    (1..=TITLES.len()).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_for_their_scenario_whoever_ran_them() {
        let mut scenarios = Scenarios::default();
        for line in [
            "        PASS [   0.713s] (1/5) netns-tests::scenarios s12_live::s12_one",
            "        FAIL [   0.713s] (2/5) netns-tests::scenarios s12_live::s12_two",
            "     TIMEOUT [  60.000s] (3/5) netns-tests::scenarios s12_live::s12_three",
            "        FAIL [   0.713s] (2/5) netns-tests::scenarios s12_live::s12_two",
            "        PASS [   0.713s] (4/5) netns-tests::scenarios crash::i2_a_second",
            "test s06_container::s06_four ... ok",
            "test s26_beyond::s26_beyond ... ok",
            "    Starting 5 tests across 1 binary",
        ] {
            scenarios.read(Firewall::Iptables, line);
        }
        for line in [
            "        PASS [   0.713s] (1/5) netns-tests::scenarios s12_live::s12_one",
            "        PASS [   0.713s] (2/5) netns-tests::scenarios on_iptables::s12_four",
        ] {
            scenarios.read(Firewall::Nftables, line);
        }
        assert_eq!(scenarios.counts(Firewall::Iptables, 12), (2, 2));
        assert_eq!(scenarios.counts(Firewall::Nftables, 12), (1, 0));
        assert_eq!(scenarios.counts(Firewall::Iptables, 6), (1, 0));
        let without = scenarios.summarize(true);
        assert!(without.len() == 24 && without.contains(&6), "{without:?}");
        assert!(scenarios.summarize(false).is_empty());
    }

    #[test]
    fn titles_fit_a_terminal_of_eighty_columns() {
        for title in TITLES {
            assert!(title.chars().count() <= TITLE_WIDTH, "{title}");
        }
        let line = "  S12  ".len() + TITLE_WIDTH + " 10 + 10 passed".len();
        assert!(line <= 80, "{line}");
    }
}
