//! A map that is cheap to change in a copy: a copy shares with its original all parts but those that are changed.
//!
//! Knows nothing of names; exists because of them: ten thousand names must not be copied when one comes or goes.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

/// Parts of a map. With ten thousand keys, a change copies some eighty.
const PARTS: usize = 128;

/// A hash map in parts that copies share.
#[derive(Debug, Clone)]
pub(crate) struct Shards<K, V> {
    hasher: RandomState,
    /// `PARTS` of them, or none while the map is empty.
    parts: Vec<Arc<HashMap<K, V>>>,
}

impl<K, V> Default for Shards<K, V> {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            parts: Vec::new(),
        }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Shards<K, V> {
    fn place<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        // The remainder is below PARTS, so nothing is lost.
        usize::try_from(self.hasher.hash_one(key) % PARTS as u64).unwrap_or(0)
    }

    /// What is there under a key.
    pub(crate) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.parts.get(self.place(key))?.get(key)
    }

    /// Puts a value under a key; gives what was there.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        if self.parts.is_empty() {
            self.parts = (0..PARTS).map(|_| Arc::default()).collect();
        }
        let place = self.place(&key);
        let part = self.parts.get_mut(place)?;
        Arc::make_mut(part).insert(key, value)
    }

    /// Takes away what is under a key, and gives it.
    pub(crate) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let place = self.place(key);
        let part = self.parts.get_mut(place)?;
        // Looked up first, so that nothing is copied for what is not there.
        part.contains_key(key)
            .then(|| Arc::make_mut(part).remove(key))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_changes_alone_and_shares_the_rest() {
        let mut map = Shards::default();
        for number in 0..10_000_u32 {
            assert_eq!(map.insert(number, number), None);
        }
        let mut copy = map.clone();
        assert_eq!(copy.insert(7, 70), Some(7));
        assert_eq!(copy.remove(&9), Some(9));
        assert_eq!((map.get(&7), map.get(&9)), (Some(&7), Some(&9)));
        assert_eq!((copy.get(&7), copy.get(&9)), (Some(&70), None));
        assert_eq!(copy.remove(&9), None);
        let shared = map.parts.iter().zip(&copy.parts);
        let own = shared.filter(|(one, other)| !Arc::ptr_eq(one, other));
        assert!(own.count() <= 2);
    }

    #[test]
    fn an_empty_map_has_nothing() {
        let mut map: Shards<u32, u32> = Shards::default();
        assert_eq!(map.remove(&1), None);
        assert_eq!(map.get(&1), None);
    }
}
