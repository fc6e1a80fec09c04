//! The scenarios that the project was asked for: their titles, and how many tests of each ran.
//!
//! A test says by its name which scenario it is about: `s13_two_bridges_do_not_talk`.

use std::collections::BTreeMap;
use std::io::IsTerminal;

use crate::say;

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

/// Tests of scenarios, by name, with how they ended.
#[derive(Debug, Default)]
pub(crate) struct Scenarios {
    ends: BTreeMap<String, End>,
}

impl Scenarios {
    /// Reads a line of cargo-nextest, such as `PASS [   0.713s] (1/5) netns-tests::scenarios s12_live::s12_a_test`, or
    /// one of libtest, such as `test s12_live::s12_a_test ... ok`. Other lines are passed over.
    pub(crate) fn read(&mut self, line: &str) {
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
            if number(name).is_some() {
                self.ends.insert(name.to_owned(), end);
            }
        }
    }

    /// Prints what became of each scenario; of those without a test only if `all` were to run. Gives their numbers.
    pub(crate) fn summarize(&self, all: bool) -> Vec<usize> {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let paint = |text: String, code: &str| match colour {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text,
        };
        let mut without = Vec::new();
        let mut lines = Vec::new();
        for (number, title) in (1..).zip(TITLES) {
            let (passed, failed) = self.counts(number);
            let said = match (passed, failed) {
                (0, 0) if all => {
                    without.push(number);
                    paint("no test ran".to_owned(), "31")
                }
                (0, 0) => continue,
                (passed, 0) => paint(format!("{passed:>3} passed"), "32"),
                (passed, failed) => paint(format!("{passed:>3} passed, {failed} failed"), "31"),
            };
            lines.push(format!(
                "  {:<4} {title:<TITLE_WIDTH$} {said}",
                format!("S{number}")
            ));
        }
        if !lines.is_empty() {
            say(&format!("\nThe scenarios:\n{}\n", lines.join("\n")));
        }
        without
    }

    fn counts(&self, wanted: usize) -> (usize, usize) {
        let own = self
            .ends
            .iter()
            .filter(|(name, _)| number(name) == Some(wanted));
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
            scenarios.read(line);
        }
        assert_eq!(scenarios.counts(12), (1, 2));
        assert_eq!(scenarios.counts(6), (1, 0));
        assert_eq!(scenarios.summarize(true).len(), 23);
        assert!(scenarios.summarize(false).is_empty());
    }

    #[test]
    fn titles_fit_a_terminal_of_eighty_columns() {
        for title in TITLES {
            assert!(title.chars().count() <= TITLE_WIDTH, "{title}");
        }
        let line = "  S12  ".len() + TITLE_WIDTH + " 10 passed".len();
        assert!(line <= 80, "{line}");
    }
}
