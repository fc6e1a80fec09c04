//! The embedded resolver's sockets inside a sandbox, on 127.0.0.11.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::PoisonError;

use netd_model::IfName;
use socket2::{Domain, Socket, Type};

use super::links;
use super::sandboxes::Pin;
use crate::ResolverSockets;

/// Where containers find their resolver: Docker's choice, which programs have come to know.
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
/// Where resolvers are asked (RFC 1035 section 4.2).
const DNS_PORT: u16 = 53;
/// How many ports are tried until one is free for both protocols.
const TRIES: usize = 64;
/// Waiting TCP queries; more are dropped and tried again by their senders.
const BACKLOG: i32 = 128;

/// A socket of each protocol that is bound to nothing yet. It belongs to the namespace that it was opened in, whoever
/// binds it.
pub(super) struct Unbound {
    udp: Socket,
    tcp: Socket,
}

impl Unbound {
    /// Opens both in the namespace of the calling thread.
    pub(super) fn open() -> io::Result<Self> {
        let open = |kind: Type| Socket::new(Domain::IPV4, kind.nonblocking(), None);
        Ok(Self {
            udp: open(Type::DGRAM)?,
            tcp: open(Type::STREAM)?,
        })
    }

    /// Binds both to one port; 0 lets the kernel choose.
    fn bind(self, port: u16) -> io::Result<ResolverSockets> {
        self.bind_at(ADDRESS, port)
    }

    fn bind_at(self, address: Ipv4Addr, port: u16) -> io::Result<ResolverSockets> {
        let at = |port| SocketAddr::from((address, port)).into();
        self.udp.bind(&at(port))?;
        let bound = self.udp.local_addr()?.as_socket();
        let port = bound.map_or(port, |address| address.port());
        // After a restart, connections of before may still be in TIME_WAIT.
        self.tcp.set_reuse_address(true)?;
        self.tcp.bind(&at(port))?;
        self.tcp.listen(BACKLOG)?;
        Ok(ResolverSockets {
            udp: self.udp.into(),
            tcp: self.tcp.into(),
            port,
        })
    }
}

/// Opens both sockets at a gateway's address, in the namespace of the calling thread.
pub(super) fn open_at(bridge: &IfName, address: Ipv4Addr) -> io::Result<ResolverSockets> {
    let unbound = Unbound::open()?;
    for socket in [&unbound.udp, &unbound.tcp] {
        socket.bind_device(Some(bridge.as_str().as_bytes()))?;
    }
    unbound.bind_at(address, DNS_PORT)
}

/// Opens both sockets inside, on `preferred` if that is free.
///
/// Brings the loopback interface up first: a socket that is bound to an address which is not there yet (ip(7)
/// `IP_FREEBIND`) answers from whatever address the kernel finds later, and that is not the one that was asked.
pub(super) fn open(pin: &Pin, preferred: Option<u16>) -> io::Result<ResolverSockets> {
    let loopback = IfName::new("lo").map_err(io::Error::other)?;
    let namespace = &pin.namespace;
    namespace.session().request(links::bring_up(&loopback), 0)?;
    let spare = pin
        .spare
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(Ok(sockets)) = spare.map(|spare| spare.bind(preferred.unwrap_or(0))) {
        return Ok(sockets);
    }
    namespace.run(|| {
        let bound = |port| Unbound::open()?.bind(port);
        if let Some(sockets) = preferred.and_then(|port| bound(port).ok()) {
            return Ok(sockets);
        }
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..TRIES {
            match bound(0) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
                other => return other,
            }
        }
        Err(last)
    })
}
