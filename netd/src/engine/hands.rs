//! The part of a flow that may block, in one piece: a thread that works through it costs one change of threads, where each
//! step by itself would cost one.
//!
//! Lanes are taken before, and whatever has to be waited for, such as the firewall, stays outside.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use netd_kernel::Kernel;
use netd_model::desired::FlowFilter;
use netd_model::{NetnsId, Op};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tracing::Span;

use super::departures::Departures;
use super::files::Files;
use super::lanes::Lanes;
use super::names::Names;
use super::rules::Rules;
use super::{Engine, EngineError};
use crate::ledger::Turns;

/// All that such a part needs of the engine.
#[derive(Clone)]
pub(super) struct Hands {
    pub(super) turns: Turns,
    pub(super) kernel: Arc<dyn Kernel>,
    pub(super) rules: Rules,
    pub(super) names: Arc<Names>,
    pub(super) files: Arc<Files>,
    pub(super) departures: Arc<Departures>,
    pub(super) leftovers: Arc<Notify>,
    pub(super) workers: Arc<Workers>,
    pub(super) sandboxes: Arc<Lanes<NetnsId>>,
}

/// How many pieces of blocking work go on, beside how many this machine can do at once.
#[derive(Debug)]
pub(super) struct Workers {
    busy: AtomicUsize,
    processors: usize,
}

impl Default for Workers {
    fn default() -> Self {
        Self {
            busy: AtomicUsize::new(0),
            processors: available_parallelism().map_or(1, NonZero::get),
        }
    }
}

impl Workers {
    fn enter(self: &Arc<Self>) -> Working {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Working(Arc::clone(self))
    }

    /// True if there is a second processor for each piece of work: else to share one out costs more than it saves.
    pub(super) fn have_room(&self) -> bool {
        2 * self.busy.load(Ordering::Relaxed) <= self.processors
    }
}

/// One piece of work, until it is dropped.
struct Working(Arc<Workers>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Engine {
    /// What blocking work needs of the engine.
    pub(super) fn hands(&self) -> Hands {
        Hands {
            turns: self.turns.clone(),
            kernel: Arc::clone(&self.kernel),
            rules: self.rules.clone(),
            names: Arc::clone(&self.names),
            files: Arc::clone(&self.files),
            departures: Arc::clone(&self.departures),
            leftovers: Arc::clone(&self.leftovers),
            workers: Arc::clone(&self.workers),
            sandboxes: Arc::clone(&self.sandboxes),
        }
    }

    /// Does blocking work off the async threads.
    pub(super) async fn at_work<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Hands) -> R + Send + 'static,
    ) -> R {
        let (hands, span) = (self.hands(), Span::current());
        let work = move || {
            let _working = hands.workers.enter();
            span.in_scope(|| work(&hands))
        };
        match spawn_blocking(work).await {
            Ok(result) => result,
            // A panic in there is a bug; it goes on where it can be seen.
            Err(failure) => std::panic::resume_unwind(failure.into_panic()),
        }
    }
}

impl Hands {
    /// Makes steps of the kernel.
    pub(super) fn apply(&self, ops: &[Op]) -> Result<(), EngineError> {
        if ops.is_empty() {
            return Ok(());
        }
        Ok(self.kernel.apply(ops)?)
    }

    /// As [`Engine::forget_flows`].
    pub(super) fn forget_flows(&self, filters: Vec<FlowFilter>) {
        for filter in filters {
            if let Err(error) = self.kernel.apply(&[Op::ForgetFlows(filter)]) {
                tracing::warn!(%error, "stale flows may go on for a while");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_while_each_could_have_two_processors() {
        let workers = Arc::new(Workers {
            busy: AtomicUsize::new(0),
            processors: 4,
        });
        let mut working: Vec<Working> = (0..2).map(|_| workers.enter()).collect();
        assert!(workers.have_room());
        working.push(workers.enter());
        assert!(!workers.have_room());
        working.pop();
        assert!(workers.have_room());
    }
}
