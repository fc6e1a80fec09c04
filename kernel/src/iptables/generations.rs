//! The kernel's count of transactions on its rules: whether anybody else changed them, and which changes were netd's.
//!
//! Of nf_tables alone: x_tables counts nothing, so there all is read anew whenever it matters.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use netlink_packet_netfilter::nftables::{GenMessage, NfTablesMessage};
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterProtoFamily};
use netlink_sys::protocols::NETLINK_NETFILTER;

use crate::RulesCommit;
use crate::commits::{Runs, read_generation};
use crate::linux::session::Session;

/// The count of one namespace.
pub(super) struct Generations {
    count: Mutex<Count>,
    runs: Runs,
}

struct Count {
    session: Session,
    /// The generation that netd's last change left, or the last that was seen.
    known: u32,
    /// How often it turned out to be another.
    strangers: u64,
}

impl std::fmt::Debug for Generations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Generations")
    }
}

impl Generations {
    /// Opens a socket in the namespace of the calling thread; `None` where the kernel does not count.
    pub(super) fn open() -> Option<Arc<Self>> {
        let count = Session::open(NETLINK_NETFILTER).and_then(|mut session| {
            let known = ask(&mut session)?;
            Ok(Count {
                session,
                known,
                strangers: 0,
            })
        });
        match count {
            Ok(count) => Some(Arc::new(Self {
                count: Mutex::new(count),
                runs: Runs::default(),
            })),
            Err(error) => {
                tracing::debug!(%error, "the kernel does not say how often rules were changed");
                None
            }
        }
    }

    fn locked<T>(&self, act: impl FnOnce(&mut Count) -> T) -> T {
        act(&mut self.count.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts up whenever somebody else may have changed rules since the last call; `None` if that is not known.
    pub(super) fn strangers(&self) -> Option<u64> {
        self.locked(|count| count.look().ok().map(|_| count.strangers))
    }

    /// Follows a program that makes `transactions`. It is given a function to tell the number of its process, before
    /// that has done anything.
    pub(super) fn follow<T>(
        &self,
        transactions: u32,
        run: impl FnOnce(&mut dyn FnMut(u32)) -> T,
    ) -> T {
        let before = self.locked(Count::look).ok();
        let mut process = None;
        let result = run(&mut |number| {
            if let Some(before) = before {
                self.runs.begin(number, before);
                process = Some(number);
            }
        });
        let after = self.locked(|count| {
            let after = ask(&mut count.session).ok()?;
            // More are somebody's, and fewer were refused: then it counts as changed, and is read.
            if before.map(|before| before.wrapping_add(transactions)) == Some(after) {
                count.known = after;
            }
            Some(after)
        });
        if let Some(process) = process {
            self.runs.end(process, after);
        }
        result
    }

    /// Whether one of the programs that were followed made it.
    pub(super) fn made(&self, commit: RulesCommit) -> bool {
        self.runs.made(commit)
    }
}

impl Count {
    /// The generation now.
    fn look(&mut self) -> io::Result<u32> {
        let now = ask(&mut self.session)?;
        if now != self.known {
            self.known = now;
            self.strangers += 1;
        }
        Ok(now)
    }
}

fn ask(session: &mut Session) -> io::Result<u32> {
    let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, 0);
    let attributes = Vec::new();
    let message = NfTablesMessage::GetGen(GenMessage { attributes });
    let message = NetfilterMessage::new(header, message);
    let generation = session.get(message, read_generation)?;
    generation.ok_or_else(|| io::ErrorKind::InvalidData.into())
}
