//! What the host itself asks of a published port on ::1: handed on by this process, since the kernel translates no way.
//!
//! Only TCP, and only from ::1; everything else goes through the firewall's translation, past this process.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use netd_kernel::LocalListener;
use netd_model::{Endpoint, EndpointId, Protocol};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::{Engine, EngineError};

/// Connections at a time, of all ports together. More wait to be accepted.
const CONNECTIONS: usize = 512;

/// Ports of one endpoint that are handed on: each costs a task. Who publishes more reaches them by 127.0.0.1.
const PORTS: usize = 1024;

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

/// Accepts until the socket is shut down, which the release of its port does.
async fn relay(listener: TcpListener, target: SocketAddr, room: Arc<Semaphore>) {
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let mut client = match listener.accept().await {
            Ok((client, from)) if from.ip().is_loopback() => client,
            // The translation has gone for a moment: nobody is let in past the filter.
            Ok(_) => continue,
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => {
                tracing::debug!(%error, %target, "a port on ::1 is not handed on any more");
                return;
            }
        };
        tokio::spawn(async move {
            if let Ok(mut server) = TcpStream::connect(target).await {
                // Whichever side breaks it off, the other learns of it by its end.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
            drop(permit);
        });
    }
}

impl Engine {
    /// Hands on what the host asks of an endpoint's ports on ::1.
    pub(super) async fn relay_from_host(&self, id: EndpointId) -> Result<(), EngineError> {
        let has_ipv6 = |endpoint: &Arc<Endpoint>| {
            let mut ports = endpoint.ports.iter();
            ports.any(|port| port.host_ip.is_ipv6() && port.protocol == Protocol::Tcp)
        };
        let endpoint = self.look(move |state| state.endpoint(id).cloned()).await?;
        let Some(endpoint) = endpoint.filter(has_ipv6) else {
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
