//! Containers on the wire: how a runtime hands over a namespace, and what it gets back.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use netd_model::container::DnsSettings;
use netd_model::{
    Alias, ContainerId, ContainerName, EndpointId, Hostname, IfName, IpNetwork, LinkLocal, Mac,
    NetworkId, NetworkName, PortRange, Protocol, PublishRequest, PublishedPort, Rates,
};
use serde::{Deserialize, Serialize};

/// A network namespace handed over: that of a process, or an open descriptor of one. Never a path, which might mean
/// another file to the daemon than to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Netns {
    /// Process id, as the daemon sees it.
    pub pid: u32,
    /// Descriptor of that process; `None` for the namespace that the process runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fd: Option<u32>,
}

/// Body of `POST /containers`: make a namespace known as a container and connect it, all or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ContainerRequest {
    /// The runtime's id for it; `None` draws one.
    pub id: Option<ContainerId>,
    /// Its name; `None` makes one of the short id, and has it forgotten when it ends: nobody could bring it back by name.
    pub name: Option<ContainerName>,
    /// Its hostname; `None` takes the short id.
    pub hostname: Option<Hostname>,
    /// The namespace. Needed unless `network` is `host` or `container:...`.
    pub netns: Option<Netns>,
    /// `host`, `none`, `container:NAME`, or a network's name or id; `None` or `default` for `bridge`.
    pub network: Option<String>,
    /// Process that waits for the container and ends with it; netd sends it SIGTERM on `stop`.
    pub supervisor_pid: Option<u32>,
    /// The command line, for people.
    pub command: Vec<String>,
    /// Addresses wished for, at most one of each family.
    pub ips: Vec<IpAddr>,
    /// Further addresses of the interface, of 169.254.0.0/16 and fe80::/10.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub link_local_ips: Vec<LinkLocal>,
    /// Ethernet address wished for.
    pub mac: Option<Mac>,
    /// Further names on the network.
    pub aliases: Vec<Alias>,
    /// Options of its interface on the network, under Docker's names (`--driver-opt`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_options: BTreeMap<String, String>,
    /// How fast its traffic on the network may be.
    #[serde(skip_serializing_if = "Rates::is_unlimited")]
    pub rates: Rates,
    /// Ports to publish.
    pub ports: Vec<PublishRequest>,
    /// Container ports that are worth publishing.
    pub expose: Vec<ExposedPort>,
    /// Publish every port of `expose` on a port of the daemon's choice (`-P`).
    pub publish_all: bool,
    /// `TARGET:ALIAS` pairs for /etc/hosts (`--link`).
    pub links: Vec<String>,
    /// Resolver settings.
    pub dns: DnsSettings,
    /// Forget the container when it ends.
    pub auto_remove: bool,
    /// The user's own marks.
    pub labels: BTreeMap<String, String>,
}

/// A port that a container listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ExposedPort {
    /// The transport protocol.
    pub protocol: Protocol,
    /// The ports.
    pub ports: PortRange,
}

/// A container as netd knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ContainerView {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: ContainerName,
    /// Its hostname.
    pub hostname: Hostname,
    /// RFC 3339 time at which it became known.
    pub created: String,
    /// `running` or `exited`.
    pub state: String,
    /// RFC 3339 time at which it ended, if it did.
    pub ended: Option<String>,
    /// Exit status of the command, when it ended and that is known.
    pub exit_code: Option<i32>,
    /// The command line.
    pub command: Vec<String>,
    /// `private`, `host`, `container:ID`, or `docker`: the business of a Docker engine.
    pub namespace: String,
    /// Name of the container whose network namespace it shares.
    #[serde(default)]
    pub owner: Option<ContainerName>,
    /// True if that container has a new namespace since, and this one is in the former, which has no network.
    #[serde(default)]
    pub left_behind: bool,
    /// Names of the containers that share its network namespace. If it has ended, they keep that for it: its addresses,
    /// ports and names stay, and it has to enter the namespace of `pid` or `netns_path` to run again.
    #[serde(default)]
    pub shared_with: Vec<ContainerName>,
    /// Process whose namespaces `net exec` enters, while it runs; else one in the namespace that is kept.
    pub pid: Option<u32>,
    /// File that the network namespace is bound to, when no process keeps it.
    pub netns_path: Option<PathBuf>,
    /// Files for the container's /etc.
    pub files: ContainerFiles,
    /// Its place on each network, the oldest first: several on one network, where it has several interfaces there.
    pub networks: Vec<Attachment>,
    /// The user's own marks.
    pub labels: BTreeMap<String, String>,
}

/// Files that a runtime binds into the container's /etc. netd keeps them true in place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ContainerFiles {
    /// For /etc/hosts.
    pub hosts: PathBuf,
    /// For /etc/resolv.conf.
    pub resolv_conf: PathBuf,
    /// For /etc/hostname.
    pub hostname: PathBuf,
}

/// A container's place on a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Attachment {
    /// Id of the network.
    pub network_id: NetworkId,
    /// Name of the network.
    pub network: NetworkName,
    /// Id of the endpoint.
    pub endpoint_id: EndpointId,
    /// Interface inside, on networks that have any.
    pub interface: Option<IfName>,
    /// Its partner on the host.
    pub host_interface: Option<IfName>,
    /// Ethernet address.
    pub mac: Option<Mac>,
    /// Addresses with prefix.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub addresses: Vec<IpNetwork>,
    /// Link-local addresses that were asked for, with prefix.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub link_local_addresses: Vec<IpNetwork>,
    /// The network's gateway, as containers use it.
    pub gateways: Vec<IpAddr>,
    /// Further names.
    pub aliases: Vec<Alias>,
    /// How fast its traffic may be.
    #[serde(default, skip_serializing_if = "Rates::is_unlimited")]
    pub rates: Rates,
    /// Published ports.
    pub ports: Vec<PublishedPort>,
}

/// Answer to `POST /containers/prune`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ForgetReport {
    /// Names of the containers that were forgotten.
    pub containers: Vec<ContainerName>,
    /// Containers that could not be forgotten, each with the reason.
    pub failures: Vec<String>,
}

/// Body of `POST /networks/{network}/connect`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ConnectRequest {
    /// Name or id of a known container. Either this or `netns`.
    pub container: Option<String>,
    /// A namespace to make known first, under `name`.
    pub netns: Option<Netns>,
    /// Name for a container that is made known by `netns`.
    pub name: Option<ContainerName>,
    /// Addresses wished for, at most one of each family.
    pub ips: Vec<IpAddr>,
    /// Further addresses of the interface, of 169.254.0.0/16 and fe80::/10.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub link_local_ips: Vec<LinkLocal>,
    /// Ethernet address wished for.
    pub mac: Option<Mac>,
    /// Further names on the network.
    pub aliases: Vec<Alias>,
    /// What to call the interface inside; `None` takes the next free name. A container that is on the network already is
    /// there once more by an interface of another name, with addresses and ports of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<IfName>,
    /// Options of its interface on the network, under Docker's names (`--driver-opt`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_options: BTreeMap<String, String>,
    /// The network with the highest number carries the default route; of several interfaces there the one with the
    /// highest.
    pub gateway_priority: i32,
    /// How fast its traffic on the network may be.
    #[serde(skip_serializing_if = "Rates::is_unlimited")]
    pub rates: Rates,
    /// Ports to publish on this network.
    pub ports: Vec<PublishRequest>,
}

/// Body of `POST /networks/{network}/disconnect`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DisconnectRequest {
    /// Name or id.
    pub container: String,
    /// The interface to take away, where it has several on the network; `None` for the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<IfName>,
    /// Succeed although it is not connected; without `interface`, take away all that it has there.
    #[serde(default)]
    pub force: bool,
}

/// Body of `POST /containers/{container}/publish` and `/unpublish`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PortsRequest {
    /// The ports. `unpublish` withdraws every published port that fits one of them.
    pub ports: Vec<PublishRequest>,
}

/// Body of `POST /containers/{container}/stop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StopRequest {
    /// Seconds between SIGTERM and SIGKILL.
    pub timeout_seconds: u32,
}

/// Body of `POST /containers/{container}/exit`, sent by a supervisor whose command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ExitReport {
    /// Exit status, or 128 + number of the signal that ended it.
    pub code: i32,
}
