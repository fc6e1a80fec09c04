//! Why the engine refused: one enum, each variant with its stable code for the wire.

mod asked;
mod code;
mod docker;
mod lookup;
mod places;
mod runtime;
mod ways;
mod words;

pub use asked::AskedError;
pub use docker::DockerError;
pub use places::PlaceError;
pub use runtime::RuntimeError;
pub use ways::WayError;

use std::net::IpAddr;
use std::sync::Arc;

use netd_drivers::{OptionError, PlanError};
use netd_ipam::{AllocateError, PlanPoolError};
use netd_kernel::{AdoptError, ApplyError, FirewallError, KernelError, ReservePortError};
use netd_model::name::ParseNameError;
use netd_model::port::ParsePublishError;
use netd_model::{
    ContainerName, IfName, IpNetwork, LinkLocal, Mac, NetworkName, Protocol, PublishedPort, Subnet,
};

use crate::ledger::Closed;
use crate::store::StoreError;
use words::{advice, former_key, moved};

/// Why the engine refused or failed. Whatever it is, nothing half-made stays.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No such network.
    #[error("network {0} not found; `net ls` lists them")]
    NetworkNotFound(String),
    /// No such container.
    #[error("container {0} not found; `net ps -a` lists them")]
    ContainerNotFound(String),
    /// A prefix of several ids.
    #[error("{word} is the beginning of several ids: {}; give more of it", fitting.join(", "))]
    Ambiguous {
        /// What was given.
        word: String,
        /// Short ids of what fits.
        fitting: Vec<String>,
    },
    /// The name of a network is in use.
    #[error(
        "network {name} exists already (id {id}); choose another name or remove that one with `net rm {name}`"
    )]
    NetworkExists {
        /// The name.
        name: NetworkName,
        /// Short id of the one that has it.
        id: String,
    },
    /// The name or id of a container is in use.
    #[error(
        "container {name} is running already (id {id}); choose another name or stop that one with `net stop {name}`"
    )]
    ContainerExists {
        /// The name.
        name: ContainerName,
        /// Short id of the one that has it.
        id: String,
    },
    /// `bridge`, `host` and `none` stay.
    #[error("{name} is a built-in network and cannot be {}", action)]
    Builtin {
        /// The network.
        name: String,
        /// What was tried, as a participle.
        action: &'static str,
    },
    /// The default network is what the daemon's configuration says.
    #[error("network {name} follows the daemon's configuration: {advice}")]
    Configured {
        /// The network.
        name: NetworkName,
        /// What to do.
        advice: String,
    },
    /// Containers are on it.
    #[error("network {network} is in use by {}; disconnect or stop them first", containers.join(", "))]
    InUse {
        /// The network.
        network: NetworkName,
        /// Names of the containers.
        containers: Vec<String>,
    },
    /// Networks were made from it.
    #[error("network {network} is the configuration of {}; remove those first", users.join(", "))]
    ConfigurationInUse {
        /// The configuration.
        network: NetworkName,
        /// Names of the networks.
        users: Vec<String>,
    },
    /// A pair of networks cannot be let talk, or kept from it.
    #[error("cannot {action} networks {one} and {other} to talk: {reason}")]
    NotAPair {
        /// What was tried.
        action: &'static str,
        /// The first of them.
        one: NetworkName,
        /// The second.
        other: NetworkName,
        /// Why.
        reason: String,
    },
    /// A network cannot be as it was asked for.
    #[error(transparent)]
    Asked(#[from] AskedError),
    /// What leads to other hosts cannot be changed so.
    #[error(transparent)]
    Way(#[from] WayError),
    /// What a runtime knows by a key of its own is not as it means.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A Docker engine asked for what it cannot have.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// It is not clear which of a container's interfaces is meant.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The request can never be granted.
    #[error("{0}")]
    Invalid(String),
    /// A name breaks the rules.
    #[error(transparent)]
    Name(#[from] ParseNameError),
    /// A port request breaks the rules.
    #[error(transparent)]
    Publish(#[from] ParsePublishError),
    /// A driver option is wrong.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The pool is not to be had.
    #[error(transparent)]
    Pool(#[from] PlanPoolError),
    /// The bridge's name is taken by something else.
    #[error(
        "interface {name} exists already and {reason}; choose another with -o com.docker.network.bridge.name=NAME"
    )]
    InterfaceTaken {
        /// The interface.
        name: IfName,
        /// By what.
        reason: String,
    },
    /// An address is not to be had.
    #[error("network {network}: {source}")]
    Address {
        /// The network.
        network: NetworkName,
        /// Why.
        source: AllocateError,
    },
    /// An address cannot be asked for there.
    #[error("address {address} cannot be asked for on network {network}: {reason}")]
    AddressNotAllowed {
        /// The address.
        address: IpAddr,
        /// The network.
        network: NetworkName,
        /// Why.
        reason: &'static str,
    },
    /// Two interfaces on one network cannot have one Ethernet address.
    #[error(
        "MAC address {mac} is that of {holder} on network {network}; leave it out or choose another"
    )]
    MacTaken {
        /// The address.
        mac: Mac,
        /// The network.
        network: NetworkName,
        /// Who has it.
        holder: String,
    },
    /// Two interfaces on one network cannot have one link-local address.
    #[error(
        "link-local address {address} on network {network} is that of {holder}; choose another"
    )]
    LinkLocalTaken {
        /// The address.
        address: LinkLocal,
        /// The network.
        network: NetworkName,
        /// Who has it: a container, or the network's bridge.
        holder: String,
    },
    /// A container has the port.
    #[error(
        "port {port}/{protocol} on {host_ip} is taken by container {holder}; publish another or stop it"
    )]
    PortTaken {
        /// The port.
        port: u16,
        /// The transport protocol.
        protocol: Protocol,
        /// The host address asked for.
        host_ip: IpAddr,
        /// Who has it.
        holder: ContainerName,
    },
    /// What was asked for, and what the container has at that host port: it leads elsewhere, or others reach it.
    #[error("cannot publish {0}: the container publishes {1} already; unpublish that first")]
    PublishedOtherwise(PublishedPort, PublishedPort),
    /// The same host port is asked for twice.
    #[error("host port {port}/{protocol} is asked for twice in one request")]
    PortTwice {
        /// The port.
        port: u16,
        /// The transport protocol.
        protocol: Protocol,
    },
    /// A process of the host has the port, or it cannot be taken.
    #[error("{source}{}", advice(source))]
    HostPort {
        /// What the kernel said.
        source: ReservePortError,
    },
    /// No host port is left to choose.
    #[error("no free host port from 32768 up for {count} ports/{protocol} on {host_ip}")]
    NoHostPort {
        /// How many in a row were wanted.
        count: u32,
        /// The transport protocol.
        protocol: Protocol,
        /// The host address.
        host_ip: IpAddr,
    },
    /// The port is not published.
    #[error(
        "container {container} publishes nothing that fits {wanted}; `net port {container}` lists what it does"
    )]
    NotPublished {
        /// The container.
        container: ContainerName,
        /// What was to be withdrawn.
        wanted: String,
    },
    /// The bridge has all the ports that the kernel allows.
    #[error(
        "network {network} has {limit} containers, the most that a bridge carries (BR_MAX_PORTS); use another network"
    )]
    BridgeFull {
        /// The network.
        network: NetworkName,
        /// The limit.
        limit: usize,
    },
    /// The container is there already, otherwise than asked for.
    #[error(
        "container {container} is on network {network} already, as {address}; disconnect it first to change that"
    )]
    AlreadyConnected {
        /// The container.
        container: ContainerName,
        /// The network.
        network: NetworkName,
        /// Its address there.
        address: String,
    },
    /// The container is not there.
    #[error("container {container} is not connected to network {network}")]
    NotConnected {
        /// The container.
        container: ContainerName,
        /// The network.
        network: NetworkName,
    },
    /// The network or container has nothing to connect.
    #[error("container {container} cannot be connected to network {network}: {reason}")]
    NotConnectable {
        /// The container.
        container: ContainerName,
        /// The network.
        network: NetworkName,
        /// Why.
        reason: String,
    },
    /// The container has ended.
    #[error("container {0} is not running")]
    NotRunning(ContainerName),
    /// netd did not start it.
    #[error("container {0} was not started by `net run`; stop it with the runtime that did")]
    NoSupervisor(ContainerName),
    /// It did not end.
    #[error("container {0} did not end, not even by SIGKILL")]
    WillNotEnd(ContainerName),
    /// The namespace is another container's.
    #[error(
        "network namespace {netns} is that of container {holder}; give the name {holder}, or forget it first"
    )]
    NamespaceKnown {
        /// The namespace.
        netns: String,
        /// Whose it is.
        holder: ContainerName,
    },
    /// Others keep the namespace that the container left.
    #[error(
        "the network of container {name} is kept by {}, which shares it; run {name} with {wanted}, or stop {} first",
        keepers.join(", "), keepers.join(", ")
    )]
    NamespaceKept {
        /// The container.
        name: ContainerName,
        /// Names of those that share its namespace.
        keepers: Vec<String>,
        /// What would fit.
        wanted: String,
    },
    /// A process is not where it should be.
    #[error(
        "the process is not in the network namespace of container {owner}, which may have a new one by now; start it again"
    )]
    NotInside {
        /// Whose namespace it was to share.
        owner: ContainerName,
    },
    /// The namespace cannot be used.
    #[error(transparent)]
    Adopt(#[from] AdoptError),
    /// Records do not fit together.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A step of the kernel's failed.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The kernel did not answer.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The firewall refused.
    #[error(transparent)]
    Firewall(#[from] Arc<FirewallError>),
    /// The resolver could not be started.
    #[error("cannot serve names: {0}")]
    Names(String),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of the container could not be written.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// An existing bridge is not fit for use.
    #[error("bridge {name} from the configuration cannot be used: {reason}")]
    Bridge {
        /// The bridge.
        name: IfName,
        /// Why.
        reason: String,
    },
    /// The default bridge moved away under its containers.
    #[error("docker0 cannot {} while containers are on it: {}; stop them or give {} again", moved(*from, *to), containers.join(", "), former_key(*from))]
    DefaultMoved {
        /// Where it is.
        from: Subnet,
        /// Where the configuration wants it; `None` if it is to have no address of that family.
        to: Option<IpNetwork>,
        /// Names of the containers.
        containers: Vec<String>,
    },
    /// The daemon is ending.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl EngineError {
    /// The sentence with its causes behind it.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut sentence = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let text = error.to_string();
            if !sentence.contains(&text) {
                sentence.push_str(": ");
                sentence.push_str(&text);
            }
            cause = error.source();
        }
        sentence
    }
}
