//! What others' tables drop of our packets: looked for, told once, and told again when it is gone.
//!
//! A warning and no problem: netd's own is as it should be, and whether the other rule is meant so is not ours to know.

use std::sync::{Mutex, PoisonError};

use super::Engine;

/// What is known now, a sentence each.
#[derive(Debug, Default)]
pub(super) struct Warnings(Mutex<Vec<String>>);

impl Warnings {
    /// All of them.
    pub(super) fn all(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces them; gives those that are new, and those that are gone.
    fn replace(&self, now: Vec<String>) -> (Vec<String>, Vec<String>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let without = |some: &[String], others: &[String]| {
            let left = some.iter().filter(|one| !others.contains(one));
            left.cloned().collect()
        };
        let changes = (without(&now, &known), without(&known, &now));
        *known = now;
        changes
    }
}

impl Engine {
    /// Looks for them, and tells what changed.
    pub(super) async fn look_for_obstacles(&self) {
        let found = match self.rules.obstacles().await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "whether other tables drop packets of containers is not known");
                return;
            }
        };
        let (new, gone) = self.warnings.replace(found);
        let tell = |action, sentence: String| {
            let subject = (self.instance.to_string(), "netd".to_owned());
            self.events
                .tell("daemon", action, subject, &[("warning", sentence)]);
        };
        for sentence in new {
            tracing::warn!("packets of containers are dropped by others: {sentence}");
            tell("obstacle", sentence);
        }
        for sentence in gone {
            tell("obstacle-gone", sentence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_new_once_and_gone_once() {
        let warnings = Warnings::default();
        let list = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(warnings.replace(list(&["a"])), (list(&["a"]), list(&[])));
        assert_eq!(
            warnings.replace(list(&["a", "b"])),
            (list(&["b"]), list(&[]))
        );
        assert_eq!(warnings.replace(list(&["b"])), (list(&[]), list(&["a"])));
        assert_eq!(warnings.all(), ["b"]);
    }
}
