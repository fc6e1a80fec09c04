//! What may stand in a container's resolv.conf: words, each on the line that it was meant for.

use netd_model::container::DnsSettings;

/// Longest name, in bytes (RFC 1035 section 2.3.4), with the final dot.
const NAME_MAX_BYTES: usize = 254;

/// Refuses search domains and options that are not one word, since resolv.conf(5) has no quoting: a space would make two
/// of one, and a line break would make a line of its own, such as another nameserver.
///
/// # Errors
/// A sentence that names the word and the rule.
pub fn check(dns: &DnsSettings) -> Result<(), String> {
    let domain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    for name in &dns.search {
        if name.is_empty() || name.len() > NAME_MAX_BYTES || !name.bytes().all(domain) {
            return Err(format!(
                "{name:?} cannot be a search domain: expected letters, digits, '.', '-' and '_', such as corp.example, or . for none"
            ));
        }
    }
    let option = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_');
    for word in &dns.options {
        if word.is_empty() || !word.bytes().all(option) {
            return Err(format!(
                "{word:?} cannot be a resolver option: expected one word, such as ndots:2 or rotate (resolv.conf(5))"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(search: &str, option: &str) -> bool {
        let words = |word: &str| Some(word.to_owned()).into_iter().collect::<Vec<_>>();
        check(&DnsSettings {
            servers: Vec::new(),
            search: words(search),
            options: words(option),
        })
        .is_err()
    }

    #[test]
    fn no_word_makes_a_line_of_its_own() {
        for bad in [
            "",
            "a b",
            "a\nnameserver 192.0.2.6",
            "a\r",
            "a\tb",
            "a\0",
            "#",
            "\u{1b}[31m",
            "\u{2028}",
        ] {
            assert!(refused(bad, "rotate"), "{bad:?}");
            assert!(refused("example", bad), "{bad:?}");
        }
        assert!(refused(&"x".repeat(255), "rotate"));
    }

    #[test]
    fn what_resolv_conf_knows_is_taken() {
        for (search, option) in [
            (".", "ndots:2"),
            ("corp.example.", "use-vc"),
            ("_tcp.example", "no_tld_query"),
            ("a-b", "timeout:1"),
        ] {
            assert!(!refused(search, option), "{search} {option}");
        }
    }
}
