//! The rules of one version of IP: what stands of them, how they change, how they go back.

use super::names::ChainNames;
use super::plan::{Plan, claim, differences, plan};
use super::program::Programs;
use super::rules::Rules;
use super::standing::{Standing, Unreadable};
use crate::FirewallError;

/// Programs, and what is known of their rules without asking.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) programs: Programs,
    names: ChainNames,
    /// What stands; `None` when even reading failed.
    standing: Option<Standing>,
    /// What was last made to stand.
    applied: Option<Rules>,
    /// What [`Programs::strangers`] was when `standing` was read; `None` if it is not known, or was read meanwhile.
    seen: Option<u64>,
    /// Whether the programs were found to have all that is needed.
    is_tried: bool,
}

impl Worker {
    pub(super) fn new(programs: Programs, names: ChainNames) -> Self {
        Self {
            programs,
            names,
            standing: None,
            applied: None,
            seen: None,
            is_tried: false,
        }
    }

    /// Sees to it that no rules stand in the other flavour, and tries what netd needs of the programs, once.
    ///
    /// # Errors
    /// [`FirewallError::Mixed`], [`FirewallError::Feature`], or as [`Programs::save`].
    pub(super) fn try_out(&mut self) -> Result<(), FirewallError> {
        if !self.is_tried {
            self.programs.refuse_mixture()?;
            self.programs.probe()?;
            self.is_tried = true;
        }
        Ok(())
    }

    /// Reads what stands.
    ///
    /// # Errors
    /// As [`Programs::save`].
    pub(super) fn read(&mut self) -> Result<&Standing, FirewallError> {
        let before = self.standing.take();
        let standing = self.read_anew(before.as_ref());
        match standing {
            Ok(standing) => Ok(self.standing.insert(standing)),
            Err(error) => {
                self.standing = before;
                Err(error)
            }
        }
    }

    /// What stands, with netd's rules marked: by the evidence of its chains, or since they were in `before`.
    fn read_anew(&mut self, before: Option<&Standing>) -> Result<Standing, FirewallError> {
        let strangers = self.programs.strangers();
        let mut standing = standing(&self.programs)?;
        claim(&mut standing, &self.names, before);
        let is_of_one_moment = strangers == self.programs.strangers();
        self.seen = strangers.filter(|_| is_of_one_moment);
        Ok(standing)
    }

    /// Whether nobody else changed any rule since it was read what stands.
    fn knows_all(&self) -> bool {
        self.seen.is_some() && self.seen == self.programs.strangers()
    }

    /// Whether rules of netd's stand, as far as is known.
    pub(super) fn is_used(&self) -> bool {
        let standing = self.standing.as_ref();
        standing.is_none_or(|standing| standing.has_rules_of(&self.names))
    }

    /// Has the programs read this, whatever stands.
    ///
    /// # Errors
    /// As [`Programs::restore`].
    pub(super) fn restore(&mut self, text: &str) -> Result<(), FirewallError> {
        (self.standing, self.applied) = (None, None);
        self.programs.restore(text)
    }

    /// What to put back when the first apply fails.
    pub(super) fn assume_applied(&mut self, rules: Rules) {
        self.applied = Some(rules);
    }

    /// Makes `rules` stand and gives those that it made stand before. After a failure those stand again.
    ///
    /// # Errors
    /// As [`Programs::save`] and [`Programs::restore`].
    pub(super) fn apply(&mut self, rules: Rules) -> Result<Option<Rules>, FirewallError> {
        match self.make_stand(&rules) {
            Ok(()) => Ok(self.applied.replace(rules)),
            // Tables are transactions of their own: those before the one that failed go back.
            Err(error) => {
                let applied = self.applied.take();
                self.put_back(applied);
                Err(error)
            }
        }
    }

    /// Makes stand again what [`Worker::apply`] gave, if it is known.
    pub(super) fn put_back(&mut self, before: Option<Rules>) {
        if let Some(before) = &before
            && let Err(error) = self.make_stand(before)
        {
            tracing::warn!(%error, "the firewall could not be put back to what it was");
        }
        self.applied = before;
    }

    /// Reads what stands and says in what way it is not `rules`.
    ///
    /// # Errors
    /// As [`Programs::save`].
    pub(super) fn verify(&mut self, rules: &Rules) -> Result<Vec<String>, FirewallError> {
        Ok(differences(self.read()?, rules))
    }

    /// Applies `rules` from memory, and if that fails, once more from what really stands.
    fn make_stand(&mut self, rules: &Rules) -> Result<(), FirewallError> {
        if let Some(mut standing) = self.standing.take() {
            let mut next = plan(&standing, rules);
            if next.counts_on_others && !self.knows_all() {
                standing = self.read_anew(Some(&standing))?;
                next = plan(&standing, rules);
            }
            let failed = self.carry_out(next, &mut standing);
            self.standing = Some(standing);
            match failed {
                Ok(()) => return Ok(()),
                Err(error) => {
                    tracing::debug!(%error, "the rules are not as remembered, reading them");
                }
            }
        }
        let before = self.standing.take();
        let mut standing = self.read_anew(before.as_ref())?;
        let outcome = self.carry_out(plan(&standing, rules), &mut standing);
        // A table that was done before the one that failed has changed.
        self.standing = match outcome {
            Ok(()) => Some(standing),
            Err(_) => self.read_anew(Some(&standing)).ok(),
        };
        outcome
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
}

/// What stands, with no rule taken for netd's.
pub(super) fn standing(programs: &Programs) -> Result<Standing, FirewallError> {
    let saved = programs.save()?;
    Standing::parse(&saved).map_err(|Unreadable(message)| FirewallError::Refused {
        program: programs.describe(),
        message,
    })
}
