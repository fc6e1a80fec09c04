//! Why it is not clear which of a container's interfaces on a network is meant.

use netd_api::ErrorCode;
use netd_model::{ContainerName, IfName, NetworkName};

/// Why it is not clear which of a container's interfaces on a network is meant.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// It has several there, and none was named.
    #[error(
        "container {container} is on network {network} by {}; say which one with --interface, or --force for all",
        places.join(" and by ")
    )]
    Several {
        /// The container.
        container: ContainerName,
        /// The network.
        network: NetworkName,
        /// Each interface with its addresses.
        places: Vec<String>,
    },
    /// It is there, but not by the interface that was named.
    #[error(
        "container {container} is not on network {network} by {interface}, but by {}",
        places.join(" and by ")
    )]
    NotBy {
        /// The container.
        container: ContainerName,
        /// The network.
        network: NetworkName,
        /// What was named.
        interface: IfName,
        /// Each interface that it has there, with its addresses.
        places: Vec<String>,
    },
    /// Two fields of one request name two interfaces.
    #[error("the interface is to be called {one} and {other}; give one name")]
    TwoNames {
        /// One of them.
        one: IfName,
        /// The other.
        other: IfName,
    },
}

impl PlaceError {
    /// The stable word for the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Several { .. } => ErrorCode::Ambiguous,
            Self::NotBy { .. } => ErrorCode::NotConnected,
            Self::TwoNames { .. } => ErrorCode::InvalidRequest,
        }
    }
}
