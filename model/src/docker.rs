//! What a Docker engine has of netd by its plugin protocol: address pools that it asked for, and its names for networks.
//!
//! Its containers are ordinary ones, in a namespace that the engine alone sees to (`NamespaceMode::Docker`).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::subnet::ParseSubnetError;
use crate::{NetworkId, Subnet};

/// A subnet that a Docker engine has asked for, whether or not a network of netd has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerPool {
    /// All addresses.
    pub subnet: Subnet,
    /// The part that addresses are handed out from; `None` for the whole subnet.
    pub range: Option<Subnet>,
    /// The gateway that was chosen, until a network of netd has one of its own.
    pub gateway: Option<IpAddr>,
    /// How often it was asked for and not given back: the engine counts on that.
    pub references: u32,
}

/// What an engine calls a pool: stable, and the same for everyone who asks for that subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DockerPoolId(pub Subnet);

/// Word before the subnet in the name of a pool.
const POOL_PREFIX: &str = "netd/";

impl fmt::Display for DockerPoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{POOL_PREFIX}{}", self.0)
    }
}

impl FromStr for DockerPoolId {
    type Err = ParseSubnetError;

    fn from_str(text: &str) -> Result<Self, ParseSubnetError> {
        let subnet = text.strip_prefix(POOL_PREFIX).unwrap_or(text);
        Ok(Self(subnet.parse()?))
    }
}

/// A network under the identity that a Docker engine gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerNetwork {
    /// The engine's identity of it.
    pub id: NetworkId,
    /// netd's network. One that was made for the engine has the same identity.
    pub network: NetworkId,
}

impl DockerNetwork {
    /// True if the network was made for the engine, and goes with its own.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.id == self.network
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_found_again_by_its_name() {
        let id = DockerPoolId("10.5.0.0/24".parse().unwrap());
        assert_eq!(id.to_string(), "netd/10.5.0.0/24");
        assert_eq!(id.to_string().parse(), Ok(id));
        for stranger in ["", "netd/", "netd/10.5.0.1/24", "LocalDefault/10.5.0.0/24"] {
            assert!(stranger.parse::<DockerPoolId>().is_err(), "{stranger}");
        }
    }
}
