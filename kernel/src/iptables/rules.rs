//! A wish in the words of iptables: tables, chains and rules as iptables-save prints them. Knows neither networks nor
//! how rules get into the kernel.

use std::fmt;

/// A table of iptables(8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Before connection tracking.
    Raw,
    /// What passes.
    Filter,
    /// What is translated.
    Nat,
}

impl Table {
    /// Every table that netd has rules in, in the order in which a change is made. Each is a transaction of its own,
    /// so what forbids comes before what opens a way.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Filter, Self::Nat];

    /// The name that iptables gives it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Filter => "filter",
            Self::Nat => "nat",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much of a chain is netd's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// All of it: any other rule there is removed.
    Whole,
    /// Our rules, which stand together at its top. Others keep their order behind them.
    Top,
    /// Our rules in their order; others may stand before, between and behind them.
    Among,
    /// Nothing. It is made with these rules if it is absent, and never looked at again.
    Made,
}

/// What netd wants of one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its table.
    pub table: Table,
    /// Its name.
    pub name: &'static str,
    /// How much of it is netd's.
    pub hold: Hold,
    /// Rules without `-A CHAIN`, in the form of iptables-save, none twice.
    pub rules: Vec<String>,
}

/// All that netd wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The chains, by table in the order of [`Table::ALL`].
    pub chains: Vec<Chain>,
    /// Policy DROP in FORWARD. If false, the policy is left as it is.
    pub drop_forwarded: bool,
}

impl Rules {
    /// The chain of this name.
    #[must_use]
    pub fn chain(&self, table: Table, name: &str) -> Option<&Chain> {
        self.chains
            .iter()
            .find(|chain| chain.table == table && chain.name == name)
    }

    /// What iptables-save prints of these rules in a namespace without others: tables with their headings of chains
    /// left out, one line for each rule.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for table in Table::ALL {
            text.push_str(&format!("*{table}\n"));
            for chain in self.chains.iter().filter(|chain| chain.table == table) {
                for rule in &chain.rules {
                    text.push_str(&format!("-A {} {rule}\n", chain.name));
                }
            }
        }
        text
    }
}
