//! The firewall by nf_tables, spoken natively: a table of netd's own whose rules never change.
//!
//! What comes and goes with networks, containers and ports is elements of sets and maps, so that neither a packet's way
//! nor a change grows with their number. A change is one transaction of exactly the difference, over a socket that is
//! kept open; no program is run.
//!
//! Another table cannot be overruled: what it drops is dropped, whatever netd's accepts (nft(8), "priority").
//!
//! Reading order: `words` (expressions), `sets`, `chains` (the whole table), `elements` (a wish as elements), `batch`
//! (messages), `standing` (what the kernel has), this file; beside it `obstacles` (other tables), with `table_rules`.

pub(crate) mod words;
pub(crate) mod writes;

pub(crate) mod chains;
mod sets;

mod elements;

pub(crate) mod batch;
mod former;
mod standing;

pub(crate) mod obstacles;
mod table_rules;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use netd_model::Ruleset;
use netd_model::ruleset::RulesetChange;
use netlink_sys::protocols::NETLINK_NETFILTER;

use self::batch::Batch;
use self::elements::{Elements, Entry};
use self::sets::Set;
use self::standing::StandingRule;
use crate::linux::session::Session;
use crate::{Firewall, FirewallError, RulesCommit};

pub use former::FormerNftables;

/// The name of netd's table, of family inet.
const TABLE: &str = "netd";
/// A table that is made, looked at and taken away at the start. It is dormant: no packet meets it.
const TRIAL: &str = "netd-trial";

/// The firewall of one network namespace.
pub struct Nftables {
    /// The address of its socket.
    sender: u32,
    inner: Mutex<Inner>,
}

struct Inner {
    session: Session,
    /// The table's rules as the kernel lists them.
    rules: Vec<StandingRule>,
    /// What is known to stand; `None` when that is not sure.
    memory: Option<Memory>,
}

/// What netd made, as far as it knows.
struct Memory {
    entries: BTreeMap<Entry, Elements>,
}

impl std::fmt::Debug for Nftables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.describe())
    }
}

impl Nftables {
    /// Opens a socket in the network namespace of the calling thread, which it keeps wherever it is used later, and
    /// tries whether the kernel has everything that the table needs. Changes nothing.
    ///
    /// # Errors
    /// [`FirewallError::Refused`] with the kernel's answer.
    pub fn open() -> Result<Self, FirewallError> {
        let (session, rules) = try_out().map_err(refused("has not all that netd's table needs"))?;
        Ok(Self {
            sender: session.address(),
            inner: Mutex::new(Inner {
                session,
                rules,
                memory: None,
            }),
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| {
            let mut inner = PoisonError::into_inner(poisoned);
            // Whoever panicked may have been between the kernel and the memory of it.
            inner.memory = None;
            inner
        })
    }
}

fn refused(what: &'static str) -> impl Fn(io::Error) -> FirewallError {
    move |error| FirewallError::Refused {
        program: "nf_tables".to_owned(),
        message: format!("the kernel {what}: {error}"),
    }
}

/// Opens the socket and makes the table under another name: the kernel takes it or not, and how it lists the rules is
/// how it will list those of the true one.
fn try_out() -> io::Result<(Session, Vec<StandingRule>)> {
    let mut session = Session::open(NETLINK_NETFILTER)?;
    let mut trial = Batch::new(TRIAL);
    // One that a start left behind which was killed here.
    if standing::table_flags(&mut session, TRIAL)?.is_some() {
        trial.remove_table();
    }
    trial.make_dormant_table();
    make(&mut trial);
    session.transaction(trial.into_messages())?;
    let rules = own_rules(&mut session, TRIAL);
    let mut end = Batch::new(TRIAL);
    end.remove_table();
    session.transaction(end.into_messages())?;
    Ok((session, rules?))
}

/// The rules of the chains that are not the user's, by chain.
fn own_rules(session: &mut Session, table: &str) -> io::Result<Vec<StandingRule>> {
    let mut rules = standing::rules(session, table)?;
    rules.retain(|rule| rule.chain != chains::USER);
    rules.sort_by(|one, other| one.chain.cmp(&other.chain));
    Ok(rules)
}

/// The whole table without elements, except that chains of the user keep their rules.
fn make(batch: &mut Batch) {
    batch.make_table();
    for set in Set::all() {
        batch.make_set(set);
    }
    let chains = chains::chains();
    for chain in &chains {
        batch.make_chain(chain);
    }
    for chain in chains {
        if chain.name != chains::USER {
            batch.fill_chain(chain);
        }
    }
}

/// What takes `before` to `after`: values cannot be changed in place.
fn difference(batch: &mut Batch, before: &Elements, after: &Elements) {
    let differs = |one: &Elements, key, value| one.get(key) != Some(value);
    let gone = before
        .iter()
        .filter(|(key, value)| differs(after, key, value));
    batch.remove(gone.map(|(key, _)| key));
    let new = after
        .iter()
        .filter(|(key, value)| differs(before, key, value));
    batch.add(new);
}

fn flattened(entries: &BTreeMap<Entry, Elements>) -> Elements {
    let elements = entries.values().flatten();
    elements
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

impl Inner {
    /// Makes the table anew around the elements that stand, in one transaction, and those elements as wished.
    fn rebuild(&mut self, wanted: &Ruleset) -> io::Result<()> {
        let entries = elements::all(wanted);
        let after = flattened(&entries);
        let exists = standing::table_flags(&mut self.session, TABLE)?;
        let mut batch = Batch::new(TABLE);
        if exists == Some(0) {
            let before = standing::elements(&mut self.session, TABLE)?;
            make(&mut batch);
            difference(&mut batch, &before, &after);
        } else {
            if exists.is_some() {
                batch.remove_table();
            }
            make(&mut batch);
            difference(&mut batch, &Elements::new(), &after);
        }
        if let Err(error) = self.session.transaction(batch.into_messages()) {
            exists.ok_or(error)?;
            // A set of another kind under a name of ours, say: nothing of it can be kept.
            let mut batch = Batch::new(TABLE);
            batch.remove_table();
            make(&mut batch);
            difference(&mut batch, &Elements::new(), &after);
            self.session.transaction(batch.into_messages())?;
        }
        self.memory = Some(Memory { entries });
        Ok(())
    }

    /// Makes the elements of some entries those of `wanted`.
    fn change(&mut self, wanted: &Ruleset, touched: BTreeSet<Entry>) -> io::Result<()> {
        let Some(memory) = &mut self.memory else {
            return self.rebuild(wanted);
        };
        let (mut before, mut after) = (Elements::new(), Elements::new());
        let mut changed = Vec::new();
        for entry in touched {
            let new = elements::of(wanted, entry);
            before.extend(memory.entries.get(&entry).into_iter().flatten().map(cloned));
            after.extend(new.iter().map(cloned));
            changed.push((entry, new));
        }
        let mut batch = Batch::new(TABLE);
        difference(&mut batch, &before, &after);
        if !batch.is_empty()
            && let Err(error) = self.session.transaction(batch.into_messages())
        {
            tracing::debug!(%error, "the table is not as remembered, making it anew");
            self.memory = None;
            return self.rebuild(wanted);
        }
        for (entry, new) in changed {
            if new.is_empty() {
                memory.entries.remove(&entry);
            } else {
                memory.entries.insert(entry, new);
            }
        }
        Ok(())
    }

    /// The entries that have elements.
    fn known(&self) -> impl Iterator<Item = Entry> {
        let memory = self.memory.iter();
        memory.flat_map(|memory| memory.entries.keys().copied())
    }

    /// All peers, those that go among them.
    fn peers(&self, wanted: &Ruleset) -> Vec<Entry> {
        let known = self.known().filter(|entry| matches!(entry, Entry::Peer(_)));
        let wanted = wanted.peers.keys().map(|subnet| Entry::Peer(*subnet));
        known.chain(wanted).collect()
    }

    /// The entries whose elements a change may concern that is made in `wanted`.
    fn touched(&self, wanted: &Ruleset, change: &RulesetChange) -> Vec<Entry> {
        match change {
            RulesetChange::SetHost(_) => vec![Entry::Host],
            RulesetChange::PutEndpoint(id, _) | RulesetChange::RemoveEndpoint(id) => {
                vec![Entry::Endpoint(*id)]
            }
            RulesetChange::Allow(pair) | RulesetChange::Deny(pair) => vec![Entry::Pair(*pair)],
            // Two peers may have an element in common: that of one host.
            RulesetChange::PutPeer(..) | RulesetChange::RemovePeer(_) => self.peers(wanted),
            RulesetChange::PutNetwork(id, _) | RulesetChange::RemoveNetwork(id) => {
                let network = Entry::Network(*id);
                let memory = self.memory.as_ref();
                let is_known = memory.is_some_and(|memory| memory.entries.contains_key(&network));
                if !is_known && wanted.networks.contains_key(id) {
                    return [vec![network], self.peers(wanted)].concat();
                }
                let pairs = self.known().filter(|entry| match entry {
                    Entry::Pair(pair) => pair.has(*id),
                    Entry::Host | Entry::Network(_) | Entry::Peer(_) | Entry::Endpoint(_) => false,
                });
                let endpoints = wanted
                    .endpoints
                    .iter()
                    .filter(|(_, one)| one.network == *id);
                pairs
                    .chain(endpoints.map(|(id, _)| Entry::Endpoint(*id)))
                    .chain([network])
                    .chain(self.peers(wanted))
                    .collect()
            }
        }
    }

    /// What differs from `wanted`, in sentences; if nothing does, that is remembered.
    fn differences(&mut self, wanted: &Ruleset) -> io::Result<Vec<String>> {
        self.memory = None;
        let Some(flags) = standing::table_flags(&mut self.session, TABLE)? else {
            return Ok(vec![format!("table inet {TABLE} is missing")]);
        };
        let mut sentences = Vec::new();
        if flags != 0 {
            sentences.push(format!("table inet {TABLE} has flags (dormant?)"));
        }
        if own_rules(&mut self.session, TABLE)? != self.rules {
            sentences.push(format!("rules of table inet {TABLE} were changed"));
        }
        let stands = standing::elements(&mut self.session, TABLE)?;
        let entries = elements::all(wanted);
        let wished = flattened(&entries);
        let lacking = |one: &Elements, other: &Elements, how: &str| {
            one.iter()
                .filter(|(key, value)| other.get(key) != Some(value))
                .map(|(key, _)| format!("an element {how} set {}", key.set.name()))
                .collect::<Vec<_>>()
        };
        sentences.extend(lacking(&wished, &stands, "is missing in"));
        sentences.extend(lacking(&stands, &wished, "is too much in"));
        self.memory = sentences.is_empty().then_some(Memory { entries });
        Ok(sentences)
    }
}

fn cloned<'a>(
    (key, value): (&'a elements::Key, &'a elements::Value),
) -> (elements::Key, elements::Value) {
    (key.clone(), value.clone())
}

impl Firewall for Nftables {
    fn apply(&self, wanted: &Ruleset) -> Result<(), FirewallError> {
        let mut inner = self.inner();
        let known = inner.known();
        let touched = known.chain(elements::all(wanted).into_keys()).collect();
        inner
            .change(wanted, touched)
            .map_err(refused("refused the rules"))
    }

    fn change(&self, wanted: &Ruleset, changes: &[RulesetChange]) -> Result<(), FirewallError> {
        let mut inner = self.inner();
        let touched: BTreeSet<Entry> = changes
            .iter()
            .flat_map(|change| inner.touched(wanted, change))
            .collect();
        inner
            .change(wanted, touched)
            .map_err(refused("refused the rules"))
    }

    fn verify(&self, wanted: &Ruleset) -> Result<Vec<String>, FirewallError> {
        self.inner()
            .differences(wanted)
            .map_err(refused("did not list the rules"))
    }

    fn obstacles(&self, wanted: &Ruleset) -> Result<Vec<String>, FirewallError> {
        obstacles::find(obstacles::Own::Table, wanted).map_err(refused("did not list other tables"))
    }

    fn made(&self, commit: RulesCommit) -> bool {
        // The socket is open as long as this lives, so nobody else has its address.
        commit.sender == self.sender
    }

    fn changes_are_told(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        format!("nftables (table inet {TABLE})")
    }
}
