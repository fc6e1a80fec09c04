//! Address management: which subnet a network gets, and which address a container gets from it.
//!
//! Pure: values in, values out. No I/O, no clock, no randomness, no lock; the daemon makes the answers durable before
//! anybody uses them. Nothing here knows of interfaces, rules or Docker's wire format.
//!
//! Reading order: [`choose`] (a free subnet among the defaults), [`request`] (what a user asked for becomes a pool),
//! [`holder`] (who has an address, what is wished, what can go wrong), [`pool`] (leases).

pub mod choose;
pub mod request;

pub mod holder;
mod intervals;
pub mod pool;

pub use choose::{
    ChooseSubnetError, DefaultPool, Used, UsedBy, choose_subnet, docker_defaults, unique_local_pool,
};
pub use holder::{AllocateError, Claim, Holder, Wish};
pub use pool::{Pool, Usage};
pub use request::{PlanPoolError, PoolRequest, plan_pool};
