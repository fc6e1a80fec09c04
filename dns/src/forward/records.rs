//! The records of a packet by their places, undecoded: where TTLs stand, where EDNS stands, what a denial allows. Pure;
//! follows no compression pointer, so that nothing in a packet can make it loop.

use crate::name::NAME_MAX_BYTES;
use crate::question::{kind, word};

/// One pass over the records behind the question.
#[derive(Default)]
pub(crate) struct Walk {
    /// Questions, answers, authorities, additionals, without EDNS.
    pub(crate) counts: [u16; 4],
    /// Where the records' TTLs stand.
    pub(crate) ttl_offsets: Vec<usize>,
    /// The smallest of them, in seconds.
    pub(crate) ttl_least_s: Option<u32>,
    /// The smaller of the TTL and the last field of the SOA record in the authority section (RFC 2308 section 5).
    pub(crate) denial_s: Option<u32>,
    /// Behind the last record that is not EDNS.
    pub(crate) end: usize,
    /// Whether all that stays stands before `end`.
    pub(crate) can_be_cut: bool,
}

impl Walk {
    /// Notes what stands behind `from`, the end of the question. Nothing if a record is cut short.
    pub(crate) fn over(packet: &[u8], from: usize) -> Option<Self> {
        let counts = [
            word(packet, 4)?,
            word(packet, 6)?,
            word(packet, 8)?,
            word(packet, 10)?,
        ];
        let mut walk = Self {
            counts,
            end: from,
            can_be_cut: true,
            ..Self::default()
        };
        let (mut at, mut opt_seen) = (from, false);
        for (section, count) in counts.iter().enumerate().skip(1) {
            for _ in 0..*count {
                let record = RecordPlace::at(packet, at)?;
                at = record.end;
                if record.kind == kind::OPT {
                    opt_seen = true;
                    walk.counts[section] -= 1;
                } else {
                    walk.can_be_cut &= !opt_seen;
                    walk.end = at;
                    walk.note(packet, &record, section)?;
                }
            }
        }
        Some(walk)
    }

    fn note(&mut self, packet: &[u8], record: &RecordPlace, section: usize) -> Option<()> {
        const AUTHORITY: usize = 2;
        let ttl_s = long(packet, record.ttl_at)?;
        self.ttl_offsets.push(record.ttl_at);
        self.ttl_least_s = Some(self.ttl_least_s.map_or(ttl_s, |least| least.min(ttl_s)));
        if section == AUTHORITY && record.kind == kind::SOA {
            self.denial_s = Some(ttl_s.min(long(packet, record.end.checked_sub(4)?)?));
        }
        Some(())
    }
}

/// Where one record's parts stand.
struct RecordPlace {
    kind: u16,
    ttl_at: usize,
    end: usize,
}

impl RecordPlace {
    fn at(packet: &[u8], at: usize) -> Option<Self> {
        let fixed = skip_name(packet, at)?;
        let end = fixed + 10 + usize::from(word(packet, fixed + 8)?);
        (end <= packet.len()).then_some(Self {
            kind: word(packet, fixed)?,
            ttl_at: fixed + 4,
            end,
        })
    }
}

/// The byte behind a name that may end in a compression pointer, which is not followed.
fn skip_name(packet: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while at - from < NAME_MAX_BYTES {
        match usize::from(*packet.get(at)?) {
            0 => return Some(at + 1),
            label @ 1..=63 => at += 1 + label,
            192.. => return Some(at + 2),
            _ => return None,
        }
    }
    None
}

/// Four bytes as a number.
pub(crate) fn long(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}
