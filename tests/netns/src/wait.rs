//! Waiting for a condition, always with a deadline. Must not be replaced by a bare sleep anywhere.

use std::time::{Duration, Instant};

/// How long [`eventually`] waits: far longer than anything takes on two busy cores, short enough to fail a suite.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until `look` finds something.
///
/// # Panics
/// With `what` after [`PATIENCE`].
#[track_caller]
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look)
}

/// Waits until what `look` sees stays the same for `span`: what was on its way has arrived, and nothing follows.
///
/// # Panics
/// With `what` if it still changes after [`PATIENCE`].
#[track_caller]
pub fn stands_still<T: PartialEq>(what: &str, span: Duration, mut look: impl FnMut() -> T) {
    let (mut seen, mut since) = (look(), Instant::now());
    eventually(what, || {
        let now = look();
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
        (since.elapsed() >= span).then_some(())
    });
}

/// Looks until `look` finds something, for at most `patience`.
///
/// # Panics
/// With `what` when the time is up.
#[track_caller]
pub fn within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            start.elapsed() < patience,
            "waited {patience:?} in vain for: {what}"
        );
        std::thread::sleep(PAUSE);
    }
}
