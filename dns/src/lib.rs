//! The resolver that answers on 127.0.0.11 inside each sandbox: names of containers from memory, all else from the
//! host's or the sandbox's own servers.
//!
//! It gets sockets that are already open, and knows nothing of namespaces, kernel objects or the store. Reading
//! order: what may be asked ([`Directory`], [`NetworkZone`], [`View`]), who answers ([`Resolver`]), then below it one
//! query's way: `udp` with `batch`, and `tcp` (loops and their bounds), `question`, `answer`, `reply`, and `forward`.
//!
//! # hickory
//! hickory-proto checks what upstreams send, and hickory-server's message types answer all that is no standard query.
//! Its `Server` does not run the loops, for reasons in version 0.26.3: `handle_udp` spawns a task per packet and
//! `handle_tcp` one per connection, neither with a bound nor a hook before it, so that 32 connections per sandbox
//! cannot be kept; a failing `accept` is tried again without a pause; each query is logged at `info`; and a malformed
//! query is answered without its EDNS. Our own loops also answer known names without a task or an allocation each.

mod name;
mod shards;
mod view;
mod zone;

mod directory;
mod resolver;
mod thread;

mod answer;
mod batch;
mod irregular;
mod question;
mod reply;
mod tcp;
mod udp;

mod forward;
mod stats;

#[cfg(test)]
mod equivalence;

pub use directory::Directory;
pub use resolver::{NotServed, Resolver, ResolverOptions, ServeError};
pub use stats::Stats;
pub use view::{Forwarding, Upstreams, View};
pub use zone::{HostEntry, NetworkZone};
