//! The two versions of IP, for what is done alike for each.

use std::net::IpAddr;

use netd_model::Subnet;
use netd_model::ruleset::{HostRules, NetworkRules};

/// A version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The version that an address is of.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// Length of an address in bits.
    #[must_use]
    pub const fn address_bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// The subnets of a network that are of this version.
    pub(crate) fn subnets(self, network: &NetworkRules) -> impl Iterator<Item = &Subnet> {
        let subnets = network.subnets.iter();
        subnets.filter(move |subnet| Self::of(subnet.first()) == self)
    }

    /// Whether forwarded packets that no rule accepts are dropped.
    pub(crate) const fn is_dropped(self, host: &HostRules) -> bool {
        match self {
            Self::V4 => host.drop_forwarded,
            Self::V6 => host.drop_forwarded_v6,
        }
    }
}

/// Whether rules can lead from this address of the host to a container: from each but ::1.
///
/// The request arrives, but its answer, translated back, is for ::1 and comes by way of a bridge. Linux takes it only
/// from `lo`: no route leads there from another interface (net/ipv6/route.c, `rt6_need_strict`). A route that does
/// (`local ::1 dev BRIDGE`) helps only where bridge-nf is off. Otherwise the answer is translated back inside the
/// bridge, and dropped like any packet for ::1 from the wire (net/ipv6/ip6_input.c).
pub(crate) fn is_translated(host_ip: IpAddr) -> bool {
    host_ip.is_ipv4() || !host_ip.is_loopback()
}
