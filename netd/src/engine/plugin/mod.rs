//! What a Docker engine asks of netd by its plugin protocol (libnetwork's remote drivers).
//!
//! The engine keeps its own book of networks, endpoints and addresses and tells netd of each change, but sees to the
//! inside of its containers itself. Whatever it lost count of may come again, late, or about what was never there: to
//! take away what is not there is done already. Reading order: [`pools`], [`networks`], [`endpoints`], [`names`].

mod endpoints;
mod names;
mod networks;
mod pools;

pub use endpoints::{EndpointAsked, HandedOver};
pub use names::DockerNames;
pub use networks::NetworkAsked;
pub(super) use networks::check_not_dockers;
pub use pools::{AddressAsked, PoolAsked, PoolGranted};
