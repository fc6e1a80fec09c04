//! What others do to the kernel is noticed and mended: within a second when the kernel tells, in the next round
//! otherwise.

use std::sync::Arc;
use std::time::Duration;

use netd_kernel::{Kernel, KernelEvent};
use netd_model::container::Anchor;
use netd_model::{Container, NamespaceMode, NetnsId};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at};

use super::companions::is_replaced;
use super::reconcile::warn_of;
use super::{Engine, EngineError, FULL_RECONCILE_EVERY};
use crate::store::{Change, StoreError};

/// Changes come in bursts, most of them our own: look when they pause this long.
const PAUSE: Duration = Duration::from_millis(150);
/// Look after this long although they do not pause.
const LONGEST_WAIT: Duration = Duration::from_millis(500);
/// How often that is looked after which nothing in the kernel tells of: the end of supervisors of containers without a
/// sandbox, and rules of iptables-legacy.
const SILENT_ROUND: Duration = Duration::from_secs(1);

/// What a burst of events was about.
#[derive(Debug, Default)]
struct Suspicion {
    links: bool,
    host: bool,
    rates: bool,
    rules: bool,
    everything: bool,
}

/// What the kernel told so far.
pub(super) type Told = mpsc::UnboundedReceiver<KernelEvent>;

/// Begins to listen. What is told before anyone reads waits.
pub(super) async fn listen(kernel: Arc<dyn Kernel>) -> Result<Told, EngineError> {
    let (told, events) = mpsc::unbounded_channel();
    let tell = Box::new(move |event| {
        // The receiver lives as long as the engine.
        let _ = told.send(event);
    });
    match tokio::task::spawn_blocking(move || kernel.watch(tell)).await {
        Ok(begun) => begun?,
        // A panic in there is a bug; it goes on where it can be seen.
        Err(failure) => std::panic::resume_unwind(failure.into_panic()),
    }
    Ok(events)
}

impl Engine {
    pub(super) fn watch(self: &Arc<Self>, told: Told) {
        tokio::spawn(follow(Arc::clone(self), told));
        tokio::spawn(rounds(Arc::clone(self)));
    }

    async fn look_into(&self, suspicion: Suspicion) -> Result<(), EngineError> {
        if suspicion.everything
            || (suspicion.links && !self.seems_right().await?)
            || (suspicion.rates && !self.rates_seem_right().await?)
            || (suspicion.host
                && !(self.routes_seem_right().await? && self.uplinks_seem_right().await?))
        {
            self.reconcile().await?;
            return Ok(());
        }
        if suspicion.rules {
            let drift = self.rules.repair().await?;
            if !drift.is_empty() {
                warn_of(&drift);
                self.counts
                    .repairs
                    .fetch_add(drift.len() as u64, std::sync::atomic::Ordering::Relaxed);
                self.tell_repair(drift.len() as u64);
            }
            self.look_for_obstacles().await;
        }
        Ok(())
    }

    pub(super) fn tell_repair(&self, repairs: u64) {
        let facts = [("steps", repairs.to_string())];
        self.events.tell(
            "daemon",
            "repair",
            (self.instance.to_string(), "netd".to_owned()),
            &facts,
        );
    }

    /// What nothing in the kernel tells.
    async fn look_around(&self) -> Result<(), EngineError> {
        if !self.rules_are_told {
            let rules = Suspicion {
                rules: true,
                ..Suspicion::default()
            };
            self.look_into(rules).await?;
        }
        self.look_after_supervisors().await
    }

    async fn look_after_supervisors(&self) -> Result<(), EngineError> {
        let watched = self.look(|state| {
            let running = state.containers().filter(|one| one.is_running());
            let is_shared = |one: &Container| state.companions_of(one).next().is_some();
            // To look who is in a stranger's namespace takes a walk over all processes.
            let is_known = |one: &Container| one.supervisor.is_some() || is_replaced(state, one);
            running
                .filter(|one| one.namespace != NamespaceMode::Docker)
                .filter(|one| one.sandbox.is_none() || (is_shared(one) && is_known(one)))
                .map(|container| container.id)
                .collect::<Vec<_>>()
        });
        for id in watched.await? {
            self.look_after(id).await?;
        }
        Ok(())
    }
}

impl Engine {
    /// Writes down who keeps a sandbox alive now: a restart looks for it there.
    async fn remember_anchor(&self, netns: NetnsId, anchor: Anchor) -> Result<(), EngineError> {
        let written = self.turns.take(move |ledger| {
            let Some(record) = ledger.state().container_in(netns) else {
                return Ok(None);
            };
            let mut anchored = Container::clone(record);
            if let Some(sandbox) = &mut anchored.sandbox {
                sandbox.anchor = anchor;
            }
            let id = anchored.id;
            ledger.commit(&[Change::PutContainer(anchored)])?;
            Ok(Some(id))
        });
        match written.await? {
            // Its own process may have been the one that went.
            Ok(Some(id)) => self.look_after(id).await,
            Ok(None) => Ok(()),
            Err(error) => Err(StoreError::into(error)),
        }
    }
}

async fn follow(engine: Arc<Engine>, mut events: mpsc::UnboundedReceiver<KernelEvent>) {
    while let Some(event) = events.recv().await {
        let mut suspicion = Suspicion::default();
        note(&engine, event, &mut suspicion);
        let latest = Instant::now() + LONGEST_WAIT;
        while let Ok(Some(event)) =
            timeout_at(latest.min(Instant::now() + PAUSE), events.recv()).await
        {
            note(&engine, event, &mut suspicion);
        }
        if let Err(error) = engine.look_into(suspicion).await {
            tracing::error!(error = %error.sentence(), "cannot look into what the kernel told");
        }
    }
}

fn note(engine: &Arc<Engine>, event: KernelEvent, suspicion: &mut Suspicion) {
    match event {
        // The end of a namespace is no suspicion, and its lease is wanted back at once.
        KernelEvent::SandboxEnded(netns) => {
            let engine = Arc::clone(engine);
            tokio::spawn(async move {
                if let Err(error) = engine.end_netns(netns).await {
                    tracing::warn!(%netns, error = %error.sentence(), "a container's end waits for the next reconcile");
                }
            });
        }
        KernelEvent::SandboxAnchored(netns, anchor) => {
            let engine = Arc::clone(engine);
            tokio::spawn(async move {
                if let Err(error) = engine.remember_anchor(netns, anchor).await {
                    tracing::warn!(%netns, error = %error.sentence(), "a container may be lost at the next start of the daemon");
                }
            });
        }
        KernelEvent::LinkChanged(_) => suspicion.links = true,
        KernelEvent::RulesChanged(commits) => suspicion.rules |= !engine.rules.made(&commits),
        KernelEvent::HostChanged => suspicion.host = true,
        KernelEvent::RatesChanged => suspicion.rates = true,
        KernelEvent::Overrun => suspicion.everything = true,
    }
}

/// Waits until then; for ever without a time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn rounds(engine: Arc<Engine>) {
    let mut silent = interval(SILENT_ROUND);
    silent.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut full = interval(FULL_RECONCILE_EVERY);
    full.set_missed_tick_behavior(MissedTickBehavior::Delay);
    full.tick().await;
    let (mut patience, mut retry_at, mut obstacles_at) = (RETRY_AFTER, None, None);
    let everything = || Suspicion {
        everything: true,
        ..Suspicion::default()
    };
    loop {
        let result = tokio::select! {
            _ = silent.tick() => engine.look_around().await,
            _ = full.tick() => engine.look_into(everything()).await,
            () = engine.leftovers.notified() => {
                retry_at.get_or_insert(Instant::now() + patience);
                Ok(())
            }
            () = engine.rules.network_put() => {
                obstacles_at.get_or_insert(Instant::now() + PAUSE);
                Ok(())
            }
            () = at(obstacles_at) => {
                obstacles_at = None;
                engine.look_for_obstacles().await;
                Ok(())
            }
            () = at(retry_at) => {
                retry_at = None;
                let result = engine.look_into(everything()).await;
                let all_right = result.is_ok() && engine.problems().is_empty();
                patience = if all_right { RETRY_AFTER } else { (patience * 2).min(FULL_RECONCILE_EVERY) };
                result
            }
        };
        match result {
            Ok(()) => {}
            Err(EngineError::Closed(_)) => return,
            Err(error) => tracing::error!(error = %error.sentence(), "a round of the watch failed"),
        }
    }
}

/// How long what could not be done rests before it is tried again: it may have been in somebody's hands for a moment.
/// Doubled each time that this does not help.
const RETRY_AFTER: Duration = Duration::from_secs(2);
