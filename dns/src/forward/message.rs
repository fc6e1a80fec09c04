//! What is sent to an upstream, and what comes back: checked, cut to what may be passed on, ready to be written for any
//! asker. Pure; nothing in here trusts the other side.

use std::time::Duration;

use hickory_proto::op::Message;

use super::records::Walk;
use crate::question::{HEADER_BYTES, OUR_UDP_BYTES, Question, flag, kind, word};
use crate::reply::{append_opt, write_header};

/// Longest that an answer with data is kept; a longer TTL may be a mistake that an operator has corrected since.
const POSITIVE_MAX_S: u32 = 3600;
/// Longest that a denial is kept (RFC 2308): a name is often asked for just before it is made.
const NEGATIVE_MAX_S: u32 = 30;
/// Response codes that matter here.
const NO_ERROR: u16 = 0;
const FORM_ERR: u16 = 1;
const SERV_FAIL: u16 = 2;
const NX_DOMAIN: u16 = 3;
const NOT_IMP: u16 = 4;

/// Our own EDNS towards an upstream, or none where it does not understand EDNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WithEdns {
    Yes,
    No,
}

/// One question as it goes to upstreams. The client's EDNS options stay here: they are for one hop (RFC 6891).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'a> {
    /// Name, type and class.
    pub(crate) question: &'a [u8],
    /// RD, AD and CD as the client set them.
    pub(crate) bits: u16,
    /// Whether signatures are wanted.
    pub(crate) dnssec_ok: bool,
}

impl Outgoing<'_> {
    /// The packet that asks this.
    pub(crate) fn packet(&self, id: u16, edns: WithEdns) -> Vec<u8> {
        let mut packet = vec![0; HEADER_BYTES];
        packet.extend_from_slice(self.question);
        let additionals = u16::from(edns == WithEdns::Yes);
        write_header(&mut packet, id, self.bits, [1, 0, 0, additionals]);
        if edns == WithEdns::Yes {
            let [kind_high, kind_low] = kind::OPT.to_be_bytes();
            let [high, low] = OUR_UDP_BYTES.to_be_bytes();
            let dnssec_ok = if self.dnssec_ok { 0x80 } else { 0 };
            packet
                .extend_from_slice(&[0, kind_high, kind_low, high, low, 0, 0, dnssec_ok, 0, 0, 0]);
        }
        packet
    }
}

/// A checked answer of an upstream, without its EDNS.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    bytes: Box<[u8]>,
    flags: u16,
    counts: [u16; 4],
    /// Where the records' TTLs stand in `bytes`.
    ttl_offsets: Box<[usize]>,
    lifetime_s: u32,
}

/// A packet that does not answer what was asked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lie;

impl Answer {
    /// Checks that `packet` answers `asked` under `id`, and that every name and record in it can be decoded.
    pub(crate) fn read(packet: &[u8], id: u16, asked: &[u8]) -> Result<Self, Lie> {
        let flags = word(packet, 2).ok_or(Lie)?;
        let is_response = flags & (flag::RESPONSE | flag::OPCODE) == flag::RESPONSE;
        if !is_response || word(packet, 0) != Some(id) {
            return Err(Lie);
        }
        if let Some(bare) = Self::bare_error(packet, flags, asked) {
            return Ok(bare);
        }
        let echoed = packet
            .get(HEADER_BYTES..HEADER_BYTES + asked.len())
            .ok_or(Lie)?;
        if word(packet, 4) != Some(1) || !same_question(echoed, asked) {
            return Err(Lie);
        }
        let message = Message::from_vec(packet).map_err(|_| Lie)?;
        let code_above = message.edns.as_ref().map_or(0, |edns| edns.rcode_high());
        let flags = match code_above {
            0 => flags,
            // Of the codes above 15 (RFC 6891 section 6.1.3) none is about the name, and the client may lack EDNS.
            _ => flags & !flag::RESPONSE_CODE | SERV_FAIL,
        };
        let walk = Walk::over(packet, HEADER_BYTES + asked.len()).ok_or(Lie)?;
        if walk.can_be_cut {
            return Ok(Self::cut(packet, walk, flags));
        }
        // EDNS stands between other records: cutting it out would shift what compression points to. Written anew, it
        // stands last.
        let packet = message.to_vec().map_err(|_| Lie)?;
        let walk = Walk::over(&packet, HEADER_BYTES + asked.len()).ok_or(Lie)?;
        Ok(Self::cut(&packet, walk, flags))
    }

    /// What of a packet is passed on, and for how long it may be kept.
    fn cut(packet: &[u8], walk: Walk, flags: u16) -> Self {
        let code = flags & flag::RESPONSE_CODE;
        let least_s = walk.ttl_least_s.unwrap_or_default();
        // A SOA record also stands beside an alias whose target lacks the asked type: that is a denial as well.
        let lifetime_s = match (code, walk.counts[1], walk.denial_s) {
            (NO_ERROR, 1.., None) => least_s.min(POSITIVE_MAX_S),
            (NO_ERROR | NX_DOMAIN, _, Some(denial_s)) => denial_s.min(least_s).min(NEGATIVE_MAX_S),
            _ => 0,
        };
        Self {
            bytes: packet.get(..walk.end).unwrap_or(packet).into(),
            flags,
            counts: walk.counts,
            ttl_offsets: walk.ttl_offsets.into(),
            lifetime_s,
        }
    }

    /// An error without a question, as some servers send on what they cannot read.
    fn bare_error(packet: &[u8], flags: u16, asked: &[u8]) -> Option<Self> {
        let is_bare = packet.len() == HEADER_BYTES && flags & flag::RESPONSE_CODE != NO_ERROR;
        is_bare.then(|| Self {
            bytes: [&[0; HEADER_BYTES], asked].concat().into(),
            flags,
            counts: [1, 0, 0, 0],
            ttl_offsets: Box::default(),
            lifetime_s: 0,
        })
    }

    /// Whether the name exists or does not: anything else may be answered better by another server.
    pub(crate) fn is_helpful(&self) -> bool {
        matches!(self.flags & flag::RESPONSE_CODE, NO_ERROR | NX_DOMAIN)
    }

    /// Whether the server did not understand the query, perhaps for its EDNS (RFC 6891 section 7).
    pub(crate) fn is_misunderstanding(&self) -> bool {
        matches!(self.flags & flag::RESPONSE_CODE, FORM_ERR | NOT_IMP)
    }

    /// Whether the whole answer must be fetched over TCP.
    pub(crate) fn is_truncated(&self) -> bool {
        self.flags & flag::TRUNCATED != 0
    }

    /// How long it may be kept; zero for not at all.
    pub(crate) fn lifetime(&self) -> Duration {
        Duration::from_secs(self.lifetime_s.into())
    }

    /// Bytes that it takes.
    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Writes it as the answer to `question`, in the asked case, its TTLs less `age_s`. One longer than `limit` bytes
    /// becomes an empty one with TC.
    pub(crate) fn write(
        &self,
        question: &Question<'_>,
        limit: usize,
        age_s: u32,
        out: &mut Vec<u8>,
    ) {
        let from_upstream = flag::RESPONSE_CODE
            | flag::AUTHORITATIVE
            | if question.wants_authenticity() {
                flag::AUTHENTIC_DATA
            } else {
                0
            };
        let asked = question.flags & (flag::RECURSION_DESIRED | flag::CHECKING_DISABLED);
        let flags = flag::RESPONSE | flag::RECURSION_AVAILABLE | asked | self.flags & from_upstream;
        out.clear();
        out.extend_from_slice(&self.bytes);
        for at in &self.ttl_offsets {
            if let Some(ttl) = out.get_mut(*at..at + 4) {
                let left = u32::from_be_bytes([ttl[0], ttl[1], ttl[2], ttl[3]]);
                ttl.copy_from_slice(&left.saturating_sub(age_s).to_be_bytes());
            }
        }
        let question_end = HEADER_BYTES + question.raw().len();
        if let Some(echo) = out.get_mut(HEADER_BYTES..question_end) {
            echo.copy_from_slice(question.raw());
        }
        write_header(out, question.id, flags, self.counts);
        append_opt(out, question);
        if out.len() > limit {
            out.truncate(question_end);
            write_header(out, question.id, flags | flag::TRUNCATED, [1, 0, 0, 0]);
            append_opt(out, question);
        }
    }
}

fn same_question(echoed: &[u8], asked: &[u8]) -> bool {
    let (name, rest) = echoed.split_at(echoed.len().saturating_sub(4));
    let (asked_name, asked_rest) = asked.split_at(asked.len().saturating_sub(4));
    name.eq_ignore_ascii_case(asked_name) && rest == asked_rest
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::forward::records::long;
    use crate::name::labels_of;

    /// A question for the A record of a name.
    pub(crate) fn asked_name(name: &str) -> Vec<u8> {
        [&labels_of(name).unwrap()[..], &[0, 0, 1, 0, 1]].concat()
    }

    /// A reply with id 7 and one A record.
    pub(crate) fn reply_with_ttl(question: &[u8], ttl_s: u32) -> Vec<u8> {
        let mut packet = vec![0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
        packet.extend_from_slice(question);
        packet.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
        packet.extend_from_slice(&ttl_s.to_be_bytes());
        packet.extend_from_slice(&[0, 4, 203, 0, 113, 1]);
        packet
    }

    fn client_query(question: &[u8]) -> Vec<u8> {
        [&[0, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], question].concat()
    }

    #[test]
    fn ttls_never_go_below_zero() {
        let question = asked_name("a.test");
        let answer = Answer::read(&reply_with_ttl(&question, 10), 7, &question).unwrap();
        let query = client_query(&question);
        let mut out = Vec::new();
        answer.write(&Question::parse(&query).unwrap(), 512, 11, &mut out);
        assert_eq!(long(&out, out.len() - 10), Some(0));
        assert_eq!(out[..2], [0, 9]);
    }

    #[test]
    fn an_alias_to_nothing_is_kept_as_briefly_as_a_denial() {
        let question = asked_name("a.test");
        let mut packet = reply_with_ttl(&question, 900);
        let authority = [
            &[0xc0, 12, 0, 6, 0, 1, 0, 0, 3, 0, 0, 22, 0, 0][..],
            &[1; 20],
        ]
        .concat();
        packet.extend_from_slice(&authority);
        packet[9] = 1;
        let answer = Answer::read(&packet, 7, &question).unwrap();
        assert_eq!(
            answer.lifetime(),
            Duration::from_secs(NEGATIVE_MAX_S.into())
        );
    }

    proptest! {
        #[test]
        fn no_packet_of_an_upstream_is_harmful(
            noise in proptest::collection::vec((any::<u16>(), any::<u8>()), 0..12),
            tail in proptest::collection::vec(any::<u8>(), 0..64),
            age_s in any::<u32>(),
        ) {
            let question = asked_name("some.name.test");
            let mut packet = reply_with_ttl(&question, 10);
            packet.extend_from_slice(&tail);
            for (at, byte) in noise {
                let at = usize::from(at) % packet.len();
                packet[at] = byte;
            }
            if let Ok(answer) = Answer::read(&packet, 7, &question) {
                let query = client_query(&question);
                let (asked, mut out) = (Question::parse(&query).unwrap(), Vec::new());
                answer.write(&asked, 512, age_s, &mut out);
                prop_assert!(Message::from_vec(&out).is_ok(), "{:?} -> {:?}", packet, out);
            }
        }
    }
}
