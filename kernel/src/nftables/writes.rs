//! Rules that write into packets, one by one and without tracking.

use netlink_packet_netfilter::nftables::{DataAttribute, Expressions, Immediate};

use super::words::{
    FIRST_REGISTER, Field, NETWORK_HEADER, Rule, TRANSPORT_HEADER, other, register,
};
use crate::Family;

/// Where something is written in an IPv4 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Its source address.
    Source,
    /// Its destination address.
    Destination,
    /// In the transport's header.
    Transport {
        /// From where, in bytes.
        offset: u32,
        /// How many bytes.
        length: u32,
        /// Where the checksum is that has to change with it.
        checksum: u32,
    },
}

/// `NFT_PAYLOAD_CSUM_INET` and `NFT_PAYLOAD_L4CSUM_PSEUDOHDR` (linux/netfilter/nf_tables.h): the checksum of RFC 1071, and that the
/// transport's covers an address as well.
const CHECKSUM_OF_INTERNET: u32 = 1;
const CHECKSUM_OF_TRANSPORT: u32 = 1;
/// Where the IPv4 header has its checksum (RFC 791).
const HEADER_CHECKSUM: u32 = 10;

impl Place {
    /// Writes the first register there.
    fn written(self) -> Expressions {
        let source = Family::V4.source_offset();
        let (base, offset, length, checksum) = match self {
            Self::Source => (NETWORK_HEADER, source, 4, HEADER_CHECKSUM),
            Self::Destination => (NETWORK_HEADER, source + 4, 4, HEADER_CHECKSUM),
            Self::Transport {
                offset,
                length,
                checksum,
            } => (TRANSPORT_HEADER, offset, length, checksum),
        };
        let mut attributes = vec![
            (2, base),
            (3, offset),
            (4, length),
            (5, FIRST_REGISTER),
            (6, CHECKSUM_OF_INTERNET),
            (7, checksum),
        ];
        if base == NETWORK_HEADER {
            attributes.push((8, CHECKSUM_OF_TRANSPORT));
        }
        other("payload", &attributes)
    }
}

impl Rule {
    /// Writes `bytes`, up to four, into the packet. No flow is tracked for it.
    pub(crate) fn writing(self, place: Place, bytes: &[u8]) -> Self {
        let load = Expressions::Immediate(vec![
            Immediate::DestinationRegister(register(0)),
            Immediate::Data(DataAttribute::Value(bytes.to_vec())),
        ]);
        self.then(load).then(place.written())
    }

    /// Writes what `field` holds, up to four bytes, to another place of the packet.
    pub(crate) fn copying(self, field: Field, place: Place) -> Self {
        self.then(field.load(register(0))).then(place.written())
    }
}
