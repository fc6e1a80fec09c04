//! The firewall by iptables: Docker's chains, changed through iptables-restore, never an exec per rule.
//!
//! A wish goes through `scene` and [`mod@render`] (networks and ports -> rules), `arrange` and `plan` (what stands ->
//! steps), and `program` (steps -> kernel). What stands is remembered between calls (`worker`), so that a call costs one
//! exec for exactly the difference, and none if there is none. Memory is a guess that others may have made wrong:
//! whatever fails is tried once more from what iptables-save prints.
//!
//! Shared chains keep others' rules, in their order. Which rules there are netd's is remembered, and after a restart
//! concluded from netd's own chains (`evidence`).
//!
//! Each version of IP has its worker. That of IPv6 looks once at the start whether an earlier one left rules; if not,
//! no ip6tables runs before a network has IPv6, nor need there be one.
//!
//! Reading order: [`names`], [`rules`], `runs`, `scene`, [`render`](mod@render), `peers`; `canonical`, `standing`, `evidence`;
//! `arrange`, `plan`; `generations`, `program`, `worker`; this file.

pub mod names;
pub mod render;
pub mod rules;

mod arrange;
mod canonical;
mod disabled;
mod evidence;
mod former;
mod generations;
mod peers;
mod plan;
mod program;
mod runs;
mod scene;
mod standing;
mod worker;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netd_model::Ruleset;

pub use disabled::Disabled;
pub use former::FormerIptables;
pub use names::{ChainNames, ChainPrefix};
pub use program::Flavour;
pub use render::render;
pub use rules::{Chain, Hold, Rules, Table};

use crate::nftables::obstacles::{self, Own};
use crate::{Family, Firewall, FirewallError, RulesCommit};
use generations::Generations;
use program::Programs;
use standing::Standing;
use worker::Worker;

/// The firewall of the network namespace that its caller is in.
#[derive(Debug)]
pub struct Iptables {
    names: ChainNames,
    flavour: Flavour,
    description: String,
    /// `None` where the kernel does not count changes.
    generations: Option<Arc<Generations>>,
    workers: Mutex<Workers>,
}

#[derive(Debug)]
struct Workers {
    v4: Worker,
    /// `None` when ip6tables was not to be had when it was last looked for.
    v6: Option<Worker>,
}

impl Iptables {
    /// Finds the programs of `flavour` (`None`: of the flavour that `iptables` is of here), tries what netd needs of
    /// them, and reads what stands. Changes nothing, besides creating tables that were not used yet. ip6tables is only
    /// read, if there is one: what it lacks is for a wish with IPv6 to find out.
    ///
    /// # Errors
    /// [`FirewallError::Missing`] without the programs, [`FirewallError::Mixed`] when rules stand in the other flavour
    /// too, [`FirewallError::Feature`] for a table, match or target that is not to be had.
    pub fn open(prefix: ChainPrefix, flavour: Option<Flavour>) -> Result<Self, FirewallError> {
        let names = prefix.names();
        let programs = Programs::find(Family::V4, flavour)?;
        let (flavour, description) = (programs.flavour(), programs.describe());
        let generations = match flavour {
            Flavour::Nft => Generations::open(),
            Flavour::Legacy => None,
        };
        let mut v4 = Worker::new(programs.counted_by(generations.clone()), names);
        v4.try_out()?;
        v4.read()?;
        let v6 = worker_for_v6(flavour, names, generations.clone());
        if let Err(error) = &v6 {
            tracing::debug!(%error, "no ip6tables, so no network can have IPv6");
        }
        Ok(Self {
            names,
            flavour,
            description,
            generations,
            workers: Mutex::new(Workers { v4, v6: v6.ok() }),
        })
    }

    /// Whether Docker's chains hold rules that netd did not make, in either version of IP, so that
    /// [`ChainPrefix::Netd`] is the choice.
    ///
    /// No rule is there for the sake of telling. Docker's STAGE-1 is never empty, and what netd puts into these chains
    /// has rules that no Docker makes: the RETURN for translated connections in STAGE-2, and a DROP of what is not
    /// translated in DOCKER. Chains that are there but empty are nobody's: someone flushed them.
    ///
    /// # Errors
    /// As [`Iptables::open`], without the trying.
    pub fn foreign_owner(flavour: Option<Flavour>) -> Result<bool, FirewallError> {
        let v4 = Programs::find(Family::V4, flavour)?;
        if is_foreign(&worker::standing(&v4)?) {
            return Ok(true);
        }
        let v6 = Programs::find(Family::V6, Some(v4.flavour()));
        let v6 = v6.and_then(|programs| worker::standing(&programs));
        Ok(v6.is_ok_and(|standing| is_foreign(&standing)))
    }

    fn workers(&self) -> MutexGuard<'_, Workers> {
        // A panic elsewhere leaves at worst a wrong memory, which the next failure corrects.
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The worker for IPv6, if `wanted` asks for it or rules of its stand.
    fn v6<'a>(
        &self,
        workers: &'a mut Workers,
        wanted: &Ruleset,
    ) -> Result<Option<&'a mut Worker>, FirewallError> {
        let is_wanted = scene::is_wanted(wanted, Family::V6);
        if is_wanted && workers.v6.is_none() {
            let found = worker_for_v6(self.flavour, self.names, self.generations.clone());
            workers.v6 = Some(found.map_err(without_v6)?);
        }
        let Some(worker) = &mut workers.v6 else {
            return Ok(None);
        };
        if is_wanted {
            worker.try_out().map_err(without_v6)?;
        }
        Ok((is_wanted || worker.is_used()).then_some(worker))
    }
}

fn worker_for_v6(
    flavour: Flavour,
    names: ChainNames,
    generations: Option<Arc<Generations>>,
) -> Result<Worker, FirewallError> {
    let programs = Programs::find(Family::V6, Some(flavour))?;
    let mut worker = Worker::new(programs.counted_by(generations), names);
    worker.read()?;
    if !worker.is_used() {
        let nothing = render(&Ruleset::default(), &names, Family::V6);
        worker.assume_applied(nothing);
    }
    Ok(worker)
}

fn without_v6(error: FirewallError) -> FirewallError {
    match error {
        mixed @ FirewallError::Mixed { .. } => mixed,
        other => FirewallError::NoIpv6 {
            source: Box::new(other),
        },
    }
}

impl Firewall for Iptables {
    fn apply(&self, wanted: &Ruleset) -> Result<(), FirewallError> {
        let mut workers = self.workers();
        // IPv6 first, since that is what a host may be unable to do.
        let v6 = match self.v6(&mut workers, wanted)? {
            Some(worker) => Some(worker.apply(render(wanted, &self.names, Family::V6))?),
            None => None,
        };
        let v4 = workers.v4.apply(render(wanted, &self.names, Family::V4));
        if v4.is_err()
            && let (Some(before), Some(worker)) = (v6, &mut workers.v6)
        {
            worker.put_back(before);
        }
        v4.map(drop)
    }

    fn verify(&self, wanted: &Ruleset) -> Result<Vec<String>, FirewallError> {
        let mut workers = self.workers();
        let mut sentences = workers
            .v4
            .verify(&render(wanted, &self.names, Family::V4))?;
        if let Some(worker) = self.v6(&mut workers, wanted)? {
            let v6 = worker.verify(&render(wanted, &self.names, Family::V6))?;
            sentences.extend(v6.into_iter().map(|sentence| format!("IPv6: {sentence}")));
        }
        Ok(sentences)
    }

    fn obstacles(&self, wanted: &Ruleset) -> Result<Vec<String>, FirewallError> {
        let own = match self.flavour {
            Flavour::Nft => Own::OfIptables,
            Flavour::Legacy => Own::Table,
        };
        // A kernel without nf_tables has no other tables either.
        Ok(obstacles::find(own, wanted).unwrap_or_else(|error| {
            tracing::debug!(%error, "the tables of nf_tables cannot be read");
            Vec::new()
        }))
    }

    fn made(&self, commit: RulesCommit) -> bool {
        let generations = self.generations.as_ref();
        generations.is_some_and(|generations| generations.made(commit))
    }

    fn changes_are_told(&self) -> bool {
        // x_tables has no notices.
        self.flavour == Flavour::Nft
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

/// Whether Docker's chains have rules, of which none is netd's.
fn is_foreign(standing: &Standing) -> bool {
    let names = ChainPrefix::Docker.names();
    rules_in(standing, &names).next().is_some() && !is_netd_s(standing, &names)
}

/// Whether the chains of these names have rules that no Docker makes.
fn is_netd_s(standing: &Standing, names: &ChainNames) -> bool {
    rules_in(standing, names).any(|rule| {
        rule.starts_with("-m conntrack --ctstate DNAT -j RETURN")
            || rule.ends_with("-m conntrack ! --ctstate DNAT -j DROP")
    })
}

fn rules_in<'a>(standing: &'a Standing, names: &ChainNames) -> impl Iterator<Item = &'a str> {
    let filter = [names.ports, names.stage_1, names.stage_2]
        .into_iter()
        .flat_map(|chain| standing.rules(Table::Filter, chain));
    filter.chain(standing.rules(Table::Nat, names.ports))
}
