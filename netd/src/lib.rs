//! The network daemon: what it knows (`store`, `state`, `ledger`), what it does (`engine`), what it is told (`config`)
//! and whom it serves (`http`). The only crate that wires the others together.

pub mod config;
pub mod engine;
pub mod http;
pub mod ledger;
pub mod state;
pub mod store;
