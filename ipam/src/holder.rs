//! Who has an address, what an asker wishes for, and why it may not get it. Words only; [`Pool`](crate::Pool) decides.

use std::fmt;
use std::net::IpAddr;

use netd_model::{ContainerName, Subnet};

/// Who has an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A container that has it now.
    Container(ContainerName),
    /// A stopped container that asked for it by number and finds it again when it returns.
    Stopped(ContainerName),
    /// A Docker engine that asked for it and has not given it back.
    Docker,
    /// The gateway of the pool.
    Gateway,
    /// Something outside netd, by the name that `--aux-address` gave it.
    Auxiliary(String),
    /// The subnet itself: its first address (in IPv6 that of all its routers, RFC 4291 section 2.6.1).
    NetworkAddress,
    /// Everybody: the subnet's last address.
    Broadcast,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container(name) => write!(f, "container {name}"),
            Self::Stopped(name) => write!(f, "container {name}, which is stopped and keeps it"),
            Self::Docker => f.write_str("Docker's engine"),
            Self::Gateway => f.write_str("the gateway"),
            Self::Auxiliary(name) => write!(f, "the auxiliary address {name}"),
            Self::NetworkAddress => f.write_str("the subnet, as its network address"),
            Self::Broadcast => f.write_str("the subnet, as its broadcast address"),
        }
    }
}

/// What an asker wishes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Any address, going round.
    Any,
    /// This one if it is free, else any: the last address of one who returns.
    Sticky(IpAddr),
    /// This one or none.
    Exactly(IpAddr),
    /// This one, which a Docker engine may hold: the asker is its container.
    Held(IpAddr),
}

/// How firmly an address is kept for a container that is not running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The user asked for it by number: nobody else gets it.
    Requested,
    /// It had it last: others get it only by number, or when nothing else is left.
    Remembered,
}

/// An address is not to be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllocateError {
    /// Nothing is left.
    #[error(
        "no free address in {subnet}: {leased} are leased, {reserved} are kept for stopped containers; disconnect or remove a container, or use a network with a larger subnet"
    )]
    Exhausted {
        /// Where addresses are handed out from.
        subnet: Subnet,
        /// Addresses of it that containers have.
        leased: usize,
        /// Addresses of it that are kept for stopped containers that asked for them.
        reserved: usize,
    },
    /// Somebody has it.
    #[error("address {address} is taken by {by}; ask for another, or for none to get a free one")]
    Taken {
        /// The address.
        address: IpAddr,
        /// Who has it.
        by: Holder,
    },
    /// It is another network's, or nobody's.
    #[error("address {address} is not in {subnet}; ask for one that is")]
    OutsideSubnet {
        /// The address.
        address: IpAddr,
        /// The pool's subnet.
        subnet: Subnet,
    },
}
