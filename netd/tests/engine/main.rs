//! The engine over the fake machine: what it promises, in peace, under faults, and killed at every instant.

mod bench;
mod crash;
mod crowd;
mod faults;
mod others;
mod peace;
mod steps;
mod whole;
