//! Whose a change of the rules was: nf_tables tells of each transaction by its number and by the socket that sent it.
//!
//! Knows neither tables nor rules. What cannot be told for certain counts as somebody else's.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::linux::attributes::{Attributes, u32_at};
use crate::linux::session::Message;

/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN` (linux/netfilter/nfnetlink.h, nf_tables.h): the last notice of each
/// transaction.
const NEW_GENERATION: u16 = 10 << 8 | 15;
/// `NFTA_GEN_ID`, behind a `struct nfgenmsg` of 4 bytes.
const GENERATION_ID: u16 = 1;
const HEADER_BYTES: usize = 4;
/// Runs of programs that are remembered. A notice is looked at within a second of its transaction; one that comes too late
/// counts as a stranger's.
const REMEMBERED: usize = 512;

/// A transaction of nf_tables, as the kernel tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RulesCommit {
    /// The number that the rules of the namespace have since. Each transaction counts it up by one.
    pub generation: u32,
    /// The netlink address of the socket that sent it (netlink(7) `nl_pid`), which no other socket of the namespace has
    /// at the same time.
    pub sender: u32,
}

impl RulesCommit {
    /// Reads the notice that ends those of a transaction; `None` for any other.
    pub(crate) fn read(message: &Message<'_>) -> Option<Self> {
        if message.kind != NEW_GENERATION {
            return None;
        }
        Some(Self {
            generation: read_generation(message.payload)?,
            sender: message.address,
        })
    }
}

/// The number in a message about the generation.
pub(crate) fn read_generation(payload: &[u8]) -> Option<u32> {
    let mut attributes = Attributes::new(payload.get(HEADER_BYTES..)?);
    let (_, id) = attributes.find(|(kind, _)| *kind == GENERATION_ID)?;
    u32_at(id, 0).map(u32::from_be)
}

/// The transactions of programs that netd ran, by the number of each process and the generations of its lifetime.
///
/// A program's first netlink socket has the number of its process for address (`netlink_autobind`, net/netlink/af_netlink.c).
/// A later process may have the same, so what it did counts only while it lived.
#[derive(Debug, Default)]
pub(crate) struct Runs(Mutex<VecDeque<Run>>);

#[derive(Clone, Copy, Debug)]
struct Run {
    process: u32,
    /// The generation before it began, and the one that it left; `None` while it runs.
    before: u32,
    after: Option<u32>,
}

impl Runs {
    fn locked<T>(&self, act: impl FnOnce(&mut VecDeque<Run>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A program begins that has done nothing yet.
    pub(crate) fn begin(&self, process: u32, before: u32) {
        self.locked(|runs| {
            if runs.len() == REMEMBERED {
                runs.pop_front();
            }
            runs.push_back(Run {
                process,
                before,
                after: None,
            });
        });
    }

    /// It has ended. Without a number nothing that it did counts as netd's.
    pub(crate) fn end(&self, process: u32, after: Option<u32>) {
        self.locked(|runs| {
            let begun = runs.iter().rposition(|run| run.process == process);
            let Some(place) = begun else { return };
            match after {
                Some(_) => runs[place].after = after,
                None => drop(runs.remove(place)),
            }
        });
    }

    /// Whether one of them made it.
    pub(crate) fn made(&self, commit: RulesCommit) -> bool {
        self.locked(|runs| {
            runs.iter().any(|run| {
                run.process == commit.sender
                    && is_later(commit.generation, run.before)
                    && run
                        .after
                        .is_none_or(|after| !is_later(commit.generation, after))
            })
        })
    }
}

/// Whether one number comes after another; they begin anew after the highest.
fn is_later(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed() > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_program_did_in_its_time_is_its_own() {
        let runs = Runs::default();
        let made = |generation, sender| runs.made(RulesCommit { generation, sender });
        assert!(!made(8, 70));
        runs.begin(70, 7);
        assert!(made(8, 70) && !made(8, 71));
        runs.end(70, Some(9));
        assert!(!made(7, 70) && made(8, 70) && made(9, 70) && !made(10, 70));
        // Another process of the same number.
        runs.begin(70, 12);
        assert!(!made(11, 70) && !made(12, 70) && made(13, 70));
        runs.end(70, None);
        assert!(!made(13, 70) && made(9, 70));
    }

    #[test]
    fn numbers_go_round() {
        let runs = Runs::default();
        runs.begin(70, u32::MAX);
        runs.end(70, Some(1));
        let made = |generation| {
            runs.made(RulesCommit {
                generation,
                sender: 70,
            })
        };
        assert!(!made(u32::MAX) && made(0) && made(1) && !made(2));
    }

    #[test]
    fn old_runs_are_forgotten() {
        let runs = Runs::default();
        for process in 0..=512 {
            runs.begin(process, process);
            runs.end(process, Some(process + 1));
        }
        let made = |process| {
            runs.made(RulesCommit {
                generation: process + 1,
                sender: process,
            })
        };
        assert!(!made(0) && made(1) && made(512));
    }
}
