//! The expressions of nf_tables that rules are made of: what to load, where to look it up, what to do then.
//!
//! Registers are the kernel's sixteen of four bytes. A lookup's key lies in them from the first on, each part padded to
//! four bytes; what a map gives goes behind the longest key. Knows nothing of networks.

use std::net::Ipv6Addr;

use netlink_packet_core::DefaultNla;
use netlink_packet_netfilter::nftables::{
    Bitwise, Cmp, DataAttribute, Expressions, Immediate, Lookup, Meta, MetaKey, Operator, Payload,
    Register, Verdict, VerdictAttribute,
};

use super::sets::Set;
use crate::Family;

/// The first of the registers of four bytes (linux/netfilter/nf_tables.h `NFT_REG32_00`).
pub(super) const FIRST_REGISTER: u32 = 8;
/// Behind the longest key, two IPv6 addresses with protocol and port.
const RESULT: u32 = 10;

/// `NF_DROP` and `NF_ACCEPT` (linux/netfilter.h).
const DROP: u32 = 0;
const ACCEPT: u32 = 1;

/// `NFT_CT_STATE`, `NFT_CT_STATUS` (linux/netfilter/nf_tables.h).
const CT_STATE: u32 = 0;
const CT_STATUS: u32 = 2;
/// `IPS_DST_NAT` (linux/netfilter/nf_conntrack_common.h).
const DESTINATION_TRANSLATED: u32 = 1 << 5;
/// `NF_CT_STATE_BIT` of `IP_CT_ESTABLISHED` and `IP_CT_RELATED` (net/netfilter/nf_conntrack.h).
const ESTABLISHED_OR_RELATED: u32 = 1 << 1 | 1 << 2;

/// `NFT_FIB_RESULT_ADDRTYPE` and the flags for whose address (linux/netfilter/nf_tables.h).
const FIB_ADDRESS_TYPE: u32 = 3;
const FIB_SOURCE: u32 = 1 << 0;
const FIB_DESTINATION: u32 = 1 << 1;
/// `RTN_LOCAL` (linux/rtnetlink.h).
const LOCAL: u32 = 2;

/// `NFT_NAT_SNAT`, `NFT_NAT_DNAT` (linux/netfilter/nf_tables.h).
const NAT_SOURCE: u32 = 0;
const NAT_DESTINATION: u32 = 1;

impl Family {
    /// `NFPROTO_IPV4`, `NFPROTO_IPV6` (linux/netfilter.h).
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }

    /// Length of an address in bytes.
    pub(crate) const fn address_bytes(self) -> u32 {
        match self {
            Self::V4 => 4,
            Self::V6 => 16,
        }
    }

    /// Where the source address lies in the header, and the destination behind it (RFC 791, RFC 8200).
    pub(super) const fn source_offset(self) -> u32 {
        match self {
            Self::V4 => 12,
            Self::V6 => 8,
        }
    }
}

/// Something of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// Its IP version.
    Version,
    /// Name of the interface it came by.
    In,
    /// Name of the interface it leaves by.
    Out,
    /// Its source address.
    Source(Family),
    /// Its destination address.
    Destination(Family),
    /// Number of its transport protocol.
    Protocol,
    /// Its destination port.
    Port,
    /// Bytes of the IPv4 header: from where, and how many up to four.
    Network(u32, u32),
    /// Bytes of the transport's header, in the same way.
    Transport(u32, u32),
}

impl Field {
    /// Registers of four bytes that it takes.
    const fn registers(self) -> u32 {
        match self {
            Self::In | Self::Out => 4,
            Self::Source(family) | Self::Destination(family) => family.address_bytes() / 4,
            Self::Version | Self::Protocol | Self::Port => 1,
            Self::Network(..) | Self::Transport(..) => 1,
        }
    }

    pub(super) fn load(self, register: Register) -> Expressions {
        let meta =
            |key| Expressions::Meta(vec![Meta::DestinationRegister(register), Meta::Key(key)]);
        match self {
            Self::In => meta(MetaKey::Iifname),
            Self::Out => meta(MetaKey::Oifname),
            Self::Version => meta(MetaKey::Nfproto),
            Self::Protocol => meta(MetaKey::L4Proto),
            Self::Source(family) => header(
                NETWORK_HEADER,
                family.source_offset(),
                (family.address_bytes(), register),
            ),
            Self::Destination(family) => header(
                NETWORK_HEADER,
                family.source_offset() + family.address_bytes(),
                (family.address_bytes(), register),
            ),
            // TCP, UDP and SCTP have it in the same place.
            Self::Port => header(TRANSPORT_HEADER, 2, (2, register)),
            Self::Network(offset, length) => header(NETWORK_HEADER, offset, (length, register)),
            Self::Transport(offset, length) => header(TRANSPORT_HEADER, offset, (length, register)),
        }
    }
}

/// `NFT_PAYLOAD_NETWORK_HEADER`, `NFT_PAYLOAD_TRANSPORT_HEADER` (linux/netfilter/nf_tables.h).
pub(super) const NETWORK_HEADER: u32 = 1;
pub(super) const TRANSPORT_HEADER: u32 = 2;

fn header(base: u32, offset: u32, (length, register): (u32, Register)) -> Expressions {
    Expressions::Payload(vec![
        Payload::DestinationRegister(register),
        Payload::Base(base),
        Payload::Offset(offset),
        Payload::Len(length),
    ])
}

pub(super) fn register(number: u32) -> Register {
    Register::from(FIRST_REGISTER + number)
}

/// Where a rule sends the packets that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Target {
    /// Through; other tables may still drop it.
    Accept,
    /// Away.
    Drop,
    /// Back to where this chain was jumped from.
    Return,
    /// Into another chain, and back.
    Jump(&'static str),
}

impl Target {
    /// The verdict as data of a rule or of a map's element.
    pub(crate) fn data(self) -> DataAttribute {
        let code = |verdict| vec![VerdictAttribute::Code(verdict)];
        DataAttribute::Verdict(match self {
            Self::Accept => code(Verdict::Other(ACCEPT)),
            Self::Drop => code(Verdict::Other(DROP)),
            Self::Return => code(Verdict::Return),
            Self::Jump(chain) => vec![
                VerdictAttribute::Code(Verdict::Jump),
                VerdictAttribute::Chain(chain.to_owned()),
            ],
        })
    }
}

/// A rule under construction: conditions from left to right, then what to do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rule {
    expressions: Vec<Expressions>,
}

impl Rule {
    /// All packets.
    pub(crate) fn any() -> Self {
        Self::default()
    }

    /// Whose `field` does not have these bytes.
    pub(crate) fn without(self, field: Field, bytes: &[u8]) -> Self {
        self.then(field.load(register(0)))
            .then(compare(Operator::NotEqual, bytes.to_vec()))
    }

    /// Packets of one IP version.
    pub(super) fn of(family: Family) -> Self {
        Self::any().with(Field::Version, &[family.number()])
    }

    /// Whose `fields` are an element of `set`.
    pub(super) fn within(self, set: Set, fields: &[Field]) -> Self {
        self.load(fields).then(Expressions::Lookup(vec![
            Lookup::Set(set.name().to_owned()),
            Lookup::SourceRegister(register(0)),
        ]))
    }

    /// Whose `field` has exactly these bytes.
    pub(crate) fn with(self, field: Field, bytes: &[u8]) -> Self {
        self.then(field.load(register(0)))
            .then(compare(Operator::Equal, bytes.to_vec()))
    }

    /// Whose destination is in 127.0.0.0/8 (RFC 1122 section 3.2.1.3).
    pub(super) fn for_loopback_v4(self) -> Self {
        let first_byte = header(
            NETWORK_HEADER,
            Family::V4.source_offset() + 4,
            (1, register(0)),
        );
        self.then(first_byte)
            .then(compare(Operator::Equal, vec![127]))
    }

    /// Whose destination is ::1 (RFC 4291 section 2.5.3).
    pub(super) fn for_loopback_v6(self) -> Self {
        let destination = Field::Destination(Family::V6);
        self.with(destination, &Ipv6Addr::LOCALHOST.octets())
    }

    /// Whose source is an address of the host.
    pub(super) fn by_host(self) -> Self {
        self.local_address(FIB_SOURCE)
    }

    /// Whose destination is an address of the host.
    pub(super) fn for_host(self) -> Self {
        self.local_address(FIB_DESTINATION)
    }

    fn local_address(self, whose: u32) -> Self {
        self.then(other(
            "fib",
            &[(1, FIRST_REGISTER), (2, FIB_ADDRESS_TYPE), (3, whose)],
        ))
        .then(compare(Operator::Equal, LOCAL.to_ne_bytes().to_vec()))
    }

    /// Of connections whose destination was translated.
    pub(super) fn translated(self) -> Self {
        self.tracked(CT_STATUS, DESTINATION_TRANSLATED, Operator::NotEqual)
    }

    /// Of connections whose destination was not translated.
    pub(super) fn not_translated(self) -> Self {
        self.tracked(CT_STATUS, DESTINATION_TRANSLATED, Operator::Equal)
    }

    /// Of connections that were let through before, or about such.
    pub(super) fn established_or_related(self) -> Self {
        self.tracked(CT_STATE, ESTABLISHED_OR_RELATED, Operator::NotEqual)
    }

    /// Compares some bits of what is known of the connection with zero.
    fn tracked(self, key: u32, bits: u32, operator: Operator) -> Self {
        let value = |number: u32| DataAttribute::Value(number.to_ne_bytes().to_vec());
        self.then(other("ct", &[(1, FIRST_REGISTER), (2, key)]))
            .then(Expressions::Bitwise(vec![
                Bitwise::SourceRegister(register(0)),
                Bitwise::DestinationRegister(register(0)),
                Bitwise::Length(4),
                Bitwise::Mask(value(bits)),
                Bitwise::Xor(value(0)),
            ]))
            .then(compare(operator, 0u32.to_ne_bytes().to_vec()))
    }

    /// What to do with those.
    pub(super) fn so(self, target: Target) -> Self {
        self.then(Expressions::Immediate(vec![
            Immediate::DestinationRegister(Register::Verdict),
            Immediate::Data(target.data()),
        ]))
    }

    /// What to do stands in the map `set` under their `fields`; those that it does not have go on.
    pub(super) fn told_by(self, set: Set, fields: &[Field]) -> Self {
        self.load(fields).then(Expressions::Lookup(vec![
            Lookup::Set(set.name().to_owned()),
            Lookup::SourceRegister(register(0)),
            Lookup::DestinationRegister(Register::Verdict),
        ]))
    }

    /// Their destination becomes what the map `set` has under their `fields`; those that it does not have go on.
    pub(super) fn translated_by(self, set: Set, fields: &[Field], family: Family) -> Self {
        self.nat_by(NAT_DESTINATION, (set, fields), family)
    }

    /// Their source becomes what the map `set` has under their `fields`; those that it does not have go on.
    pub(super) fn sourced_by(self, set: Set, fields: &[Field], family: Family) -> Self {
        self.nat_by(NAT_SOURCE, (set, fields), family)
    }

    fn nat_by(self, kind: u32, (set, fields): (Set, &[Field]), family: Family) -> Self {
        let address = FIRST_REGISTER + RESULT;
        let mut attributes = vec![(1, kind), (2, u32::from(family.number())), (3, address)];
        if set.gives_port() {
            attributes.push((5, address + family.address_bytes() / 4));
        }
        self.load(fields)
            .then(Expressions::Lookup(vec![
                Lookup::Set(set.name().to_owned()),
                Lookup::SourceRegister(register(0)),
                Lookup::DestinationRegister(register(RESULT)),
            ]))
            .then(other("nat", &attributes))
    }

    /// Their source becomes the address of the interface that they leave by.
    pub(super) fn masqueraded(self) -> Self {
        self.then(other("masq", &[]))
    }

    /// The expressions, in order.
    pub(crate) fn expressions(self) -> Vec<Expressions> {
        self.expressions
    }

    fn load(self, fields: &[Field]) -> Self {
        let mut next = 0;
        fields.iter().fold(self, |rule, field| {
            let load = field.load(register(next));
            next += field.registers();
            rule.then(load)
        })
    }

    pub(super) fn then(mut self, expression: Expressions) -> Self {
        self.expressions.push(expression);
        self
    }
}

fn compare(operator: Operator, value: Vec<u8>) -> Expressions {
    Expressions::Cmp(vec![
        Cmp::SourceRegister(register(0)),
        Cmp::Op(operator),
        Cmp::Data(DataAttribute::Value(value)),
    ])
}

/// An expression that the message crate has no type for: attributes of 32 bits, big-endian.
pub(super) fn other(name: &str, attributes: &[(u16, u32)]) -> Expressions {
    let attribute =
        |(kind, value): &(u16, u32)| DefaultNla::new(*kind, value.to_be_bytes().to_vec());
    Expressions::Other {
        expression_type: name.to_owned(),
        attributes: attributes.iter().map(attribute).collect(),
    }
}
