//! The embedded resolver's sockets inside a sandbox, on 127.0.0.11.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use netd_model::IfName;
use socket2::{Domain, Socket, Type};

use super::links;
use super::namespace::Namespace;
use crate::ResolverSockets;

/// Where containers find their resolver: Docker's choice, which programs have come to know.
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
/// How many ports are tried until one is free for both protocols.
const TRIES: usize = 64;
/// Waiting TCP queries; more are dropped and tried again by their senders.
const BACKLOG: i32 = 128;
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
