//! Chains of other tables that drop what the networks' packets need: an accept of netd's does not overrule them, since
//! a packet passes every base chain of its hook (nft(8), "base chains").
//!
//! Only what is certain is read: a policy, rules without conditions, and accepts of an interface by its name. Whether a
//! rule with other conditions lets something through is not guessed, and neither are iptables-legacy's rules seen.

use std::collections::BTreeSet;
use std::fmt;
use std::io;

use netd_model::{IfName, Ruleset};
use netlink_packet_netfilter::nftables::{
    ChainMessage, NfTablesMessage, RuleAttribute, RuleMessage,
};
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterProtoFamily};
use netlink_sys::protocols::NETLINK_NETFILTER;

use super::table_rules::{Interface, Rule, Verdict, read_rule};
use crate::Family;
use crate::linux::attributes::{Attributes, text, u32_at};
use crate::linux::session::Session;

/// `NFPROTO_INET` (linux/netfilter.h).
const INET: u8 = 1;
/// `NF_INET_FORWARD` and `NF_DROP` (linux/netfilter.h).
const FORWARD: u32 = 2;
const DROP: u32 = 0;
/// Attributes of a chain and of its hook (linux/netfilter/nf_tables.h).
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const HOOK_NUMBER: u16 = 1;
/// Jumps that are followed from a base chain; the kernel allows as many (`NFT_JUMP_STACK_SIZE`).
const DEPTH: usize = 16;
/// Bridges that a sentence names.
const NAMED: usize = 3;

/// Whose tables are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    /// netd's own table.
    Table,
    /// Those of iptables, where its rules stand before all others.
    OfIptables,
}

impl Own {
    fn has(self, chain: &BaseChain) -> bool {
        match self {
            Self::Table => chain.family == INET && chain.table == super::TABLE,
            Self::OfIptables => chain.family != INET && chain.table == "filter",
        }
    }
}

/// A chain that the kernel calls for forwarded packets.
struct BaseChain {
    family: u8,
    table: String,
    name: String,
    drops: bool,
}

/// What drops.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cause {
    Policy,
    Rule { chain: String, handle: u64 },
}

/// A place where packets of these bridges are dropped.
struct Obstacle<'a> {
    chain: &'a BaseChain,
    cause: Cause,
    bridges: Vec<&'a IfName>,
}

/// Says of each chain on the hook forward of other tables that drops packets of `wanted`'s networks, what it is and
/// what to do.
pub(crate) fn find(own: Own, wanted: &Ruleset) -> io::Result<Vec<String>> {
    let mut session = Session::open(NETLINK_NETFILTER)?;
    let mut sentences = Vec::new();
    for chain in base_chains(&mut session)? {
        let bridges = bridges(chain.family, wanted);
        if own.has(&chain) || bridges.is_empty() || is_dormant(&mut session, &chain)? {
            continue;
        }
        let rules = rules(&mut session, &chain)?;
        let mut way = Way::default();
        let cause = match way.through(&rules, &chain.name, DEPTH) {
            Some(End::Dropped { chain, handle }) => Some(Cause::Rule { chain, handle }),
            Some(End::Accepted) => None,
            Some(End::Returned) | None => chain.drops.then_some(Cause::Policy),
        };
        let stopped = bridges
            .into_iter()
            .filter(|bridge| !way.lets_through(bridge));
        let bridges: Vec<&IfName> = stopped.collect();
        if let Some(cause) = cause.filter(|_| !bridges.is_empty()) {
            let obstacle = Obstacle {
                chain: &chain,
                cause,
                bridges,
            };
            sentences.push(obstacle.to_string());
        }
    }
    Ok(sentences)
}

/// Bridges of networks that lead outside in a family of tables.
fn bridges(family: u8, wanted: &Ruleset) -> Vec<&IfName> {
    let concerned = |version: Family| family == INET || family == version.number();
    let networks = wanted.networks.values().filter(|network| !network.internal);
    let concerned = networks.filter(|network| {
        let mut subnets = network.subnets.iter();
        subnets.any(|subnet| concerned(Family::of(subnet.first())))
    });
    let bridges: BTreeSet<&IfName> = concerned.map(|network| &network.bridge).collect();
    bridges.into_iter().collect()
}

fn about(family: u8, message: NfTablesMessage) -> NetfilterMessage {
    let family = NetfilterProtoFamily::from(family);
    NetfilterMessage::new(NetfilterHeader::new(family, 0, 0), message)
}

fn base_chains(session: &mut Session) -> io::Result<Vec<BaseChain>> {
    let attributes = Vec::new();
    let all = about(0, NfTablesMessage::GetChain(ChainMessage { attributes }));
    session.dump(&all, |payload| {
        let family = *payload.first()?;
        let attributes = payload.get(super::standing::HEADER_BYTES..)?;
        let of = |kind| super::standing::attribute(attributes, kind);
        let number = super::standing::attribute(of(CHAIN_HOOK)?, HOOK_NUMBER)?;
        let families = [INET, Family::V4.number(), Family::V6.number()];
        let is_on_the_way = u32::from_be(u32_at(number, 0)?) == FORWARD;
        let policy = of(CHAIN_POLICY).and_then(|policy| u32_at(policy, 0));
        (is_on_the_way && families.contains(&family)).then_some(BaseChain {
            family,
            table: text(of(CHAIN_TABLE)?)?,
            name: text(of(CHAIN_NAME)?)?,
            drops: policy.map(u32::from_be) == Some(DROP),
        })
    })
}

fn is_dormant(session: &mut Session, chain: &BaseChain) -> io::Result<bool> {
    let flags = super::standing::flags_of(session, (chain.family, &chain.table))?;
    Ok(flags.is_none_or(|flags| flags & 1 != 0))
}

fn rules(session: &mut Session, chain: &BaseChain) -> io::Result<Vec<Rule>> {
    let attributes = vec![RuleAttribute::Table(chain.table.clone())];
    let message = NfTablesMessage::GetRule(RuleMessage { attributes });
    session.dump(&about(chain.family, message), |payload| {
        read_rule(Attributes::new(
            payload.get(super::standing::HEADER_BYTES..)?,
        ))
    })
}

/// How what is certain of a packet's way ends.
enum End {
    Accepted,
    Returned,
    Dropped { chain: String, handle: u64 },
}

/// The interfaces that are accepted on the way.
#[derive(Default)]
struct Way {
    coming: Vec<Interface>,
    leaving: Vec<Interface>,
}

impl Way {
    /// Goes through a chain; `None` at its end.
    fn through(&mut self, rules: &[Rule], chain: &str, depth: usize) -> Option<End> {
        for rule in rules.iter().filter(|rule| rule.chain == chain) {
            match (&rule.coming, &rule.leaving, &rule.verdict) {
                _ if rule.has_other_conditions => {}
                (Some(coming), None, Verdict::Accept) => self.coming.push(coming.clone()),
                (None, Some(leaving), Verdict::Accept) => self.leaving.push(leaving.clone()),
                (None, None, verdict) => match verdict {
                    Verdict::Nothing => {}
                    Verdict::Accept => return Some(End::Accepted),
                    Verdict::Return => return Some(End::Returned),
                    Verdict::Drop => {
                        return Some(End::Dropped {
                            chain: chain.to_owned(),
                            handle: rule.handle,
                        });
                    }
                    Verdict::Jump(_) | Verdict::GoTo(_) if depth == 0 => {
                        return Some(End::Accepted);
                    }
                    Verdict::Jump(to) => match self.through(rules, to, depth - 1) {
                        None | Some(End::Returned) => {}
                        end => return end,
                    },
                    Verdict::GoTo(to) => return self.through(rules, to, depth - 1),
                },
                _ => {}
            }
        }
        None
    }

    /// Whether packets that come by a bridge, and those that leave by it, are accepted.
    fn lets_through(&self, bridge: &IfName) -> bool {
        [&self.coming, &self.leaving]
            .iter()
            .all(|side| side.iter().any(|name| name.is(bridge)))
    }
}

impl fmt::Display for Obstacle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BaseChain {
            family,
            table,
            name,
            ..
        } = self.chain;
        let word = match *family {
            INET => "inet",
            family if family == Family::V6.number() => "ip6",
            _ => "ip",
        };
        let names: Vec<&str> = self
            .bridges
            .iter()
            .take(NAMED)
            .map(|name| name.as_str())
            .collect();
        let rest = match self.bridges.len().saturating_sub(NAMED) {
            0 => String::new(),
            rest => format!(" and {rest} more"),
        };
        write!(f, "table {word} {table}, chain {name} (hook forward): ")?;
        match &self.cause {
            Cause::Policy => f.write_str("its policy drops what no rule of it accepts")?,
            Cause::Rule { chain, handle } => write!(
                f,
                "a rule drops or rejects all that comes to it (chain {chain}, handle {handle})"
            )?,
        }
        write!(
            f,
            ", and no rule before accepts all packets of {}{rest}; an accept in another table does not overrule that. \
             Let them through: ",
            names.join(", ")
        )?;
        let commands = names.iter().flat_map(|bridge| {
            ["i", "o"].map(|way| match (word, table.as_str(), name.as_str()) {
                ("ip", "filter", "FORWARD") => {
                    format!("iptables -I FORWARD -{way} {bridge} -j ACCEPT")
                }
                ("ip6", "filter", "FORWARD") => {
                    format!("ip6tables -I FORWARD -{way} {bridge} -j ACCEPT")
                }
                _ => format!("nft insert rule {word} {table} {name} {way}ifname {bridge} accept"),
            })
        });
        f.write_str(&commands.collect::<Vec<_>>().join("; "))
    }
}
