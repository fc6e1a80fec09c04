//! The redirection of port 53 of 127.0.0.11 inside a sandbox to the resolver's port: a table of netd's own there.
//!
//! Spoken natively, so that it costs one message where a program's run would cost milliseconds. Ports are rewritten packet by
//! packet, there and back: a translation (`nat`) would have the kernel track every flow of the container.

use std::io;
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
const ICMP: &str = "icmp";
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
    for (protocol, checksum) in PROTOCOLS {
        let there = to_resolver(protocol)
            .with(Field::Port, &DNS.to_be_bytes())
            .rewriting(DESTINATION_PORT, port, checksum);
        batch.append_rule(QUERIES, there, &comment(QUERIES, protocol.as_str(), port));
        let back = from_resolver(protocol.number())
            .with(Field::Transport(SOURCE_PORT, 2), &port.to_be_bytes())
            .rewriting(SOURCE_PORT, DNS, checksum);
        batch.append_rule(ANSWERS, back, &comment(ANSWERS, protocol.as_str(), port));
    }
    batch.append_rule(ANSWERS, refusal(port), &comment(ANSWERS, ICMP, port));
    namespace.netfilter().transaction(batch.into_messages())
}

fn to_resolver(protocol: Protocol) -> Rule {
    Rule::any()
        .with(Field::Destination(Family::V4), &ADDRESS.octets())
        .with(Field::Protocol, &[protocol.number()])
}

fn from_resolver(protocol: u8) -> Rule {
    Rule::any()
        .with(Field::Source(Family::V4), &ADDRESS.octets())
        .with(Field::Protocol, &[protocol])
}

/// That nobody listens is told by ICMP for UDP, with the beginning of the query as the kernel saw it: who asked knows it by port 53.
/// (RFC 792: type 3, the IP header at 8, and behind its 20 bytes the ports.)
fn refusal(port: u16) -> Rule {
    const QUERY: u32 = 8;
    const QUERIED_PORT: u32 = QUERY + 20 + DESTINATION_PORT;
    from_resolver(1)
        .with(Field::Transport(0, 1), &[3])
        .with(Field::Transport(QUERY, 1), &[0x45])
        .with(Field::Transport(QUERY + 9, 1), &[Protocol::Udp.number()])
        .with(Field::Transport(QUERIED_PORT, 2), &port.to_be_bytes())
        .rewriting(QUERIED_PORT, DNS, 2)
}

/// By what a rule is known again.
fn comment(chain: &str, protocol: &str, port: u16) -> String {
    format!("{chain} {protocol} {port}")
}

/// What the rules bear, chain by chain as the kernel lists them.
fn all_comments(port: u16) -> Vec<String> {
    let of = |chain| PROTOCOLS.map(|(protocol, _)| comment(chain, protocol.as_str(), port));
    let mut all: Vec<String> = [QUERIES, ANSWERS].into_iter().flat_map(of).collect();
    all.push(comment(ANSWERS, ICMP, port));
    all
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
        let whole = all_comments(40_000);
        assert_eq!((whole.len(), port_of(&whole)), (5, Some(40_000)));
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
