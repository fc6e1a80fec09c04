//! Counters for `net status` and the tests. Nothing decides by them.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts since the resolver began, over all sandboxes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The live counters behind [`Stats`].
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        impl Counters {
            pub(crate) fn read(&self) -> Stats {
                Stats { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

/// One number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

counters! {
    /// Packets and TCP messages that came in.
    queries,
    /// Answered from the networks' names.
    answered_locally,
    /// Refused by form: malformed, another opcode, another class.
    rejected,
    /// Unknown names of sandboxes that may not forward.
    withheld,
    /// Handed to the forwarder.
    forwarded,
    /// Of these, answered from the cache.
    cache_hits,
    /// Of these, waiting for a query that another asker had already sent.
    shared,
    /// Queries sent to an upstream, over UDP or TCP, without repetitions.
    upstream_queries,
    /// Packets of upstreams that were no answer to what was asked.
    upstream_lies,
    /// Forwarded queries that ended in SERVFAIL because no upstream answered.
    upstream_failures,
    /// Queries answered SERVFAIL because too many were under way.
    refused_for_limits,
    /// TCP connections that had to give way to a newer one.
    connections_evicted,
}
