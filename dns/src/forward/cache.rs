//! Answers of upstreams, kept for their lifetime. Bounded, roughly least recently used; time comes as an argument.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use super::Asked;
use super::message::Answer;

/// Largest answer kept, in bytes: with the bound on their number, 4,096 entries stay below 16 MiB.
const ANSWER_MAX_BYTES: usize = 4096;

/// Two generations: what was used since the last turn, and what was used before. When the young one is half of what
/// is allowed, the old one is dropped whole and the young one becomes old. No list to keep in order per use.
#[derive(Debug)]
pub(crate) struct Cache {
    young: HashMap<Asked, Entry>,
    old: HashMap<Asked, Entry>,
    generation_max: usize,
}

#[derive(Debug)]
struct Entry {
    answer: Arc<Answer>,
    since: Instant,
}

impl Entry {
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < self.answer.lifetime()
    }
}

impl Cache {
    /// A cache of at most `entries` answers.
    pub(crate) fn new(entries: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            generation_max: entries / 2,
        }
    }

    /// An answer that still holds, and its age in seconds.
    pub(crate) fn get(&mut self, asked: &Asked, now: Instant) -> Option<(Arc<Answer>, u32)> {
        if let Some((asked, entry)) = self.old.remove_entry(asked)
            && entry.is_fresh(now)
        {
            self.insert(asked, entry);
        }
        let entry = self.young.get(asked)?;
        if !entry.is_fresh(now) {
            self.young.remove(asked);
            return None;
        }
        let age_s = now.saturating_duration_since(entry.since).as_secs();
        Some((
            Arc::clone(&entry.answer),
            u32::try_from(age_s).unwrap_or(u32::MAX),
        ))
    }

    /// Keeps an answer, unless it says that it may not be kept or is too large.
    pub(crate) fn put(&mut self, asked: Asked, answer: Arc<Answer>, now: Instant) {
        if answer.lifetime().is_zero() || answer.size_bytes() > ANSWER_MAX_BYTES {
            return;
        }
        self.old.remove(&asked);
        self.insert(asked, Entry { answer, since: now });
    }

    fn insert(&mut self, asked: Asked, entry: Entry) {
        if self.generation_max == 0 {
            return;
        }
        if self.young.len() >= self.generation_max {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(asked, entry);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::forward::message::tests::{asked_name, reply_with_ttl};

    fn asked(n: usize) -> Asked {
        let question = asked_name(&format!("n{n}.test")).into();
        Asked {
            servers: Arc::new([]),
            question,
            bits: 0,
            dnssec_ok: false,
        }
    }

    fn answer(n: usize, ttl_s: u32) -> Arc<Answer> {
        let question = asked_name(&format!("n{n}.test"));
        Arc::new(Answer::read(&reply_with_ttl(&question, ttl_s), 7, &question).unwrap())
    }

    #[test]
    fn an_answer_lasts_as_long_as_its_ttl_and_an_hour_at_most() {
        let (mut cache, now) = (Cache::new(8), Instant::now());
        for (ttl_s, lasts_s) in [(1, 1), (300, 300), (100_000, 3600)] {
            cache.put(asked(1), answer(1, ttl_s), now);
            let last = now + Duration::from_secs(lasts_s) - Duration::from_millis(1);
            let (_, age_s) = cache.get(&asked(1), last).unwrap();
            assert_eq!(u64::from(age_s), lasts_s - 1);
            assert!(
                cache
                    .get(&asked(1), last + Duration::from_millis(1))
                    .is_none()
            );
        }
        cache.put(asked(1), answer(1, 0), now);
        assert!(cache.get(&asked(1), now).is_none());
    }

    #[test]
    fn the_bound_holds_and_what_is_used_stays() {
        let (mut cache, now) = (Cache::new(64), Instant::now());
        cache.put(asked(0), answer(0, 300), now);
        for n in 1..1000 {
            cache.put(asked(n), answer(n, 300), now);
            assert!(
                cache.get(&asked(0), now).is_some(),
                "used all the time, gone after {n}"
            );
            assert!(cache.young.len() + cache.old.len() <= 64);
        }
        assert!(cache.get(&asked(1), now).is_none());
        assert!(cache.get(&asked(999), now).is_some());
    }

    #[test]
    fn a_cache_of_no_entries_keeps_none() {
        let (mut cache, now) = (Cache::new(0), Instant::now());
        cache.put(asked(1), answer(1, 300), now);
        assert!(cache.get(&asked(1), now).is_none());
    }
}
