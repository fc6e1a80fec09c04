//! One spelling for each rule: that of iptables-save 1.8, so that texts can be compared. Knows no rule's meaning.

use std::net::IpAddr;

use crate::Family;

/// The rule in the spelling of iptables-save 1.8: `-s -d -i -o -p` first and in this order, addresses with a prefix
/// length, and the protocol's match named before its ports. Everything else stays as it is.
pub(super) fn canonical(rule: &str) -> String {
    let mut head: [Option<String>; HEAD.len()] = Default::default();
    let mut tail: Vec<&str> = Vec::new();
    let mut negated = false;
    let mut words = Words(rule);
    while let Some(word) = words.next() {
        let slot = HEAD
            .iter()
            .position(|names| names.contains(&word))
            .filter(|slot| head[*slot].is_none());
        match slot {
            Some(slot) => {
                let value = words.next().unwrap_or("");
                let value = with_prefix_length(slot, value);
                let not = if negated { "! " } else { "" };
                head[slot] = Some(format!("{not}{} {value}", HEAD[slot][0]));
                negated = false;
            }
            None => {
                if negated {
                    tail.push("!");
                }
                negated = word == "!";
                if !negated {
                    tail.push(word);
                }
            }
        }
    }
    let implied = implied_match(head[HEAD.len() - 1].as_deref(), &tail);
    let head = head.iter().flatten().map(String::as_str);
    let words: Vec<&str> = head.chain(implied).chain(tail).collect();
    words.join(" ")
}

/// Options of ip(4) headers and interfaces, in the order in which iptables-save prints them, with their long forms.
const HEAD: [&[&str]; 5] = [
    &["-s", "--source", "--src"],
    &["-d", "--destination", "--dst"],
    &["-i", "--in-interface"],
    &["-o", "--out-interface"],
    &["-p", "--protocol"],
];

fn with_prefix_length(slot: usize, value: &str) -> String {
    match value.parse::<IpAddr>() {
        Ok(address) if slot < 2 => format!("{value}/{}", Family::of(address).address_bits()),
        _ => value.to_owned(),
    }
}

/// `-p tcp --dport 80` means `-p tcp -m tcp --dport 80`.
fn implied_match<'a>(protocol: Option<&'a str>, tail: &[&str]) -> Vec<&'a str> {
    let name = protocol.and_then(|text| text.strip_prefix("-p "));
    match name {
        Some(name)
            if tail
                .first()
                .is_some_and(|word| matches!(*word, "--dport" | "--sport") || *word == "!") =>
        {
            vec!["-m", name]
        }
        _ => Vec::new(),
    }
}

/// Words between blanks; a quoted text with its quotes is one.
struct Words<'a>(&'a str);

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start_matches(' ');
        let mut quoted = false;
        let mut escaped = false;
        let end = text
            .find(|c| {
                match c {
                    _ if escaped => escaped = false,
                    '\\' => escaped = true,
                    '"' => quoted = !quoted,
                    ' ' if !quoted => return true,
                    _ => {}
                }
                false
            })
            .unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn spellings_of_one_rule_become_one() {
        let wanted = "-d 10.0.0.2/32 ! -i br0 -o br0 -p tcp -m tcp --dport 80 -j ACCEPT";
        for same in [
            wanted,
            "-p tcp -d 10.0.0.2 ! -i br0 -o br0 --dport 80 -j ACCEPT",
            "! -i br0 -o br0 -d 10.0.0.2/32 -p tcp -m tcp --dport 80 -j ACCEPT",
            "-o br0  ! --in-interface br0 --destination 10.0.0.2 -p tcp -m tcp --dport 80 -j ACCEPT",
        ] {
            assert_eq!(canonical(same), wanted, "{same}");
        }
        assert_eq!(
            canonical("-j RETURN -s fd00:1::2 -d fd00::/8"),
            "-s fd00:1::2/128 -d fd00::/8 -j RETURN"
        );
    }

    #[test]
    fn what_is_in_canonical_form_stays() {
        for rule in [
            "-m conntrack ! --ctstate DNAT -j DROP",
            "! -s 10.0.0.0/8 -o br0 -j DROP",
            r#"-s 10.0.0.1/32 -m comment --comment "a -d b \" c" -j ACCEPT"#,
            "-p udp -m multiport --dports 53,54 -j ACCEPT",
            "-j RETURN",
            "",
        ] {
            assert_eq!(canonical(rule), rule);
        }
    }
}
