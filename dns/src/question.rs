//! A standard query read from its packet: header, one question, EDNS (RFC 1035 section 4.1, RFC 6891).
//!
//! What every resolver library sends. Anything else is left to [`irregular`](crate::irregular).

use std::borrow::Cow;

use crate::name::{self, Key};

/// Bytes of the fixed header.
pub(crate) const HEADER_BYTES: usize = 12;
/// The UDP size that we announce: what passes every path unfragmented (DNS flag day 2020).
pub(crate) const OUR_UDP_BYTES: u16 = 1232;
/// Smallest UDP size that every client takes (RFC 1035 section 2.3.4).
pub(crate) const PLAIN_UDP_BYTES: u16 = 512;
/// Largest answer over UDP whatever the client offers; the way is a loopback device, so nothing is fragmented.
const LARGEST_UDP_BYTES: u16 = 4096;

/// The record types and classes that decide something here (IANA, DNS parameters).
pub(crate) mod kind {
    pub(crate) const A: u16 = 1;
    pub(crate) const SOA: u16 = 6;
    pub(crate) const PTR: u16 = 12;
    pub(crate) const AAAA: u16 = 28;
    pub(crate) const OPT: u16 = 41;
    /// TKEY to MAILA: about transfers and signatures, never data of a name (RFC 6895 section 3.1).
    pub(crate) const META: std::ops::RangeInclusive<u16> = 249..=254;
    pub(crate) const ANY: u16 = 255;
    pub(crate) const CLASS_IN: u16 = 1;
}

/// Bits of the header's second word (RFC 1035 section 4.1.1, RFC 4035 section 3.2).
pub(crate) mod flag {
    pub(crate) const RESPONSE: u16 = 1 << 15;
    pub(crate) const OPCODE: u16 = 0b1111 << 11;
    pub(crate) const AUTHORITATIVE: u16 = 1 << 10;
    pub(crate) const TRUNCATED: u16 = 1 << 9;
    pub(crate) const RECURSION_DESIRED: u16 = 1 << 8;
    pub(crate) const RECURSION_AVAILABLE: u16 = 1 << 7;
    pub(crate) const AUTHENTIC_DATA: u16 = 1 << 5;
    pub(crate) const CHECKING_DISABLED: u16 = 1 << 4;
    pub(crate) const RESPONSE_CODE: u16 = 0b1111;
}

/// What of the client's EDNS matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edns {
    pub(crate) udp_bytes: u16,
    pub(crate) dnssec_ok: bool,
}

/// One standard query.
#[derive(Clone, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) id: u16,
    pub(crate) flags: u16,
    pub(crate) edns: Option<Edns>,
    /// Name, type and class as they stood in the packet.
    raw: Cow<'a, [u8]>,
}

/// Two bytes as a number.
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes(pair.try_into().ok()?))
}

impl<'a> Question<'a> {
    /// Reads a standard query. Nothing if the packet is anything else.
    pub(crate) fn parse(packet: &'a [u8]) -> Option<Self> {
        let flags = word(packet, 2)?;
        let regular = flags & (flag::RESPONSE | flag::OPCODE | flag::TRUNCATED) == 0;
        let counts = [word(packet, 4)?, word(packet, 6)?, word(packet, 8)?];
        if !regular || counts != [1, 0, 0] {
            return None;
        }
        let body = &packet[HEADER_BYTES.min(packet.len())..];
        let name_bytes = name::length(body)?;
        let raw = body.get(..name_bytes + 4)?;
        if word(raw, name_bytes)? == kind::OPT {
            return None;
        }
        let edns = read_edns(&body[raw.len()..], word(packet, 10)?)?;
        Some(Self {
            id: word(packet, 0)?,
            flags,
            edns,
            raw: Cow::Borrowed(raw),
        })
    }

    /// Name, type and class as they stood in the packet.
    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The name in lower case.
    pub(crate) fn key(&self) -> Key {
        Key::of(&self.raw[..self.raw.len().saturating_sub(4)])
    }

    /// The same three with the name in lower case. Type and class are small numbers in two bytes each, and may hold
    /// a byte that looks like a capital letter, so they stay out of it.
    pub(crate) fn raw_lowered(&self) -> Box<[u8]> {
        let mut lowered: Box<[u8]> = self.raw.as_ref().into();
        let name_bytes = lowered.len().saturating_sub(4);
        lowered[..name_bytes].make_ascii_lowercase();
        lowered
    }

    /// Whether the client understands the AD bit (RFC 6840 section 5.7).
    pub(crate) fn wants_authenticity(&self) -> bool {
        self.flags & flag::AUTHENTIC_DATA != 0 || self.edns.is_some_and(|edns| edns.dnssec_ok)
    }

    /// The record type asked for.
    pub(crate) fn kind(&self) -> u16 {
        word(&self.raw, self.raw.len().saturating_sub(4)).unwrap_or_default()
    }

    /// The class asked for.
    pub(crate) fn class(&self) -> u16 {
        word(&self.raw, self.raw.len().saturating_sub(2)).unwrap_or_default()
    }

    /// The largest answer in bytes that this client takes over UDP.
    pub(crate) fn udp_bytes(&self) -> usize {
        let offered = self.edns.map_or(PLAIN_UDP_BYTES, |edns| edns.udp_bytes);
        usize::from(offered.clamp(PLAIN_UDP_BYTES, LARGEST_UDP_BYTES))
    }

    /// The same, independent of the packet's buffer.
    pub(crate) fn into_owned(self) -> Question<'static> {
        let Self {
            id,
            flags,
            edns,
            raw,
        } = self;
        Question {
            id,
            flags,
            edns,
            raw: Cow::Owned(raw.into_owned()),
        }
    }
}

/// Reads the additional records, of which only OPT says something here. The outer nothing means malformed, or EDNS
/// of another version.
fn read_edns(mut rest: &[u8], count: u16) -> Option<Option<Edns>> {
    let mut edns = None;
    for _ in 0..count {
        let name_bytes = name::length(rest)?;
        let fixed = rest.get(name_bytes..name_bytes + 10)?;
        let after = name_bytes + 10 + usize::from(word(fixed, 8)?);
        if word(fixed, 0)? == kind::OPT {
            let version = fixed[5];
            if name_bytes != 1 || version != 0 || edns.is_some() {
                return None;
            }
            let dnssec_ok = fixed[6] & 0x80 != 0;
            edns = Some(Edns {
                udp_bytes: word(fixed, 2)?,
                dnssec_ok,
            });
        }
        rest = rest.get(after..)?;
    }
    Some(edns)
}
