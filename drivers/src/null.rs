//! The `none` network: a namespace with its loopback interface, and nothing else.
//!
//! Wants nothing of the host. The loopback interface belongs to every sandbox, so it is planned there.

use crate::plan::NetworkPlan;

/// Nothing.
#[must_use]
pub fn plan_network() -> NetworkPlan {
    NetworkPlan::default()
}
