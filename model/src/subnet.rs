//! Subnets: a network address with its prefix, host bits zero, and the arithmetic on it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnetwork::IpNetwork;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An IPv4 or IPv6 subnet whose host bits are zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subnet(IpNetwork);

/// A text is not a subnet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseSubnetError {
    /// Not `ADDRESS/PREFIX`.
    #[error("{given:?} is not a subnet: expected ADDRESS/PREFIX such as 172.28.0.0/16")]
    Form {
        /// What was given.
        given: String,
    },
    /// Bits behind the prefix are set.
    #[error(
        "{given} has host bits set; the subnet is {meant}, give that (a gateway goes into --gateway)"
    )]
    HostBits {
        /// What was given.
        given: IpNetwork,
        /// The same with its host bits cleared.
        meant: Subnet,
    },
}

/// An address as a number, for arithmetic that both families share.
#[must_use]
pub fn to_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

impl Subnet {
    /// The subnet that `address` lies in: its host bits are cleared.
    #[must_use]
    pub fn containing(address: IpNetwork) -> Self {
        // The prefix of an IpNetwork was checked when it was made, so `new` cannot refuse it.
        Self(IpNetwork::new(address.network(), address.prefix()).unwrap_or(address))
    }

    /// A subnet by its first address and prefix length in bits.
    ///
    /// # Errors
    /// [`ParseSubnetError`] when the prefix is too long for the family or host bits are set.
    pub fn new(first: IpAddr, prefix: u8) -> Result<Self, ParseSubnetError> {
        let given = IpNetwork::new(first, prefix).map_err(|_| ParseSubnetError::Form {
            given: format!("{first}/{prefix}"),
        })?;
        let meant = Self::containing(given);
        if meant.first() != first {
            return Err(ParseSubnetError::HostBits { given, meant });
        }
        Ok(meant)
    }

    /// The network address.
    #[must_use]
    pub fn first(&self) -> IpAddr {
        self.0.ip()
    }

    /// The highest address: the broadcast address in IPv4.
    #[must_use]
    pub fn last(&self) -> IpAddr {
        self.0.broadcast()
    }

    /// The prefix length in bits.
    #[must_use]
    pub fn prefix(&self) -> u8 {
        self.0.prefix()
    }

    /// True for IPv4.
    #[must_use]
    pub fn is_ipv4(&self) -> bool {
        self.0.is_ipv4()
    }

    /// True if `address` is one of this subnet's, the network and broadcast addresses included.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(address)
    }

    /// True if every address of `other` is one of this subnet's.
    #[must_use]
    pub fn contains_subnet(&self, other: Self) -> bool {
        self.is_ipv4() == other.is_ipv4()
            && self.prefix() <= other.prefix()
            && self.contains(other.first())
    }

    /// True if some address lies in both.
    #[must_use]
    pub fn overlaps(&self, other: Self) -> bool {
        self.contains_subnet(other) || other.contains_subnet(*self)
    }

    /// The address `offset` behind the first, or `None` past the last.
    #[must_use]
    pub fn nth(&self, offset: u128) -> Option<IpAddr> {
        let number = to_number(self.first()).checked_add(offset)?;
        if number > to_number(self.last()) {
            return None;
        }
        Some(match self.first() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(u32::try_from(number).ok()?)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
        })
    }

    /// `address` with this subnet's prefix, as an interface carries it.
    #[must_use]
    pub fn with_address(&self, address: IpAddr) -> IpNetwork {
        IpNetwork::new(address, self.prefix()).unwrap_or(self.0)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first(), self.prefix())
    }
}

impl fmt::Debug for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Subnet {
    type Err = ParseSubnetError;

    fn from_str(text: &str) -> Result<Self, ParseSubnetError> {
        let form = || ParseSubnetError::Form {
            given: text.to_owned(),
        };
        // IpNetwork takes a bare address for a /32, and a dotted mask behind the slash; neither is a subnet to us.
        let (address, prefix) = text.split_once('/').ok_or_else(form)?;
        let address = address.parse().map_err(|_| form())?;
        if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_digit()) {
            return Err(form());
        }
        Self::new(address, prefix.parse().map_err(|_| form())?).map_err(|error| match error {
            ParseSubnetError::Form { .. } => form(),
            other => other,
        })
    }
}

impl Serialize for Subnet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subnet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

crate::schema::text!(Subnet, "subnet in CIDR notation, such as 172.28.0.0/16");

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn host_bits_are_refused_and_the_subnet_meant_is_named() {
        let error = "172.28.5.1/16".parse::<Subnet>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "172.28.5.1/16 has host bits set; the subnet is 172.28.0.0/16, give that (a gateway goes into --gateway)"
        );
    }

    #[test]
    fn what_is_not_a_subnet_is_refused() {
        for bad in [
            "",
            "foo",
            "172.44.0.0",
            "172.44.0.0/33",
            "172.44.0.0/",
            "/16",
            "172.44.0.0/+8",
            "172.44.0.0/255.255.0.0",
            "fd00::/129",
        ] {
            assert!(
                matches!(bad.parse::<Subnet>(), Err(ParseSubnetError::Form { .. })),
                "{bad}"
            );
        }
    }

    #[test]
    fn overlap_is_containment_either_way() {
        assert!(subnet("10.0.0.0/8").overlaps(subnet("10.1.0.0/16")));
        assert!(subnet("10.1.0.0/16").overlaps(subnet("10.0.0.0/8")));
        assert!(!subnet("10.1.0.0/16").overlaps(subnet("10.2.0.0/16")));
        assert!(!subnet("::/0").overlaps(subnet("0.0.0.0/0")));
    }

    #[test]
    fn nth_stops_at_the_last_address() {
        assert_eq!(
            subnet("10.0.0.0/30").nth(3),
            Some("10.0.0.3".parse().unwrap())
        );
        assert_eq!(subnet("10.0.0.0/30").nth(4), None);
        assert_eq!(subnet("255.255.255.255/32").nth(1), None);
        assert_eq!(subnet("fd00::/64").nth(1), Some("fd00::1".parse().unwrap()));
        assert_eq!(subnet("ff00::/8").nth(u128::MAX), None);
    }
}
