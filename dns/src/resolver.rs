//! The resolver of all sandboxes: begins and ends serving one, and keeps what they share.
//!
//! It gets open sockets and never asks where they were opened.

use std::collections::HashMap;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use netd_model::NetnsId;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::directory::Directory;
use crate::forward::Forwarder;
use crate::stats::{Counters, Stats};
use crate::thread::Thread;
use crate::view::View;
use crate::{tcp, udp};

/// Bounds and places. The default suits a thousand sandboxes in one daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolverOptions {
    /// The file that [`Upstreams::Host`](crate::Upstreams::Host) follows.
    pub resolv_conf: PathBuf,
    /// Port of the servers in that file: 53, unless a test cannot bind it.
    pub resolv_conf_port: u16,
    /// Open TCP connections of one sandbox; the oldest gives way to one more.
    pub connections_per_sandbox: usize,
    /// How long a TCP client may be silent, or take to send one query, or to receive one answer.
    pub tcp_patience: Duration,
    /// Queries of one sandbox that wait for upstreams; one more gets SERVFAIL.
    pub forwards_per_sandbox: usize,
    /// Different questions under way to upstreams over all sandboxes, each with a socket per server asked.
    pub forwards_in_all: usize,
    /// Answers kept.
    pub cache_entries: usize,
}

impl Default for ResolverOptions {
    fn default() -> Self {
        Self {
            resolv_conf: PathBuf::from("/etc/resolv.conf"),
            resolv_conf_port: 53,
            connections_per_sandbox: 32,
            tcp_patience: Duration::from_secs(5),
            forwards_per_sandbox: 256,
            forwards_in_all: 1024,
            cache_entries: 4096,
        }
    }
}

/// Why a sandbox cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Two resolvers would answer for it.
    #[error("the names of sandbox {key} are served already; stop that first")]
    Served {
        /// The sandbox.
        key: NetnsId,
    },
    /// The runtime did not take a socket.
    #[error(
        "cannot serve names on the {protocol} socket of sandbox {key}; check the limit of open files"
    )]
    Socket {
        /// The sandbox.
        key: NetnsId,
        /// `udp` or `tcp`.
        protocol: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// A sandbox is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the names of sandbox {key} are not served; begin with its sockets")]
pub struct NotServed {
    /// The sandbox.
    pub key: NetnsId,
}

/// What the loops of one sandbox share.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) view: ArcSwap<View>,
    /// One permit for each query that waits for upstreams.
    pub(crate) forwards: Arc<Semaphore>,
    pub(crate) common: Arc<Common>,
}

/// What all sandboxes share.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) directory: Arc<Directory>,
    pub(crate) forwarder: Arc<Forwarder>,
    pub(crate) options: ResolverOptions,
    pub(crate) counters: Arc<Counters>,
}

/// The two loops of one sandbox; dropping them ends both and closes the sockets.
#[derive(Debug)]
struct Served {
    sandbox: Arc<Sandbox>,
    loops: [Loop; 2],
}

#[derive(Debug)]
struct Loop(JoinHandle<()>);

impl Drop for Loop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Answers names for any number of sandboxes. Dropping it ends all of them.
#[derive(Debug)]
pub struct Resolver {
    common: Arc<Common>,
    runtime: Handle,
    served: Mutex<HashMap<NetnsId, Served>>,
    /// Behind what runs on it, which thus ends first.
    _thread: Option<Thread>,
}

impl Resolver {
    /// A resolver whose loops run on `runtime`, which needs its I/O and time drivers.
    #[must_use]
    pub fn new(directory: Arc<Directory>, options: ResolverOptions, runtime: Handle) -> Self {
        let counters = Arc::new(Counters::default());
        let forwarder = Forwarder::new(&options, Arc::clone(&counters));
        let common = Common {
            directory,
            forwarder: Arc::new(forwarder),
            options,
            counters,
        };
        Self {
            common: Arc::new(common),
            runtime,
            served: Mutex::default(),
            _thread: None,
        }
    }

    /// A resolver whose loops have a thread of their own, in the network namespace of the calling thread: from there
    /// the upstreams are asked. The thread ends when the resolver is dropped.
    ///
    /// # Errors
    /// What the system says when it gives neither thread nor descriptors.
    pub fn on_own_thread(directory: Arc<Directory>, options: ResolverOptions) -> io::Result<Self> {
        let thread = Thread::start()?;
        let resolver = Self::new(directory, options, thread.handle().clone());
        Ok(Self {
            _thread: Some(thread),
            ..resolver
        })
    }

    /// Begins to answer on a sandbox's sockets, which are those of an IPv4 address; may be called from any thread.
    ///
    /// # Errors
    /// [`ServeError`] when the sandbox is served already or a socket is not accepted. Both sockets are closed then.
    pub fn serve(
        &self,
        key: NetnsId,
        udp: UdpSocket,
        tcp: TcpListener,
        view: View,
    ) -> Result<(), ServeError> {
        let mut served = self.served();
        if served.contains_key(&key) {
            return Err(ServeError::Served { key });
        }
        let refused = |protocol| {
            move |source| ServeError::Socket {
                key,
                protocol,
                source,
            }
        };
        let _inside = self.runtime.enter();
        if !udp.local_addr().is_ok_and(|address| address.is_ipv4()) {
            let other = io::Error::new(io::ErrorKind::InvalidInput, "it is none of IPv4");
            return Err(refused("udp")(other));
        }
        udp.set_nonblocking(true).map_err(refused("udp"))?;
        tcp.set_nonblocking(true).map_err(refused("tcp"))?;
        let udp = tokio::net::UdpSocket::from_std(udp).map_err(refused("udp"))?;
        let tcp = tokio::net::TcpListener::from_std(tcp).map_err(refused("tcp"))?;
        let sandbox = Arc::new(Sandbox {
            view: ArcSwap::from_pointee(view),
            forwards: Arc::new(Semaphore::new(self.common.options.forwards_per_sandbox)),
            common: Arc::clone(&self.common),
        });
        let loops = [
            Loop(self.runtime.spawn(udp::serve(Arc::clone(&sandbox), udp))),
            Loop(self.runtime.spawn(tcp::serve(Arc::clone(&sandbox), tcp))),
        ];
        served.insert(key, Served { sandbox, loops });
        Ok(())
    }

    /// Changes what a sandbox sees, from its next query on.
    ///
    /// # Errors
    /// [`NotServed`] if the sandbox is not served.
    pub fn set_view(&self, key: NetnsId, view: View) -> Result<(), NotServed> {
        let served = self.served();
        let sandbox = &served.get(&key).ok_or(NotServed { key })?.sandbox;
        sandbox.view.store(Arc::new(view));
        Ok(())
    }

    /// Stops answering a sandbox; its sockets are closed when this is done. Not to be served is no error: teardown
    /// may come twice.
    pub async fn stop(&self, key: NetnsId) {
        let stopped = self.served().remove(&key);
        let Some(Served { loops, .. }) = stopped else {
            return;
        };
        // All are told before one is waited for.
        loops.iter().for_each(|task| task.0.abort());
        for mut task in loops {
            // The loop's sockets are closed when it has been dropped, and it ended as it was told to.
            let _ = (&mut task.0).await;
        }
    }

    /// Whether a sandbox is served.
    #[must_use]
    pub fn serves(&self, key: NetnsId) -> bool {
        self.served().contains_key(&key)
    }

    /// What happened since the resolver began.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.common.counters.read()
    }

    fn served(&self) -> MutexGuard<'_, HashMap<NetnsId, Served>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
