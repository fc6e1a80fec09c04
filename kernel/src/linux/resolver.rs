//! The embedded resolver's end of a sandbox: its sockets on 127.0.0.11, and the redirection of port 53 to them.

use std::io::{self};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::{OnceLock, PoisonError};

use netd_model::{IfName, Protocol};
use netlink_packet_netfilter::nftables::{GenMessage, NfTablesMessage};
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterProtoFamily};
use socket2::{Domain, Socket, Type};

use super::attributes::{Attributes, u32_at};
use super::links;
use super::namespace::Namespace;
use super::sandboxes::Pin;
use crate::{KernelError, ResolverSockets};

/// Where containers find their resolver: Docker's choice, which programs have come to know.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
/// How many ports are tried until one is free for both protocols.
const TRIES: usize = 64;
/// Waiting TCP queries; more are dropped and tried again by their senders.
const BACKLOG: i32 = 128;
/// Docker's names for the chains.
const CHAINS: [(&str, &str); 2] = [
    ("OUTPUT", "DOCKER_OUTPUT"),
    ("POSTROUTING", "DOCKER_POSTROUTING"),
];
/// Seconds to wait for the lock of x_tables, which is one for all namespaces (iptables(8) `-w`).
const PATIENCE: &str = "10";

/// Size of a `struct nfgenmsg` in bytes (linux/netfilter/nfnetlink.h), and the attribute that holds the generation
/// (linux/netfilter/nf_tables.h `NFTA_GEN_ID`).
const NETFILTER_HEADER_BYTES: usize = 4;
const GENERATION: u16 = 1;

/// Opens both sockets inside, on `preferred` if that is free.
///
/// Brings the loopback interface up first: a socket that is bound to an address which is not there yet (ip(7)
/// `IP_FREEBIND`) answers from whatever address the kernel finds later, and that is not the one that was asked.
pub(super) fn open(namespace: &Namespace, preferred: Option<u16>) -> io::Result<ResolverSockets> {
    let loopback = IfName::new("lo").map_err(io::Error::other)?;
    namespace.session().request(links::bring_up(&loopback), 0)?;
    namespace.run(|| {
        if let Some(sockets) = preferred.and_then(|port| open_here(port).ok()) {
            return Ok(sockets);
        }
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..TRIES {
            match open_here(0) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
                other => return other,
            }
        }
        Err(last)
    })
}

/// Opens both in the namespace of the calling thread; port 0 lets the kernel choose.
fn open_here(port: u16) -> io::Result<ResolverSockets> {
    let udp = bound(Type::DGRAM, port)?;
    let port = udp
        .local_addr()?
        .as_socket()
        .map_or(port, |address| address.port());
    let tcp = bound(Type::STREAM, port)?;
    tcp.listen(BACKLOG)?;
    Ok(ResolverSockets {
        udp: udp.into(),
        tcp: tcp.into(),
        port,
    })
}

fn bound(kind: Type, port: u16) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, kind.nonblocking(), None)?;
    if kind == Type::STREAM {
        // After a restart, connections of before may still be in TIME_WAIT.
        socket.set_reuse_address(true)?;
    }
    socket.bind(&SocketAddr::from((ADDRESS, port)).into())?;
    Ok(socket)
}

/// The rules that redirect to `port`, in the words of iptables-save: Docker's.
fn rules(port: u16) -> Vec<String> {
    let jumps = CHAINS
        .iter()
        .map(|(from, to)| format!("-A {from} -d {ADDRESS}/32 -j {to}"));
    let protocols = [Protocol::Tcp, Protocol::Udp];
    let there = protocols
        .iter()
        .map(|protocol| format!("{}{port}", there_prefix(*protocol)));
    // The answers leave from port 53 again, as whoever asked expects.
    let back = protocols.iter().map(|protocol| {
        format!(
            "-A DOCKER_POSTROUTING -s {ADDRESS}/32 -p {protocol} -m {protocol} --sport {port} -j SNAT --to-source :53"
        )
    });
    jumps.chain(there).chain(back).collect()
}

fn there_prefix(protocol: Protocol) -> String {
    format!(
        "-A DOCKER_OUTPUT -d {ADDRESS}/32 -p {protocol} -m {protocol} --dport 53 -j DNAT --to-destination {ADDRESS}:"
    )
}

/// Redirects port 53 inside to `port`.
///
/// One transaction. A fresh sandbox has no such chains, and making them is tried without looking; where they are, they
/// are filled anew.
pub(super) fn redirect(namespace: &Namespace, port: u16) -> Result<(), KernelError> {
    let made = CHAINS.map(|(_, to)| format!("-N {to}"));
    let fresh = made.into_iter().chain(rules(port));
    if tool(namespace, "iptables-restore", &batch(fresh)).is_ok() {
        return Ok(());
    }
    let saved = tool(namespace, "iptables-save", "")?;
    // To declare a chain of one's own empties it (iptables-restore --noflush); jumps to it stay.
    let declared = CHAINS.map(|(_, to)| format!(":{to} - [0:0]"));
    let missing = rules(port).into_iter().filter(|rule| {
        let in_chain_of_ours = CHAINS
            .iter()
            .any(|(_, to)| rule.starts_with(&format!("-A {to} ")));
        in_chain_of_ours || !saved.lines().any(|line| line == rule)
    });
    tool(
        namespace,
        "iptables-restore",
        &batch(declared.into_iter().chain(missing)),
    )
    .map(drop)
}

fn batch(lines: impl Iterator<Item = String>) -> String {
    let mut text = "*nat\n".to_owned();
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text.push_str("COMMIT\n");
    text
}

/// The redirection of a sandbox, as read from rules of a certain generation.
pub(super) struct Redirection {
    generation: u32,
    port: Option<u16>,
}

/// The port that port 53 inside is redirected to; `None` if one of the rules is missing.
///
/// Reading rules takes a process of its own, some milliseconds. What was read last holds for as long as the kernel
/// counts the same generation of rules.
pub(super) fn redirected(pin: &Pin) -> Result<Option<u16>, KernelError> {
    let generation = speaks_nft(&pin.namespace)
        .then(|| generation(&pin.namespace))
        .flatten();
    let mut last = pin
        .redirection
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(last) = &*last
        && Some(last.generation) == generation
    {
        return Ok(last.port);
    }
    // Rules that change from here on have a later generation than the one that was asked for before.
    let port = port_of(&tool(&pin.namespace, "iptables-save", "")?);
    *last = generation.map(|generation| Redirection { generation, port });
    Ok(port)
}

/// True if iptables writes to nf_tables, which counts generations; x_tables does not.
fn speaks_nft(namespace: &Namespace) -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let said = namespace.run(|| Command::new("iptables-restore").arg("--version").output());
        said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains("nf_tables"))
    })
}

/// The number that the kernel raises with each change of a namespace's rules (nft(8) `list ruleset`, `NFT_MSG_GETGEN`).
fn generation(namespace: &Namespace) -> Option<u32> {
    let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, 0);
    let request = NfTablesMessage::GetGen(GenMessage {
        attributes: Vec::new(),
    });
    let read = |payload: &[u8]| {
        let mut attributes = Attributes::new(payload.get(NETFILTER_HEADER_BYTES..)?);
        let (_, value) = attributes.find(|(kind, _)| *kind == GENERATION)?;
        u32_at(value, 0)
    };
    let asked = namespace
        .netfilter()
        .get(NetfilterMessage::new(header, request), read);
    asked.ok().flatten()
}

fn port_of(saved: &str) -> Option<u16> {
    let prefix = there_prefix(Protocol::Udp);
    let port = saved
        .lines()
        .find_map(|line| line.strip_prefix(&prefix)?.parse().ok())?;
    rules(port)
        .iter()
        .all(|rule| saved.lines().any(|line| line == rule))
        .then_some(port)
}

/// Runs an iptables program inside: a child process inherits the namespace of the thread that starts it.
fn tool(namespace: &Namespace, program: &str, input: &str) -> Result<String, KernelError> {
    let arguments: &[&str] = if program == "iptables-save" {
        &["-t", "nat"]
    } else {
        &["--noflush", "-w", PATIENCE]
    };
    let failed = |message: String| KernelError::Tool {
        tool: program.to_owned(),
        action: format!("redirect DNS queries in {}", namespace.id),
        message,
    };
    let output = namespace
        .run(|| crate::program::output(Command::new(program).args(arguments), input))
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(failed(said.trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirection_that_lacks_a_rule_counts_as_none() {
        let whole = rules(40_000).join("\n");
        assert_eq!(port_of(&whole), Some(40_000));
        for rule in rules(40_000) {
            assert_eq!(port_of(&whole.replace(&rule, "")), None, "{rule}");
        }
        assert_eq!(port_of(""), None);
    }
}
