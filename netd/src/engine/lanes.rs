//! Who must wait for whom: work on one container is done one after another, work on different ones side by side.
//!
//! Order of taking: the house, then a container, then its namespace or a network, of two networks that of the lower id;
//! always in that order, so nobody waits in a circle.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Locks by key. A key that nobody uses costs nothing.
#[derive(Debug)]
pub(super) struct Lanes<K> {
    lanes: Mutex<HashMap<K, Arc<RwLock<()>>>>,
}

impl<K: Eq + Hash + Clone> Lanes<K> {
    /// No lanes in use.
    #[must_use]
    pub(super) fn new() -> Self {
        Self {
            lanes: Mutex::new(HashMap::new()),
        }
    }

    /// Waits until nobody else is in the lane, and keeps others out.
    pub(super) async fn alone(&self, key: K) -> OwnedRwLockWriteGuard<()> {
        self.lane(key).write_owned().await
    }

    /// As [`Lanes::alone`] if nobody is in the lane; `None` if somebody would have to be waited for.
    pub(super) fn try_alone(&self, key: K) -> Option<OwnedRwLockWriteGuard<()>> {
        self.lane(key).try_write_owned().ok()
    }

    /// Waits until nobody is alone in the lane, and keeps such ones out.
    pub(super) async fn shared(&self, key: K) -> OwnedRwLockReadGuard<()> {
        self.lane(key).read_owned().await
    }

    fn lane(&self, key: K) -> Arc<RwLock<()>> {
        let mut lanes = self.table();
        // Whoever is in a lane or waits for it holds a second reference.
        if lanes.len() >= 64 && lanes.len().is_power_of_two() {
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
        }
        Arc::clone(lanes.entry(key).or_default())
    }

    fn table(&self) -> MutexGuard<'_, HashMap<K, Arc<RwLock<()>>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Clone> Default for Lanes<K> {
    fn default() -> Self {
        Self::new()
    }
}
