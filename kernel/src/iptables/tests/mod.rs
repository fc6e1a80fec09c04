//! Tests that need several parts at once. [`wish`], [`lab`] and [`topology`] are their tools.

mod lab;
mod topology;
mod wish;

mod goldens;
mod packets;
mod real;
mod simulated;
