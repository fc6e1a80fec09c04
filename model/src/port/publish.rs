//! Published ports: what a user asks for, in Docker's words, and what was granted.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::sources::{self, ParseSourceError};
use super::{PortRange, Protocol};
use crate::Subnet;

/// Why a text cannot be a request to publish.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParsePublishError {
    /// Not a port or `FIRST-LAST`.
    #[error("{given:?} is not a port: expected 1 to 65535, or a range such as 8000-8010")]
    Port {
        /// What was given.
        given: String,
    },
    /// A protocol without ports, or none at all.
    #[error("{given:?} is not a protocol that has ports: expected tcp, udp or sctp")]
    Protocol {
        /// What was given.
        given: String,
    },
    /// The host part is no address.
    #[error("{given:?} is not an address of the host: expected one such as 127.0.0.1 or [::1]")]
    HostAddress {
        /// What was given.
        given: String,
    },
    /// An address that no service of a host has.
    #[error(
        "nothing can be published on {given}, {why}; publish on an address of the host, or leave it out for all"
    )]
    NoHostAddress {
        /// What was given.
        given: IpAddr,
        /// What it is.
        why: &'static str,
    },
    /// Ranges of different lengths.
    #[error(
        "host ports {host} and container ports {container} differ in number: give ranges of the same length"
    )]
    LengthsDiffer {
        /// The ports on the host.
        host: PortRange,
        /// The ports of the container.
        container: PortRange,
    },
    /// Nothing between the separators, or too many of them.
    #[error(
        "{given:?} does not say which container port to publish: expected [IP:][HOST_PORT:]CONTAINER_PORT[/PROTOCOL][,from=SUBNET]"
    )]
    Form {
        /// What was given.
        given: String,
    },
    /// Sources that make no sense.
    #[error(transparent)]
    Source(#[from] ParseSourceError),
}

/// What a user asks for with `-p [IP:][HOST_PORTS:]CONTAINER_PORTS[/PROTOCOL][,from=SUBNET]...`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PublishRequest {
    /// The transport protocol.
    pub protocol: Protocol,
    /// Address of the host to listen on; `None` means the network's default, else every address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<IpAddr>,
    /// Ports on the host; `None` lets the daemon choose, from 32768 up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_ports: Option<PortRange>,
    /// Ports of the container.
    pub container_ports: PortRange,
    /// Who reaches it; empty for everybody. The host itself always does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<Subnet>,
}

impl PublishRequest {
    /// Checks what the single fields cannot show, and puts the sources in order.
    ///
    /// # Errors
    /// [`ParsePublishError::LengthsDiffer`] unless both ranges have the same length,
    /// [`ParsePublishError::NoHostAddress`] as [`check_host_address`] has it, and [`ParsePublishError::Source`] for
    /// sources of which one is of no use.
    pub fn check(mut self) -> Result<Self, ParsePublishError> {
        self.host_ip.map_or(Ok(()), check_host_address)?;
        self.from = sources::check(self.from, self.host_ip)?;
        match self.host_ports {
            Some(host) if host.count() != self.container_ports.count() => {
                Err(ParsePublishError::LengthsDiffer {
                    host,
                    container: self.container_ports,
                })
            }
            _ => Ok(self),
        }
    }
}

/// Checks that an address can be one that a host publishes ports on, as far as the address itself shows. Linux binds
/// sockets to addresses of multicast and broadcast as well, but nobody connects to those.
///
/// # Errors
/// [`ParsePublishError::NoHostAddress`].
pub fn check_host_address(given: IpAddr) -> Result<(), ParsePublishError> {
    let why = match given {
        _ if given.is_multicast() => "a multicast address",
        IpAddr::V4(v4) if v4.is_broadcast() => "the broadcast address",
        // RFC 4291 section 2.5.5.2.
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
            "IPv4 in disguise: give the IPv4 address itself"
        }
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            "a link-local address, which each interface has for itself"
        }
        _ => return Ok(()),
    };
    Err(ParsePublishError::NoHostAddress { given, why })
}

/// Splits `IP:PORT:PORT` at its colons, where IP may be an IPv6 address in brackets.
fn split_host(text: &str) -> Result<(Option<IpAddr>, &str), ParsePublishError> {
    let bad_address = |given: &str| ParsePublishError::HostAddress {
        given: given.to_owned(),
    };
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once("]:").ok_or_else(|| bad_address(text))?;
        let address = address.parse().map_err(|_| bad_address(address))?;
        return Ok((Some(IpAddr::V6(address)), rest));
    }
    match text.splitn(3, ':').collect::<Vec<_>>()[..] {
        [address, host, container] => {
            let address = address.parse().map_err(|_| bad_address(address))?;
            Ok((
                Some(address),
                &text[text.len() - host.len() - container.len() - 1..],
            ))
        }
        _ => Ok((None, text)),
    }
}

impl FromStr for PublishRequest {
    type Err = ParsePublishError;

    fn from_str(text: &str) -> Result<Self, ParsePublishError> {
        let form = || ParsePublishError::Form {
            given: text.to_owned(),
        };
        let (place, from) = sources::split(text)?;
        let (ports, protocol) = match place.split_once('/') {
            Some((ports, protocol)) => (ports, protocol.parse()?),
            None => (place, Protocol::Tcp),
        };
        let (host_ip, ports) = split_host(ports)?;
        let (host_ports, container_ports) = match ports.split_once(':') {
            Some(("", container)) if host_ip.is_some() => (None, container),
            Some((host, container)) => (Some(host.parse()?), container),
            None => (None, ports),
        };
        if container_ports.is_empty() {
            return Err(form());
        }
        Self {
            protocol,
            host_ip,
            host_ports,
            container_ports: container_ports.parse()?,
            from,
        }
        .check()
    }
}

impl fmt::Display for PublishRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host_ip {
            Some(IpAddr::V6(v6)) => write!(f, "[{v6}]:")?,
            Some(IpAddr::V4(v4)) => write!(f, "{v4}:")?,
            None => {}
        }
        match self.host_ports {
            Some(ports) => write!(f, "{ports}:")?,
            None if self.host_ip.is_some() => f.write_str(":")?,
            None => {}
        }
        write!(f, "{}/{}", self.container_ports, self.protocol)?;
        self.from
            .iter()
            .try_for_each(|source| write!(f, ",from={source}"))
    }
}

/// Ports of a container that the host forwards, as granted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PublishedPort {
    /// The transport protocol.
    pub protocol: Protocol,
    /// Address of the host; unspecified (0.0.0.0, ::) for all of them.
    pub host_ip: IpAddr,
    /// Ports on the host.
    pub host_ports: PortRange,
    /// Ports of the container, as many.
    pub container_ports: PortRange,
    /// Who reaches it, ascending and of the host address's family; empty for everybody. The host itself always does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<Subnet>,
}

impl PublishedPort {
    /// The only sources that reach it; `None` if all do.
    #[must_use]
    pub fn sources(&self) -> Option<&[Subnet]> {
        let everybody = self.from.is_empty() || self.from.iter().any(|source| source.prefix() == 0);
        (!everybody).then_some(self.from.as_slice())
    }

    /// True if both could not be served: one protocol, a common port, and a common host address.
    #[must_use]
    pub fn conflicts_with(&self, other: &Self) -> bool {
        let common_address = self.host_ip.is_unspecified()
            || other.host_ip.is_unspecified()
            || self.host_ip == other.host_ip;
        self.protocol == other.protocol
            && self.host_ip.is_ipv4() == other.host_ip.is_ipv4()
            && common_address
            && self.host_ports.overlaps(other.host_ports)
    }

    /// What people read behind the port: ` (from 10.0.0.0/8, 192.168.0.0/16)`; nothing if everybody reaches it.
    #[must_use]
    pub fn from_suffix(&self) -> String {
        sources::suffix(&self.from)
    }

    /// Pairs of (host port, container port), ascending.
    pub fn pairs(&self) -> impl Iterator<Item = (u16, u16)> {
        self.host_ports.iter().zip(self.container_ports.iter())
    }
}

impl fmt::Display for PublishedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host_ip {
            IpAddr::V4(v4) => write!(f, "{v4}:")?,
            IpAddr::V6(v6) => write!(f, "[{v6}]:")?,
        }
        write!(
            f,
            "{}->{}/{}",
            self.host_ports, self.container_ports, self.protocol
        )?;
        f.write_str(&self.from_suffix())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> PublishRequest {
        text.parse().unwrap()
    }

    fn range(first: u16, last: u16) -> PortRange {
        PortRange::new(first, last).unwrap()
    }

    #[test]
    fn every_form_of_docker_s_p_flag_is_read() {
        let plain = PublishRequest {
            protocol: Protocol::Tcp,
            host_ip: None,
            host_ports: None,
            container_ports: range(80, 80),
            from: Vec::new(),
        };
        let local = Some("127.0.0.1".parse().unwrap());
        assert_eq!(parse("80"), plain);
        assert_eq!(
            parse("80:80"),
            PublishRequest {
                host_ports: Some(range(80, 80)),
                ..plain.clone()
            }
        );
        assert_eq!(
            parse("127.0.0.1::80"),
            PublishRequest {
                host_ip: local,
                ..plain.clone()
            }
        );
        assert_eq!(
            parse("127.0.0.1:80:8080/tcp"),
            PublishRequest {
                host_ip: local,
                host_ports: Some(range(80, 80)),
                container_ports: range(8080, 8080),
                ..plain.clone()
            }
        );
        assert_eq!(parse("53:53/UDP").protocol, Protocol::Udp);
        assert_eq!(
            parse("8000-8010:9000-9010").container_ports,
            range(9000, 9010)
        );
        assert_eq!(parse("[::1]:80:80").host_ip, Some("::1".parse().unwrap()));
        assert_eq!(parse("[::1]::80").host_ports, None);
    }

    #[test]
    fn a_request_reads_back_from_its_text() {
        for text in [
            "80/tcp",
            "80:80/udp",
            "127.0.0.1::80/tcp",
            "[::1]:80:81/sctp",
            "1-2:3-4/tcp",
            "80:80/tcp,from=10.0.0.0/8,from=192.168.1.7/32,from=fd00::/8",
        ] {
            assert_eq!(parse(text).to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "",
            ":",
            ":80",
            "80:",
            "0:80",
            "80:0",
            "70000:80",
            "80:99999",
            "abc",
            "80/icmp",
            "1-3:1-2",
            "10.0.0:80:80",
            "1:2:3:4",
            "5-3:5-3",
            "+80",
            "80/",
            "[::1:80:80",
            "localhost:80:80",
            "[::ffff:127.0.0.1]:80:80",
            "[fe80::1]:80:80",
            "[fe80::1%eth0]:80:80",
            "[ff02::1]:80:80",
            "224.0.0.1:80:80",
            "255.255.255.255::80",
        ] {
            assert!(bad.parse::<PublishRequest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_wildcard_conflicts_with_each_address_of_its_family() {
        let port = |ip: &str, protocol| PublishedPort {
            protocol,
            host_ip: ip.parse().unwrap(),
            host_ports: range(9000, 9000),
            container_ports: range(80, 80),
            from: Vec::new(),
        };
        let all = port("0.0.0.0", Protocol::Tcp);
        assert!(all.conflicts_with(&port("127.0.0.1", Protocol::Tcp)));
        assert!(!all.conflicts_with(&port("0.0.0.0", Protocol::Udp)));
        assert!(!all.conflicts_with(&port("::", Protocol::Tcp)));
        assert!(
            !port("127.0.0.1", Protocol::Tcp).conflicts_with(&port("127.0.0.2", Protocol::Tcp))
        );
    }
}
