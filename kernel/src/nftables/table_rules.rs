//! Rules of other tables, as far as they are simple: conditions on names of interfaces, and what becomes of a packet.

use netd_model::IfName;
use nix::libc;

use super::standing::attribute;
use crate::linux::attributes::{Attributes, text, u32_at};

/// Attributes of a rule, of a list, of an expression, and of the expressions that are understood
/// (linux/netfilter/nf_tables.h, linux/netfilter/nf_tables_compat.h).
const RULE_CHAIN: u16 = 2;
const RULE_HANDLE: u16 = 3;
const RULE_EXPRESSIONS: u16 = 4;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const META_KEY: u16 = 2;
const META_IN_NAME: u32 = 6;
const META_OUT_NAME: u32 = 7;
const CMP_OPERATOR: u16 = 2;
const CMP_EQUAL: u32 = 0;
const CMP_DATA: u16 = 3;
const IMMEDIATE_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;
const COMPATIBLE_NAME: u16 = 1;

/// A rule.
pub(super) struct Rule {
    pub(super) chain: String,
    pub(super) handle: u64,
    /// Only packets that come by it.
    pub(super) coming: Option<Interface>,
    /// Only packets that leave by it.
    pub(super) leaving: Option<Interface>,
    /// Only packets of which more is asked, or nobody here knows what.
    pub(super) has_other_conditions: bool,
    pub(super) verdict: Verdict,
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Nothing,
    Accept,
    /// Dropped or rejected.
    Drop,
    Return,
    Jump(String),
    GoTo(String),
}

/// A name of an interface in a rule, or what it begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    text: String,
    is_whole: bool,
}

impl Interface {
    /// The kernel compares as many bytes as the rule has: with the NUL behind the name, it is the whole name.
    fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            text: text(bytes)?,
            is_whole: bytes.contains(&0),
        })
    }

    pub(super) fn is(&self, name: &IfName) -> bool {
        match self.is_whole {
            true => name.as_str() == self.text,
            false => name.as_str().starts_with(&self.text),
        }
    }
}

/// What a rule loaded last, for the comparison behind it.
enum Loaded {
    InName,
    OutName,
    Other,
}

/// Reads the attributes of a rule; `None` if there is no chain in them.
pub(super) fn read_rule(attributes: Attributes<'_>) -> Option<Rule> {
    let mut rule = Rule {
        chain: String::new(),
        handle: 0,
        coming: None,
        leaving: None,
        has_other_conditions: false,
        verdict: Verdict::Nothing,
    };
    for (kind, value) in attributes {
        match kind {
            RULE_CHAIN => rule.chain = text(value)?,
            RULE_HANDLE => rule.handle = u64::from_be_bytes(value.try_into().ok()?),
            RULE_EXPRESSIONS => rule.read(value),
            _ => {}
        }
    }
    (!rule.chain.is_empty()).then_some(rule)
}

impl Rule {
    fn read(&mut self, expressions: &[u8]) {
        let mut loaded = Loaded::Other;
        for (_, expression) in Attributes::new(expressions) {
            let name = attribute(expression, EXPRESSION_NAME).and_then(text);
            let data = attribute(expression, EXPRESSION_DATA).unwrap_or_default();
            let understood = match name.as_deref() {
                Some("meta") => {
                    loaded = loads(data);
                    !matches!(loaded, Loaded::Other)
                }
                Some("cmp") => self.compare(&loaded, data).is_some(),
                Some("immediate") => self.decide(data).is_some(),
                Some("reject") => {
                    self.verdict = Verdict::Drop;
                    true
                }
                Some("counter" | "log") => true,
                Some("target") => self.have_target(data),
                Some("match") => compatible_name(data).as_deref() == Some("comment"),
                _ => false,
            };
            self.has_other_conditions |= !understood;
        }
    }

    fn compare(&mut self, loaded: &Loaded, data: &[u8]) -> Option<()> {
        let operator = u32::from_be(u32_at(attribute(data, CMP_OPERATOR)?, 0)?);
        let value = attribute(attribute(data, CMP_DATA)?, DATA_VALUE)?;
        let place = match loaded {
            _ if operator != CMP_EQUAL => return None,
            Loaded::InName => &mut self.coming,
            Loaded::OutName => &mut self.leaving,
            Loaded::Other => return None,
        };
        *place = Some(Interface::read(value)?);
        Some(())
    }

    fn decide(&mut self, data: &[u8]) -> Option<()> {
        let verdict = attribute(attribute(data, IMMEDIATE_DATA)?, DATA_VERDICT)?;
        let code = u32::from_be(u32_at(attribute(verdict, VERDICT_CODE)?, 0)?).cast_signed();
        let chain = attribute(verdict, VERDICT_CHAIN).and_then(text);
        self.verdict = match (code, chain) {
            (libc::NF_DROP, _) => Verdict::Drop,
            (libc::NF_ACCEPT, _) => Verdict::Accept,
            (libc::NFT_JUMP, Some(chain)) => Verdict::Jump(chain),
            (libc::NFT_GOTO, Some(chain)) => Verdict::GoTo(chain),
            (libc::NFT_RETURN, _) => Verdict::Return,
            _ => return None,
        };
        Some(())
    }

    /// Targets of iptables that nf_tables has no words for.
    fn have_target(&mut self, data: &[u8]) -> bool {
        match compatible_name(data).as_deref() {
            Some("REJECT") => {
                self.verdict = Verdict::Drop;
                true
            }
            Some("LOG") => true,
            _ => false,
        }
    }
}

fn loads(data: &[u8]) -> Loaded {
    let key = attribute(data, META_KEY).and_then(|key| u32_at(key, 0));
    match key.map(u32::from_be) {
        Some(META_IN_NAME) => Loaded::InName,
        Some(META_OUT_NAME) => Loaded::OutName,
        _ => Loaded::Other,
    }
}

fn compatible_name(data: &[u8]) -> Option<String> {
    text(attribute(data, COMPATIBLE_NAME)?)
}
