//! Addresses of one link only: 169.254.0.0/16 (RFC 3927) and fe80::/10 (RFC 4291 section 2.5.6).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

use crate::{Mac, Subnet};

/// Prefix lengths that an interface carries such an address with.
const V4_PREFIX: u8 = 16;
const V6_PREFIX: u8 = 64;

/// A link-local address that an interface may have, besides those that its network gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "IpAddr", into = "IpAddr")]
pub struct LinkLocal(IpNetwork);

/// Why something is no link-local address of an interface.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseLinkLocalError {
    /// No IP address at all.
    #[error("{given:?} is not an IP address: expected one such as 169.254.7.1 or fe80::7")]
    Form {
        /// What was given.
        given: String,
    },
    /// An address of another range.
    #[error("{given} is not a link-local address: expected one of 169.254.0.0/16 or fe80::/10")]
    Range {
        /// What was given.
        given: IpAddr,
    },
    /// The first address of the range, or its broadcast address, which are nobody's.
    #[error("{given} cannot be an interface's: it stands for {subnet} as a whole")]
    Whole {
        /// What was given.
        given: IpAddr,
        /// The range.
        subnet: Subnet,
    },
}

impl LinkLocal {
    /// Takes an address if it is link-local and an interface may have it.
    ///
    /// # Errors
    /// [`ParseLinkLocalError`] says what is wrong with it.
    pub fn new(address: IpAddr) -> Result<Self, ParseLinkLocalError> {
        let range = ParseLinkLocalError::Range { given: address };
        let prefix = match address {
            IpAddr::V4(v4) if v4.is_link_local() => V4_PREFIX,
            IpAddr::V6(v6) if v6.is_unicast_link_local() => V6_PREFIX,
            IpAddr::V4(_) | IpAddr::V6(_) => return Err(range),
        };
        let network = IpNetwork::new(address, prefix).map_err(|_| range)?;
        let is_broadcast = address.is_ipv4() && address == network.broadcast();
        if address == network.network() || is_broadcast {
            return Err(ParseLinkLocalError::Whole {
                given: address,
                subnet: Subnet::containing(network),
            });
        }
        Ok(Self(network))
    }

    /// The one that Linux gives an interface with IPv6 by itself: fe80::/64 and the modified EUI-64 of its Ethernet
    /// address (RFC 4291 appendix A; `addr_gen_mode` 0 in ip-sysctl.rst).
    #[must_use]
    pub fn of_mac(mac: Mac) -> Option<Self> {
        let [a, b, c, d, e, f] = mac.octets();
        let pair = |high, low| u16::from_be_bytes([high, low]);
        let last = [pair(a ^ 0x02, b), pair(c, 0xff), pair(0xfe, d), pair(e, f)];
        let address = Ipv6Addr::new(0xfe80, 0, 0, 0, last[0], last[1], last[2], last[3]);
        Self::new(address.into()).ok()
    }

    /// The address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.0.ip()
    }

    /// The address with its prefix, as the interface carries it: /16, or /64.
    #[must_use]
    pub const fn interface_address(self) -> IpNetwork {
        self.0
    }
}

impl fmt::Display for LinkLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address().fmt(f)
    }
}

impl FromStr for LinkLocal {
    type Err = ParseLinkLocalError;

    fn from_str(text: &str) -> Result<Self, ParseLinkLocalError> {
        let form = |_| ParseLinkLocalError::Form {
            given: text.to_owned(),
        };
        Self::new(text.parse().map_err(form)?)
    }
}

impl TryFrom<IpAddr> for LinkLocal {
    type Error = ParseLinkLocalError;

    fn try_from(address: IpAddr) -> Result<Self, ParseLinkLocalError> {
        Self::new(address)
    }
}

impl From<LinkLocal> for IpAddr {
    fn from(address: LinkLocal) -> Self {
        address.address()
    }
}

crate::schema::text!(LinkLocal, "address of 169.254.0.0/16 or fe80::/10");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_the_prefix_of_their_family() {
        for (text, shown) in [
            ("169.254.0.1", "169.254.0.1/16"),
            ("169.254.255.254", "169.254.255.254/16"),
            ("fe80::1", "fe80::1/64"),
            ("febf::1", "febf::1/64"),
        ] {
            let address: LinkLocal = text.parse().unwrap();
            assert_eq!(address.interface_address().to_string(), shown);
            assert_eq!(address.to_string(), text);
            assert_eq!(LinkLocal::try_from(IpAddr::from(address)), Ok(address));
        }
    }

    #[test]
    fn what_is_no_link_local_address_of_an_interface_is_refused() {
        for (text, why) in [
            ("169.253.255.255", "169.254.0.0/16 or fe80::/10"),
            ("169.255.0.1", "169.254.0.0/16 or fe80::/10"),
            ("fec0::1", "169.254.0.0/16 or fe80::/10"),
            ("::ffff:169.254.0.1", "169.254.0.0/16 or fe80::/10"),
            ("169.254.0.0", "169.254.0.0/16 as a whole"),
            ("169.254.255.255", "169.254.0.0/16 as a whole"),
            ("fe80::", "fe80::/64 as a whole"),
            ("169.254.0.1/16", "not an IP address"),
            ("fe80::1%eth0", "not an IP address"),
            ("", "not an IP address"),
        ] {
            let error = text.parse::<LinkLocal>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    /// The example of RFC 2464 section 4.
    #[test]
    fn the_kernel_s_own_follows_from_the_ethernet_address() {
        let own = LinkLocal::of_mac("34:56:78:9a:bc:de".parse().unwrap()).unwrap();
        assert_eq!(own.to_string(), "fe80::3656:78ff:fe9a:bcde");
    }
}
