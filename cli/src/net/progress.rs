//! A line that says what is waited for, once it takes longer than a person likes to look at nothing. Only on a terminal.

use std::io::{self, IsTerminal};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::out::plain;

/// Work that is done sooner shows nothing.
const SILENCE: Duration = Duration::from_secs(1);
/// Time between two pictures.
const TICK: Duration = Duration::from_millis(120);

/// What is shown beside the work.
#[derive(Debug)]
pub(super) struct Progress {
    shown: Option<(Sender<Never>, JoinHandle<()>)>,
}

/// Nothing is ever sent: that the sender is gone is the message.
#[derive(Debug)]
enum Never {}

impl Progress {
    /// Begins to wait for `what`, such as `stopping web`.
    pub(super) fn of(what: String) -> Self {
        let what = plain(&what);
        if !io::stderr().is_terminal() {
            return Self { shown: None };
        }
        let (done, waits) = channel();
        let shown = std::thread::Builder::new().spawn(move || show(what, &waits));
        Self {
            // Without a thread to show it there is only the work itself.
            shown: shown.ok().map(|thread| (done, thread)),
        }
    }

    /// Does the work, and takes the line away before anything else is written.
    pub(super) fn until<T>(self, work: impl FnOnce() -> T) -> T {
        let outcome = work();
        if let Some((done, thread)) = self.shown {
            drop(done);
            let _ = thread.join();
        }
        outcome
    }
}

fn show(what: String, done: &Receiver<Never>) {
    if !matches!(done.recv_timeout(SILENCE), Err(RecvTimeoutError::Timeout)) {
        return;
    }
    let line = ProgressStyle::with_template("{spinner} {msg}, {elapsed}");
    let bar = ProgressBar::new_spinner()
        .with_message(what)
        .with_elapsed(SILENCE);
    let bar = match line {
        Ok(line) => bar.with_style(line),
        Err(_) => bar,
    };
    bar.enable_steady_tick(TICK);
    let _ = done.recv();
    bar.finish_and_clear();
}
