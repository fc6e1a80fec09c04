//! One hand on the firewall: changes that come while it is busy are made together with the next one.
//!
//! Knows rules only as keyed wishes; whether an endpoint deserves any is decided elsewhere.

use std::sync::Arc;

use netd_kernel::{Firewall, FirewallError};
use netd_model::Ruleset;
use netd_model::ruleset::RulesetChange;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

type Answer = oneshot::Sender<Result<(), Arc<FirewallError>>>;

enum Job {
    Change(Vec<RulesetChange>, Answer),
    Replace(Box<Ruleset>, Answer),
    Repair(oneshot::Sender<Result<Vec<String>, Arc<FirewallError>>>),
}

/// The way to the firewall's only user.
#[derive(Clone)]
pub(super) struct Rules {
    jobs: mpsc::UnboundedSender<Job>,
}

impl Rules {
    /// Starts the firewall's user. It ends when the last clone of the result is dropped.
    #[must_use]
    pub(super) fn start(firewall: Arc<dyn Firewall>) -> Self {
        let (jobs, inbox) = mpsc::unbounded_channel();
        tokio::spawn(
            User {
                firewall,
                wanted: Ruleset::default(),
                inbox,
            }
            .run(),
        );
        Self { jobs }
    }

    /// Changes the wish and waits until the kernel's rules say so. Concurrent calls share one change of the kernel.
    ///
    /// # Errors
    /// What the firewall said. The wish is then as before this call.
    pub(super) async fn change(
        &self,
        changes: Vec<RulesetChange>,
    ) -> Result<(), Arc<FirewallError>> {
        if changes.is_empty() {
            return Ok(());
        }
        self.ask(|answer| Job::Change(changes, answer)).await
    }

    /// Replaces the whole wish.
    ///
    /// # Errors
    /// What the firewall said. The wish is then as before this call.
    pub(super) async fn replace(&self, wanted: Ruleset) -> Result<(), Arc<FirewallError>> {
        self.ask(|answer| Job::Replace(Box::new(wanted), answer))
            .await
    }

    /// Compares the kernel's rules with the wish and restores what differs; says what did.
    ///
    /// # Errors
    /// What the firewall said.
    pub(super) async fn repair(&self) -> Result<Vec<String>, Arc<FirewallError>> {
        let (answer, result) = oneshot::channel();
        let _ = self.jobs.send(Job::Repair(answer));
        result.await.unwrap_or_else(|_| Ok(Vec::new()))
    }

    async fn ask(&self, job: impl FnOnce(Answer) -> Job) -> Result<(), Arc<FirewallError>> {
        let (answer, result) = oneshot::channel();
        let _ = self.jobs.send(job(answer));
        // The user ends only with the daemon, and then nobody waits for the answer.
        result.await.unwrap_or(Ok(()))
    }
}

struct User {
    firewall: Arc<dyn Firewall>,
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
                Job::Replace(wanted, answer) => {
                    let result = self.stand(*wanted).await;
                    let _ = answer.send(result);
                }
                Job::Repair(answer) => {
                    let _ = answer.send(self.repair().await);
                }
            }
            if next.is_none() {
                next = self.inbox.recv().await;
            }
        }
    }

    /// One change of the kernel for all; if it is refused, one for each, so that a bad one harms nobody else.
    async fn change_together(&mut self, group: Vec<(Vec<RulesetChange>, Answer)>) {
        let mut wanted = self.wanted.clone();
        for change in group.iter().flat_map(|(changes, _)| changes) {
            wanted.change(change.clone());
        }
        match self.stand(wanted).await {
            Err(_) if group.len() > 1 => {
                for (changes, answer) in group {
                    let mut wanted = self.wanted.clone();
                    for change in changes {
                        wanted.change(change);
                    }
                    let _ = answer.send(self.stand(wanted).await);
                }
            }
            result => {
                for (_, answer) in group {
                    let _ = answer.send(result.clone());
                }
            }
        }
    }

    async fn stand(&mut self, wanted: Ruleset) -> Result<(), Arc<FirewallError>> {
        let (wanted, result) = self
            .blocking(move |firewall| {
                let result = firewall.apply(&wanted);
                (wanted, result)
            })
            .await;
        result.map_err(Arc::new)?;
        self.wanted = wanted;
        Ok(())
    }

    async fn repair(&mut self) -> Result<Vec<String>, Arc<FirewallError>> {
        let wanted = self.wanted.clone();
        let verdict = self.blocking(move |firewall| {
            let drift = firewall.verify(&wanted)?;
            if !drift.is_empty() {
                firewall.apply(&wanted)?;
            }
            Ok(drift)
        });
        verdict.await.map_err(Arc::new)
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
