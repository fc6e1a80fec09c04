//! How many more steps a daemon makes before it "dies": the crash tests' clock. Knows nothing of what the steps are.
//!
//! The fake kernel spends one for each change it makes, and a test's store one for each write, all from one [`Fuel`].
//! Running a scenario with 0, 1, 2, ... steps of fuel kills it at every instant that can be told apart.

use std::sync::{Arc, Mutex, PoisonError};

/// A shared supply of steps. Clones draw from the same supply.
#[derive(Clone, Debug)]
pub struct Fuel(Arc<Mutex<Tank>>);

#[derive(Debug)]
struct Tank {
    /// Steps left; `None` for no end of them.
    left: Option<u64>,
    spent: u64,
    looks: u64,
    empty: bool,
}

/// The daemon died before this step: nothing that it tries happens any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the daemon is dead: it ran out of fuel")]
pub struct Crashed;

impl Fuel {
    /// A supply without end.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::with(None)
    }

    /// A supply of `steps` steps; the one after them kills.
    #[must_use]
    pub fn limited(steps: u64) -> Self {
        Self::with(Some(steps))
    }

    fn with(left: Option<u64>) -> Self {
        Self(Arc::new(Mutex::new(Tank {
            left,
            spent: 0,
            looks: 0,
            empty: false,
        })))
    }

    fn tank(&self) -> std::sync::MutexGuard<'_, Tank> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one step's worth.
    ///
    /// # Errors
    /// [`Crashed`] when there is none, and from then on always.
    pub fn spend(&self) -> Result<(), Crashed> {
        let mut tank = self.tank();
        if tank.left == Some(0) {
            tank.empty = true;
            return Err(Crashed);
        }
        tank.left = tank.left.map(|left| left - 1);
        tank.spent += 1;
        Ok(())
    }

    /// Takes nothing, as a read does.
    ///
    /// # Errors
    /// [`Crashed`] after a [`Fuel::spend`] failed.
    pub fn check(&self) -> Result<(), Crashed> {
        if self.tank().empty {
            return Err(Crashed);
        }
        Ok(())
    }

    /// Steps made so far: run a scenario once without limit to learn how many there are to die at.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.tank().spent
    }

    /// Counts a question that the kernel was asked.
    pub(super) fn note_look(&self) {
        self.tank().looks += 1;
    }

    /// Questions that the kernel was asked so far, which cost nothing but time.
    #[must_use]
    pub fn looks(&self) -> u64 {
        self.tank().looks
    }

    /// Fills up without end, for the daemon that starts after the dead one.
    pub fn refill(&self) {
        let mut tank = self.tank();
        tank.left = None;
        tank.empty = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_behind_the_last_kills_for_good() {
        let fuel = Fuel::limited(2);
        let twin = fuel.clone();
        assert_eq!(fuel.spend(), Ok(()));
        assert_eq!(twin.spend(), Ok(()));
        assert_eq!(fuel.check(), Ok(()));
        assert_eq!(fuel.spend(), Err(Crashed));
        assert_eq!(twin.check(), Err(Crashed));
        assert_eq!(twin.spent(), 2);
        twin.refill();
        assert_eq!(fuel.spend(), Ok(()));
    }
}
