//! A machine outside, a host, and containers on four bridges, with servers that say what they see.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use netd_model::Ruleset;

use super::super::Flavour;
use super::lab::{Host, Node};
use super::wish::{endpoint, internal, network, wish, without_icc};
use crate::Firewall;

/// Says to each caller which address it sees, until it is dropped.
struct Server {
    listener: TcpListener,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn new(node: &Node, address: &'static str) -> Self {
        let listener = node.run(move || TcpListener::bind(address).unwrap());
        let own = listener.try_clone().unwrap();
        let thread = thread::spawn(move || {
            while let Ok((mut caller, address)) = own.accept() {
                // A caller that is gone again shows in its own test.
                let _ = caller.write_all(address.ip().to_string().as_bytes());
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

/// Whether all bridges show their frames to iptables (`bridge-nf-call-iptables`); `br-n`, without icc, always does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum BridgeFilter {
    Off,
    On,
}

pub(crate) struct Lab {
    pub(crate) host: Host<dyn Firewall>,
    nodes: BTreeMap<&'static str, Node>,
    _servers: Vec<Server>,
}

/// Containers with the bridge and the address of each. Both of a bridge `br-X` are in 10.N.0.0/24.
const CONTAINERS: [(&str, &str, &str); 8] = [
    ("a1", "br-a", "10.1.0"),
    ("a2", "br-a", "10.1.0"),
    ("b1", "br-b", "10.2.0"),
    ("b2", "br-b", "10.2.0"),
    ("i1", "br-i", "10.3.0"),
    ("i2", "br-i", "10.3.0"),
    ("n1", "br-n", "10.4.0"),
    ("n2", "br-n", "10.4.0"),
];

pub(crate) fn wanted(drop_forwarded: bool) -> Ruleset {
    wish(
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
            endpoint(2, 2, "10.2.0.11", &["0.0.0.0:8090->80/tcp"]),
            endpoint(3, 3, "10.3.0.11", &["0.0.0.0:8060->80/tcp"]),
            endpoint(4, 4, "10.4.0.11", &["0.0.0.0:8070->80/tcp"]),
        ],
        drop_forwarded,
    )
}

impl Lab {
    pub(crate) fn new(flavour: (Flavour, &'static str), filter: BridgeFilter) -> Self {
        Self::on(Host::new(flavour).any(), filter)
    }

    pub(crate) fn on(host: Host<dyn Firewall>, filter: BridgeFilter) -> Self {
        host.sysctl(filter);
        let mut nodes = BTreeMap::new();
        for bridge in ["br-a", "br-b", "br-i", "br-n"] {
            let (_, _, subnet) = CONTAINERS.iter().find(|one| one.1 == bridge).unwrap();
            let filtered = u8::from(bridge == "br-n");
            host.node.sh(&format!(
                "ip link set lo up; ip link add {bridge} type bridge nf_call_iptables {filtered}; ip addr add {subnet}.1/24 dev {bridge}
                 ip link set {bridge} up; echo 1 > /proc/sys/net/ipv4/conf/{bridge}/route_localnet"
            ));
        }
        for (name, bridge, subnet) in CONTAINERS {
            let node = Node::new();
            host.node.sh(&format!(
                "ip link add v{name} type veth peer name eth0 netns {0}; ip link set v{name} master {bridge} up
                 bridge link set dev v{name} hairpin on",
                node.netns
            ));
            node.sh(&format!(
                "ip link set eth0 up; ip addr add {subnet}.1{0}/24 dev eth0; ip route add default via {subnet}.1
                 echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet",
                &name[1..]
            ));
            nodes.insert(name, node);
        }
        nodes.insert("outside", outside(&host));
        let mut servers = vec![
            Server::new(&host.node, "127.0.0.1:9999"),
            Server::new(&nodes["outside"], "0.0.0.0:7000"),
        ];
        for (name, ..) in CONTAINERS {
            servers.push(Server::new(&nodes[name], "0.0.0.0:80"));
            servers.push(Server::new(&nodes[name], "0.0.0.0:81"));
        }
        host.apply(&wanted(false));
        Self {
            host,
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
        let answer = ask(self.node(from), to, Duration::from_secs(3));
        assert_eq!(answer.as_deref(), Some(seen_as), "{from} to {to}");
    }

    pub(crate) fn does_not_reach(&self, from: &str, to: &str) {
        let answer = ask(self.node(from), to, Duration::from_millis(250));
        assert_eq!(answer, None, "{from} to {to}");
    }
}

impl Host<dyn Firewall> {
    fn sysctl(&self, filter: BridgeFilter) {
        self.node.sysctl("ipv4/ip_forward", "1");
        // A packet with a forged source shall not fail for another reason than our rules.
        self.node.sysctl("ipv4/conf/all/rp_filter", "0");
        self.node.sysctl("ipv4/conf/default/rp_filter", "0");
        let value = if filter == BridgeFilter::On { "1" } else { "0" };
        self.node.sysctl("bridge/bridge-nf-call-iptables", value);
    }
}

/// A machine on the host's wire that routes the containers' subnets, and 127.0.0.1, to the host.
fn outside(host: &Host<dyn Firewall>) -> Node {
    let node = Node::new();
    host.node.sh(&format!(
        "ip link add wan type veth peer name eth0 netns {}; ip addr add 192.0.2.1/24 dev wan; ip link set wan up",
        node.netns
    ));
    node.sh(
        "ip link set eth0 up; ip addr add 192.0.2.2/24 dev eth0; ip route add 10.0.0.0/8 via 192.0.2.1
         echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet; ip route add 127.0.0.1 via 192.0.2.1",
    );
    node
}

/// What the server at `to` answers; `None` when nothing does within `patience`.
pub(crate) fn ask(node: &Node, to: &str, patience: Duration) -> Option<String> {
    let to: SocketAddr = to.parse().unwrap();
    node.run(move || {
        let mut server = TcpStream::connect_timeout(&to, patience).ok()?;
        server.set_read_timeout(Some(patience)).unwrap();
        server.shutdown(Shutdown::Write).ok()?;
        let mut answer = String::new();
        server.read_to_string(&mut answer).ok()?;
        Some(answer)
    })
}

/// Whether a datagram from an address of `from` gets to `to`, which may be unable to answer.
pub(crate) fn datagram_arrives(
    lab: &Lab,
    (from, source): (&str, &str),
    (at, to): (&str, &str),
) -> bool {
    let receiver = lab.node(at).run(|| UdpSocket::bind("0.0.0.0:53").unwrap());
    receiver
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let (source, to) = (format!("{source}:0"), to.to_owned());
    lab.node(from).run(move || {
        let sender = UdpSocket::bind(source).unwrap();
        // The host may say that the port is closed.
        let _ = sender.send_to(b"x", to);
    });
    receiver.recv(&mut [0; 1]).is_ok()
}
