//! The firewall by iptables: Docker's chains, changed through iptables-restore, never an exec per rule.
//!
//! A wish goes through [`mod@render`] (networks and ports -> rules), `arrange` and `plan` (what stands -> steps), and
//! `program` (steps -> kernel). What stands is remembered between calls, so that a call costs one exec for exactly the
//! difference, and none if there is none. Memory is a guess that others may have made wrong: whatever fails is tried
//! once more from what iptables-save prints.
//!
//! Shared chains keep others' rules, in their order. Which rules there are netd's is remembered, and after a restart
//! concluded from netd's own chains (`evidence`). IPv4 only.
//!
//! Reading order: [`names`], [`rules`], [`render`](mod@render); `canonical`, `standing`, `evidence`; `arrange`, `plan`;
//! `program`; this file.

pub mod names;
pub mod render;
pub mod rules;

mod arrange;
mod canonical;
mod disabled;
mod evidence;
mod plan;
mod program;
mod standing;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::{Mutex, PoisonError};

use netd_model::Ruleset;

pub use disabled::Disabled;
pub use names::{ChainNames, ChainPrefix};
pub use program::Flavour;
pub use render::render;
pub use rules::{Chain, Hold, Rules, Table};

use crate::{Firewall, FirewallError};
use plan::{Plan, claim, differences, plan};
use program::Programs;
use standing::{Standing, Unreadable};

/// The firewall of the network namespace that its caller is in.
#[derive(Debug)]
pub struct Iptables {
    programs: Programs,
    names: ChainNames,
    memory: Mutex<Memory>,
}

/// What is known without asking.
#[derive(Debug, Default)]
struct Memory {
    /// What stands; `None` when even reading failed.
    standing: Option<Standing>,
    /// What was last made to stand.
    applied: Option<Rules>,
}

impl Iptables {
    /// Finds the programs of `flavour` (`None`: of the flavour that `iptables` is of here), tries what netd needs of
    /// them, and reads what stands. Changes nothing, besides creating tables that were not used yet.
    ///
    /// # Errors
    /// [`FirewallError::Missing`] without the programs, [`FirewallError::Mixed`] when rules stand in the other flavour
    /// too, [`FirewallError::Feature`] for a match or target that is not to be had.
    pub fn open(prefix: ChainPrefix, flavour: Option<Flavour>) -> Result<Self, FirewallError> {
        let programs = Programs::find(flavour)?;
        programs.refuse_mixture()?;
        programs.probe()?;
        let firewall = Self {
            programs,
            names: prefix.names(),
            memory: Mutex::default(),
        };
        let standing = firewall.read(None)?;
        firewall.memory().standing = Some(standing);
        Ok(firewall)
    }

    /// Whether Docker's chains hold rules that netd did not make, so that [`ChainPrefix::Netd`] is the choice.
    ///
    /// No rule is there for the sake of telling. Docker's STAGE-1 is never empty, and what netd puts into these chains
    /// has rules that no Docker makes: the RETURN for translated connections in STAGE-2, and a DROP of what is not
    /// translated in DOCKER. Chains that are there but empty are nobody's: someone flushed them.
    ///
    /// # Errors
    /// As [`Iptables::open`], without the trying.
    pub fn foreign_owner(flavour: Option<Flavour>) -> Result<bool, FirewallError> {
        let programs = Programs::find(flavour)?;
        let standing = parse(&programs, &programs.save()?)?;
        Ok(is_foreign(&standing))
    }

    /// Makes a plan come true and writes down what stands then. After a failure `standing` is good for one thing: to
    /// tell, at the next reading, which rules are netd's.
    fn carry_out(&self, plan: Plan, standing: &mut Standing) -> Result<(), FirewallError> {
        if !plan.text.is_empty()
            && let Err(error) = self.programs.restore(&plan.text)
        {
            plan.record_as_possible(standing);
            return Err(error);
        }
        plan.record(standing);
        Ok(())
    }

    /// Applies `rules` from memory, and if that fails, once more from what really stands.
    fn make_stand(&self, memory: &mut Memory, rules: &Rules) -> Result<(), FirewallError> {
        if let Some(mut standing) = memory.standing.take() {
            let mut next = plan(&standing, rules);
            if next.counts_on_others {
                standing = self.read(Some(&standing))?;
                next = plan(&standing, rules);
            }
            let failed = self.carry_out(next, &mut standing);
            memory.standing = Some(standing);
            match failed {
                Ok(()) => return Ok(()),
                Err(error) => {
                    tracing::debug!(%error, "the rules are not as remembered, reading them");
                }
            }
        }
        let mut standing = self.read(memory.standing.take().as_ref())?;
        let outcome = self.carry_out(plan(&standing, rules), &mut standing);
        // A table that was done before the one that failed has changed.
        memory.standing = match outcome {
            Ok(()) => Some(standing),
            Err(_) => self.read(Some(&standing)).ok(),
        };
        outcome
    }

    fn read(&self, before: Option<&Standing>) -> Result<Standing, FirewallError> {
        let mut standing = parse(&self.programs, &self.programs.save()?)?;
        claim(&mut standing, &self.names, before);
        Ok(standing)
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        // A panic elsewhere leaves at worst a wrong memory, which the next failure corrects.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Firewall for Iptables {
    fn apply(&self, wanted: &Ruleset) -> Result<(), FirewallError> {
        let rules = render(wanted, &self.names);
        let mut memory = self.memory();
        let outcome = self.make_stand(&mut memory, &rules);
        match &outcome {
            Ok(()) => memory.applied = Some(rules),
            // Tables are transactions of their own: those before the one that failed go back.
            Err(_) => {
                if let Some(applied) = memory.applied.take() {
                    if let Err(error) = self.make_stand(&mut memory, &applied) {
                        tracing::warn!(%error, "the firewall could not be put back to what it was");
                    }
                    memory.applied = Some(applied);
                }
            }
        }
        outcome
    }

    fn verify(&self, wanted: &Ruleset) -> Result<Vec<String>, FirewallError> {
        let rules = render(wanted, &self.names);
        let mut memory = self.memory();
        let standing = self.read(memory.standing.as_ref())?;
        let sentences = differences(&standing, &rules);
        memory.standing = Some(standing);
        Ok(sentences)
    }

    fn changes_are_told(&self) -> bool {
        // x_tables has no notices.
        self.programs.flavour() == Flavour::Nft
    }

    fn describe(&self) -> String {
        self.programs.describe()
    }
}

fn parse(programs: &Programs, saved: &str) -> Result<Standing, FirewallError> {
    Standing::parse(saved).map_err(|Unreadable(message)| FirewallError::Refused {
        program: programs.describe(),
        message,
    })
}

fn is_foreign(standing: &Standing) -> bool {
    let names = ChainPrefix::Docker.names();
    let filter = [names.ports, names.stage_1, names.stage_2]
        .into_iter()
        .flat_map(|chain| standing.rules(Table::Filter, chain));
    let nat = standing.rules(Table::Nat, names.ports);
    let rules: Vec<&str> = filter.chain(nat).collect();
    let is_ours = |rule: &&str| {
        rule.starts_with("-m conntrack --ctstate DNAT -j RETURN")
            || rule.ends_with("-m conntrack ! --ctstate DNAT -j DROP")
    };
    !rules.is_empty() && !rules.iter().any(is_ours)
}
