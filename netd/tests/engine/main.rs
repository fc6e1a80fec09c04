//! The engine over the fake machine: what it promises, in peace, under faults, and killed at every instant.

mod bench;
mod crash;
mod steps;
mod whole;
