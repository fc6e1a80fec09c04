//! What netd knows, on disk: every change is one transaction, written before anybody acts on it.
//!
//! [`Journal`] is the narrow door; [`Sqlite`] is what stands behind it. Uniqueness (names, addresses, host ports) is a
//! constraint of the database besides being checked in memory, so that a bug cannot lease twice. The store does not
//! know what a change is good for.

mod docker;
mod ports;
mod schema;
mod sqlite;

pub use sqlite::Sqlite;

use std::net::IpAddr;

use netd_model::{
    Container, ContainerId, ContainerName, DockerNetwork, DockerPool, Endpoint, EndpointId, IfName,
    InstanceId, Network, NetworkId, NetworkPair, PeerRoute, Subnet, Uplink,
};
use serde::{Deserialize, Serialize};

/// A durable record of changes.
pub trait Journal: Send + 'static {
    /// Everything that was committed.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    fn load(&mut self) -> Result<Snapshot, StoreError>;

    /// Makes all changes or none of them durable against the end of this process.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed then.
    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError>;
}

/// One change of what netd knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Put or replace a network.
    PutNetwork(Network),
    /// Forget a network, its reservations, its cards and what it is allowed. It must have no endpoints.
    RemoveNetwork(NetworkId),
    /// Put or replace a container.
    PutContainer(Container),
    /// Forget a container. It must have no endpoints.
    RemoveContainer(ContainerId),
    /// Put or replace an endpoint with its leases and ports.
    PutEndpoint(Endpoint),
    /// Forget an endpoint with its leases and ports.
    RemoveEndpoint(EndpointId),
    /// Keep an address for a name.
    PutReservation(Reservation),
    /// Stop keeping addresses of a network for a name.
    RemoveReservations(NetworkId, ContainerName),
    /// Stop keeping addresses of a network for one interface of a name, or for nobody knows which.
    RemoveReservationsFor(NetworkId, ContainerName, Option<IfName>),
    /// Let two networks talk.
    Allow(NetworkPair),
    /// Keep two networks apart again.
    Deny(NetworkPair),
    /// Put or replace a route to another host's containers.
    PutRoute(PeerRoute),
    /// Forget a route to another host's containers.
    RemoveRoute(Subnet),
    /// Put or replace a card of the host on a network.
    PutUplink(Uplink),
    /// Forget a card of the host.
    RemoveUplink(IfName),
    /// What a Docker engine asked for by its plugin protocol.
    Docker(DockerChange),
    /// Remember that netd itself turned forwarding on, in a boot and namespace that the text names.
    ForwardingTurnedOn(String),
    /// Remember the boot of the machine that this is written in.
    Booted(String),
    /// The same of IPv6.
    Ipv6ForwardingTurnedOn(String),
}

/// One change of what is known of Docker's engines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DockerChange {
    /// Put or replace a pool that a Docker engine asked for.
    PutPool(DockerPool),
    /// Forget a pool of Docker's, with the addresses that are held in it.
    RemovePool(Subnet),
    /// Hold an address of a pool of Docker's for the engine.
    Hold(Subnet, IpAddr),
    /// Stop to hold it.
    LetGo(IpAddr),
    /// Put or replace the identity that a Docker engine gave a network.
    PutNetwork(DockerNetwork),
    /// Forget an identity that a Docker engine gave a network.
    RemoveNetwork(NetworkId),
}

/// An address that is kept for a container that is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The network.
    pub network: NetworkId,
    /// The address.
    pub address: IpAddr,
    /// Whom it is kept for.
    pub container: ContainerName,
    /// The interface that had it; `None` where there was none, and in what earlier versions wrote.
    pub interface: Option<IfName>,
    /// True if it was asked for, so that nobody else may have it; false if it is only given back when still free.
    pub firm: bool,
}

/// Everything that was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Identity of this data root, drawn when it was made.
    pub instance: InstanceId,
    /// Every network.
    pub networks: Vec<Network>,
    /// Every container.
    pub containers: Vec<Container>,
    /// Every endpoint.
    pub endpoints: Vec<Endpoint>,
    /// Every reservation.
    pub reservations: Vec<Reservation>,
    /// Every pair of networks that may talk.
    pub allowances: Vec<NetworkPair>,
    /// Every route to containers of other hosts.
    pub routes: Vec<PeerRoute>,
    /// Every card of the host that is on a network.
    pub uplinks: Vec<Uplink>,
    /// Every pool that a Docker engine asked for.
    pub docker_pools: Vec<DockerPool>,
    /// Every address that is held for a Docker engine, with its pool.
    pub docker_addresses: Vec<(Subnet, IpAddr)>,
    /// Every network under the identity that a Docker engine gave it.
    pub docker_networks: Vec<DockerNetwork>,
    /// The boot and namespace in which netd turned forwarding on, if it did.
    pub forwarding_turned_on: Option<String>,
    /// The boot of the machine in which this was written last.
    pub boot: Option<String>,
    /// The same of IPv6.
    pub ipv6_forwarding_turned_on: Option<String>,
}

/// The store did not do its part.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory cannot be used.
    #[error("cannot use the data root {}: {source}", path.display())]
    Directory {
        /// The directory.
        path: std::path::PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// Another daemon has it.
    #[error("the data root {} is in use by another netd ({holder}); give this one a --data-root of its own", path.display())]
    InUse {
        /// The directory.
        path: std::path::PathBuf,
        /// The other daemon, as `pid 4711`.
        holder: String,
    },
    /// It was written by a newer netd.
    #[error("the store {} has version {found}, this netd knows up to {known}; use a newer netd or another --data-root", path.display())]
    TooNew {
        /// The file.
        path: std::path::PathBuf,
        /// Its version.
        found: i64,
        /// The newest that is understood.
        known: i64,
    },
    /// A record cannot be read back.
    #[error("the store holds a {kind} that cannot be read: {reason}")]
    Corrupt {
        /// What it is.
        kind: &'static str,
        /// Why.
        reason: String,
    },
    /// The database refused, for instance because the disk is full.
    #[error("the store did not take the change: {0}")]
    Database(#[from] rusqlite::Error),
}
