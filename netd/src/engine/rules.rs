//! One hand on the firewall: changes that come while it is busy are made together with the next one.
//!
//! Knows rules only as keyed wishes; whether an endpoint deserves any is decided elsewhere.

use std::sync::Arc;

use netd_kernel::{Firewall, FirewallError, RulesCommit};
use netd_model::Ruleset;
use netd_model::ruleset::RulesetChange;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::spawn_blocking;

type Answer = oneshot::Sender<Result<(), Arc<FirewallError>>>;
type Found = oneshot::Sender<Result<Vec<String>, FirewallError>>;
type Verdict = oneshot::Sender<Result<Vec<String>, Arc<FirewallError>>>;

enum Job {
    Change(Vec<RulesetChange>, Answer),
    /// Compares with the wish, or with another that replaces it, and restores what differs.
    Restore(Option<Box<Ruleset>>, Verdict),
    /// Looks what other tables drop of what is wished.
    Look(Found),
}

/// The way to the firewall's only user.
#[derive(Clone)]
pub(super) struct Rules {
    jobs: mpsc::UnboundedSender<Job>,
    firewall: Arc<dyn Firewall>,
    /// Rung when a network was put.
    networks: Arc<Notify>,
}

impl Rules {
    /// Starts the firewall's user. It ends when the last clone of the result is dropped.
    #[must_use]
    pub(super) fn start(firewall: Arc<dyn Firewall>) -> Self {
        let (jobs, inbox) = mpsc::unbounded_channel();
        let networks = Arc::new(Notify::new());
        tokio::spawn(
            User {
                firewall: Arc::clone(&firewall),
                networks: Arc::clone(&networks),
                wanted: Ruleset::default(),
                inbox,
            }
            .run(),
        );
        Self {
            jobs,
            firewall,
            networks,
        }
    }

    /// Whether all of these transactions were the firewall's own. When in doubt they were not.
    pub(super) fn made(&self, commits: &[RulesCommit]) -> bool {
        !commits.is_empty() && commits.iter().all(|commit| self.firewall.made(*commit))
    }

    /// Waits until a network was put since the last call: what other tables drop may concern it.
    pub(super) async fn network_put(&self) {
        self.networks.notified().await;
    }

    /// Changes the wish and waits until the kernel's rules say so. Concurrent calls share one change of the kernel.
    ///
    /// # Errors
    /// What the firewall said. The wish is then as before this call.
    pub(super) async fn change(
        &self,
        changes: Vec<RulesetChange>,
    ) -> Result<(), Arc<FirewallError>> {
        self.ask(changes).await
    }

    /// As [`Rules::change`], asked for by the call itself: what is asked for later comes later.
    ///
    /// # Errors
    /// As [`Rules::change`].
    pub(super) fn ask(
        &self,
        changes: Vec<RulesetChange>,
    ) -> impl Future<Output = Result<(), Arc<FirewallError>>> + Send + use<> {
        let asked = (!changes.is_empty()).then(|| {
            let (answer, result) = oneshot::channel();
            let _ = self.jobs.send(Job::Change(changes, answer));
            result
        });
        async {
            match asked {
                Some(result) => result.await.unwrap_or_else(|_| Err(gone())),
                None => Ok(()),
            }
        }
    }

    /// Replaces the whole wish, compares the kernel's rules with it and restores what differs; says what did.
    ///
    /// # Errors
    /// What the firewall said. The wish is then as before this call.
    pub(super) async fn restore(&self, wanted: Ruleset) -> Result<Vec<String>, Arc<FirewallError>> {
        self.compare(Some(Box::new(wanted))).await
    }

    /// Compares the kernel's rules with the wish and restores what differs; says what did.
    ///
    /// # Errors
    /// What the firewall said.
    pub(super) async fn repair(&self) -> Result<Vec<String>, Arc<FirewallError>> {
        self.compare(None).await
    }

    /// What other tables drop of what the rules let through, a sentence each.
    ///
    /// # Errors
    /// What the firewall said.
    pub(super) async fn obstacles(&self) -> Result<Vec<String>, Arc<FirewallError>> {
        let (found, result) = oneshot::channel();
        let _ = self.jobs.send(Job::Look(found));
        match result.await {
            Ok(found) => found.map_err(Arc::new),
            Err(_) => Err(gone()),
        }
    }

    async fn compare(
        &self,
        wanted: Option<Box<Ruleset>>,
    ) -> Result<Vec<String>, Arc<FirewallError>> {
        let (answer, result) = oneshot::channel();
        let _ = self.jobs.send(Job::Restore(wanted, answer));
        result.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// The user ended without an answer, by a fault of its own: no rule stands that was asked for, so nothing may be let in.
fn gone() -> Arc<FirewallError> {
    Arc::new(FirewallError::Refused {
        program: "netd's own firewall task".to_owned(),
        message: "it has ended by a fault; see the log, and restart netd".to_owned(),
    })
}

struct User {
    firewall: Arc<dyn Firewall>,
    networks: Arc<Notify>,
    wanted: Ruleset,
    inbox: mpsc::UnboundedReceiver<Job>,
}

impl User {
    async fn run(mut self) {
        let mut next = self.inbox.recv().await;
        while let Some(job) = next.take() {
            match job {
                Job::Change(changes, answer) => {
                    let mut group = vec![(changes, answer)];
                    while let Ok(job) = self.inbox.try_recv() {
                        match job {
                            Job::Change(changes, answer) => group.push((changes, answer)),
                            other => {
                                next = Some(other);
                                break;
                            }
                        }
                    }
                    self.change_together(group).await;
                }
                Job::Restore(wanted, answer) => {
                    let _ = answer.send(self.restore(wanted).await);
                }
                Job::Look(found) => self.look(found),
            }
            if next.is_none() {
                next = self.inbox.recv().await;
            }
        }
    }

    /// One change of the kernel for all; if it is refused, one for each, so that a bad one harms nobody else.
    async fn change_together(&mut self, group: Vec<(Vec<RulesetChange>, Answer)>) {
        let all = group
            .iter()
            .flat_map(|(changes, _)| changes.iter().cloned());
        match self.make(all.collect()).await {
            Err(_) if group.len() > 1 => {
                for (changes, answer) in group {
                    let _ = answer.send(self.make(changes).await);
                }
            }
            result => {
                for (_, answer) in group {
                    let _ = answer.send(result.clone());
                }
            }
        }
    }

    /// Makes changes of the wish come true, or leaves the wish as it was.
    async fn make(&mut self, changes: Vec<RulesetChange>) -> Result<(), Arc<FirewallError>> {
        let mut undo = Vec::new();
        for change in changes.iter().cloned() {
            undo.push(self.wanted.change(change));
        }
        let puts_network = changes
            .iter()
            .any(|change| matches!(change, RulesetChange::PutNetwork(..)));
        let wanted = std::mem::take(&mut self.wanted);
        let (wanted, result) = self
            .blocking(move |firewall| {
                let result = firewall.change(&wanted, &changes);
                (wanted, result)
            })
            .await;
        self.wanted = wanted;
        if result.is_ok() && puts_network {
            self.networks.notify_one();
        }
        if result.is_err() {
            for change in undo.into_iter().rev().flatten() {
                self.wanted.change(change);
            }
        }
        result.map_err(Arc::new)
    }

    /// Compares with the wish, or with the one that shall take its place.
    async fn restore(
        &mut self,
        instead: Option<Box<Ruleset>>,
    ) -> Result<Vec<String>, Arc<FirewallError>> {
        let before = std::mem::take(&mut self.wanted);
        let (wanted, former) = match instead {
            Some(wanted) => (*wanted, Some(before)),
            None => (before, None),
        };
        let (wanted, verdict) = self
            .blocking(move |firewall| {
                // Applied even if nothing differs, so that the backend knows what to put back after a refusal.
                let restored = firewall
                    .verify(&wanted)
                    .and_then(|drift| firewall.apply(&wanted).map(|()| drift));
                (wanted, restored)
            })
            .await;
        self.wanted = match (&verdict, former) {
            (Err(_), Some(former)) => former,
            _ => wanted,
        };
        verdict.map_err(Arc::new)
    }

    /// Looks beside the queue: other tables change whenever their owners like, so nothing is won by an order.
    fn look(&self, found: Found) {
        // What others drop is a matter of networks, of which there are few. Ports and the like stay where they are.
        let wanted = Ruleset {
            networks: self.wanted.networks.clone(),
            ..Ruleset::default()
        };
        let firewall = Arc::clone(&self.firewall);
        spawn_blocking(move || {
            let _ = found.send(firewall.obstacles(&wanted));
        });
    }

    async fn blocking<R: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Firewall) -> R + Send + 'static,
    ) -> R {
        let firewall = Arc::clone(&self.firewall);
        match spawn_blocking(move || work(&*firewall)).await {
            Ok(result) => result,
            // A panic of the backend is a bug; it goes on where it can be seen.
            Err(failure) => std::panic::resume_unwind(failure.into_panic()),
        }
    }
}

#[cfg(test)]
mod tests {
    use netd_model::NetworkId;

    use super::*;

    struct Faulty;

    impl Firewall for Faulty {
        fn apply(&self, _: &Ruleset) -> Result<(), FirewallError> {
            panic!("a fault of the backend");
        }

        fn verify(&self, _: &Ruleset) -> Result<Vec<String>, FirewallError> {
            Ok(Vec::new())
        }

        fn changes_are_told(&self) -> bool {
            true
        }

        fn describe(&self) -> String {
            "faulty".to_owned()
        }
    }

    #[tokio::test]
    async fn after_a_fault_of_the_backend_nothing_counts_as_done() {
        let rules = Rules::start(Arc::new(Faulty));
        let change = || vec![RulesetChange::RemoveNetwork(NetworkId::from_bytes([1; 32]))];
        for _ in 0..2 {
            assert!(rules.change(change()).await.is_err());
        }
        assert!(rules.repair().await.is_err());
    }
}
