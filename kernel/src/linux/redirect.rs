//! The redirection of port 53 of 127.0.0.11 inside a sandbox to the resolver's port: a table of netd's own there.
//!
//! Spoken natively, so that it costs one message where a program's run would cost milliseconds. Answers return by
//! connection tracking, from port 53 as whoever asked expects.

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
use crate::nftables::chains::{OUTPUT, TRANSLATION, hooked};
use crate::nftables::words::{Field, Rule};

/// The table inside, of family ip, and its only chain.
const TABLE: &str = "netd-resolver";
const CHAIN: &str = "output";
/// The port of DNS (RFC 1035 section 4.2).
const DNS: u16 = 53;
const PROTOCOLS: [Protocol; 2] = [Protocol::Udp, Protocol::Tcp];

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
    let chain = hooked(CHAIN, ("nat", OUTPUT, TRANSLATION), Vec::new());
    batch.make_chain(&chain);
    batch.empty_chain(CHAIN);
    for protocol in PROTOCOLS {
        let rule = Rule::any()
            .with(Field::Destination(Family::V4), &ADDRESS.octets())
            .with(Field::Protocol, &[protocol.number()])
            .with(Field::Port, &DNS.to_be_bytes())
            .translated_to(ADDRESS, port);
        batch.append_rule(CHAIN, rule, &comment(protocol, port));
    }
    namespace.netfilter().transaction(batch.into_messages())
}

/// By what a rule is known again.
fn comment(protocol: Protocol, port: u16) -> String {
    format!("resolver {protocol} {port}")
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
    let expected = PROTOCOLS.map(|protocol| comment(protocol, port));
    (comments == expected).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirection_that_lacks_a_rule_counts_as_none() {
        let whole = PROTOCOLS.map(|protocol| comment(protocol, 40_000));
        assert_eq!(port_of(&whole), Some(40_000));
        assert_eq!(port_of(&whole[..1]), None);
        assert_eq!(port_of(&whole[1..]), None);
        assert_eq!(port_of(&[]), None);
        let mixed = [whole[0].clone(), comment(Protocol::Tcp, 40_001)];
        assert_eq!(port_of(&mixed), None);
    }
}
