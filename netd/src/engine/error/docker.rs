//! Why a Docker engine was refused what it asked for by the plugin protocol.

use std::net::IpAddr;

use netd_api::ErrorCode;
use netd_ipam::AllocateError;
use netd_model::{ContainerId, NetworkId, NetworkName, Subnet};

/// Why a Docker engine was refused what it asked for by the plugin protocol.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// A part of a pool without the whole.
    #[error("ip-range {0} says nothing without a subnet; give --subnet too")]
    RangeAlone(Subnet),
    /// The pool was never asked for, or was given back.
    #[error("pool {0} is not known to netd: it was never asked for, or was given back")]
    UnknownPool(Subnet),
    /// Addresses are handed out from another part of it.
    #[error(
        "addresses of {subnet} are handed out from {has}, not from {asked}; give the same --ip-range or none"
    )]
    OtherRange {
        /// The subnet.
        subnet: Subnet,
        /// The range that it has.
        has: Subnet,
        /// The range asked for.
        asked: Subnet,
    },
    /// The subnet is one of netd's own.
    #[error("subnet {subnet} is that of the built-in network {network}; give another --subnet")]
    BuiltinSubnet {
        /// The subnet.
        subnet: Subnet,
        /// The network.
        network: NetworkName,
    },
    /// A pool has one gateway.
    #[error("the gateway of {subnet} is {has}, not {asked}; give that --gateway or none")]
    OtherGateway {
        /// The subnet.
        subnet: Subnet,
        /// Its gateway.
        has: IpAddr,
        /// The gateway asked for.
        asked: IpAddr,
    },
    /// No address of a pool is to be had, or not this one.
    #[error("no address of pool {pool} for Docker: {source}")]
    Address {
        /// The pool.
        pool: Subnet,
        /// Why.
        source: AllocateError,
    },
    /// An engine has it as one of its own.
    #[error("network {network} is Docker's, too, as {}; remove it there with `docker network rm`", .identity.short())]
    NetworkOfDocker {
        /// The network.
        network: NetworkName,
        /// What the engine knows it by.
        identity: NetworkId,
    },
    /// The engine's network and netd's of that name are not alike.
    #[error(
        "network {network} has {has}, but Docker's has {asked}; make Docker's network like it, or give it another netd.name"
    )]
    Differs {
        /// The network.
        network: NetworkName,
        /// What netd's has.
        has: String,
        /// What the engine's has.
        asked: String,
    },
    /// A subnet that somebody has already was not given with the name of the network.
    #[error(
        "subnet {subnet} is that of network {network}; give `-o netd.name={network}` to have Docker's containers on it"
    )]
    SubnetOf {
        /// The subnet.
        subnet: Subnet,
        /// The network.
        network: NetworkName,
    },
    /// The engine's endpoint is none of netd's, or went with its interface.
    #[error("endpoint {} of Docker's is not known to netd, or its interface is gone; disconnect the container and connect it again", .0.short())]
    UnknownEndpoint(ContainerId),
    /// The engine's endpoint is there, and otherwise.
    #[error("endpoint {} of Docker's is there already, with other addresses", .0.short())]
    EndpointExists(ContainerId),
    /// The engine's network is none of netd's.
    #[error("network {} of Docker's is not known to netd; remove it with `docker network rm` and create it again", .0.short())]
    UnknownNetwork(NetworkId),
}

impl DockerError {
    /// The stable word for the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownNetwork(_) => ErrorCode::NetworkNotFound,
            Self::UnknownEndpoint(_) => ErrorCode::ContainerNotFound,
            Self::EndpointExists(_) => ErrorCode::AlreadyConnected,
            Self::NetworkOfDocker { .. } => ErrorCode::NetworkInUse,
            Self::Differs { .. } => ErrorCode::NetworkDiffers,
            Self::SubnetOf { .. } => ErrorCode::SubnetOverlap,
            Self::Address { .. } => ErrorCode::AddressTaken,
            Self::RangeAlone(_)
            | Self::UnknownPool(_)
            | Self::OtherRange { .. }
            | Self::BuiltinSubnet { .. }
            | Self::OtherGateway { .. } => ErrorCode::InvalidRequest,
        }
    }
}
