//! DNS names as they stand in a packet: labels, each behind its length (RFC 1035 section 3.1). Knows no zone.
//!
//! A "key" is such a name in lower case without the final root label. Zones are keyed by it because text is
//! ambiguous (a label may contain a dot), and because a length byte (at most 63) can never look like a capital
//! letter (65 to 90), so that a whole name is lowered at once, byte by byte.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest name in bytes with its root label (RFC 1035 section 2.3.4).
pub(crate) const NAME_MAX_BYTES: usize = 255;
/// Longest label in bytes; the two bits above mark compression pointers.
pub(crate) const LABEL_MAX_BYTES: usize = 63;

/// Turns dotted text into labels without the root, in the case given; a dot at the end is accepted.
///
/// Nothing for what cannot be asked for in DNS: an empty label, one above 63 bytes, more than 255 bytes in all.
pub(crate) fn labels_of(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let mut labels = Vec::with_capacity(text.len() + 1);
    for label in text.split('.') {
        let length = u8::try_from(label.len()).ok()?;
        if label.is_empty() || label.len() > LABEL_MAX_BYTES {
            return None;
        }
        labels.push(length);
        labels.extend_from_slice(label.as_bytes());
    }
    (labels.len() < NAME_MAX_BYTES).then_some(labels)
}

/// The length of the uncompressed name at the start of `bytes`, root included.
pub(crate) fn length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let label = usize::from(*bytes.get(at)?);
        if label > LABEL_MAX_BYTES {
            return None;
        }
        at += 1 + label;
        if at > NAME_MAX_BYTES {
            return None;
        }
        if label == 0 {
            return Some(at);
        }
    }
}

/// A key on the stack: a lookup allocates nothing.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    bytes: [u8; NAME_MAX_BYTES],
    length: usize,
}

impl Key {
    /// Lowers a name that [`length`] accepted, given with its root label.
    pub(crate) fn of(name: &[u8]) -> Self {
        let mut key = Self {
            bytes: [0; NAME_MAX_BYTES],
            length: name.len().saturating_sub(1).min(NAME_MAX_BYTES),
        };
        for (to, from) in key.bytes.iter_mut().zip(&name[..key.length]) {
            *to = from.to_ascii_lowercase();
        }
        key
    }

    /// The key's bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// What stands before `suffix`, if `key` ends with these labels and has others before.
///
/// Walks label by label: the bytes of `suffix` may also occur inside one long label.
pub(crate) fn before<'a>(key: &'a [u8], suffix: &[u8]) -> Option<&'a [u8]> {
    let cut = key.len().checked_sub(suffix.len())?;
    let mut at = 0;
    while at < cut {
        at += 1 + usize::from(*key.get(at)?);
    }
    (at == cut && cut > 0 && &key[cut..] == suffix).then(|| &key[..cut])
}

/// The address that a name under `in-addr.arpa` or `ip6.arpa` stands for, if it is a whole one
/// (RFC 1035 section 3.5, RFC 3596 section 2.5).
pub(crate) fn reverse_address(key: &[u8]) -> Option<IpAddr> {
    if let Some(front) = before(key, b"\x07in-addr\x04arpa") {
        let mut octets = [0; 4];
        fill_backwards(&mut octets, front, decimal)?;
        return Some(Ipv4Addr::from(octets).into());
    }
    let mut nibbles = [0; 32];
    fill_backwards(&mut nibbles, before(key, b"\x03ip6\x04arpa")?, hexadecimal)?;
    let address = nibbles
        .iter()
        .fold(0_u128, |sum, nibble| sum << 4 | u128::from(*nibble));
    Some(Ipv6Addr::from(address).into())
}

/// Reads exactly as many labels as `places` has, the last place first.
fn fill_backwards(
    places: &mut [u8],
    mut labels: &[u8],
    read: fn(&[u8]) -> Option<u8>,
) -> Option<()> {
    for place in places.iter_mut().rev() {
        let (length, rest) = labels.split_first()?;
        let (label, rest) = rest.split_at_checked(usize::from(*length))?;
        *place = read(label)?;
        labels = rest;
    }
    labels.is_empty().then_some(())
}

fn decimal(label: &[u8]) -> Option<u8> {
    if label.len() > 1 && label.first() == Some(&b'0') || !label.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(label).ok()?.parse().ok()
}

fn hexadecimal(label: &[u8]) -> Option<u8> {
    let [digit] = label else { return None };
    char::from(*digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Vec<u8> {
        labels_of(text).unwrap().to_ascii_lowercase()
    }

    #[test]
    fn a_suffix_is_cut_only_between_labels() {
        assert_eq!(
            before(&key("web.net1"), &key("net1")),
            Some(&key("web")[..])
        );
        assert_eq!(before(&key("net1"), &key("net1")), None);
        let inside = b"\x08web\x04net1";
        assert_eq!(before(inside, &key("net1")), None);
    }

    #[test]
    fn reverse_names_are_whole_addresses_or_nothing() {
        let v4 = reverse_address(&key("2.0.28.172.in-addr.arpa"));
        assert_eq!(v4, Some("172.28.0.2".parse().unwrap()));
        let nibbles = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa";
        assert_eq!(
            reverse_address(&key(nibbles)),
            Some("fd00::2".parse().unwrap())
        );
        for part in [
            "28.172.in-addr.arpa",
            "1.2.3.4.5.in-addr.arpa",
            "02.0.28.172.in-addr.arpa",
        ] {
            assert_eq!(reverse_address(&key(part)), None, "{part}");
        }
        for other in [
            "256.0.0.1.in-addr.arpa",
            "in-addr.arpa",
            "+1.0.0.1.in-addr.arpa",
            "d.f.ip6.arpa",
        ] {
            assert_eq!(reverse_address(&key(other)), None, "{other}");
        }
    }

    #[test]
    fn text_that_dns_cannot_ask_for_has_no_labels() {
        for bad in ["", ".", "a..b", &"x".repeat(64), &"abcdefg.".repeat(32)] {
            assert_eq!(labels_of(bad), None, "{bad}");
        }
        assert_eq!(labels_of("a.b."), labels_of("a.b"));
    }

    #[test]
    fn a_name_ends_at_its_root_within_the_packet() {
        assert_eq!(length(b"\x01a\0rest"), Some(3));
        for bad in [&b"\x01a"[..], b"\xc0\x0c", b"\x05ab\0", b"", &[63; 300]] {
            assert_eq!(length(bad), None, "{bad:?}");
        }
    }
}
