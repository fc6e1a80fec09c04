//! The redirection of port 53 of 127.0.0.11 inside a sandbox to the resolver's port: a table of netd's own there.
//!
//! Spoken natively, so that it costs one message where a program's run would cost milliseconds. Ports are rewritten packet by
//! packet, there and back: a translation (`nat`) would have the kernel track every flow of the container.
//!
//! Every other 127.x.y.11 leads there as well, for a runtime that knows a network again by the resolver that it was given for it. The
//! resolver listens at one address, so such a query gets the asked address as its source, from which the answer takes it back.

use std::io;
use std::net::Ipv4Addr;
use std::sync::PoisonError;

use netd_model::Protocol;
use netlink_packet_netfilter::nftables::{GenMessage, NfTablesMessage, RuleAttribute, RuleMessage};
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterProtoFamily};
use nix::libc;

use super::attributes::{Attributes, u32_at};
use super::namespace::Namespace;
use super::resolver::ADDRESS;
use super::sandboxes::Pin;
use super::session::errno;
use crate::Family;
use crate::nftables::batch::Batch;
use crate::nftables::chains::{OUTPUT, hooked};
use crate::nftables::words::{Field, Rule};
use crate::nftables::writes::Place;

/// The table inside, of family ip, and its chains, for both ways.
const TABLE: &str = "netd-resolver";
const QUERIES: &str = "queries";
const ANSWERS: &str = "answers";
/// Before and after connections are tracked (`NF_IP_PRI_CONNTRACK` is -200, linux/netfilter_ipv4.h). Where the container has
/// rules of its own that track them, it so sees both ways of a query as one, with the resolver's port.
const BEFORE_TRACKING: i32 = -300;
const AFTER_TRACKING: i32 = -150;
/// The port of DNS (RFC 1035 section 4.2).
const DNS: u16 = 53;
/// The rules, each with its chain.
const RULES: [(&str, &str); 8] = [
    (QUERIES, "elsewhere"),
    (QUERIES, "udp"),
    (QUERIES, "tcp"),
    (ANSWERS, "udp"),
    (ANSWERS, "tcp"),
    (ANSWERS, "elsewhere"),
    (ANSWERS, "refusal"),
    (ANSWERS, "refusal elsewhere"),
];

/// Where the IPv4 header has its addresses (RFC 791).
const SOURCE: u32 = 12;
const DESTINATION: u32 = 16;
/// Where an ICMP message has its checksum, and what it is about (RFC 792); that begins with the IPv4 header.
const ICMP_CHECKSUM: u32 = 2;
const QUERY: u32 = 8;
const QUERIED_PORT: u32 = QUERY + 20 + DESTINATION_PORT;
/// Where UDP and TCP have their ports, in the header.
const SOURCE_PORT: u32 = 0;
const DESTINATION_PORT: u32 = 2;
/// With the place of the checksum there (RFC 768, RFC 9293 section 3.1).
const PROTOCOLS: [(Protocol, u32); 2] = [(Protocol::Udp, 6), (Protocol::Tcp, 16)];

/// Size of a `struct nfgenmsg` in bytes (linux/netfilter/nfnetlink.h), and the attributes that hold the generation and a
/// rule's comment (linux/netfilter/nf_tables.h `NFTA_GEN_ID`, `NFTA_RULE_USERDATA`).
const HEADER_BYTES: usize = 4;
const GENERATION: u16 = 1;
const USERDATA: u16 = 7;

/// The redirection of a sandbox, as read from rules of a certain generation.
pub(super) struct Redirection {
    generation: u32,
    port: Option<u16>,
}

/// Redirects port 53 inside to `port`, instead of an earlier redirection, in one transaction.
pub(super) fn redirect(namespace: &Namespace, port: u16) -> io::Result<()> {
    let mut batch = Batch::of(NetfilterProtoFamily::IPv4, TABLE);
    batch.make_table();
    for (chain, priority) in [(QUERIES, BEFORE_TRACKING), (ANSWERS, AFTER_TRACKING)] {
        batch.make_chain(&hooked(chain, ("filter", OUTPUT, priority), Vec::new()));
        batch.empty_chain(chain);
    }
    let rules = rules(port);
    for (rule, (chain, what)) in rules.into_iter().zip(RULES) {
        batch.append_rule(chain, rule, &comment(chain, what, port));
    }
    namespace.netfilter().transaction(batch.into_messages())
}

/// The rules of [`RULES`].
fn rules(port: u16) -> [Rule; RULES.len()] {
    let to = |place: u32, checksum: u32| Place::Transport {
        offset: place,
        length: 2,
        checksum,
    };
    let query = |(protocol, checksum): (Protocol, u32)| {
        Rule::any()
            .with(Field::Destination(Family::V4), &ADDRESS.octets())
            .with(Field::Protocol, &[protocol.number()])
            .with(Field::Port, &DNS.to_be_bytes())
            .writing(to(DESTINATION_PORT, checksum), &port.to_be_bytes())
    };
    let answer = |(protocol, checksum): (Protocol, u32)| {
        from_resolver(protocol.number())
            .with(Field::Transport(SOURCE_PORT, 2), &port.to_be_bytes())
            .writing(to(SOURCE_PORT, checksum), &DNS.to_be_bytes())
    };
    let [udp, tcp] = PROTOCOLS;
    [
        query_elsewhere(),
        query(udp),
        query(tcp),
        answer(udp),
        answer(tcp),
        answer_from_elsewhere(),
        refusal()
            .with(Field::Transport(QUERIED_PORT, 2), &port.to_be_bytes())
            .writing(to(QUERIED_PORT, ICMP_CHECKSUM), &DNS.to_be_bytes()),
        refusal_from_elsewhere(),
    ]
}

/// A query to another address that leads to the resolver, unless the asker chose where it comes from.
fn query_elsewhere() -> Rule {
    elsewhere(Rule::any())
        .with(Field::Source(Family::V4), &Ipv4Addr::LOCALHOST.octets())
        .with(Field::Port, &DNS.to_be_bytes())
        .copying(Field::Destination(Family::V4), Place::Source)
        .writing(Place::Destination, &ADDRESS.octets())
}

fn answer_from_elsewhere() -> Rule {
    let from = Rule::any().with(Field::Source(Family::V4), &ADDRESS.octets());
    elsewhere(from)
        .with(Field::Transport(SOURCE_PORT, 2), &DNS.to_be_bytes())
        .copying(Field::Destination(Family::V4), Place::Source)
        .writing(Place::Destination, &Ipv4Addr::LOCALHOST.octets())
}

/// What goes to 127.x.y.11, the resolver's own address left out.
fn elsewhere(rule: Rule) -> Rule {
    let [first, .., last] = ADDRESS.octets();
    rule.with(Field::Network(DESTINATION, 1), &[first])
        .with(Field::Network(DESTINATION + 3, 1), &[last])
        .without(Field::Destination(Family::V4), &ADDRESS.octets())
}

fn from_resolver(protocol: u8) -> Rule {
    Rule::any()
        .with(Field::Source(Family::V4), &ADDRESS.octets())
        .with(Field::Protocol, &[protocol])
}

/// That nobody listens is told by ICMP for UDP, with the beginning of the query as the kernel saw it: who asked knows it by port 53.
/// (RFC 792: type 3, behind 8 bytes the IP header, and behind its 20 bytes the ports.)
fn refusal() -> Rule {
    from_resolver(1)
        .with(Field::Transport(0, 1), &[3])
        .with(Field::Transport(QUERY, 1), &[0x45])
        .with(Field::Transport(QUERY + 9, 1), &[Protocol::Udp.number()])
}

/// And by the addresses that it asked from, and at.
fn refusal_from_elsewhere() -> Rule {
    let quoted = |offset| Place::Transport {
        offset: QUERY + offset,
        length: 4,
        checksum: ICMP_CHECKSUM,
    };
    elsewhere(refusal())
        .with(Field::Transport(QUERIED_PORT, 2), &DNS.to_be_bytes())
        .copying(Field::Destination(Family::V4), quoted(DESTINATION))
        .writing(quoted(SOURCE), &Ipv4Addr::LOCALHOST.octets())
}

/// By what a rule is known again.
fn comment(chain: &str, what: &str, port: u16) -> String {
    format!("{chain} {what} {port}")
}

/// What the rules bear, chain by chain as the kernel lists them.
fn all_comments(port: u16) -> [String; RULES.len()] {
    RULES.map(|(chain, what)| comment(chain, what, port))
}

/// The port that port 53 inside is redirected to; `None` if one of the rules is missing. What was read last holds for as
/// long as the kernel counts the same generation of rules.
pub(super) fn redirected(pin: &Pin) -> io::Result<Option<u16>> {
    let generation = generation(&pin.namespace)?;
    let mut last = pin
        .redirection
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(last) = &*last
        && Some(last.generation) == generation
    {
        return Ok(last.port);
    }
    // Rules that change from here on have a later generation than the one that was asked for before.
    let port = port_of(&comments(&pin.namespace)?);
    *last = generation.map(|generation| Redirection { generation, port });
    Ok(port)
}

/// The number that the kernel raises with each change of a namespace's rules (`NFT_MSG_GETGEN`).
fn generation(namespace: &Namespace) -> io::Result<Option<u32>> {
    let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, 0);
    let request = NfTablesMessage::GetGen(GenMessage {
        attributes: Vec::new(),
    });
    let message = NetfilterMessage::new(header, request);
    namespace.netfilter().get(message, |payload| {
        u32_at(attribute(payload, GENERATION)?, 0)
    })
}

/// The comments of the rules of the table inside; none if there is no such table.
fn comments(namespace: &Namespace) -> io::Result<Vec<String>> {
    let attributes = vec![RuleAttribute::Table(TABLE.to_owned())];
    let header = NetfilterHeader::new(NetfilterProtoFamily::IPv4, 0, 0);
    let request = NfTablesMessage::GetRule(RuleMessage { attributes });
    let message = NetfilterMessage::new(header, request);
    let comments = namespace.netfilter().dump(&message, |payload| {
        // Type, length, then the text with its NUL (libnftnl).
        let text = attribute(payload, USERDATA)?.get(2..)?;
        let text = text.strip_suffix(&[0]).unwrap_or(text);
        String::from_utf8(text.to_vec()).ok()
    });
    match comments {
        Err(error) if errno(&error) == Some(libc::ENOENT) => Ok(Vec::new()),
        other => other,
    }
}

fn attribute(payload: &[u8], kind: u16) -> Option<&[u8]> {
    let mut attributes = Attributes::new(payload.get(HEADER_BYTES..)?);
    attributes.find_map(|(found, value)| (found == kind).then_some(value))
}

fn port_of(comments: &[String]) -> Option<u16> {
    let port = comments.first()?.rsplit(' ').next()?.parse().ok()?;
    (comments == all_comments(port)).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirection_that_lacks_a_rule_counts_as_none() {
        let whole = all_comments(40_000).to_vec();
        assert_eq!((whole.len(), port_of(&whole)), (8, Some(40_000)));
        for absent in 0..whole.len() {
            let mut rest = whole.clone();
            rest.remove(absent);
            assert_eq!(port_of(&rest), None);
        }
        assert_eq!(port_of(&[]), None);
        let mut mixed = whole;
        mixed[1] = comment(QUERIES, "tcp", 40_001);
        assert_eq!(port_of(&mixed), None);
    }
}
