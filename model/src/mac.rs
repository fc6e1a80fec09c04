//! Ethernet addresses.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A 48-bit Ethernet address of a single station.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac([u8; 6]);

/// A text is not the address of a station.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseMacError {
    /// Not six hexadecimal pairs.
    #[error(
        "{given:?} is not a MAC address: expected six hexadecimal pairs such as 02:42:ac:11:00:02"
    )]
    Form {
        /// What was given.
        given: String,
    },
    /// The group bit is set, or all is zero: the kernel refuses such an address on an interface
    /// (`is_valid_ether_addr`, linux/etherdevice.h).
    #[error(
        "{given:?} is a multicast or empty MAC address; an interface needs one whose first octet is even"
    )]
    NotAStation {
        /// What was given.
        given: String,
    },
}

impl Mac {
    /// An address of six octets, as the kernel gave them.
    #[must_use]
    pub const fn from_octets(octets: [u8; 6]) -> Self {
        Self(octets)
    }

    /// Docker's scheme: 02:42 (locally administered) and the four octets of the IPv4 address.
    ///
    /// An address that returns thus brings its MAC with it, and neighbours' ARP caches stay true.
    #[must_use]
    pub const fn from_ipv4(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self([0x02, 0x42, a, b, c, d])
    }

    /// The six octets.
    #[must_use]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Mac {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Self, ParseMacError> {
        let form = || ParseMacError::Form {
            given: text.to_owned(),
        };
        let mut octets = [0; 6];
        let mut parts = text.split([':', '-']);
        for octet in &mut octets {
            let part = parts.next().ok_or_else(form)?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(form());
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| form())?;
        }
        if parts.next().is_some() {
            return Err(form());
        }
        if octets[0] & 1 == 1 || octets == [0; 6] {
            return Err(ParseMacError::NotAStation {
                given: text.to_owned(),
            });
        }
        Ok(Self(octets))
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

crate::schema::text!(Mac, "Ethernet address, such as 02:42:ac:11:00:02");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_s_scheme_puts_the_address_behind_02_42() {
        assert_eq!(
            Mac::from_ipv4(Ipv4Addr::new(172, 17, 0, 2)).to_string(),
            "02:42:ac:11:00:02"
        );
    }

    #[test]
    fn text_reads_back_and_nonsense_is_refused() {
        assert_eq!(
            "02:42:ac:11:00:02".parse(),
            Ok(Mac([2, 0x42, 172, 17, 0, 2]))
        );
        for bad in [
            "",
            "02:42",
            "02:42:ac:11:00:02:03",
            "02:42:ac:11:00:zz",
            "01:00:5e:00:00:01",
            "00:00:00:00:00:00",
            "+2:42:ac:11:00:02",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }
}
