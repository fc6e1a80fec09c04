//! The fake packet filter: holds the wish that was applied last, and compares as a reader of real rules would.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::Ordering;

use netd_model::Ruleset;

use super::machine::Machine;
use super::world::Handle;
use crate::{Family, Firewall, FirewallError, KernelEvent, RulesCommit};

/// The fake of the host's firewall, as one daemon's process sees it.
#[derive(Clone)]
pub struct FakeFirewall(pub(super) Handle);

const PROGRAM: &str = "fake firewall";

/// Who sends the daemon's own transactions, and who all others.
const DAEMON: u32 = 1;
const STRANGER: u32 = 2;

impl Firewall for FakeFirewall {
    fn apply(&self, wanted: &Ruleset) -> Result<(), FirewallError> {
        self.0
            .change(|machine| machine.apply_rules(wanted))
            .map_err(|dead| refused(dead.to_string()))?
    }

    fn verify(&self, wanted: &Ruleset) -> Result<Vec<String>, FirewallError> {
        self.0
            .read(|machine| {
                machine.verifications.fetch_add(1, Ordering::Relaxed);
                differences(wanted, &machine.rules)
            })
            .map_err(|dead| refused(dead.to_string()))
    }

    fn made(&self, commit: RulesCommit) -> bool {
        commit.sender == DAEMON
    }

    fn changes_are_told(&self) -> bool {
        self.0
            .read(|machine| !machine.rules_are_silent)
            .unwrap_or(true)
    }

    fn describe(&self) -> String {
        PROGRAM.to_owned()
    }
}

fn refused(message: String) -> FirewallError {
    FirewallError::Refused {
        program: PROGRAM.to_owned(),
        message,
    }
}

impl Machine {
    fn apply_rules(&mut self, wanted: &Ruleset) -> Result<(), FirewallError> {
        if let Some(message) = self.refuse_rules.take() {
            return Err(refused(message));
        }
        for (endpoint, rules) in &wanted.endpoints {
            if !wanted.networks.contains_key(&rules.network) {
                let message = format!(
                    "endpoint {} is on network {}, which has no rules",
                    endpoint.short(),
                    rules.network.short()
                );
                return Err(refused(message));
            }
        }
        let known = |id| wanted.networks.contains_key(&id);
        for pair in &wanted.allowed {
            if !known(pair.first()) || !known(pair.second()) {
                let message = format!(
                    "networks {} and {} may talk, but not both have rules",
                    pair.first().short(),
                    pair.second().short()
                );
                return Err(refused(message));
            }
        }
        if self.rules != *wanted {
            self.rules = wanted.clone();
            self.tell_of_rules(DAEMON);
        }
        Ok(())
    }

    /// Somebody else takes all rules away.
    pub(super) fn flush_rules(&mut self) {
        self.rules = Ruleset::default();
        self.tell_of_rules(STRANGER);
    }

    fn tell_of_rules(&mut self, sender: u32) {
        let generation = self.next_number();
        if !self.rules_are_silent {
            let commit = RulesCommit { generation, sender };
            self.events.push(KernelEvent::RulesChanged(vec![commit]));
        }
    }
}

fn differences(wanted: &Ruleset, there: &Ruleset) -> Vec<String> {
    let mut sentences = Vec::new();
    for family in Family::BOTH {
        let is_dropped = family.is_dropped(&there.host);
        if family.is_dropped(&wanted.host) != is_dropped {
            sentences.push(format!(
                "the policy for forwarded packets is {}",
                if is_dropped {
                    "DROP, not ACCEPT"
                } else {
                    "ACCEPT, not DROP"
                }
            ));
        }
    }
    compare("network", &wanted.networks, &there.networks, &mut sentences);
    for pair in wanted.allowed.symmetric_difference(&there.allowed) {
        let (first, second) = (pair.first().short(), pair.second().short());
        sentences.push(match wanted.allowed.contains(pair) {
            true => format!("networks {first} and {second} cannot talk, but should"),
            false => format!("networks {first} and {second} can talk, but should not"),
        });
    }
    compare("peer", &wanted.peers, &there.peers, &mut sentences);
    compare(
        "endpoint",
        &wanted.endpoints,
        &there.endpoints,
        &mut sentences,
    );
    sentences
}

fn compare<K: Ord + Display, V: PartialEq>(
    kind: &str,
    wanted: &BTreeMap<K, V>,
    there: &BTreeMap<K, V>,
    sentences: &mut Vec<String>,
) {
    for (id, rules) in wanted {
        match there.get(id) {
            None => sentences.push(format!("the rules of {kind} {id} are missing")),
            Some(found) if found != rules => {
                sentences.push(format!("the rules of {kind} {id} differ"));
            }
            Some(_) => {}
        }
    }
    for id in there.keys().filter(|id| !wanted.contains_key(id)) {
        sentences.push(format!("rules of {kind} {id} stand that nobody wants"));
    }
}
