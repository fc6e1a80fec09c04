//! What the host itself asks of a published port on ::1: handed on by this process, since the kernel translates no way.
//!
//! Only TCP, and only from ::1; everything else goes through the firewall's translation, past this process.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use netd_kernel::LocalListener;
use netd_model::{Endpoint, EndpointId, Protocol};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

use super::{Engine, EngineError};

/// Connections at a time, of all ports together. More wait after they were accepted.
const CONNECTIONS: usize = 1024;

/// Connections at a time of one port: a program that keeps many open shall not close the other ports.
const CONNECTIONS_OF_PORT: usize = 128;

/// Ports of one endpoint that are handed on: each costs a task. Who publishes more reaches them by 127.0.0.1.
const PORTS: usize = 1024;

/// How long a port waits when the kernel has no more descriptors or memory for a connection.
const RESPITE: Duration = Duration::from_millis(200);

type Place = (EndpointId, IpAddr, u16);

/// The ports that are handed on now.
pub(super) struct Relays {
    running: Mutex<BTreeMap<Place, AbortHandle>>,
    room: Arc<Semaphore>,
}

impl Default for Relays {
    fn default() -> Self {
        Self {
            running: Mutex::default(),
            room: Arc::new(Semaphore::new(CONNECTIONS)),
        }
    }
}

impl Relays {
    /// Hands on what these sockets are asked. One that is handed on already is left alone.
    fn follow(&self, endpoint: &Endpoint, listeners: Vec<LocalListener>) -> io::Result<()> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, task| !task.is_finished());
        for LocalListener {
            host_ip,
            port,
            socket,
        } in listeners.into_iter().take(PORTS)
        {
            let place = (endpoint.id, host_ip, port);
            let Some(target) = target(endpoint, host_ip, port) else {
                continue;
            };
            if running.contains_key(&place) {
                continue;
            }
            let listener = TcpListener::from_std(socket)?;
            let task = tokio::spawn(relay(listener, target, Arc::clone(&self.room)));
            running.insert(place, task.abort_handle());
        }
        Ok(())
    }
}

/// True if an endpoint has ports that the host may ask for on ::1.
pub(super) fn publishes_locally(endpoint: &Endpoint) -> bool {
    let mut ports = endpoint.ports.iter();
    ports.any(|port| port.host_ip.is_ipv6() && port.protocol == Protocol::Tcp)
}

/// Where a port of the host leads.
fn target(endpoint: &Endpoint, host_ip: IpAddr, number: u16) -> Option<SocketAddr> {
    let published = endpoint.ports.iter().find(|port| {
        port.protocol == Protocol::Tcp
            && port.host_ip == host_ip
            && port.host_ports.contains(number)
    })?;
    let (_, inside) = published.pairs().find(|(host, _)| *host == number)?;
    let mut leases = endpoint.leases.iter();
    let lease = leases.find(|lease| lease.address.is_ipv6())?;
    Some((lease.address, inside).into())
}

/// Accepts until the socket is shut down, which the release of its port does; connections end with it.
///
/// Room is taken by connections, not by ports that wait for one: there may be more ports than room.
async fn relay(listener: TcpListener, target: SocketAddr, room: Arc<Semaphore>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_OF_PORT => match accepted {
                Ok((client, from)) if from.ip().is_loopback() => {
                    connections.spawn(hand_on(client, target, Arc::clone(&room)));
                }
                // The translation has gone for a moment: nobody is let in past the filter.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if is_shortage(&error) => {
                    tracing::warn!(%error, %target, "a connection to a port on ::1 waits");
                    tokio::time::sleep(RESPITE).await;
                }
                Err(error) => {
                    tracing::debug!(%error, %target, "a port on ::1 is not handed on any more");
                    return;
                }
            },
        }
    }
}

async fn hand_on(mut client: TcpStream, target: SocketAddr, room: Arc<Semaphore>) {
    let Ok(_permit) = room.acquire_owned().await else {
        return;
    };
    if let Ok(mut server) = TcpStream::connect(target).await {
        // Whichever side breaks it off, the other learns of it by its end.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
}

/// True if the next connection may be taken although this one could not (accept(2)).
fn is_shortage(error: &io::Error) -> bool {
    use nix::errno::Errno::{EMFILE, ENFILE, ENOBUFS, ENOMEM};
    let errno = error.raw_os_error().unwrap_or_default();
    [EMFILE, ENFILE, ENOBUFS, ENOMEM]
        .iter()
        .any(|shortage| *shortage as i32 == errno)
}

impl Engine {
    /// Hands on what the host asks of an endpoint's ports on ::1.
    pub(super) async fn relay_from_host(&self, id: EndpointId) -> Result<(), EngineError> {
        let endpoint = self.look(move |state| state.endpoint(id).cloned()).await?;
        let Some(endpoint) = endpoint.filter(|endpoint| publishes_locally(endpoint)) else {
            return Ok(());
        };
        let listeners = self
            .kernel(move |kernel| kernel.local_listeners(id))
            .await?;
        if let Err(error) = self.relays.follow(&endpoint, listeners) {
            tracing::warn!(%error, endpoint = %id.short(), "ports on ::1 are not handed on");
        }
        Ok(())
    }
}
