//! Writes answers: the question echoed in the asked case, records behind it, EDNS at the end. Knows no zone.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::question::{HEADER_BYTES, OUR_UDP_BYTES, Question, flag, kind};

/// Lifetime of our own records in seconds, as Docker's.
pub(crate) const LOCAL_TTL_S: u32 = 600;
/// Bytes of an OPT record without options.
const OPT_BYTES: usize = 11;

/// Response codes (IANA, DNS parameters).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    NoError = 0,
    ServFail = 2,
    NotImp = 4,
    Refused = 5,
}

/// One answer being written into a buffer that is used again for the next one.
pub(crate) struct ReplyWriter<'a> {
    out: &'a mut Vec<u8>,
    question: &'a Question<'a>,
    room: usize,
    answers: u16,
    truncated: bool,
}

impl<'a> ReplyWriter<'a> {
    /// Begins an answer of at most `limit` bytes. What does not fit is left out and TC set; EDNS always fits.
    pub(crate) fn begin(out: &'a mut Vec<u8>, question: &'a Question<'a>, limit: usize) -> Self {
        out.clear();
        out.extend_from_slice(&[0; HEADER_BYTES]);
        out.extend_from_slice(question.raw());
        let room = limit.saturating_sub(if question.edns.is_some() {
            OPT_BYTES
        } else {
            0
        });
        Self {
            out,
            question,
            room,
            answers: 0,
            truncated: false,
        }
    }

    /// An A record of the asked name.
    pub(crate) fn v4(&mut self, address: Ipv4Addr) {
        self.record(kind::A, &address.octets());
    }

    /// An AAAA record of the asked name.
    pub(crate) fn v6(&mut self, address: Ipv6Addr) {
        self.record(kind::AAAA, &address.octets());
    }

    /// A PTR record of the asked name.
    pub(crate) fn pointer(&mut self, target: &[u8]) {
        self.record(kind::PTR, target);
    }

    fn record(&mut self, kind: u16, data: &[u8]) {
        // The owner is a pointer to the question's name, right behind the header.
        const OWNER: [u8; 2] = [0xc0, HEADER_BYTES as u8];
        let fits = self.out.len() + OWNER.len() + 10 + data.len() <= self.room;
        let length = u16::try_from(data.len()).ok().filter(|_| fits);
        let (Some(length), false) = (length, self.truncated) else {
            self.truncated = true;
            return;
        };
        self.out.extend_from_slice(&OWNER);
        self.out.extend_from_slice(&kind.to_be_bytes());
        self.out.extend_from_slice(&kind::CLASS_IN.to_be_bytes());
        self.out.extend_from_slice(&LOCAL_TTL_S.to_be_bytes());
        self.out.extend_from_slice(&length.to_be_bytes());
        self.out.extend_from_slice(data);
        self.answers += 1;
    }

    /// Ends the answer. Flags are Docker's: qr and ra, rd and cd as asked, never aa.
    pub(crate) fn end(self, code: Code) {
        let asked = self.question.flags & (flag::RECURSION_DESIRED | flag::CHECKING_DISABLED);
        let cut = if self.truncated { flag::TRUNCATED } else { 0 };
        let flags = flag::RESPONSE | flag::RECURSION_AVAILABLE | asked | cut | code as u16;
        let counts = [1, self.answers, 0, 0];
        write_header(self.out, self.question.id, flags, counts);
        append_opt(self.out, self.question);
    }
}

/// Writes the whole answer that has no records.
pub(crate) fn empty(out: &mut Vec<u8>, question: &Question<'_>, code: Code) {
    ReplyWriter::begin(out, question, usize::MAX).end(code);
}

/// Fills the header in. Counts: questions, answers, authorities, additionals.
pub(crate) fn write_header(out: &mut [u8], id: u16, flags: u16, counts: [u16; 4]) {
    let words = [id, flags].into_iter().chain(counts);
    for (to, word) in out.chunks_exact_mut(2).zip(words) {
        to.copy_from_slice(&word.to_be_bytes());
    }
}

/// Appends our OPT record if the client sent one (RFC 6891 section 6.1.1), and counts it in the header.
pub(crate) fn append_opt(out: &mut Vec<u8>, question: &Question<'_>) {
    let Some(edns) = question.edns else { return };
    let [high, low] = OUR_UDP_BYTES.to_be_bytes();
    let dnssec_ok = if edns.dnssec_ok { 0x80 } else { 0 };
    let [kind_high, kind_low] = kind::OPT.to_be_bytes();
    out.extend_from_slice(&[0, kind_high, kind_low, high, low, 0, 0, dnssec_ok, 0, 0, 0]);
    if let Some(count) = out.get_mut(10..HEADER_BYTES) {
        let additionals = u16::from_be_bytes([count[0], count[1]]).saturating_add(1);
        count.copy_from_slice(&additionals.to_be_bytes());
    }
}
