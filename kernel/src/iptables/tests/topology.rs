//! A machine outside, a host, and containers on four bridges, with servers that say what they see; all of them in IPv4
//! and IPv6. Tests speak of IPv4 addresses, and mean their twins when the [`Lab`] is for IPv6.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use netd_model::Ruleset;

use super::lab::{Host, Node, program};
use super::wish::{dual, endpoint, internal, network, twin, wish, without_icc};
use crate::{Family, Firewall};

/// Says to each caller which address it sees, until it is dropped.
pub(crate) struct Server {
    listener: TcpListener,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn new(node: &Node, address: &'static str) -> Self {
        let listener = node.run(move || TcpListener::bind(address).unwrap());
        let own = listener.try_clone().unwrap();
        let thread = thread::spawn(move || {
            while let Ok((mut caller, address)) = own.accept() {
                // A caller that is gone again shows in its own test.
                let seen = address.ip().to_canonical().to_string();
                let _ = caller.write_all(seen.as_bytes());
            }
        });
        Self {
            listener,
            thread: Some(thread),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Wakes accept(2), which then fails.
        let socket = self.listener.as_raw_fd();
        let _ = nix::sys::socket::shutdown(socket, nix::sys::socket::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Whether all bridges show their frames to iptables and ip6tables (`bridge-nf-call-iptables`, `-ip6tables`); `br-n`,
/// without icc, always does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum BridgeFilter {
    Off,
    On,
}

pub(crate) struct Lab {
    pub(crate) host: Host<dyn Firewall>,
    /// In which version of IP packets are sent.
    pub(crate) family: Family,
    nodes: BTreeMap<&'static str, Node>,
    _servers: Vec<Server>,
}

/// Containers with the bridge of each, whose N is in 10.N.0.0/24 and fd00:N::/64.
const CONTAINERS: [(&str, &str, u8); 8] = [
    ("a1", "br-a", 1),
    ("a2", "br-a", 1),
    ("b1", "br-b", 2),
    ("b2", "br-b", 2),
    ("i1", "br-i", 3),
    ("i2", "br-i", 3),
    ("n1", "br-n", 4),
    ("n2", "br-n", 4),
];

pub(crate) fn wanted(drop_forwarded: bool) -> Ruleset {
    let wanted = wish(
        &[
            network(1, "br-a", "10.1.0.0/24"),
            network(2, "br-b", "10.2.0.0/24"),
            internal(3, "br-i", "10.3.0.0/24"),
            without_icc(4, "br-n", "10.4.0.0/24"),
        ],
        &[
            endpoint(
                1,
                1,
                "10.1.0.11",
                &[
                    "0.0.0.0:8080->80/tcp",
                    "127.0.0.1:8081->80/tcp",
                    "0.0.0.0:5353->53/udp",
                ],
            ),
            endpoint(
                2,
                2,
                "10.2.0.11",
                &["0.0.0.0:8090->80/tcp", "192.0.2.1:8091->80/tcp"],
            ),
            endpoint(3, 3, "10.3.0.11", &["0.0.0.0:8060->80/tcp"]),
            endpoint(4, 4, "10.4.0.11", &["0.0.0.0:8070->80/tcp"]),
        ],
        drop_forwarded,
    );
    dual(wanted)
}

impl Lab {
    pub(crate) fn on(host: Host<dyn Firewall>, filter: BridgeFilter, family: Family) -> Self {
        host.sysctl(filter);
        let mut nodes = BTreeMap::new();
        for bridge in ["br-a", "br-b", "br-i", "br-n"] {
            let (_, _, number) = CONTAINERS.iter().find(|one| one.1 == bridge).unwrap();
            let filtered = u8::from(bridge == "br-n");
            host.node.sh(&format!(
                "ip link set lo up
                 ip link add {bridge} type bridge nf_call_iptables {filtered} nf_call_ip6tables {filtered}
                 ip addr add 10.{number}.0.1/24 dev {bridge}; ip addr add fd00:{number}::1/64 dev {bridge} nodad
                 ip link set {bridge} up; echo 1 > /proc/sys/net/ipv4/conf/{bridge}/route_localnet"
            ));
        }
        for (name, bridge, number) in CONTAINERS {
            let node = Node::new();
            host.node.sh(&format!(
                "ip link add v{name} type veth peer name eth0 netns {0}; ip link set v{name} master {bridge} up
                 bridge link set dev v{name} hairpin on",
                node.netns
            ));
            node.sh(&format!(
                "ip link set eth0 up
                 ip addr add 10.{number}.0.1{0}/24 dev eth0; ip addr add fd00:{number}::1{0}/64 dev eth0 nodad
                 ip route add default via 10.{number}.0.1; ip route add default via fd00:{number}::1
                 echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet",
                &name[1..]
            ));
            nodes.insert(name, node);
        }
        nodes.insert("outside", outside(&host));
        let mut servers = vec![
            Server::new(&host.node, "127.0.0.1:9999"),
            Server::new(&nodes["outside"], "[::]:7000"),
        ];
        for (name, ..) in CONTAINERS {
            servers.push(Server::new(&nodes[name], "[::]:80"));
            servers.push(Server::new(&nodes[name], "[::]:81"));
        }
        host.apply(&wanted(false));
        Self {
            host,
            family,
            nodes,
            _servers: servers,
        }
    }

    pub(crate) fn node(&self, name: &str) -> &Node {
        match name {
            "host" => &self.host.node,
            name => &self.nodes[name],
        }
    }

    /// `from` reaches `to`, where it is seen as `seen_as`.
    pub(crate) fn reaches(&self, from: &str, to: &str, seen_as: &str) {
        let answer = self.ask(from, to, Duration::from_secs(3));
        let seen_as = self.meant(seen_as.parse().unwrap()).to_string();
        assert_eq!(answer, Some(seen_as), "{from} to {to}");
    }

    pub(crate) fn does_not_reach(&self, from: &str, to: &str) {
        let answer = self.ask(from, to, Duration::from_millis(250));
        assert_eq!(answer, None, "{from} to {to}");
    }

    /// What the server at `to` answers; `None` when nothing does within `patience`.
    pub(crate) fn ask(&self, from: &str, to: &str, patience: Duration) -> Option<String> {
        ask(self.node(from), self.socket(to), patience)
    }

    /// Whether a datagram from an address of `from` gets to `to`, which may be unable to answer.
    pub(crate) fn datagram_arrives(&self, from: (&str, &str), to: (&str, &str)) -> bool {
        self.datagram_arrives_within(Duration::from_secs(3), from, to)
    }

    /// Whether such a datagram does not get there.
    pub(crate) fn datagram_is_lost(&self, from: (&str, &str), to: (&str, &str)) -> bool {
        !self.datagram_arrives_within(Duration::from_millis(300), from, to)
    }

    fn datagram_arrives_within(
        &self,
        patience: Duration,
        (from, source): (&str, &str),
        (at, to): (&str, &str),
    ) -> bool {
        let receiver = self.node(at).run(|| UdpSocket::bind("[::]:53").unwrap());
        receiver.set_read_timeout(Some(patience)).unwrap();
        let (source, to) = (self.socket(&format!("{source}:0")), self.socket(to));
        self.node(from).run(move || {
            let sender = UdpSocket::bind(source).unwrap();
            // The host may say that the port is closed.
            let _ = sender.send_to(b"x", to);
        });
        receiver.recv(&mut [0; 1]).is_ok()
    }

    /// Gives a container one more address, which may be another's.
    pub(crate) fn add_address(&self, to: &str, address: &str) {
        let address = self.meant(address.parse().unwrap());
        // Without nodad it could not be used for a second.
        let (length, how) = match self.family {
            Family::V4 => (32, ""),
            Family::V6 => (128, "nodad"),
        };
        let command = format!("ip addr add {address}/{length} dev eth0 {how}");
        self.node(to).sh(&command);
    }

    /// Changes the rules behind netd's back, in the words of each firewall.
    pub(crate) fn tamper(&self, iptables: &str, nft: &str) {
        let mut words = match self.host.is_nftables() {
            true => format!("nft '{nft}'"),
            false => format!("{}-{} {iptables}", program(self.family), self.host.name),
        };
        if self.family == Family::V6 {
            for number in 1..=4 {
                let subnet = format!("10.{number}.0.0/24");
                words = words.replace(&subnet, &format!("fd00:{number}::/64"));
            }
            words = words.replace("kept4", "kept6");
        }
        self.host.node.sh(&words);
    }

    /// An address with a port, in the version of IP that is tried.
    pub(crate) fn socket(&self, text: &str) -> SocketAddr {
        let mut socket: SocketAddr = text.parse().unwrap();
        socket.set_ip(self.meant(socket.ip()));
        socket
    }

    /// An address, in the version of IP that is tried.
    pub(crate) fn meant(&self, address: IpAddr) -> IpAddr {
        match self.family {
            Family::V4 => address,
            Family::V6 => twin(address),
        }
    }
}

impl Host<dyn Firewall> {
    fn sysctl(&self, filter: BridgeFilter) {
        self.node.sysctl("ipv4/ip_forward", "1");
        self.node.sysctl("ipv6/conf/all/forwarding", "1");
        // Until a bridge knows that its link-local address is its own, it asks for no neighbour, so that the first
        // packets into the network wait for seconds (RFC 4862 section 5.4).
        self.node.sysctl("ipv6/conf/all/accept_dad", "0");
        self.node.sysctl("ipv6/conf/default/accept_dad", "0");
        // A packet with a forged source shall not fail for another reason than our rules.
        self.node.sysctl("ipv4/conf/all/rp_filter", "0");
        self.node.sysctl("ipv4/conf/default/rp_filter", "0");
        let value = if filter == BridgeFilter::On { "1" } else { "0" };
        self.node.sysctl("bridge/bridge-nf-call-iptables", value);
        self.node.sysctl("bridge/bridge-nf-call-ip6tables", value);
    }
}

/// A machine on the host's wire that routes the containers' subnets, and 127.0.0.1, to the host.
fn outside(host: &Host<dyn Firewall>) -> Node {
    let node = Node::new();
    host.node.sh(&format!(
        "ip link add wan type veth peer name eth0 netns {}; ip link set wan up
         ip addr add 192.0.2.1/24 dev wan; ip addr add 2001:db8::1/64 dev wan nodad",
        node.netns
    ));
    node.sh(
        "ip link set eth0 up; ip addr add 192.0.2.2/24 dev eth0; ip route add 10.0.0.0/8 via 192.0.2.1
         ip addr add 2001:db8::2/64 dev eth0 nodad; ip route add fd00::/16 via 2001:db8::1
         echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet; ip route add 127.0.0.1 via 192.0.2.1",
    );
    node
}

fn ask(node: &Node, to: SocketAddr, patience: Duration) -> Option<String> {
    node.run(move || {
        let mut server = TcpStream::connect_timeout(&to, patience).ok()?;
        server.set_read_timeout(Some(patience)).unwrap();
        server.shutdown(Shutdown::Write).ok()?;
        let mut answer = String::new();
        server.read_to_string(&mut answer).ok()?;
        Some(answer)
    })
}
