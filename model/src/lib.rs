//! The vocabulary of netd: identities, names, what a user asks for, what the kernel shall look like.
//!
//! Plain values, compared with `==`, serialised with serde. Nothing here does I/O, waits, locks or reads a clock;
//! randomness and time come in as arguments. Every other crate imports this one, and it imports none of them.
//!
//! Reading order: [`id`] and [`name`] (who), [`subnet`], [`mac`], [`port`] and [`rate`] (numbers), [`network`] and
//! [`container`] (what exists) with [`reach`], [`peer`] and [`docker`], [`desired`] and [`diff`](mod@diff) (kernel objects), [`ruleset`] (the firewall).

mod schema;

pub mod id;
pub mod link_local;
pub mod mac;
pub mod name;
pub mod port;
pub mod rate;
pub mod subnet;

pub mod container;
pub mod docker;
pub mod network;
pub mod peer;
pub mod reach;

pub mod desired;
pub mod diff;
pub mod ruleset;

pub use container::{
    Container, ContainerRoute, ContainerState, Endpoint, Lease, NamespaceMode, Phase, RuntimeKey,
    Sandbox, Supervisor,
};
pub use desired::{NetnsId, Op};
pub use docker::{DockerNetwork, DockerPool, DockerPoolId};
pub use id::{ContainerId, EndpointId, InstanceId, NetworkId};
pub use ipnetwork::IpNetwork;
pub use link_local::LinkLocal;
pub use mac::Mac;
pub use name::{Alias, ContainerName, Hostname, IfName, NetworkName, RuntimeId};
pub use network::{DriverSpec, Network, NetworkPair, Policy, PoolSpec};
pub use peer::{PeerRoute, Uplink};
pub use port::{PortRange, Protocol, PublishRequest, PublishedPort};
pub use rate::{Rate, RateError, Rates};
pub use reach::{GatewayMode, InterfacePrefix, OpenPort, Reach};
pub use ruleset::Ruleset;
pub use subnet::Subnet;
