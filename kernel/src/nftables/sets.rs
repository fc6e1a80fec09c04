//! The sets and maps of netd's table: what their keys are made of and what they give.
//!
//! Everything that comes and goes with networks, containers and ports is an element of one of these, so that the
//! rules never change and a packet's way does not grow with them.

use crate::Family;

/// Data types in nft's numbers, which only make listings readable (nftables include/datatype.h).
const TYPE_IP_VERSION: u32 = 2;
const TYPE_IPV4_ADDRESS: u32 = 7;
const TYPE_IPV6_ADDRESS: u32 = 8;
const TYPE_PROTOCOL: u32 = 12;
const TYPE_PORT: u32 = 13;
const TYPE_INTERFACE_NAME: u32 = 41;
/// Bits that one type takes in the number of a concatenation.
const TYPE_BITS: u32 = 6;
/// `NFT_DATA_VERDICT` (linux/netfilter/nf_tables.h).
const DATA_VERDICT: u32 = 0xffff_ff00;
/// Length of a verdict in the kernel; ignored, but asked for.
const VERDICT_BYTES: u32 = 16;

/// One part of a key or value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// An IP version.
    Version,
    /// An interface's name, 16 bytes with NULs behind.
    Interface,
    /// An address.
    Address(Family),
    /// The number of a transport protocol.
    Protocol,
    /// A port, big-endian.
    Port,
}

impl Part {
    /// Length in bytes, without padding.
    pub(super) const fn bytes(self) -> u32 {
        match self {
            Self::Interface => 16,
            Self::Address(family) => family.address_bytes(),
            Self::Version | Self::Protocol => 1,
            Self::Port => 2,
        }
    }

    const fn kind(self) -> u32 {
        match self {
            Self::Version => TYPE_IP_VERSION,
            Self::Interface => TYPE_INTERFACE_NAME,
            Self::Address(Family::V4) => TYPE_IPV4_ADDRESS,
            Self::Address(Family::V6) => TYPE_IPV6_ADDRESS,
            Self::Protocol => TYPE_PROTOCOL,
            Self::Port => TYPE_PORT,
        }
    }
}

/// The number and length of a concatenation as nf_tables wants them: each part padded to four bytes, unless alone.
pub(super) fn concatenation(parts: &[Part]) -> (u32, u32) {
    match parts {
        [only] => (only.kind(), only.bytes()),
        parts => parts.iter().fold((0, 0), |(kind, bytes), part| {
            (
                kind << TYPE_BITS | part.kind(),
                bytes + part.bytes().next_multiple_of(4),
            )
        }),
    }
}

/// A set or map of netd's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Set {
    /// IP versions of which only what concerns a network is forwarded.
    OwnOnly,
    /// Bridges of all networks.
    Bridges,
    /// Bridges of internal networks: nothing in, nothing out.
    Internal,
    /// From a bridge to a bridge: what is decided without a look at the connection.
    Pairs,
    /// A network's subnet and its bridge.
    Home(Family),
    /// From a subnet to a subnet, both keeping their addresses.
    Kept(Family),
    /// From a link, of an address of another host's containers, to a bridge: let in.
    Peers(Family),
    /// To a subnet of another host's containers, from a bridge that is kept from it.
    Apart(Family),
    /// Subnets that leave by the host's address, whatever the destination.
    Masqueraded(Family),
    /// Subnets that leave by an address of their own, whatever the destination.
    Sourced(Family),
    /// Bridges of networks where nothing is translated.
    Routed(Family),
    /// Bridges of networks whose containers are open to whoever routes to them.
    Unprotected(Family),
    /// Ports of containers that are open at the container's own address.
    Opened(Family),
    /// The same, for what comes by one interface.
    Trusted(Family),
    /// Ports of every address of the host.
    Ports(Family),
    /// Ports of one address of the host.
    PortsAt(Family),
    /// Ranges of ports, which stay as they are.
    Ranges(Family),
    /// Neighbouring ports that lead to one.
    Runs(Family),
    /// Ports that only some sources reach.
    PortsFrom(Family),
    /// The same ports, as the host itself reaches them.
    PortsOwn(Family),
}

/// What a map gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gives {
    /// Nothing: it is a set.
    Nothing,
    /// A verdict.
    Verdict,
    /// A value of these parts.
    Value(&'static [Part]),
}

/// Whether an element may stand for a span of each part of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// Found by hashing.
    Exact,
    /// Found by their bits, all parts together (`nft_set_pipapo`), of which it wants two or more.
    Spans,
}

impl Set {
    /// All of them.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let of_both = |make: fn(Family) -> Self| Family::BOTH.map(make);
        [Self::OwnOnly, Self::Bridges, Self::Internal, Self::Pairs]
            .into_iter()
            .chain(of_both(Self::Home))
            .chain(of_both(Self::Kept))
            .chain(of_both(Self::Peers))
            .chain(of_both(Self::Apart))
            .chain(of_both(Self::Masqueraded))
            .chain(of_both(Self::Sourced))
            .chain(of_both(Self::Routed))
            .chain(of_both(Self::Unprotected))
            .chain(of_both(Self::Opened))
            .chain(of_both(Self::Trusted))
            .chain(of_both(Self::Ports))
            .chain(of_both(Self::PortsAt))
            .chain(of_both(Self::Ranges))
            .chain(of_both(Self::Runs))
            .chain(of_both(Self::PortsFrom))
            .chain(of_both(Self::PortsOwn))
    }

    /// Its name in the table.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::OwnOnly => "own_only",
            Self::Bridges => "bridges",
            Self::Internal => "internal",
            Self::Pairs => "pairs",
            Self::Home(Family::V4) => "home4",
            Self::Home(Family::V6) => "home6",
            Self::Kept(Family::V4) => "kept4",
            Self::Kept(Family::V6) => "kept6",
            Self::Peers(Family::V4) => "peers4",
            Self::Peers(Family::V6) => "peers6",
            Self::Apart(Family::V4) => "apart4",
            Self::Apart(Family::V6) => "apart6",
            Self::Masqueraded(Family::V4) => "masqueraded4",
            Self::Masqueraded(Family::V6) => "masqueraded6",
            Self::Sourced(Family::V4) => "sourced4",
            Self::Sourced(Family::V6) => "sourced6",
            Self::Routed(Family::V4) => "routed4",
            Self::Routed(Family::V6) => "routed6",
            Self::Unprotected(Family::V4) => "unprotected4",
            Self::Unprotected(Family::V6) => "unprotected6",
            Self::Opened(Family::V4) => "opened4",
            Self::Opened(Family::V6) => "opened6",
            Self::Trusted(Family::V4) => "trusted4",
            Self::Trusted(Family::V6) => "trusted6",
            Self::Ports(Family::V4) => "ports4",
            Self::Ports(Family::V6) => "ports6",
            Self::PortsAt(Family::V4) => "ports_at4",
            Self::PortsAt(Family::V6) => "ports_at6",
            Self::Ranges(Family::V4) => "ranges4",
            Self::Ranges(Family::V6) => "ranges6",
            Self::Runs(Family::V4) => "runs4",
            Self::Runs(Family::V6) => "runs6",
            Self::PortsFrom(Family::V4) => "ports_from4",
            Self::PortsFrom(Family::V6) => "ports_from6",
            Self::PortsOwn(Family::V4) => "ports_own4",
            Self::PortsOwn(Family::V6) => "ports_own6",
        }
    }

    /// What its keys are made of.
    pub(super) const fn key(self) -> &'static [Part] {
        use Part::{Address, Interface, Port, Protocol};
        const V4: Part = Address(Family::V4);
        const V6: Part = Address(Family::V6);
        match self {
            Self::OwnOnly => &[Part::Version],
            Self::Bridges | Self::Internal | Self::Routed(_) | Self::Unprotected(_) => &[Interface],
            Self::Sourced(Family::V4) => &[V4, V4],
            Self::Sourced(Family::V6) => &[V6, V6],
            Self::Opened(Family::V4) => &[V4, Protocol, Port],
            Self::Opened(Family::V6) => &[V6, Protocol, Port],
            Self::Trusted(Family::V4) => &[Interface, V4, Protocol, Port],
            Self::Trusted(Family::V6) => &[Interface, V6, Protocol, Port],
            Self::Pairs => &[Interface, Interface],
            Self::Home(Family::V4) | Self::Apart(Family::V4) => &[V4, Interface],
            Self::Home(Family::V6) | Self::Apart(Family::V6) => &[V6, Interface],
            Self::Peers(Family::V4) => &[Interface, V4, Interface],
            Self::Peers(Family::V6) => &[Interface, V6, Interface],
            Self::Kept(Family::V4) | Self::Masqueraded(Family::V4) => &[V4, V4],
            Self::Kept(Family::V6) | Self::Masqueraded(Family::V6) => &[V6, V6],
            Self::Ports(_) => &[Protocol, Port],
            Self::PortsAt(Family::V4)
            | Self::Ranges(Family::V4)
            | Self::Runs(Family::V4)
            | Self::PortsOwn(Family::V4) => &[V4, Protocol, Port],
            Self::PortsAt(Family::V6)
            | Self::Ranges(Family::V6)
            | Self::Runs(Family::V6)
            | Self::PortsOwn(Family::V6) => &[V6, Protocol, Port],
            Self::PortsFrom(Family::V4) => &[V4, V4, Protocol, Port],
            Self::PortsFrom(Family::V6) => &[V6, V6, Protocol, Port],
        }
    }

    /// Whether its elements are spans.
    pub(super) const fn keys(self) -> Keys {
        match self {
            Self::Home(_)
            | Self::Kept(_)
            | Self::Peers(_)
            | Self::Apart(_)
            | Self::Masqueraded(_)
            | Self::Sourced(_)
            | Self::Ranges(_)
            | Self::Runs(_)
            | Self::PortsFrom(_)
            | Self::PortsOwn(_) => Keys::Spans,
            Self::OwnOnly
            | Self::Bridges
            | Self::Internal
            | Self::Pairs
            | Self::Routed(_)
            | Self::Unprotected(_)
            | Self::Opened(_)
            | Self::Trusted(_)
            | Self::Ports(_)
            | Self::PortsAt(_) => Keys::Exact,
        }
    }

    /// What it gives.
    pub(super) const fn gives(self) -> Gives {
        use Part::{Address, Port};
        match self {
            Self::OwnOnly
            | Self::Bridges
            | Self::Internal
            | Self::Home(_)
            | Self::Kept(_)
            | Self::Peers(_)
            | Self::Apart(_)
            | Self::Masqueraded(_)
            | Self::Routed(_)
            | Self::Unprotected(_)
            | Self::Opened(_)
            | Self::Trusted(_) => Gives::Nothing,
            Self::Sourced(Family::V4) => Gives::Value(&[Address(Family::V4)]),
            Self::Sourced(Family::V6) => Gives::Value(&[Address(Family::V6)]),
            Self::Pairs => Gives::Verdict,
            Self::Ports(family)
            | Self::PortsAt(family)
            | Self::Runs(family)
            | Self::PortsFrom(family)
            | Self::PortsOwn(family) => match family {
                Family::V4 => Gives::Value(&[Address(Family::V4), Port]),
                Family::V6 => Gives::Value(&[Address(Family::V6), Port]),
            },
            Self::Ranges(Family::V4) => Gives::Value(&[Address(Family::V4)]),
            Self::Ranges(Family::V6) => Gives::Value(&[Address(Family::V6)]),
        }
    }

    /// True if it gives a port besides an address.
    pub(super) fn gives_port(self) -> bool {
        matches!(self.gives(), Gives::Value(parts) if parts.contains(&Part::Port))
    }

    /// Type number and length of what it gives, as nf_tables wants them.
    pub(super) fn data(self) -> Option<(u32, u32)> {
        match self.gives() {
            Gives::Nothing => None,
            Gives::Verdict => Some((DATA_VERDICT, VERDICT_BYTES)),
            Gives::Value(parts) => Some(concatenation(parts)),
        }
    }
}
