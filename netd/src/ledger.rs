//! The one owner of what netd knows: a task that takes turns, one after another.
//!
//! A turn is a closure that sees the whole state, decides, and commits changes; nothing else happens meanwhile, so what
//! it saw is still true when it commits. Turns never wait for anything but the store (some tens of microseconds).

use tokio::sync::{mpsc, oneshot};

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

type Turn = Box<dyn FnOnce(&mut Ledger) + Send>;

/// The way to the ledger's owner.
#[derive(Clone)]
pub struct Turns {
    inbox: mpsc::UnboundedSender<Turn>,
}

/// The ledger's owner is gone: the daemon is ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the daemon is shutting down")]
pub struct Closed;

impl Turns {
    /// Starts the owner. It ends when the last clone of the result is dropped.
    #[must_use]
    pub fn start(mut ledger: Ledger) -> Self {
        let (inbox, mut turns) = mpsc::unbounded_channel::<Turn>();
        tokio::spawn(async move {
            while let Some(turn) = turns.recv().await {
                turn(&mut ledger);
            }
        });
        Self { inbox }
    }

    /// Takes a turn and returns what it says.
    ///
    /// # Errors
    /// [`Closed`] when the daemon is ending.
    pub async fn take<R: Send + 'static>(
        &self,
        turn: impl FnOnce(&mut Ledger) -> R + Send + 'static,
    ) -> Result<R, Closed> {
        let (answer, result) = oneshot::channel();
        let turn: Turn = Box::new(move |ledger| {
            // The asker may have gone; its turn was taken all the same.
            let _ = answer.send(turn(ledger));
        });
        self.inbox.send(turn).map_err(|_| Closed)?;
        result.await.map_err(|_| Closed)
    }
}
