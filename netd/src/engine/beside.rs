//! Work that another thread does meanwhile, if one is free in time; else its owner does it at the end.
//!
//! So nobody ever waits for work that has not begun: threads that may block are few, and all of them may be waiting.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::task::spawn_blocking;

/// Work that has been handed over.
pub(super) struct Beside<T>(Arc<Shared<T>>);

struct Shared<T> {
    stage: Mutex<Stage<T>>,
    done: Condvar,
}

enum Stage<T> {
    Waits(Box<dyn FnOnce() -> T + Send>),
    Runs,
    Done(thread::Result<T>),
}

impl<T: Send + 'static> Beside<T> {
    /// Work that its owner will do, unless it is handed over before.
    pub(super) fn new(work: impl FnOnce() -> T + Send + 'static) -> Self {
        Self(Arc::new(Shared {
            stage: Mutex::new(Stage::Waits(Box::new(work))),
            done: Condvar::new(),
        }))
    }

    /// Hands it over. Called on a thread of the runtime.
    pub(super) fn hand_over(self) -> Self {
        let helper = Arc::clone(&self.0);
        drop(spawn_blocking(move || helper.run()));
        self
    }

    /// What came of it.
    ///
    /// # Panics
    /// If the work did.
    pub(super) fn end(self) -> T {
        self.0.run();
        let mut stage = self.0.stage();
        loop {
            match std::mem::replace(&mut *stage, Stage::Runs) {
                Stage::Done(Ok(result)) => return result,
                Stage::Done(Err(panic)) => resume_unwind(panic),
                Stage::Waits(_) | Stage::Runs => {
                    stage = self
                        .0
                        .done
                        .wait(stage)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

impl<T> Shared<T> {
    fn stage(&self) -> MutexGuard<'_, Stage<T>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does the work, unless somebody is at it or was.
    fn run(&self) {
        let mut stage = self.stage();
        let work = match std::mem::replace(&mut *stage, Stage::Runs) {
            Stage::Waits(work) => work,
            other => {
                *stage = other;
                return;
            }
        };
        drop(stage);
        let result = catch_unwind(AssertUnwindSafe(work));
        *self.stage() = Stage::Done(result);
        self.done.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_is_done_beside_is_done_once() {
        let numbers = (0..100).map(|number| Beside::new(move || number).hand_over());
        let ended = numbers.map(Beside::end);
        assert_eq!(ended.sum::<i32>(), 4950);
    }

    #[test]
    fn nobody_waits_for_work_that_has_not_begun() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_time()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        let ended = runtime.block_on(async {
            let only = spawn_blocking(|| Beside::new(|| 7).hand_over().end());
            tokio::time::timeout(Duration::from_secs(20), only).await
        });
        assert_eq!(ended.expect("no thread waits for itself").unwrap(), 7);
    }

    #[test]
    fn its_owner_does_what_is_not_handed_over() {
        let here = thread::current().id();
        assert!(Beside::new(move || thread::current().id() == here).end());
    }

    #[tokio::test]
    async fn a_panic_goes_on_where_it_can_be_seen() {
        let work = Beside::new(|| panic!("a fault")).hand_over();
        assert!(catch_unwind(AssertUnwindSafe(|| work.end())).is_err());
    }
}
