//! When frames pass by a new pair: the kernel has its bridge forward only after work of its own (net/core/link_watch.c), and a packet
//! that comes before is lost. Whoever sent it asks again after a second.

use std::time::{Duration, Instant};

use netd_model::IfName;

use super::links;
use super::namespace::Namespace;

/// How long the kernel's work may take before it is left to itself. It takes less than a millisecond, unless the lock of all links is
/// in great demand.
const PATIENCE: Duration = Duration::from_millis(100);
/// Between two questions, which need that lock themselves.
const PAUSE: Duration = Duration::from_micros(200);

/// What [`crate::Kernel::settle`] promises. Linux does the work at once for whoever asks about a link (`rtnl_getlink`, since 6.8);
/// before that it is asked again until the work is done.
pub(super) fn settle(home: &Namespace, outside: &IfName) {
    let deadline = Instant::now() + PATIENCE;
    let is_pending = || {
        // Who cannot be asked about, or is gone, is nobody to wait for.
        let link = links::by_name(&mut home.session(), outside).ok().flatten();
        link.is_some_and(|link| !link.operational)
    };
    while is_pending() && Instant::now() < deadline {
        std::thread::sleep(PAUSE);
    }
}
