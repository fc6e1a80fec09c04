//! What each kind of network wants of the kernel: pure planners, a module per driver.
//!
//! A plan says what there shall be, never what to do: [`netd_model::diff`] finds the steps, and what is in no plan is
//! taken away if it is netd's. So there is no tear-down here, and a driver cannot forget half of one. No I/O, no clock,
//! no randomness; nothing here knows what there is at the moment.
//!
//! Reading order: [`plan`] (the door, and what can go wrong), [`sandbox`] (a container on all its networks), [`outside`]
//! (one whose inside a Docker engine sees to), [`bridge`],
//! [`host`], [`null`] (one driver each), [`names`] and [`options`] (names and MACs, Docker's `-o` keys).

pub mod plan;

pub mod outside;
pub mod sandbox;

pub mod bridge;
pub mod host;
pub mod null;

pub mod names;
pub mod options;

#[cfg(test)]
mod testing;

pub use bridge::gateway_for;
pub use names::{
    bridge_mac, bridge_name, host_interface_name, ifb_name, mac_for, next_inside_name,
};
pub use options::{
    BridgeDefaults, BridgeOptions, EndpointOptions, OptionError, change_bridge_options,
    configuration_key, parse_bridge_options, parse_endpoint_options, shown_options,
};
pub use outside::{pair_to_hand_over, plan_outside};
pub use plan::{Forwarding, NetworkPlan, PlanError, endpoint_rules, plan_host, plan_network};
pub use sandbox::{Attachment, ResolverWish, plan_sandbox};
