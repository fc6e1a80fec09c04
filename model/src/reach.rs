//! How the containers of a bridge network are met from outside, and under which address they go there.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::name::ParseNameError;
use crate::{IfName, PortRange, Protocol, PublishRequest};

/// Docker's gateway modes (`com.docker.network.bridge.gateway_mode_ipv4`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GatewayMode {
    /// By published ports of the host only; the host's address on the way out.
    #[default]
    Nat,
    /// The same, but whoever routes to a container's own address reaches all of its ports.
    NatUnprotected,
    /// No translation: a port is published at the container's own address, for whoever routes to it.
    Routed,
    /// For internal networks: the bridge has no address, so that the host is not there either.
    Isolated,
}

impl GatewayMode {
    /// Docker's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::NatUnprotected => "nat-unprotected",
            Self::Routed => "routed",
            Self::Isolated => "isolated",
        }
    }

    /// True if ports of the host lead to containers.
    #[must_use]
    pub const fn translates(self) -> bool {
        matches!(self, Self::Nat | Self::NatUnprotected)
    }
}

impl fmt::Display for GatewayMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text is none of Docker's gateway modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected nat, nat-unprotected, routed or isolated")]
pub struct NotAMode;

impl FromStr for GatewayMode {
    type Err = NotAMode;

    fn from_str(text: &str) -> Result<Self, NotAMode> {
        let all = [
            Self::Nat,
            Self::NatUnprotected,
            Self::Routed,
            Self::Isolated,
        ];
        all.into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or(NotAMode)
    }
}

/// How a network's containers are met from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reach {
    /// The mode for IPv4.
    pub mode_v4: GatewayMode,
    /// The mode for IPv6.
    pub mode_v6: GatewayMode,
    /// Interfaces of the host from where published ports are reached at the container's own address, too.
    pub trusted: Vec<IfName>,
    /// Addresses that containers have on the way out, at most one of each family; without one, that of the interface
    /// which a packet leaves by.
    pub leaves_as: Vec<IpAddr>,
}

impl Reach {
    /// The mode for addresses of this one's family.
    #[must_use]
    pub fn mode(&self, address: IpAddr) -> GatewayMode {
        match address {
            IpAddr::V4(_) => self.mode_v4,
            IpAddr::V6(_) => self.mode_v6,
        }
    }

    /// The address that a container with this one has on the way out, if one was named.
    #[must_use]
    pub fn leaves_as(&self, address: IpAddr) -> Option<IpAddr> {
        let same_family = |other: &&IpAddr| other.is_ipv4() == address.is_ipv4();
        self.leaves_as.iter().find(same_family).copied()
    }

    /// The part of a request that is fulfilled at a container's own address.
    #[must_use]
    pub fn opened(&self, request: &PublishRequest, address: IpAddr) -> Option<OpenPort> {
        let meant = request
            .host_ip
            .is_none_or(|host| host.is_ipv4() == address.is_ipv4());
        (meant && self.mode(address) == GatewayMode::Routed).then_some(OpenPort {
            protocol: request.protocol,
            address,
            ports: request.container_ports,
        })
    }
}

/// A port of a container that is reached at its own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OpenPort {
    /// The transport protocol.
    pub protocol: Protocol,
    /// The container's address.
    pub address: IpAddr,
    /// The ports.
    pub ports: PortRange,
}

/// What the names of interfaces inside containers begin with; a number follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InterfacePrefix(String);

/// Bytes of an interface's name that are left for the number (1,023 ports of a bridge, and another network or two).
const NUMBER_BYTES: usize = 4;

impl InterfacePrefix {
    /// Checks that names can begin so.
    ///
    /// # Errors
    /// [`ParseNameError`] when it is empty, has more than 11 bytes, or characters that no interface has in its name.
    pub fn new(text: &str) -> Result<Self, ParseNameError> {
        if text.is_empty() {
            return Err(ParseNameError::Empty {
                kind: "prefix of interface names",
            });
        }
        IfName::new(&format!("{text}{}", "0".repeat(NUMBER_BYTES)))?;
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for InterfacePrefix {
    fn default() -> Self {
        Self("eth".to_owned())
    }
}

impl TryFrom<String> for InterfacePrefix {
    type Error = ParseNameError;

    fn try_from(text: String) -> Result<Self, ParseNameError> {
        Self::new(&text)
    }
}

impl From<InterfacePrefix> for String {
    fn from(prefix: InterfacePrefix) -> Self {
        prefix.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_docker_s_words() {
        for word in ["nat", "nat-unprotected", "routed", "isolated"] {
            assert_eq!(word.parse::<GatewayMode>().unwrap().to_string(), word);
        }
        assert_eq!("NAT".parse::<GatewayMode>(), Err(NotAMode));
    }

    #[test]
    fn a_request_is_fulfilled_at_the_container_only_where_its_family_is_routed() {
        let reach = Reach {
            mode_v6: GatewayMode::Routed,
            ..Reach::default()
        };
        let [v4, v6]: [IpAddr; 2] = ["10.0.0.2", "fd00::2"].map(|text| text.parse().unwrap());
        let request: PublishRequest = "8080:80".parse().unwrap();
        assert_eq!(reach.opened(&request, v4), None);
        let open = reach.opened(&request, v6).unwrap();
        assert_eq!((open.address, open.ports), (v6, request.container_ports));
        let of_v4: PublishRequest = "127.0.0.1:8080:80".parse().unwrap();
        assert_eq!(reach.opened(&of_v4, v6), None);
    }

    #[test]
    fn a_prefix_leaves_room_for_its_number() {
        assert!(InterfacePrefix::new("net").is_ok());
        assert!(InterfacePrefix::new("elevenbytes").is_ok());
        for wrong in ["", "twelve-bytes", "a/b", "a b"] {
            assert!(InterfacePrefix::new(wrong).is_err(), "{wrong:?}");
        }
    }
}
