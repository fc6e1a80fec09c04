//! A namespace, a resolver in it, and `dig` read back. Knows no promise that is tested.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netd_dns::{
    Directory, Forwarding, HostEntry, NetworkZone, Resolver, ResolverOptions, Stats, Upstreams,
    View,
};
use netd_model::{ContainerId, EndpointId, NetnsId, NetworkId};
use tokio::runtime::{Builder, Handle};
use tokio::time::timeout;

/// Nothing here takes longer, unless it is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Runs a test in a fresh network namespace, on a runtime of one thread that lives in it.
pub(crate) fn in_namespace<T, F>(test: T)
where
    T: FnOnce() -> F + Send + 'static,
    F: Future<Output = ()>,
{
    let inside = move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("unshare needs root");
        let up = Command::new("ip")
            .args(["link", "set", "lo", "up"])
            .status()
            .unwrap();
        assert!(up.success());
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            timeout(DEADLINE, test())
                .await
                .expect("the test took too long");
        });
    };
    if let Err(panic) = std::thread::spawn(inside).join() {
        std::panic::resume_unwind(panic);
    }
}

/// The id of a test's n-th network.
pub(crate) fn network(n: u8) -> NetworkId {
    NetworkId::from_bytes([n; 32])
}

/// The id of a test's n-th sandbox.
pub(crate) fn sandbox(n: u64) -> NetnsId {
    NetnsId { dev: 4, inode: n }
}

/// A view of networks 1 and up to `networks`.
pub(crate) fn view(networks: u8, forwarding: Forwarding) -> View {
    View {
        networks: (1..=networks).map(network).collect(),
        forwarding,
    }
}

/// Forwarding to these servers.
pub(crate) fn to(servers: &[SocketAddr]) -> Forwarding {
    Forwarding::To(Upstreams::Listed(servers.to_vec()))
}

/// A host of a zone.
pub(crate) fn host(names: &[&str], addresses: &[&str]) -> HostEntry {
    // Each has names or addresses of its own.
    let mut id = [0; 32];
    let text = format!("{}{}", addresses.join(""), names.join(""));
    id.iter_mut()
        .zip(text.bytes())
        .for_each(|(to, from)| *to = from);
    HostEntry {
        endpoint: EndpointId::from_bytes(id),
        container: ContainerId::from_bytes(id),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        addresses: addresses
            .iter()
            .map(|address| address.parse().unwrap())
            .collect(),
    }
}

/// A resolver and its directory.
pub(crate) struct Rig {
    pub(crate) directory: Arc<Directory>,
    pub(crate) resolver: Arc<Resolver>,
}

impl Rig {
    /// A resolver without zones. Nothing follows the machine's own resolv.conf.
    pub(crate) fn new(change: impl FnOnce(&mut ResolverOptions)) -> Self {
        let mut options = ResolverOptions {
            resolv_conf: PathBuf::from("/nonexistent/resolv.conf"),
            ..ResolverOptions::default()
        };
        change(&mut options);
        let directory = Arc::new(Directory::default());
        let resolver = Resolver::new(Arc::clone(&directory), options, Handle::current());
        Self {
            directory,
            resolver: Arc::new(resolver),
        }
    }

    /// The same on a thread of its own.
    pub(crate) fn on_own_thread() -> Self {
        let rig = Self::new(|_| {});
        let directory = Arc::clone(&rig.directory);
        let options = ResolverOptions {
            resolv_conf: PathBuf::from("/nonexistent/resolv.conf"),
            ..ResolverOptions::default()
        };
        let resolver = Resolver::on_own_thread(directory, options).unwrap();
        Self {
            resolver: Arc::new(resolver),
            ..rig
        }
    }

    /// Puts network `n` with these hosts.
    pub(crate) fn put(&self, n: u8, name: &str, entries: Vec<HostEntry>) {
        let zone = NetworkZone {
            name: name.parse().unwrap(),
            entries,
        };
        self.directory.put_network(network(n), &zone);
    }

    /// Serves sandbox `n` on 127.0.0.1`n`, so that sandbox 1 has Docker's address.
    pub(crate) fn serve(&self, n: u8, view: View) {
        let (udp, tcp) = sockets(n);
        self.resolver
            .serve(sandbox(n.into()), udp, tcp, view)
            .unwrap();
    }

    /// Waits until the counters satisfy `condition`.
    pub(crate) async fn until(&self, condition: impl Fn(&Stats) -> bool) {
        let begun = Instant::now();
        while !condition(&self.resolver.stats()) {
            assert!(
                begun.elapsed() < DEADLINE / 2,
                "{:?}",
                self.resolver.stats()
            );
            tokio::task::yield_now().await;
        }
    }
}

/// The address of sandbox `n`'s resolver.
pub(crate) fn server(n: u8) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 0, 10 + n), 53).into()
}

/// Fresh sockets for sandbox `n`.
pub(crate) fn sockets(n: u8) -> (UdpSocket, TcpListener) {
    (
        UdpSocket::bind(server(n)).unwrap(),
        TcpListener::bind(server(n)).unwrap(),
    )
}

/// What `dig` printed.
#[derive(Debug)]
pub(crate) struct Dug {
    /// All of it.
    pub(crate) text: String,
    /// NOERROR and the like; empty without an answer.
    pub(crate) status: String,
    /// `qr rd ra` and the like.
    pub(crate) flags: String,
    /// The answer section: name, TTL, class, type and data of each line.
    pub(crate) answers: Vec<Vec<String>>,
    /// From call to answer.
    pub(crate) took: Duration,
}

impl Dug {
    /// The last column, sorted.
    pub(crate) fn data(&self) -> Vec<&str> {
        let mut data: Vec<_> = self.answers.iter().map(|line| line[4].as_str()).collect();
        data.sort_unstable();
        data
    }

    /// Whether it is an empty answer without an error.
    pub(crate) fn is_nodata(&self) -> bool {
        self.status == "NOERROR" && self.answers.is_empty()
    }
}

/// Asks sandbox 1's resolver with `dig`, which takes its words as from a command line.
pub(crate) async fn dig(words: &str) -> Dug {
    dig_at(1, words).await
}

/// Asks sandbox `n`'s resolver.
pub(crate) async fn dig_at(n: u8, words: &str) -> Dug {
    let begun = Instant::now();
    let output = tokio::process::Command::new("dig")
        .arg(format!("@{}", server(n).ip()))
        .args(["-r", "+tries=1", "+time=8", "+nocookie"])
        .args(words.split_whitespace())
        .output()
        .await
        .expect("dig is installed");
    let took = begun.elapsed();
    let text = String::from_utf8(output.stdout).unwrap();
    let after = |mark: &str, end: char| {
        let rest = text.split_once(mark).map_or("", |(_, rest)| rest);
        rest.split(end).next().unwrap_or_default().to_owned()
    };
    let section = text
        .split_once(";; ANSWER SECTION:\n")
        .map_or("", |(_, rest)| rest);
    let answers = section
        .lines()
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .collect();
    let (status, flags) = (after("status: ", ','), after(";; flags: ", ';'));
    Dug {
        status,
        flags,
        answers,
        took,
        text,
    }
}

/// Sends raw packets from one socket and gives the first answer that comes.
pub(crate) async fn raw(packets: &[&[u8]]) -> Vec<u8> {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for packet in packets {
        socket.send_to(packet, server(1)).await.unwrap();
    }
    let mut answer = vec![0; 65_535];
    let received = timeout(DEADLINE / 2, socket.recv(&mut answer))
        .await
        .expect("no answer");
    answer.truncate(received.unwrap());
    answer
}

/// A plain query for an A record, written by hand.
pub(crate) fn query(id: u16, name: &str) -> Vec<u8> {
    let mut packet = id.to_be_bytes().to_vec();
    packet.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).unwrap());
        packet.extend_from_slice(label.as_bytes());
    }
    packet.extend_from_slice(&[0, 0, 1, 0, 1]);
    packet
}
