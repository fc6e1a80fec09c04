//! What netd knows, and the one way to it: turns, one after another.
//!
//! A turn is a closure that sees the whole state, decides, and commits changes; nothing else happens meanwhile, so what
//! it saw is still true when it commits. Turns never wait for anything but the store (some tens of microseconds).

use std::sync::{Arc, Mutex};

use crate::state::State;
use crate::store::{Change, Journal, StoreError};

/// The state and the journal that it is the sum of.
pub struct Ledger {
    state: State,
    journal: Box<dyn Journal>,
}

impl Ledger {
    /// Reads the journal.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn open(mut journal: Box<dyn Journal>) -> Result<Self, StoreError> {
        let state = State::new(journal.load()?);
        Ok(Self { state, journal })
    }

    /// What is known.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Makes changes durable, then true. All or none.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed then.
    pub fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.journal.commit(changes)?;
        for change in changes {
            self.state.apply(change);
        }
        Ok(())
    }
}

/// The way to the ledger.
#[derive(Clone)]
pub struct Turns {
    ledger: Arc<Mutex<Ledger>>,
}

/// A turn ended in a panic, so nothing that is known can be relied on any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the daemon is shutting down")]
pub struct Closed;

impl Turns {
    /// Opens the ledger to all who hold a clone of this.
    #[must_use]
    pub fn start(ledger: Ledger) -> Self {
        Self {
            ledger: Arc::new(Mutex::new(ledger)),
        }
    }

    /// Takes a turn and returns what it says.
    ///
    /// On the caller's thread: to wake a task and be woken by it costs more than most turns take.
    ///
    /// # Errors
    /// [`Closed`] when a former turn panicked.
    #[expect(
        clippy::unused_async,
        reason = "who takes a turn has to expect to wait; nobody holds one across a wait"
    )]
    pub async fn take<R: Send + 'static>(
        &self,
        turn: impl FnOnce(&mut Ledger) -> R + Send + 'static,
    ) -> Result<R, Closed> {
        self.now(turn)
    }

    /// As [`Turns::take`], for who is on a thread that may block.
    ///
    /// # Errors
    /// As [`Turns::take`].
    pub fn now<R>(&self, turn: impl FnOnce(&mut Ledger) -> R) -> Result<R, Closed> {
        let mut ledger = self.ledger.lock().map_err(|_| Closed)?;
        Ok(turn(&mut ledger))
    }
}
