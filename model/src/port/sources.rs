//! Who reaches a published port: the list behind `from=`.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::Subnet;

/// Why a list of sources is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseSourceError {
    /// Something behind the port that is not `from=`.
    #[error(
        "{given:?} is no option of a published port: expected from=SUBNET, such as from=10.0.0.0/8"
    )]
    Option {
        /// What was given.
        given: String,
    },
    /// Neither a subnet nor an address.
    #[error(
        "{given:?} is no source: expected from=SUBNET, such as from=10.0.0.0/8, or from=ADDRESS"
    )]
    Form {
        /// What was given.
        given: String,
    },
    /// No packet has such a source (RFC 4291 section 2.5.5.2).
    #[error("from={given} is IPv4 in disguise; give the IPv4 subnet itself")]
    Mapped {
        /// What was given.
        given: IpNetwork,
    },
    /// Bits behind the prefix are set.
    #[error("from={given} has host bits set; the subnet is {meant}, give that")]
    HostBits {
        /// What was given.
        given: IpNetwork,
        /// The same with its host bits cleared.
        meant: Subnet,
    },
    /// The same twice.
    #[error("from={subnet} is given twice; give it once")]
    Twice {
        /// The subnet.
        subnet: Subnet,
    },
    /// A part of another.
    #[error("from={part} lies in from={whole}; leave one of them out")]
    Within {
        /// The smaller one.
        part: Subnet,
        /// The larger one.
        whole: Subnet,
    },
    /// It can never reach that address of the host.
    #[error(
        "from={subnet} is no source for a port on {host_ip}, which is {family}; give an {family} subnet, or another address of the host"
    )]
    Family {
        /// The subnet.
        subnet: Subnet,
        /// The address of the host.
        host_ip: IpAddr,
        /// Its version of IP.
        family: &'static str,
    },
    /// Nobody but the host is there.
    #[error(
        "from={subnet} is no source for a port on {host_ip}: only the host itself reaches that; leave one of them out"
    )]
    Loopback {
        /// The subnet.
        subnet: Subnet,
        /// The address of the host.
        host_ip: IpAddr,
    },
}

/// Splits `PLACE,from=SUBNET,from=SUBNET`.
pub(super) fn split(text: &str) -> Result<(&str, Vec<Subnet>), ParseSourceError> {
    let mut parts = text.split(',');
    let place = parts.next().unwrap_or_default();
    let sources: Result<_, _> = parts.map(parse).collect();
    Ok((place, sources?))
}

fn parse(option: &str) -> Result<Subnet, ParseSourceError> {
    let Some(text) = option.strip_prefix("from=") else {
        return Err(ParseSourceError::Option {
            given: option.to_owned(),
        });
    };
    let form = || ParseSourceError::Form {
        given: option.to_owned(),
    };
    // IpNetwork reads an address as the subnet of that one, and the like of 10.0.0.0/255.0.0.0 too.
    let given: IpNetwork = match text.split_once('/') {
        Some((_, prefix)) if !prefix.bytes().all(|byte| byte.is_ascii_digit()) => {
            return Err(form());
        }
        _ => text.parse().map_err(|_| form())?,
    };
    if let IpNetwork::V6(v6) = given
        && v6.ip().to_ipv4_mapped().is_some()
    {
        return Err(ParseSourceError::Mapped { given });
    }
    let meant = Subnet::containing(given);
    match meant.first() == given.ip() {
        true => Ok(meant),
        false => Err(ParseSourceError::HostBits { given, meant }),
    }
}

/// The sources in order, if each of them says something for a port on that address of the host.
pub(super) fn check(
    mut sources: Vec<Subnet>,
    host_ip: Option<IpAddr>,
) -> Result<Vec<Subnet>, ParseSourceError> {
    sources.sort_unstable();
    for (at, one) in sources.iter().enumerate() {
        for other in &sources[at + 1..] {
            if one == other {
                return Err(ParseSourceError::Twice { subnet: *one });
            }
            if one.overlaps(*other) {
                let (whole, part) = match one.prefix() < other.prefix() {
                    true => (*one, *other),
                    false => (*other, *one),
                };
                return Err(ParseSourceError::Within { part, whole });
            }
        }
        if let Some(host_ip) = host_ip {
            fits(*one, host_ip)?;
        }
    }
    Ok(sources)
}

/// Whether a source may be one of a port on an address of the host.
pub(super) fn fits(source: Subnet, host_ip: IpAddr) -> Result<(), ParseSourceError> {
    if source.is_ipv4() != host_ip.is_ipv4() {
        let family = match host_ip {
            IpAddr::V4(_) => "IPv4",
            IpAddr::V6(_) => "IPv6",
        };
        return Err(ParseSourceError::Family {
            subnet: source,
            host_ip,
            family,
        });
    }
    match host_ip.is_loopback() {
        true => Err(ParseSourceError::Loopback {
            subnet: source,
            host_ip,
        }),
        false => Ok(()),
    }
}

/// What people read behind a port: ` (from 10.0.0.0/8, 192.168.0.0/16)`; nothing if everybody reaches it.
pub(super) fn suffix(sources: &[Subnet]) -> String {
    if sources.is_empty() {
        return String::new();
    }
    let sources: Vec<String> = sources.iter().map(Subnet::to_string).collect();
    format!(" (from {})", sources.join(", "))
}

#[cfg(test)]
mod tests {
    use crate::{Protocol, PublishRequest, PublishedPort};

    fn parse(text: &str) -> Result<PublishRequest, String> {
        text.parse()
            .map_err(|error: super::super::ParsePublishError| error.to_string())
    }

    #[test]
    fn sources_are_read_in_any_order_and_an_address_is_a_subnet_of_its_own() {
        let one = parse("8080:80,from=192.168.0.0/16,from=10.0.0.7").unwrap();
        let other = parse("8080:80/tcp,from=10.0.0.7/32,from=192.168.0.0/16").unwrap();
        assert_eq!(one, other);
        let shown: Vec<_> = one.from.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.0.0.7/32", "192.168.0.0/16"]);
        assert_eq!(parse("[::]:80:80,from=fd00::/8").unwrap().from.len(), 1);
        assert_eq!(
            parse("80:80,from=0.0.0.0/0,from=::/0").unwrap().from.len(),
            2
        );
    }

    #[test]
    fn what_is_no_source_is_told_in_a_sentence() {
        for (given, said) in [
            (
                "80:80,from=10.0.0.0/33",
                "\"from=10.0.0.0/33\" is no source",
            ),
            ("80:80,from=10.0.0/8", "is no source"),
            ("80:80,from=10.0.0.0/255.0.0.0", "is no source"),
            ("80:80,from=", "\"from=\" is no source"),
            ("80:80,from=10.0.0.0/", "is no source"),
            ("80:80,from=somewhere", "is no source"),
            (
                "80:80,to=10.0.0.0/8",
                "\"to=10.0.0.0/8\" is no option of a published port",
            ),
            ("80:80,", "\"\" is no option"),
            (
                "80:80,from=10.1.2.3/8",
                "from=10.1.2.3/8 has host bits set; the subnet is 10.0.0.0/8",
            ),
            (
                "80:80,from=10.0.0.0/8,from=10.0.0.0/8",
                "from=10.0.0.0/8 is given twice",
            ),
            (
                "80:80,from=10.1.0.0/16,from=10.0.0.0/8",
                "from=10.1.0.0/16 lies in from=10.0.0.0/8",
            ),
            ("80:80,from=::ffff:10.0.0.0/104", "is IPv4 in disguise"),
            (
                "192.0.2.1:80:80,from=fd00::/8",
                "no source for a port on 192.0.2.1, which is IPv4",
            ),
            (
                "[::]:80:80,from=10.0.0.0/8",
                "no source for a port on ::, which is IPv6",
            ),
            (
                "127.0.0.1:80:80,from=10.0.0.0/8",
                "only the host itself reaches that",
            ),
        ] {
            let error = parse(given).unwrap_err();
            assert!(error.contains(said), "{given}: {error}");
        }
    }

    #[test]
    fn a_port_says_from_where_it_is_reached() {
        let mut port = PublishedPort {
            protocol: Protocol::Tcp,
            host_ip: "0.0.0.0".parse().unwrap(),
            host_ports: "8080".parse().unwrap(),
            container_ports: "80".parse().unwrap(),
            from: Vec::new(),
        };
        assert_eq!(port.sources(), None);
        assert_eq!(port.to_string(), "0.0.0.0:8080->80/tcp");
        port.from = ["10.0.0.0/8", "192.168.0.0/16"]
            .map(|text| text.parse().unwrap())
            .into();
        assert_eq!(port.sources(), Some(port.from.as_slice()));
        let shown = "0.0.0.0:8080->80/tcp (from 10.0.0.0/8, 192.168.0.0/16)";
        assert_eq!(port.to_string(), shown);
        port.from = vec!["0.0.0.0/0".parse().unwrap()];
        assert_eq!(port.sources(), None, "everybody");
    }
}
