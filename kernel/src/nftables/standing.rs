//! What stands in the kernel of netd's table, read afresh.

use std::collections::BTreeMap;
use std::io;

use netlink_packet_netfilter::nftables::{
    NfTablesMessage, RuleAttribute, RuleMessage, SetElementList, SetElementMessage, TableAttribute,
    TableMessage,
};
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterProtoFamily};
use nix::libc;

use super::chains::NEIGHBOURS;
use super::elements::{Elements, Key, Value};
use super::sets::Set;
use super::words::Target;
use crate::linux::attributes::{Attributes, text, u32_at};
use crate::linux::session::{Session, errno};

/// Size of a `struct nfgenmsg` in bytes (linux/netfilter/nfnetlink.h), which stands before the attributes.
pub(super) const HEADER_BYTES: usize = 4;

/// Attributes of a table, a rule, a set's elements, an element, its data and a verdict
/// (linux/netfilter/nf_tables.h).
const TABLE_FLAGS: u16 = 2;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const ELEMENTS: u16 = 3;
const ELEMENT_KEY: u16 = 1;
const ELEMENT_DATA: u16 = 2;
const ELEMENT_KEY_END: u16 = 10;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;
const ACCEPT: u32 = 1;
const JUMP: u32 = -3_i32 as u32;

/// A rule as the kernel has it: what is inside only the kernel needs to understand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StandingRule {
    pub(super) chain: String,
    expressions: Vec<u8>,
}

/// The flags of a table of family inet; `None` if there is none.
pub(super) fn table_flags(session: &mut Session, table: &str) -> io::Result<Option<u32>> {
    flags_of(session, (INET, table))
}

/// `NFPROTO_INET` (linux/netfilter.h).
const INET: u8 = 1;

/// The flags of a table of the family with that number; `None` if there is none.
pub(super) fn flags_of(
    session: &mut Session,
    (family, table): (u8, &str),
) -> io::Result<Option<u32>> {
    let attributes = vec![TableAttribute::Name(table.to_owned())];
    let header = NetfilterHeader::new(NetfilterProtoFamily::from(family), 0, 0);
    let message = NfTablesMessage::GetTable(TableMessage { attributes });
    let message = NetfilterMessage::new(header, message);
    let flags = session.get(message, |payload| {
        let value = attribute(payload.get(HEADER_BYTES..)?, TABLE_FLAGS)?;
        Some(u32::from_be(u32_at(value, 0)?))
    });
    match flags {
        Err(error) if errno(&error) == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
        Ok(flags) => Ok(Some(flags.unwrap_or_default())),
    }
}

/// All rules of the table, in their chains' order.
pub(super) fn rules(session: &mut Session, table: &str) -> io::Result<Vec<StandingRule>> {
    let attributes = vec![RuleAttribute::Table(table.to_owned())];
    let message = about(NfTablesMessage::GetRule(RuleMessage { attributes }));
    session.dump(&message, |payload| {
        let attributes = payload.get(HEADER_BYTES..)?;
        Some(StandingRule {
            chain: text(attribute(attributes, RULE_CHAIN)?)?,
            expressions: attribute(attributes, RULE_EXPRESSIONS)?.to_vec(),
        })
    })
}

/// The elements of all sets. A set that is not there has none.
pub(super) fn elements(session: &mut Session, table: &str) -> io::Result<Elements> {
    let mut all = BTreeMap::new();
    for set in Set::all() {
        let attributes = vec![
            SetElementList::Table(table.to_owned()),
            SetElementList::Set(set.name().to_owned()),
        ];
        let message = NfTablesMessage::GetSetElement(SetElementMessage { attributes });
        let lists = session.dump(&about(message), |payload| {
            let list = attribute(payload.get(HEADER_BYTES..)?, ELEMENTS)?;
            let read = |(_, element)| read_element(set, element);
            Some(Attributes::new(list).filter_map(read).collect::<Vec<_>>())
        });
        match lists {
            Ok(lists) => all.extend(lists.into_iter().flatten()),
            Err(error) if errno(&error) == Some(libc::ENOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

fn about(message: NfTablesMessage) -> NetfilterMessage {
    NetfilterMessage::new(
        NetfilterHeader::new(NetfilterProtoFamily::Inet, 0, 0),
        message,
    )
}

/// The value of the first attribute of a kind.
pub(super) fn attribute(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    let mut attributes = Attributes::new(attributes);
    attributes.find_map(|(found, value)| (found == kind).then_some(value))
}

fn read_element(set: Set, element: &[u8]) -> Option<(Key, Value)> {
    let bytes = |kind| Some(attribute(attribute(element, kind)?, DATA_VALUE)?.to_vec());
    let first = bytes(ELEMENT_KEY)?;
    let key = Key {
        set,
        first,
        last: bytes(ELEMENT_KEY_END).unwrap_or_default(),
    };
    let Some(data) = attribute(element, ELEMENT_DATA) else {
        return Some((key, Value::Nothing));
    };
    let value = match attribute(data, DATA_VERDICT) {
        Some(verdict) => Value::Verdict(read_verdict(verdict)?),
        None => Value::Bytes(attribute(data, DATA_VALUE)?.to_vec()),
    };
    Some((key, value))
}

/// A verdict that netd gives; somebody else's is read as a drop, which differs from whatever netd put there.
fn read_verdict(verdict: &[u8]) -> Option<Target> {
    let code = u32::from_be(u32_at(attribute(verdict, VERDICT_CODE)?, 0)?);
    let chain = attribute(verdict, VERDICT_CHAIN).and_then(text);
    Some(match (code, chain.as_deref()) {
        (ACCEPT, _) => Target::Accept,
        (JUMP, Some(NEIGHBOURS)) => Target::Jump(NEIGHBOURS),
        _ => Target::Drop,
    })
}
