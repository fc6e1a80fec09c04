//! Why what leads to other hosts was not changed.

use std::net::IpAddr;

use netd_api::ErrorCode;
use netd_ipam::UsedBy;
use netd_model::{IfName, NetworkName, Subnet};

/// Why what leads to other hosts was not changed.
#[derive(Debug, thiserror::Error)]
pub enum WayError {
    /// A route to other hosts' containers cannot be set.
    #[error("cannot set a route to {subnet}: {reason}")]
    RouteRefused {
        /// Where it was to lead.
        subnet: Subnet,
        /// Why not, and what to do.
        reason: String,
    },
    /// Somebody has addresses of the subnet.
    #[error(
        "cannot set a route to {subnet}: it overlaps {other} {by}; give the other host's containers another subnet"
    )]
    RouteOverlap {
        /// Where it was to lead.
        subnet: Subnet,
        /// What is there.
        other: Subnet,
        /// Whose that is.
        by: UsedBy,
    },
    /// Another route leads there.
    #[error(
        "a route to {subnet} stands already, via {gateway}{networks}{masquerade}; remove it first with `net route rm {subnet}`"
    )]
    RouteExists {
        /// Where it leads.
        subnet: Subnet,
        /// The gateway of the one that stands.
        gateway: IpAddr,
        /// Its networks, as they were typed.
        networks: String,
        /// Whether it masquerades, as it was typed.
        masquerade: &'static str,
    },
    /// No route leads there.
    #[error("no route to {0}; `net route ls` lists them")]
    RouteNotFound(Subnet),
    /// Routes name the network.
    #[error("network {network} is named by the route to {}; remove that first with `net route rm SUBNET`", subnets.iter().map(Subnet::to_string).collect::<Vec<_>>().join(", "))]
    RoutedFor {
        /// The network.
        network: NetworkName,
        /// Where the routes lead.
        subnets: Vec<Subnet>,
    },
    /// A card cannot join a network.
    #[error("{device} cannot be an uplink of network {network}: {reason}")]
    UplinkRefused {
        /// The card.
        device: IfName,
        /// The network.
        network: NetworkName,
        /// Why not, and what to do.
        reason: String,
    },
    /// The card is not on the network.
    #[error(
        "{device} is no uplink of network {network}; `net inspect {network}` shows those that are"
    )]
    NotAnUplink {
        /// The card.
        device: IfName,
        /// The network.
        network: NetworkName,
    },
}

impl WayError {
    /// The stable word for the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::RouteRefused { .. } => ErrorCode::InvalidRequest,
            Self::RouteOverlap { .. } => ErrorCode::SubnetOverlap,
            Self::RouteExists { .. } => ErrorCode::RouteExists,
            Self::RouteNotFound(_) => ErrorCode::RouteNotFound,
            Self::RoutedFor { .. } => ErrorCode::NetworkInUse,
            Self::UplinkRefused { .. } => ErrorCode::InvalidRequest,
            Self::NotAnUplink { .. } => ErrorCode::NotConnected,
        }
    }
}
