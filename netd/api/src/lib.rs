//! What goes over netd's socket: requests, answers, errors, and a blocking client.
//!
//! HTTP/1.1 with JSON bodies on a Unix socket, below [`PREFIX`]. Shared by the daemon and by every program that talks
//! to it; knows neither how the daemon works nor how a command line looks.
//!
//! Reading order: [`network`], [`container`], [`attachment`], [`route`], [`status`], [`error`], [`client`].

pub mod attachment;
pub mod container;
pub mod error;
pub mod network;
pub mod route;
pub mod status;

pub mod client;

pub use attachment::{
    AttachRequest, Attached, NewIdentity, RetainReport, RetainRequest, Retained, WantedNetwork,
};
pub use client::{Client, ClientError, Events};
pub use container::{
    Attachment, ConnectRequest, ContainerRequest, ContainerView, DisconnectRequest, ExitReport,
    ForgetReport, Netns, PortsRequest, StopRequest,
};
pub use error::{ErrorBody, ErrorCode};
pub use network::{
    Created, NetworkRequest, NetworkView, PairRequest, PoolRequest, PruneReport, UpdateRequest,
};
pub use route::{RouteRequest, RouteView, UplinkRequest};
pub use status::{Event, Status, Version};

/// Vocabulary that the wire types are made of.
pub use netd_model::{
    Alias, ContainerId, ContainerName, EndpointId, Hostname, IfName, IpNetwork, LinkLocal, Mac,
    NetworkId, NetworkName, PortRange, Protocol, PublishRequest, PublishedPort, Rate, RateError,
    Rates, RuntimeId, Subnet,
    container::{ContainerRoute, DnsSettings, RuntimeKey},
    rate::{parse_burst, parse_rate},
    subnet::ParseSubnetError,
};

/// First part of every path of this interface, with its version.
pub const PREFIX: &str = "/netd/v1";

/// Where the daemon listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/netd.sock";

/// Environment variable that names another daemon's socket, as a path or `unix://PATH`.
pub const HOST_VARIABLE: &str = "NETD_HOST";
