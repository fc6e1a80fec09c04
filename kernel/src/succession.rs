//! A firewall that follows one of another kind in the same namespace: once its own rules stand, the former's go.
//!
//! For a moment both stand. They say the same, and a flow that was let through and translated before is so still, for
//! the kernel remembers flows by themselves (conntrack) and not by whose rule it was.

use std::sync::{Mutex, PoisonError};

use netd_model::Ruleset;
use netd_model::ruleset::{HostRules, RulesetChange};

use crate::{Firewall, FirewallError, RulesCommit};

/// Rules that an earlier daemon left, of a kind that is not used any more.
pub trait Former: Send {
    /// Takes them away, those of the user's own excepted. `host` says whose the policy of forwarded packets is.
    ///
    /// # Errors
    /// [`FirewallError`]; some of them may be gone then.
    fn withdraw(&mut self, host: HostRules) -> Result<(), FirewallError>;

    /// What they are made with, for people.
    fn describe(&self) -> String;
}

/// A firewall, and the former one until it is withdrawn.
pub struct Succession<F> {
    firewall: F,
    former: Mutex<Option<Box<dyn Former>>>,
}

impl<F: Firewall> Succession<F> {
    /// `firewall` in place of `former`, if there is one.
    pub fn new(firewall: F, former: Option<Box<dyn Former>>) -> Self {
        Self {
            firewall,
            former: Mutex::new(former),
        }
    }
}

impl<F: Firewall> Firewall for Succession<F> {
    fn apply(&self, wanted: &Ruleset) -> Result<(), FirewallError> {
        self.firewall.apply(wanted)?;
        let mut former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rules) = &mut *former {
            // What is left of them closes more than it should and opens nothing; the next reconcile tries again.
            match rules.withdraw(wanted.host) {
                Ok(()) => {
                    tracing::info!(
                        former = rules.describe(),
                        "the former firewall's rules are gone"
                    );
                    *former = None;
                }
                Err(error) => {
                    tracing::warn!(%error, former = rules.describe(), "the former firewall's rules stand still");
                }
            }
        }
        Ok(())
    }

    fn change(&self, wanted: &Ruleset, changes: &[RulesetChange]) -> Result<(), FirewallError> {
        self.firewall.change(wanted, changes)
    }

    fn verify(&self, wanted: &Ruleset) -> Result<Vec<String>, FirewallError> {
        self.firewall.verify(wanted)
    }

    fn obstacles(&self, wanted: &Ruleset) -> Result<Vec<String>, FirewallError> {
        self.firewall.obstacles(wanted)
    }

    fn made(&self, commit: RulesCommit) -> bool {
        self.firewall.made(commit)
    }

    fn changes_are_told(&self) -> bool {
        self.firewall.changes_are_told()
    }

    fn describe(&self) -> String {
        self.firewall.describe()
    }
}
