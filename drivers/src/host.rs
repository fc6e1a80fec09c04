//! The `host` network: containers use the daemon's own namespace as it is.
//!
//! Wants nothing of the kernel and must not: whatever it set there would be the host's.

use crate::plan::NetworkPlan;

/// Nothing.
#[must_use]
pub fn plan_network() -> NetworkPlan {
    NetworkPlan::default()
}
