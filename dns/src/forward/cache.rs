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
