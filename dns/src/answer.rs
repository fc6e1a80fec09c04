//! Decides what happens to one query: answered here, forwarded, refused or ignored. No I/O.

use crate::directory::{Found, Snapshot, Wanted};
use crate::irregular;
use crate::question::{Question, kind};
use crate::reply::{self, Code, ReplyWriter};
use crate::stats::Counters;
use crate::view::{Forwarding, View};

/// How the query came, which decides how long the answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

impl Transport {
    /// The largest answer in bytes.
    pub(crate) fn limit(self, question: &Question<'_>) -> usize {
        match self {
            Self::Udp => question.udp_bytes(),
            Self::Tcp => usize::from(u16::MAX),
        }
    }
}

/// What to do with a query.
#[derive(Debug)]
pub(crate) enum Step {
    /// Send what was written.
    Reply,
    /// Ask the upstreams.
    Forward(Question<'static>),
    /// Say nothing: not a query, or nothing that could be answered.
    Ignore,
}

/// What an answer depends on.
pub(crate) struct Scope<'a> {
    pub(crate) names: &'a Snapshot,
    pub(crate) view: &'a View,
    pub(crate) counters: &'a Counters,
}

impl Scope<'_> {
    /// Answers `packet` into `out`, whose former content is lost.
    pub(crate) fn answer(&self, packet: &[u8], transport: Transport, out: &mut Vec<u8>) -> Step {
        self.counters.queries.add_one();
        let Some(question) = Question::parse(packet) else {
            self.counters.rejected.add_one();
            return match irregular::answer(packet, out) {
                Some(()) => Step::Reply,
                None => Step::Ignore,
            };
        };
        let refusal = if question.class() != kind::CLASS_IN {
            Some(Code::Refused)
        } else if kind::META.contains(&question.kind()) {
            Some(Code::NotImp)
        } else {
            None
        };
        if let Some(code) = refusal {
            self.counters.rejected.add_one();
            reply::empty(out, &question, code);
            return Step::Reply;
        }
        if self.answer_locally(&question, transport, out) {
            self.counters.answered_locally.add_one();
            return Step::Reply;
        }
        if self.view.forwarding == Forwarding::Refuse {
            self.counters.withheld.add_one();
            reply::empty(out, &question, Code::ServFail);
            return Step::Reply;
        }
        Step::Forward(question.into_owned())
    }

    /// Answers from the networks' names, if they know this one.
    fn answer_locally(&self, asked: &Question<'_>, by: Transport, out: &mut Vec<u8>) -> bool {
        let wanted = match asked.kind() {
            kind::A => Wanted::V4,
            kind::AAAA => Wanted::V6,
            kind::ANY => Wanted::Both,
            _ => Wanted::Other,
        };
        let found = self
            .names
            .find(&self.view.networks, asked.key().as_bytes(), wanted);
        if matches!(found, Found::Unknown) {
            return false;
        }
        let mut writer = ReplyWriter::begin(out, asked, by.limit(asked));
        match found {
            Found::Addresses(holders) => {
                if wanted != Wanted::V6 {
                    holders.next_v4().for_each(|address| writer.v4(address));
                }
                if wanted != Wanted::V4 {
                    holders.next_v6().for_each(|address| writer.v6(address));
                }
            }
            Found::Pointer(target) if matches!(asked.kind(), kind::PTR | kind::ANY) => {
                writer.pointer(target);
            }
            Found::Pointer(_) | Found::NoData | Found::Unknown => {}
        }
        writer.end(Code::NoError);
        true
    }
}
