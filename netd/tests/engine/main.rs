//! The engine over the fake machine: what it promises, in peace, under faults, and killed at every instant.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot make its values shall fail, and say what led to it"
)]

mod allow;
mod attachments;
mod bench;
mod cost;
mod crash;
mod crowd;
mod default_network;
mod faults;
mod interfaces;
mod others;
mod peace;
mod plugin;
mod random;
mod rates;
mod routes;
mod scale;
mod steps;
mod template;
mod twice;
mod update;
mod uplinks;

mod companions;
mod whole;
