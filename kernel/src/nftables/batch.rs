//! Messages of a transaction: what is to be made or taken away, in the order of making.
//!
//! The kernel takes all of a batch or nothing (nfnetlink's `NFNL_MSG_BATCH_BEGIN` to `_END`).

use netlink_packet_core::{DefaultNla, Emitable, NLA_F_NESTED, NLM_F_APPEND, NLM_F_CREATE};
use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, DataAttribute, Hook, HookNumber, InetHookNumber, ListAttribute,
    NfTablesMessage, RuleAttribute, RuleMessage, SetAttribute, SetDescription, SetElementAttribute,
    SetElementList, SetElementMessage, SetFlags, SetMessage, TableAttribute, TableFlags,
    TableMessage,
};
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterProtoFamily};

use super::chains::Chain;
use super::elements::{Key, Value};
use super::sets::{Gives, Keys, Part, Set};
use super::words::Rule;

/// Elements in one message: their list is one attribute, whose length has 16 bits. An element takes up to 140 bytes.
const ELEMENTS_PER_MESSAGE: usize = 400;

/// `NFTNL_UDATA_RULE_COMMENT` (libnftnl): where nft finds a rule's comment.
const COMMENT: u8 = 0;
/// `NFTA_SET_FIELD_LEN` and `NFTA_LIST_ELEM` (linux/netfilter/nf_tables.h).
const FIELD_LENGTH: u16 = 1;
const LIST_ELEMENT: u16 = 1;
/// `NFTA_DATA_VALUE` (linux/netfilter/nf_tables.h).
const DATA_VALUE: u16 = 1;

/// A transaction about one table.
pub(crate) struct Batch {
    family: NetfilterProtoFamily,
    table: String,
    messages: Vec<(NetfilterMessage, u16)>,
}

impl Batch {
    /// About a table of family `inet`: for both IP versions.
    pub(crate) fn new(table: &str) -> Self {
        Self::of(NetfilterProtoFamily::Inet, table)
    }

    /// About a table of another family.
    pub(crate) fn of(family: NetfilterProtoFamily, table: &str) -> Self {
        Self {
            family,
            table: table.to_owned(),
            messages: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The messages with their flags.
    pub(crate) fn into_messages(self) -> Vec<(NetfilterMessage, u16)> {
        self.messages
    }

    /// Makes the table; one that is there stays.
    pub(crate) fn make_table(&mut self) {
        let attributes = vec![TableAttribute::Name(self.table.clone())];
        self.push(
            NfTablesMessage::NewTable(TableMessage { attributes }),
            NLM_F_CREATE,
        );
    }

    /// Makes a table whose chains are not called.
    pub(super) fn make_dormant_table(&mut self) {
        let attributes = vec![
            TableAttribute::Name(self.table.clone()),
            TableAttribute::Flags(TableFlags::Dormant),
        ];
        let message = NfTablesMessage::NewTable(TableMessage { attributes });
        self.push(message, NLM_F_CREATE);
    }

    /// Takes the table away with all that is in it.
    pub(super) fn remove_table(&mut self) {
        let attributes = vec![TableAttribute::Name(self.table.clone())];
        self.push(NfTablesMessage::DeleteTable(TableMessage { attributes }), 0);
    }

    /// Makes a set; one that is there stays.
    pub(super) fn make_set(&mut self, set: Set) {
        let (key_type, key_bytes) = super::sets::concatenation(set.key());
        let mut flags = SetFlags::empty();
        let mut attributes = vec![
            SetAttribute::Table(self.table.clone()),
            SetAttribute::Name(set.name().to_owned()),
            SetAttribute::KeyType(key_type),
            SetAttribute::KeyLen(key_bytes),
            // Has a meaning only within the batch, and only for sets that are looked up by it.
            SetAttribute::Id(1),
        ];
        if let Some((data_type, data_bytes)) = set.data() {
            flags |= SetFlags::Map;
            attributes.push(SetAttribute::DataType(data_type));
            attributes.push(SetAttribute::DataLen(data_bytes));
        }
        if set.keys() == Keys::Spans {
            flags |= SetFlags::Interval | SetFlags::Concat;
            let parts = set.key().iter().map(|part| {
                let length = DefaultNla::new(FIELD_LENGTH, part.bytes().to_be_bytes().to_vec());
                DefaultNla::new(LIST_ELEMENT | NLA_F_NESTED, emitted(&[length].as_slice()))
            });
            let parts = SetDescription::Concat(parts.collect());
            attributes.push(SetAttribute::Description(vec![parts]));
        }
        if set.key() == [Part::Interface] {
            attributes.push(SetAttribute::UserData(byte_order_of_host()));
        }
        attributes.push(SetAttribute::Flags(flags));
        self.push(
            NfTablesMessage::NewSet(SetMessage { attributes }),
            NLM_F_CREATE,
        );
    }

    /// Makes a chain; one that is there keeps its rules.
    pub(crate) fn make_chain(&mut self, chain: &Chain) {
        let mut attributes = vec![
            ChainAttribute::Table(self.table.clone()),
            ChainAttribute::Name(chain.name.to_owned()),
        ];
        if let Some(hook) = chain.hook {
            attributes.extend([
                ChainAttribute::Type(hook.kind.to_owned()),
                ChainAttribute::Hook(vec![
                    Hook::Number(HookNumber::Inet(InetHookNumber::from(hook.number))),
                    Hook::Priority(hook.priority.cast_unsigned()),
                ]),
            ]);
        }
        self.push(
            NfTablesMessage::NewChain(ChainMessage { attributes }),
            NLM_F_CREATE,
        );
    }

    /// Fills a chain with its rules, whatever it had before.
    pub(super) fn fill_chain(&mut self, chain: Chain) {
        self.empty_chain(chain.name);
        for (rule, reason) in chain.rules {
            self.append_rule(chain.name, rule, reason);
        }
    }

    /// Takes all rules out of a chain.
    pub(crate) fn empty_chain(&mut self, chain: &str) {
        let attributes = vec![
            RuleAttribute::Table(self.table.clone()),
            RuleAttribute::Chain(chain.to_owned()),
        ];
        self.push(NfTablesMessage::DeleteRule(RuleMessage { attributes }), 0);
    }

    /// Puts a rule behind the others of its chain, with the reason that a listing shows beside it.
    pub(crate) fn append_rule(&mut self, chain: &str, rule: Rule, reason: &str) {
        let expressions = rule.expressions();
        let attributes = vec![
            RuleAttribute::Table(self.table.clone()),
            RuleAttribute::Chain(chain.to_owned()),
            RuleAttribute::Expressions(expressions.into_iter().map(ListAttribute::from).collect()),
            RuleAttribute::UserData(comment(reason)),
        ];
        self.push(
            NfTablesMessage::NewRule(RuleMessage { attributes }),
            NLM_F_CREATE | NLM_F_APPEND,
        );
    }

    /// Adds elements to their sets. One that is there with the same value stays, with another is an error.
    pub(super) fn add<'a>(&mut self, elements: impl Iterator<Item = (&'a Key, &'a Value)>) {
        let elements = elements.map(|(key, value)| (key.set, element(key, Some(value))));
        for (set, list) in by_set(elements) {
            self.push(
                NfTablesMessage::NewSetElement(self.elements(set, list)),
                NLM_F_CREATE,
            );
        }
    }

    /// Takes elements out of their sets; one that is not there is an error.
    pub(super) fn remove<'a>(&mut self, keys: impl Iterator<Item = &'a Key>) {
        let elements = keys.map(|key| (key.set, element(key, None)));
        for (set, list) in by_set(elements) {
            self.push(
                NfTablesMessage::DeleteSetElement(self.elements(set, list)),
                0,
            );
        }
    }

    fn elements(&self, set: Set, list: Vec<ElementAttributes>) -> SetElementMessage {
        let attributes = vec![
            SetElementList::Table(self.table.clone()),
            SetElementList::Set(set.name().to_owned()),
            SetElementList::Elements(list.into_iter().map(ListAttribute::Element).collect()),
        ];
        SetElementMessage { attributes }
    }

    fn push(&mut self, message: NfTablesMessage, flags: u16) {
        let header = NetfilterHeader::new(self.family, 0, 0);
        self.messages
            .push((NetfilterMessage::new(header, message), flags));
    }
}

type ElementAttributes = Vec<SetElementAttribute>;

/// One list or more for each set, in the order that they come.
fn by_set(
    elements: impl Iterator<Item = (Set, ElementAttributes)>,
) -> Vec<(Set, Vec<ElementAttributes>)> {
    let mut lists: Vec<(Set, Vec<ElementAttributes>)> = Vec::new();
    for (set, element) in elements {
        match lists.last_mut() {
            Some((last, list)) if *last == set && list.len() < ELEMENTS_PER_MESSAGE => {
                list.push(element);
            }
            _ => lists.push((set, vec![element])),
        }
    }
    lists
}

fn element(key: &Key, value: Option<&Value>) -> ElementAttributes {
    let mut attributes = vec![SetElementAttribute::Key(DataAttribute::Value(
        key.first.clone(),
    ))];
    if !key.last.is_empty() {
        let last = DefaultNla::new(DATA_VALUE, key.last.clone());
        attributes.push(SetElementAttribute::KeyEnd(vec![last]));
    }
    debug_assert!(
        value.is_none_or(|value| (*value == Value::Nothing) == (key.set.gives() == Gives::Nothing))
    );
    attributes.extend(match value {
        Some(Value::Verdict(target)) => Some(SetElementAttribute::Data(target.data())),
        Some(Value::Bytes(bytes)) => Some(SetElementAttribute::Data(DataAttribute::Value(
            bytes.clone(),
        ))),
        Some(Value::Nothing) | None => None,
    });
    attributes
}

/// How nft reads a lone name: not as a number that begins with its highest byte (libnftnl
/// `NFTNL_UDATA_SET_KEYBYTEORDER`, nftables `BYTEORDER_HOST_ENDIAN`).
fn byte_order_of_host() -> Vec<u8> {
    let mut bytes = vec![0, 4];
    bytes.extend(1u32.to_ne_bytes());
    bytes
}

/// A comment as nft reads it: type, length and text with its NUL.
fn comment(text: &str) -> Vec<u8> {
    let text = &text.as_bytes()[..text.len().min(254)];
    let length = u8::try_from(text.len() + 1).unwrap_or(u8::MAX);
    let mut bytes = vec![COMMENT, length];
    bytes.extend(text);
    bytes.push(0);
    bytes
}

fn emitted(attributes: &impl Emitable) -> Vec<u8> {
    let mut bytes = vec![0; attributes.buffer_len()];
    attributes.emit(&mut bytes);
    bytes
}
