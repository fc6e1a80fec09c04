//! Which firewall a host has, and what of it can be counted and emptied whichever it is.
//!
//! Read by `iptables-save` and `nft`. Must not know how rules are made.

use std::cell::Cell;

use serde_json::Value;

use crate::{Host, Machine, eventually};

/// Environment variable that names the firewall of every host that is not put on one, for a run of the same scenarios
/// on another: `iptables` or `nftables`.
const VARIABLE: &str = "NETNS_FIREWALL";

/// Empties all that netd made of iptables, and takes its own table away; the policies stay.
pub const FLUSH: &str = "iptables -F; iptables -t nat -F; iptables -t raw -F; nft delete table inet netd 2>/dev/null; true";

/// A way to filter and translate packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Firewall {
    /// What the environment names, else what the configuration says, else netd's default.
    #[default]
    OfThisRun,
    /// What the configuration says, else netd's default.
    Configured,
    /// Chains of iptables.
    Iptables,
    /// A table of netd's own.
    Nftables,
}

impl Firewall {
    /// What the daemon is told on its command line.
    pub(crate) fn flags(self) -> Vec<String> {
        let name = match self {
            Self::OfThisRun => std::env::var(VARIABLE).ok(),
            Self::Configured => None,
            Self::Iptables => Some("iptables".to_owned()),
            Self::Nftables => Some("nftables".to_owned()),
        };
        let flag = |name| ["--firewall-backend".to_owned(), name];
        name.map(flag).into_iter().flatten().collect()
    }
}

/// What a host keeps of it.
pub(crate) type Choice = Cell<Firewall>;

impl Host {
    /// The firewall that its daemon says it has.
    ///
    /// # Panics
    /// When it does not answer.
    #[track_caller]
    #[must_use]
    pub fn firewall(&self) -> Firewall {
        self.settle();
        match self.status()["firewall"].as_str() {
            Some(text) if text.starts_with("nftables") => Firewall::Nftables,
            _ => Firewall::Iptables,
        }
    }

    /// Published IPv4 ports that packets are translated for; a range that keeps its numbers is one.
    ///
    /// # Panics
    /// When the rules cannot be read.
    #[track_caller]
    #[must_use]
    pub fn translations(&self) -> usize {
        match self.firewall() {
            Firewall::Nftables => ["ports4", "ports_at4", "ranges4", "runs4"]
                .iter()
                .map(|map| self.elements("map", map).len())
                .sum(),
            _ => self.count("nat", |rule| rule.contains("-j DNAT")),
        }
    }

    /// IPv4 subnets that leave the host by an address of its own.
    ///
    /// # Panics
    /// When the rules cannot be read.
    #[track_caller]
    #[must_use]
    pub fn masquerades(&self) -> usize {
        match self.firewall() {
            Firewall::Nftables => self.elements("set", "masqueraded4").len(),
            _ => self.count("nat", |rule| {
                rule.contains("MASQUERADE") && rule.contains("! -o")
            }),
        }
    }

    /// Bridges that are kept apart from the others.
    ///
    /// # Panics
    /// When the rules cannot be read.
    #[track_caller]
    #[must_use]
    pub fn isolated(&self) -> usize {
        match self.firewall() {
            Firewall::Nftables => self.elements("set", "bridges").len(),
            _ => self.count("filter", |rule| rule.contains("STAGE-2 -o")),
        }
    }

    /// Rules of all tables, once the daemon, if there is one, has done what it has acknowledged.
    ///
    /// # Panics
    /// When they cannot be read.
    #[track_caller]
    #[must_use]
    pub fn all_rules(&self) -> Vec<String> {
        self.settle();
        Machine::all_rules(self)
    }

    /// A removal is acknowledged before iptables has removed its rules.
    #[track_caller]
    fn settle(&self) {
        eventually("the daemon to have removed what is cut off", || {
            let ran = self.net(&["status", "--json"]);
            let status: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
            (status["departing"].as_u64().unwrap_or(0) == 0).then_some(())
        });
    }

    fn count(&self, table: &str, wanted: impl Fn(&String) -> bool) -> usize {
        self.rules(table).iter().filter(|rule| wanted(rule)).count()
    }
}

impl Machine {
    /// Elements of a set or map (`kind`) of netd's own table, as `nft -j` lists them.
    ///
    /// # Panics
    /// When there is no such set.
    #[track_caller]
    #[must_use]
    pub fn elements(&self, kind: &str, name: &str) -> Vec<Value> {
        let list = ["nft", "-j", "list", kind, "inet", "netd", name];
        let listed = self.exec(&list).ok().json();
        let objects = listed["nftables"].as_array().cloned().unwrap_or_default();
        let set = objects.iter().find_map(|object| object.get(kind));
        let elements = set.and_then(|set| set["elem"].as_array());
        elements.cloned().unwrap_or_default()
    }

    /// Rules and policies of every table of nf_tables that is not iptables', as `nft` lists them, in order,
    /// and elements of sets, which have none, sorted.
    ///
    /// # Panics
    /// When they cannot be read.
    #[track_caller]
    #[must_use]
    pub fn tables_of_nft(&self) -> Vec<String> {
        let tables = self.exec(&["nft", "list", "tables"]).ok();
        let of_iptables = |line: &&str| {
            let family = line.starts_with("table ip ") || line.starts_with("table ip6 ");
            let name = line.rsplit(' ').next().unwrap_or_default();
            family && ["raw", "mangle", "nat", "filter", "security"].contains(&name)
        };
        let others = tables.stdout.lines().filter(|line| !of_iptables(line));
        others
            .flat_map(|line| {
                let mut list = vec!["nft", "-s", "list"];
                list.extend(line.split_whitespace());
                let listed = self.exec(&list).ok();
                with_sorted_elements(&listed.stdout)
            })
            .collect()
    }
}

/// The lines of a listing, with a line for each element of a set.
fn with_sorted_elements(listing: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = listing.lines().map(str::trim);
    let mut set = "";
    while let Some(line) = lines.next() {
        let Some(first) = line.strip_prefix("elements = {") else {
            set = line.strip_suffix(" {").unwrap_or(set);
            found.push(line.to_owned());
            continue;
        };
        let mut text = first.to_owned();
        while !text.ends_with('}') {
            match lines.next() {
                Some(line) => text.extend([" ", line]),
                None => break,
            }
        }
        let text = text.trim_end_matches('}');
        let mut elements: Vec<&str> = text.split(',').map(str::trim).collect();
        elements.sort_unstable();
        found.extend(elements.iter().map(|element| format!("{set}: {element}")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_sorted_wherever_a_line_ends() {
        let listing = "set ports {\n\telements = { tcp . 9 : 1,\n\t\t tcp . 10 : 2 }\n}\n";
        assert_eq!(
            with_sorted_elements(listing),
            [
                "set ports {",
                "set ports: tcp . 10 : 2",
                "set ports: tcp . 9 : 1",
                "}"
            ]
        );
    }
}
