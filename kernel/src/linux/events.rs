//! Telling of what others do: one thread that waits for the kernel's notices and for the ends of sandboxes' anchors.
//!
//! Notices of links, routes and rules are hints, and come in bursts, the daemon's own work being the most frequent. So the
//! first one has the thread look away for some milliseconds: to be woken for each would take the time of those who work.
//! What came meanwhile is read together and told once. The end of a sandbox is told at once.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use netd_model::{IfName, NetnsId};
use netlink_sys::Socket;
use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use nix::libc;
use nix::sys::epoll::{EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::holders::MOUNTS;
use super::links::read_link;
use super::namespace::Namespace;
use super::sandboxes::Sandboxes;
use super::session::{Messages, receive};
use crate::{KernelEvent, RulesCommit};

/// What an event of the epoll is about; any other number is the inode of a sandbox, and those are above 0xf0000000
/// (linux/proc_fs.h `PROC_DYNAMIC_FIRST` and behind).
const STOP: u64 = 0;
const ROUTE_NOTICES: u64 = 1;
const RULE_NOTICES: u64 = 2;
const MOUNTS_CHANGED: u64 = 3;

/// How long not to look. A burst is over when nothing came in such a time, and told after that long in any case.
const QUIET: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_millis(100);
/// Room for notices, in bytes: several thousand. At the default, attaching a hundred containers overruns it.
const NOTICE_BYTES: usize = 4 << 20;
/// A notice waits; not told again before it is asked for again (epoll_ctl(2) `EPOLLONESHOT`).
const NOTICE: EpollFlags = EpollFlags::EPOLLIN.union(EpollFlags::EPOLLONESHOT);
/// Events taken at once, so that the ends of many sandboxes are looked into together.
const BATCH: usize = 512;

/// What is heard of changes to links, addresses and routes of either family, and of queues and filters that somebody
/// changes, not of those that come and go with a link (linux/rtnetlink.h).
const ROUTE_GROUPS: [u32; 6] = [
    libc::RTNLGRP_LINK,
    libc::RTNLGRP_TC,
    libc::RTNLGRP_IPV4_IFADDR,
    libc::RTNLGRP_IPV4_ROUTE,
    libc::RTNLGRP_IPV6_IFADDR,
    libc::RTNLGRP_IPV6_ROUTE,
];

/// Who wants to hear.
pub(super) type Tell = Box<dyn Fn(KernelEvent) + Send + Sync>;

/// Ends the thread when it is dropped.
pub(super) struct Watch {
    stop: Arc<EventFd>,
    tellers: Arc<Mutex<Vec<Tell>>>,
}

impl Watch {
    /// Also tells this one, from now on.
    pub(super) fn also(&self, tell: Tell) {
        let mut tellers = self.tellers.lock().unwrap_or_else(PoisonError::into_inner);
        tellers.push(tell);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.stop.write(1);
    }
}

/// Starts the thread.
pub(super) fn start(home: &Namespace, sandboxes: Arc<Sandboxes>, tell: Tell) -> io::Result<Watch> {
    let sources = home.run(Sources::open)?;
    let stop = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?);
    sources.listen(&sandboxes)?;
    sandboxes.listen(&*stop, EpollFlags::EPOLLIN, STOP)?;
    let tellers = Arc::new(Mutex::new(vec![tell]));
    let watcher = Watcher {
        sandboxes,
        sources,
        tellers: Arc::clone(&tellers),
        heard: Heard::default(),
        buffer: vec![0; 64 * 1024],
        _stop: Arc::clone(&stop),
    };
    std::thread::Builder::new()
        .name("netd-watch".to_owned())
        .spawn(|| watcher.run())?;
    Ok(Watch { stop, tellers })
}

/// Where notices come from.
struct Sources {
    routes: Socket,
    rules: Socket,
    mounts: File,
}

impl Sources {
    /// Opens them in the namespace of the calling thread.
    fn open() -> io::Result<Self> {
        let open = |protocol| {
            let mut socket = Socket::new(protocol)?;
            socket.bind_auto()?;
            socket.set_non_blocking(true)?;
            // May exceed net.core.rmem_max; without the privilege the kernel's limit must do.
            if rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, NOTICE_BYTES)
                .is_err()
            {
                socket.set_rx_buf_sz(NOTICE_BYTES)?;
            }
            Ok::<_, io::Error>(socket)
        };
        let routes = open(NETLINK_ROUTE)?;
        for group in ROUTE_GROUPS {
            routes.add_membership(group)?;
        }
        let rules = open(NETLINK_NETFILTER)?;
        // A kernel without nf_tables has nothing to tell. Rules of iptables-legacy are never told of.
        if let Err(error) = rules.add_membership(libc::NFNLGRP_NFTABLES.cast_unsigned()) {
            tracing::debug!(%error, "the kernel does not tell of rule changes");
        }
        Ok(Self {
            routes,
            rules,
            mounts: File::open(MOUNTS)?,
        })
    }

    fn listen(&self, sandboxes: &Sandboxes) -> io::Result<()> {
        sandboxes.listen(&self.routes, NOTICE, ROUTE_NOTICES)?;
        sandboxes.listen(&self.rules, NOTICE, RULE_NOTICES)?;
        sandboxes.listen(&self.mounts, EpollFlags::EPOLLPRI, MOUNTS_CHANGED)
    }

    /// Listens for notices again.
    fn listen_again(&self, sandboxes: &Sandboxes) -> io::Result<()> {
        let alarms = &sandboxes.alarms;
        alarms.modify(&self.routes, &mut EpollEvent::new(NOTICE, ROUTE_NOTICES))?;
        Ok(alarms.modify(&self.rules, &mut EpollEvent::new(NOTICE, RULE_NOTICES))?)
    }
}

/// What was heard in this burst.
#[derive(Default)]
struct Heard {
    links: BTreeSet<IfName>,
    host: bool,
    rates: bool,
    rules: Vec<RulesCommit>,
    overrun: bool,
    /// When the first notice came, and when to look what else did.
    times: Option<(Instant, Instant)>,
}

impl Heard {
    fn events(&mut self) -> Vec<KernelEvent> {
        let heard = std::mem::take(self);
        let flags = [
            (heard.overrun, KernelEvent::Overrun),
            (heard.host, KernelEvent::HostChanged),
            (heard.rates, KernelEvent::RatesChanged),
        ];
        let rules = Some(heard.rules).filter(|commits| !commits.is_empty());
        let links = heard.links.into_iter().map(KernelEvent::LinkChanged);
        flags
            .into_iter()
            .filter_map(|(on, event)| on.then_some(event))
            .chain(rules.map(KernelEvent::RulesChanged))
            .chain(links)
            .collect()
    }

    /// A notice waits: it is looked at later, with those that follow.
    fn begin(&mut self, now: Instant) {
        self.times.get_or_insert((now, now + QUIET));
    }
}

struct Watcher {
    sandboxes: Arc<Sandboxes>,
    sources: Sources,
    tellers: Arc<Mutex<Vec<Tell>>>,
    heard: Heard,
    buffer: Vec<u8>,
    _stop: Arc<EventFd>,
}

impl Watcher {
    fn run(mut self) {
        // An anchor may have gone before anybody watched.
        self.look_at(&self.sandboxes.all());
        let mut events = [EpollEvent::empty(); BATCH];
        loop {
            let count = match self.sandboxes.alarms.wait(&mut events, self.timeout()) {
                Ok(count) => count,
                Err(nix::Error::EINTR) => continue,
                Err(error) => {
                    tracing::error!(%error, "cannot wait for the kernel's notices; changes by others go unseen");
                    return;
                }
            };
            let mut suspects = Vec::new();
            for event in &events[..count] {
                match event.data() {
                    STOP => return,
                    ROUTE_NOTICES | RULE_NOTICES => self.heard.begin(Instant::now()),
                    MOUNTS_CHANGED => suspects.extend(self.sandboxes.anchored_by_path()),
                    inode => suspects.extend(self.sandboxes.by_inode(inode)),
                }
            }
            self.look_at(&suspects);
            if let Err(error) = self.gather(Instant::now()) {
                tracing::error!(%error, "cannot wait for the kernel's notices; changes by others go unseen");
                return;
            }
        }
    }

    /// Reads what came since the last look, when it is time to, and tells of the burst once it is over.
    fn gather(&mut self, now: Instant) -> io::Result<()> {
        let Some((first, _)) = self.heard.times.filter(|(_, look)| *look <= now) else {
            return Ok(());
        };
        let came = [ROUTE_NOTICES, RULE_NOTICES].map(|source| self.hear(source));
        if came.contains(&true) && now < first + PATIENCE {
            self.heard.times = Some((first, now + QUIET));
            return Ok(());
        }
        for event in self.heard.events() {
            self.tell(&event);
        }
        self.sources.listen_again(&self.sandboxes)
    }

    fn timeout(&self) -> EpollTimeout {
        let Some((_, look)) = self.heard.times else {
            return EpollTimeout::NONE;
        };
        let patience = look.saturating_duration_since(Instant::now());
        // Rounded up: a wait that ends too early would be a busy one.
        let millis = u8::try_from(patience.as_millis()).unwrap_or(u8::MAX);
        EpollTimeout::from(millis.saturating_add(1))
    }

    fn tell(&self, event: &KernelEvent) {
        let tellers = self.tellers.lock().unwrap_or_else(PoisonError::into_inner);
        for tell in tellers.iter() {
            tell(event.clone());
        }
    }

    fn look_at(&self, suspects: &[NetnsId]) {
        for event in self.sandboxes.changed(suspects) {
            tracing::info!(?event, "the holder of a sandbox has gone");
            self.tell(&event);
        }
    }

    /// Reads all notices that wait at a source; true if there were any.
    fn hear(&mut self, source: u64) -> bool {
        let mut any = false;
        loop {
            let socket = if source == ROUTE_NOTICES {
                &self.sources.routes
            } else {
                &self.sources.rules
            };
            match receive(socket, &mut self.buffer) {
                Ok(length) if source == ROUTE_NOTICES => self.take_notices(length),
                Ok(length) => self.heard.rules.extend(commits(&self.buffer[..length])),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return any,
                Err(error) => {
                    // ENOBUFS: notices were lost. Whatever else it is, what was to be heard was not.
                    tracing::debug!(%error, "notices of the kernel were lost");
                    self.heard.overrun = true;
                }
            }
            any = true;
        }
    }

    fn take_notices(&mut self, length: usize) {
        for message in Messages(&self.buffer[..length]) {
            match message.kind {
                libc::RTM_NEWLINK | libc::RTM_DELLINK => match read_link(message.payload) {
                    Some(link) if link.mark.is_some() => {
                        self.heard.links.insert(link.name);
                    }
                    _ => self.heard.host = true,
                },
                libc::RTM_NEWADDR | libc::RTM_DELADDR | libc::RTM_NEWROUTE | libc::RTM_DELROUTE => {
                    self.heard.host = true;
                }
                libc::RTM_NEWQDISC
                | libc::RTM_DELQDISC
                | libc::RTM_NEWTFILTER
                | libc::RTM_DELTFILTER => self.heard.rates = true,
                _ => {}
            }
        }
    }
}

/// The transactions whose notices end here. What changed is told before, and of no use: the rules are read anew.
fn commits(notices: &[u8]) -> impl Iterator<Item = RulesCommit> {
    Messages(notices).filter_map(|message| RulesCommit::read(&message))
}
