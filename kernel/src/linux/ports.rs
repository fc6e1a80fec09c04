//! Host ports held by sockets of the daemon, so that no process listens there behind the translation's back.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use netd_model::{EndpointId, PortRange, Protocol, PublishedPort};
use nix::libc;
use rustix::process::{Resource, getrlimit};
use socket2::{Domain, Socket, Type};

use super::{listeners, namespace::Namespace};
use crate::{LocalListener, ReservePortError};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// The interface by which the host asks itself.
const LOOPBACK: &[u8] = b"lo";

/// One port of the host.
type Port = (Protocol, IpAddr, u16);

/// The ports that are held, by whom they are held for.
#[derive(Default)]
pub(super) struct Ports {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    by_endpoint: BTreeMap<EndpointId, BTreeMap<Port, Reservation>>,
    /// What [`descriptors`] says of all of them, kept as a sum: to count ten thousand anew for each endpoint takes longer
    /// than to take its ports.
    descriptors: u64,
}

/// A held port: an open socket, or nothing where the kernel has none of that kind, so that nobody can listen either.
type Reservation = Option<Reserved>;

/// The socket that holds a port.
struct Reserved(Socket);

impl Drop for Reserved {
    /// A program that another thread starts has a copy of the socket until its exec(2); it must not listen on.
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

fn each(ports: &[PublishedPort]) -> impl Iterator<Item = Port> {
    ports.iter().flat_map(|port| {
        port.host_ports
            .iter()
            .map(|number| (port.protocol, port.host_ip, number))
    })
}

impl Ports {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What [`crate::Kernel::reserve_ports`] promises.
    pub(super) fn reserve(
        &self,
        home: &Namespace,
        endpoint: EndpointId,
        ports: &[PublishedPort],
    ) -> Result<(), ReservePortError> {
        let mut held = self.held();
        let has = held.by_endpoint.get(&endpoint);
        let wanted: BTreeSet<Port> = each(ports)
            .filter(|port| has.is_none_or(|has| !has.contains_key(port)))
            .collect();
        let Some(first) = wanted.first().copied() else {
            return Ok(());
        };
        let limit = getrlimit(Resource::Nofile).current;
        let more = leave_room(held.descriptors, &wanted, limit)?;
        // On failure those taken so far are dropped, which closes them.
        let taken = home
            .run(|| Ok(take_all(&wanted).map_err(|(port, error)| explain(port, error))))
            .unwrap_or_else(|error| Err(explain(first, error)))?;
        held.by_endpoint.entry(endpoint).or_default().extend(taken);
        held.descriptors += more;
        Ok(())
    }

    /// What [`crate::Kernel::local_listeners`] promises.
    pub(super) fn local_listeners(&self, endpoint: EndpointId) -> io::Result<Vec<LocalListener>> {
        let held = self.held();
        let sockets = held.by_endpoint.get(&endpoint).into_iter().flatten();
        let asked_locally = |(port, _): &(&Port, &Reservation)| {
            port.0 == Protocol::Tcp && answers_on_loopback_v6(port.1)
        };
        sockets
            .filter(asked_locally)
            .filter_map(|(port, socket)| Some((port, socket.as_ref()?)))
            .map(|(&(_, host_ip, port), reserved)| {
                let socket = reserved.0.try_clone()?;
                socket.set_nonblocking(true)?;
                Ok(LocalListener {
                    host_ip,
                    port,
                    socket: socket.into(),
                })
            })
            .collect()
    }

    /// What [`crate::Kernel::release_ports`] promises.
    pub(super) fn release(&self, endpoint: EndpointId, keep: &[PublishedPort]) {
        let mut held = self.held();
        let Held {
            by_endpoint,
            descriptors: sum,
        } = &mut *held;
        let Some(has) = by_endpoint.get_mut(&endpoint) else {
            return;
        };
        let keep: BTreeSet<Port> = each(keep).collect();
        let gone = has.extract_if(.., |port, _| !keep.contains(port));
        *sum -= gone.map(|(port, _)| descriptors(&port)).sum::<u64>();
        if has.is_empty() {
            by_endpoint.remove(&endpoint);
        }
    }
}

/// The descriptors that more ports need beside those that are `held`.
///
/// Refuses more than three quarters of the process' descriptors, `limit`: without the rest, it could not even be asked
/// to give one up.
fn leave_room(
    held: u64,
    wanted: &BTreeSet<Port>,
    limit: Option<u64>,
) -> Result<u64, ReservePortError> {
    let wanted = wanted.iter().map(descriptors).sum();
    match limit {
        Some(limit) if held + wanted > limit / 4 * 3 => Err(ReservePortError::TooMany {
            wanted,
            held,
            limit,
        }),
        _ => Ok(wanted),
    }
}

/// Descriptors that a held port needs: where it answers on ::1, whoever hands that on has one, too.
fn descriptors(&(protocol, host_ip, _): &Port) -> u64 {
    match protocol == Protocol::Tcp && answers_on_loopback_v6(host_ip) {
        true => 2,
        false => 1,
    }
}

fn answers_on_loopback_v6(address: IpAddr) -> bool {
    address.is_ipv6() && (address.is_unspecified() || address.is_loopback())
}

fn take_all(wanted: &BTreeSet<Port>) -> Result<Vec<(Port, Reservation)>, (Port, io::Error)> {
    wanted
        .iter()
        .map(|port| match take(*port) {
            Ok(reservation) => Ok((*port, reservation)),
            Err(error) => Err((*port, error)),
        })
        .collect()
}

/// Takes a port in the namespace of the calling thread.
///
/// For TCP the socket listens: one that is merely bound with `SO_REUSEADDR` would let another bind as well, and one
/// bound without could not be had while an old connection is in TIME_WAIT (`inet_csk_get_port`). For UDP the option
/// must not be set: it would let another take the port and its packets. Either protocol of the Internet has its ports
/// to itself.
fn take((protocol, address, number): Port) -> io::Result<Reservation> {
    let domain = match address {
        IpAddr::V4(_) => Domain::IPV4,
        IpAddr::V6(_) => Domain::IPV6,
    };
    let kind = match protocol {
        Protocol::Udp => Type::DGRAM,
        Protocol::Tcp | Protocol::Sctp => Type::STREAM,
    };
    let socket = match Socket::new(domain, kind, Some(i32::from(protocol.number()).into())) {
        Ok(socket) => socket,
        Err(error) if is_unknown(protocol, &error) => return Ok(None),
        Err(error) => return Err(error),
    };
    if domain == Domain::IPV6 {
        socket.set_only_v6(true)?;
    }
    // What comes by a wire and is not translated, since it is not from a source that the port is published for, finds
    // nobody here and is refused. The socket is in everybody's way all the same (`inet_rcv_saddr_equal`, and
    // `inet_csk_bind_conflict`: only sockets of two different devices may have the same port).
    socket.bind_device(Some(LOOPBACK))?;
    if protocol == Protocol::Udp {
        // What arrives in spite of the translation is not kept; the kernel makes the least of it (socket(7)).
        socket.set_recv_buffer_size(0)?;
    } else {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&SocketAddr::new(address, number).into())?;
    if protocol != Protocol::Udp {
        // Others than those on ::1 are never asked: what comes to them is translated.
        socket.listen(if answers_on_loopback_v6(address) {
            BACKLOG
        } else {
            1
        })?;
    }
    Ok(Some(Reserved(socket)))
}

/// True if the kernel has no sockets of that kind: SCTP is a module that many leave out.
fn is_unknown(protocol: Protocol, error: &io::Error) -> bool {
    protocol == Protocol::Sctp
        && matches!(
            error.raw_os_error(),
            Some(libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT)
        )
}

/// Says why a port is not to be had; called in the namespace that it was tried in.
fn explain((protocol, host_ip, port): Port, source: io::Error) -> ReservePortError {
    match source.raw_os_error() {
        Some(libc::EADDRINUSE) => ReservePortError::Taken {
            protocol,
            host_ip,
            port,
            holder: listeners::holder(protocol, host_ip, port),
        },
        Some(libc::EADDRNOTAVAIL) => ReservePortError::NotMyAddress { host_ip },
        _ => match PortRange::single(port) {
            Some(ports) => ReservePortError::Os {
                protocol,
                host_ip,
                ports,
                source,
            },
            // A range of ports never holds port 0.
            None => ReservePortError::NotMyAddress { host_ip },
        },
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn ports_leave_descriptors_for_everything_else() {
        let port = |ip: IpAddr, number| (Protocol::Tcp, ip, number);
        let held = descriptors(&port(Ipv4Addr::UNSPECIFIED.into(), 80));
        // As listeners of IPv6 are handed on, each needs two.
        let wanted =
            BTreeSet::from([1, 2].map(|number| port(Ipv6Addr::UNSPECIFIED.into(), number)));
        let room = |limit| leave_room(held, &wanted, limit);
        assert_eq!((room(None).unwrap(), room(Some(8)).unwrap()), (4, 4));
        let refused = room(Some(6)).unwrap_err().to_string();
        for words in ["4 more host ports", "of netd's 6", "1 hold", "LimitNOFILE="] {
            assert!(refused.contains(words), "{refused}");
        }
    }
}
