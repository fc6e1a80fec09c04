//! Several upstreams for one question: the next one starts when the one before is slow or fails, the first good answer
//! wins. Knows neither the cache nor who asks.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{sleep, sleep_until};

use super::exchange::exchange;
use super::message::{Answer, Outgoing};
use crate::stats::Counters;

/// After this the asker is told SERVFAIL: a resolver library gives up after 5 s (resolv.conf(5), `timeout`).
pub(crate) const PATIENCE: Duration = Duration::from_secs(4);
/// Silence after which the next upstream is asked as well; twice a slow path to a distant resolver.
const HEAD_START: Duration = Duration::from_millis(250);
/// How long an upstream that did not answer is asked after the others.
const SUSPICION: Duration = Duration::from_secs(10);
/// Suspects remembered. Above, those whose time is over are forgotten, else all.
const SUSPECTS_MAX: usize = 256;

/// Races for all questions, with what they learnt about the upstreams.
#[derive(Debug)]
pub(crate) struct Race {
    suspects: Mutex<HashMap<SocketAddr, Instant>>,
    counters: Arc<Counters>,
}

impl Race {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        Self {
            suspects: Mutex::default(),
            counters,
        }
    }

    /// The first helpful answer of `servers`; else an unhelpful one (REFUSED, say) that some server gave; else
    /// nothing, at once when all have failed and after [`PATIENCE`] when one stays silent.
    pub(crate) async fn run(
        &self,
        servers: &[SocketAddr],
        outgoing: &Outgoing<'_>,
    ) -> Option<Answer> {
        let deadline = sleep_until((Instant::now() + PATIENCE).into());
        tokio::pin!(deadline);
        let mut to_ask = self.in_order(servers).into_iter();
        let mut asked = Vec::new();
        let mut under_way = FuturesUnordered::new();
        let mut unhelpful = None;
        loop {
            if let Some(server) = to_ask.next() {
                asked.push(server);
                let answer = exchange(server, outgoing, &self.counters);
                under_way.push(async move { (server, answer.await) });
            } else if under_way.is_empty() {
                return unhelpful;
            }
            // Ends early so that the next upstream starts, as long as there is one.
            let head_start = if to_ask.len() > 0 {
                HEAD_START
            } else {
                PATIENCE
            };
            let (server, outcome) = tokio::select! {
                Some(done) = under_way.next() => done,
                () = sleep(head_start) => continue,
                () = &mut deadline => {
                    self.suspect(&asked);
                    return unhelpful;
                }
            };
            asked.retain(|other| *other != server);
            match outcome {
                Ok(answer) if answer.is_helpful() => {
                    self.suspect(&asked);
                    self.trust(server);
                    return Some(answer);
                }
                Ok(answer) => unhelpful = unhelpful.or(Some(answer)),
                Err(failure) => {
                    tracing::debug!(%server, %failure, "a DNS upstream gave no answer");
                    self.suspect(&[server]);
                }
            }
        }
    }

    /// The servers in their order, suspects behind the others.
    fn in_order(&self, servers: &[SocketAddr]) -> Vec<SocketAddr> {
        let suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        let is_suspect = |server: &SocketAddr| {
            suspects
                .get(server)
                .is_some_and(|since| since.elapsed() < SUSPICION)
        };
        let mut order = servers.to_vec();
        order.sort_by_key(is_suspect);
        order
    }

    fn suspect(&self, servers: &[SocketAddr]) {
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        if suspects.len() + servers.len() > SUSPECTS_MAX {
            suspects.retain(|_, since| since.elapsed() < SUSPICION);
        }
        if suspects.len() + servers.len() > SUSPECTS_MAX {
            suspects.clear();
        }
        suspects.extend(servers.iter().map(|server| (*server, Instant::now())));
    }

    fn trust(&self, server: SocketAddr) {
        self.suspects
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&server);
    }
}
