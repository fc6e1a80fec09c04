//! A thread on which nothing but the resolver runs. Knows no resolver.
//!
//! Whatever the daemon does meanwhile, no name waits for it here; and no query is passed from one thread to another.

use std::io;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A runtime on a thread of its own, in the network namespace of the thread that started it. Ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Thread {
    runtime: Handle,
    _end: oneshot::Sender<()>,
}

impl Thread {
    /// Starts the thread, by a name that `ps -L` shows.
    ///
    /// # Errors
    /// What the system says when it gives neither thread nor descriptors.
    pub(crate) fn start() -> io::Result<Self> {
        // The file of the host's resolvers is read off the loop, by one at a time.
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("netd-names".to_owned())
            .spawn(move || {
                // Nothing is ever sent: it ends with the sender.
                let _ = runtime.block_on(ended);
                runtime.shutdown_background();
            })?;
        Ok(Self {
            runtime: handle,
            _end: end,
        })
    }

    /// What spawns on it.
    pub(crate) fn handle(&self) -> &Handle {
        &self.runtime
    }
}
