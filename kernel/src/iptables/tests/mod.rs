//! Tests that need several parts at once. [`wish`], [`lab`] and [`topology`] are their tools.

pub(crate) mod lab;
pub(crate) mod topology;
pub(crate) mod wish;

mod goldens;
mod growth;
mod packets;
mod packets6;
mod peers;
mod ranges;
mod real;
mod real6;
mod simulated;
mod sources;
