//! Asks the upstreams what the networks do not know: from the cache, else together with whoever asks the same at this
//! moment, else by a query of its own. Knows nothing of networks.
//!
//! The cache and the queries under way are kept apart by the list of servers, so that what one sandbox's own servers
//! say is never told to a sandbox that asks others.

mod cache;
mod race;
mod resolv_conf;

mod exchange;
mod message;
mod records;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use crate::answer::Transport;
use crate::question::{Question, flag};
use crate::reply::{self, Code};
use crate::resolver::ResolverOptions;
use crate::stats::Counters;
use crate::view::Upstreams;
use cache::Cache;
use message::{Answer, Outgoing};
use race::Race;
use resolv_conf::ResolvConf;

/// Where we answer ourselves. As an upstream it would be a loop.
const OURSELVES: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

/// Bits of the query that change what an upstream answers, and so belong to what is asked.
const QUERY_BITS: u16 = flag::RECURSION_DESIRED | flag::AUTHENTIC_DATA | flag::CHECKING_DISABLED;

/// What is asked, of whom. Two askers with equal values get the same answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    servers: Arc<[SocketAddr]>,
    /// Name in lower case, type and class.
    question: Box<[u8]>,
    bits: u16,
    dnssec_ok: bool,
}

/// What became of one query under way: not yet, no answer, or this one.
type Outcome = Option<Option<Arc<Answer>>>;

/// The forwarder of all sandboxes.
#[derive(Debug)]
pub(crate) struct Forwarder {
    host: ResolvConf,
    cache: Mutex<Cache>,
    flights: Mutex<HashMap<Asked, watch::Receiver<Outcome>>>,
    flights_max: usize,
    race: Race,
    counters: Arc<Counters>,
}

impl Forwarder {
    pub(crate) fn new(options: &ResolverOptions, counters: Arc<Counters>) -> Self {
        Self {
            host: ResolvConf::new(options.resolv_conf.clone(), options.resolv_conf_port),
            cache: Mutex::new(Cache::new(options.cache_entries)),
            flights: Mutex::default(),
            flights_max: options.forwards_in_all,
            race: Race::new(Arc::clone(&counters)),
            counters,
        }
    }

    /// Writes what the upstreams say, or SERVFAIL, into `out`. Takes at most [`race::PATIENCE`].
    pub(crate) async fn answer(
        self: &Arc<Self>,
        question: &Question<'_>,
        upstreams: &Upstreams,
        by: Transport,
        out: &mut Vec<u8>,
    ) {
        self.counters.forwarded.add_one();
        let servers = match upstreams {
            Upstreams::Listed(servers) => Arc::from(servers.as_slice()),
            Upstreams::Host => self.host.servers().await,
        };
        let asked = Asked {
            servers,
            question: question.raw_lowered(),
            bits: question.flags & QUERY_BITS,
            dnssec_ok: question.edns.is_some_and(|edns| edns.dnssec_ok),
        };
        match self.find(asked).await {
            Some((answer, age_s)) => answer.write(question, by.limit(question), age_s, out),
            None => reply::empty(out, question, Code::ServFail),
        }
    }

    /// The answer and its age in seconds.
    async fn find(self: &Arc<Self>, asked: Asked) -> Option<(Arc<Answer>, u32)> {
        let mut landing = {
            // The lock covers the look into the cache as well: a flight fills the cache before it leaves the table,
            // so that no asker can miss both.
            let mut flights = locked(&self.flights);
            if let Some(hit) = locked(&self.cache).get(&asked, Instant::now()) {
                self.counters.cache_hits.add_one();
                return Some(hit);
            }
            if let Some(landing) = flights.get(&asked) {
                self.counters.shared.add_one();
                landing.clone()
            } else if flights.len() >= self.flights_max {
                self.counters.refused_for_limits.add_one();
                return None;
            } else {
                let (tell, landing) = watch::channel(None);
                flights.insert(asked.clone(), landing.clone());
                let flight = Flight {
                    forwarder: Arc::clone(self),
                    asked,
                };
                // Its own task: the asker may be stopped while others wait for the same.
                tokio::spawn(flight.fly(tell));
                landing
            }
        };
        let answer = landing.wait_for(Option::is_some).await.ok()?.clone()??;
        Some((answer, 0))
    }
}

/// One query under way. Leaves the table when dropped, however it ended.
struct Flight {
    forwarder: Arc<Forwarder>,
    asked: Asked,
}

impl Flight {
    async fn fly(self, tell: watch::Sender<Outcome>) {
        let forwarder = &self.forwarder;
        let servers: Vec<_> = self
            .asked
            .servers
            .iter()
            .filter(|server| server.ip() != OURSELVES)
            .copied()
            .collect();
        let outgoing = Outgoing {
            question: &self.asked.question,
            bits: self.asked.bits,
            dnssec_ok: self.asked.dnssec_ok,
        };
        let answer = forwarder.race.run(&servers, &outgoing).await.map(Arc::new);
        match &answer {
            Some(answer) => {
                let mut cache = locked(&forwarder.cache);
                cache.put(self.asked.clone(), Arc::clone(answer), Instant::now());
            }
            None => forwarder.counters.upstream_failures.add_one(),
        }
        drop(self);
        // Nobody waits any more: then nobody needs to be told.
        let _ = tell.send(Some(answer));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        locked(&self.forwarder.flights).remove(&self.asked);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
