//! Containers in Docker's form, as far as networks need them.

use std::collections::BTreeMap;

use netd_model::{ContainerId, EndpointId, NetworkId};
use serde::Serialize;

/// A line of `GET /containers/json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::http::docker) struct Summary {
    /// Its id.
    pub(in crate::http::docker) id: ContainerId,
    /// Its name, behind a slash.
    pub(in crate::http::docker) names: Vec<String>,
    /// Always empty: netd knows no images.
    pub(in crate::http::docker) image: String,
    /// Always empty.
    #[serde(rename = "ImageID")]
    pub(in crate::http::docker) image_id: String,
    /// The command line.
    pub(in crate::http::docker) command: String,
    /// When it became known, in seconds since 1970.
    pub(in crate::http::docker) created: i64,
    /// Published ports.
    pub(in crate::http::docker) ports: Vec<Port>,
    /// The user's own marks.
    pub(in crate::http::docker) labels: BTreeMap<String, String>,
    /// `running` or `exited`.
    pub(in crate::http::docker) state: String,
    /// The same with a time, for people.
    pub(in crate::http::docker) status: String,
    /// How it was started.
    pub(in crate::http::docker) host_config: HostConfig,
    /// Its networks.
    pub(in crate::http::docker) network_settings: Networks,
    /// None: netd knows no file systems.
    pub(in crate::http::docker) mounts: [(); 0],
}

/// A published port.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::http::docker) struct Port {
    /// The host's address.
    #[serde(rename = "IP")]
    pub(in crate::http::docker) ip: String,
    /// The container's port.
    pub(in crate::http::docker) private_port: u16,
    /// The host's port.
    pub(in crate::http::docker) public_port: u16,
    /// The transport protocol.
    #[serde(rename = "Type")]
    pub(in crate::http::docker) protocol: &'static str,
}

/// How a container was started, as far as networks go.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::http::docker) struct HostConfig {
    /// `host`, `none`, `container:ID`, or the name of its network.
    pub(in crate::http::docker) network_mode: String,
}

/// A container's places on networks.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::http::docker) struct Networks {
    /// By the network's name.
    pub(in crate::http::docker) networks: BTreeMap<String, EndpointSettings>,
}

/// A container's place on a network.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::http::docker) struct EndpointSettings {
    /// Always null: what was asked for is seen from what it has.
    #[serde(rename = "IPAMConfig")]
    pub(in crate::http::docker) ipam_config: Option<()>,
    /// Always null: links are not a network's.
    pub(in crate::http::docker) links: Option<()>,
    /// Further names.
    pub(in crate::http::docker) aliases: Option<Vec<String>>,
    /// Ethernet address; empty for none.
    pub(in crate::http::docker) mac_address: String,
    /// Always null.
    pub(in crate::http::docker) driver_opts: Option<()>,
    /// The network.
    #[serde(rename = "NetworkID")]
    pub(in crate::http::docker) network_id: NetworkId,
    /// The endpoint.
    #[serde(rename = "EndpointID")]
    pub(in crate::http::docker) endpoint_id: EndpointId,
    /// The IPv4 gateway; empty for none.
    pub(in crate::http::docker) gateway: String,
    /// IPv4 address; empty for none.
    #[serde(rename = "IPAddress")]
    pub(in crate::http::docker) ip_address: String,
    /// Its prefix length in bits.
    #[serde(rename = "IPPrefixLen")]
    pub(in crate::http::docker) ip_prefix_len: u8,
    /// The IPv6 gateway; empty for none.
    #[serde(rename = "IPv6Gateway")]
    pub(in crate::http::docker) ipv6_gateway: String,
    /// IPv6 address; empty for none.
    #[serde(rename = "GlobalIPv6Address")]
    pub(in crate::http::docker) ipv6_address: String,
    /// Its prefix length in bits.
    #[serde(rename = "GlobalIPv6PrefixLen")]
    pub(in crate::http::docker) ipv6_prefix_len: u8,
}

/// Answer to `GET /containers/{container}/json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::http::docker) struct Details {
    /// Its id.
    pub(in crate::http::docker) id: ContainerId,
    /// RFC 3339 time at which it became known.
    pub(in crate::http::docker) created: String,
    /// The program.
    pub(in crate::http::docker) path: String,
    /// Its arguments.
    pub(in crate::http::docker) args: Vec<String>,
    /// Whether it runs.
    pub(in crate::http::docker) state: LifeState,
    /// Always empty: netd knows no images.
    pub(in crate::http::docker) image: String,
    /// File for its /etc/resolv.conf.
    pub(in crate::http::docker) resolv_conf_path: String,
    /// File for its /etc/hostname.
    pub(in crate::http::docker) hostname_path: String,
    /// File for its /etc/hosts.
    pub(in crate::http::docker) hosts_path: String,
    /// Its name, behind a slash.
    pub(in crate::http::docker) name: String,
    /// How it was started.
    pub(in crate::http::docker) host_config: HostConfig,
    /// What it was told.
    pub(in crate::http::docker) config: Config,
    /// Its networks.
    pub(in crate::http::docker) network_settings: NetworkSettings,
    /// None: netd knows no file systems.
    pub(in crate::http::docker) mounts: [(); 0],
}

/// How far a container's life has come.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::http::docker) struct LifeState {
    /// `running` or `exited`.
    pub(in crate::http::docker) status: String,
    /// True while it runs.
    pub(in crate::http::docker) running: bool,
    /// Never.
    pub(in crate::http::docker) paused: bool,
    /// Never.
    pub(in crate::http::docker) restarting: bool,
    /// Never.
    pub(in crate::http::docker) dead: bool,
    /// A process of it; 0 for none.
    pub(in crate::http::docker) pid: u32,
    /// Exit status, when it ended and that is known.
    pub(in crate::http::docker) exit_code: i32,
    /// RFC 3339 time.
    pub(in crate::http::docker) started_at: String,
    /// RFC 3339 time; Go's zero while it runs.
    pub(in crate::http::docker) finished_at: String,
}

/// What a container was told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::http::docker) struct Config {
    /// What it calls itself.
    pub(in crate::http::docker) hostname: String,
    /// The command line.
    pub(in crate::http::docker) cmd: Vec<String>,
    /// The user's own marks.
    pub(in crate::http::docker) labels: BTreeMap<String, String>,
}

/// A container's networks and what is published of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::http::docker) struct NetworkSettings {
    /// By `PORT/PROTOCOL` of the container.
    pub(in crate::http::docker) ports: BTreeMap<String, Vec<PortBinding>>,
    /// File of its network namespace; empty if a process keeps it.
    pub(in crate::http::docker) sandbox_key: String,
    /// By the network's name.
    pub(in crate::http::docker) networks: BTreeMap<String, EndpointSettings>,
    /// Its place on the network `bridge` once more, where clients looked for it before there were others.
    #[serde(flatten)]
    pub(in crate::http::docker) on_bridge: OnBridge,
}

/// Where a port of the host leads.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::http::docker) struct PortBinding {
    /// The host's address.
    pub(in crate::http::docker) host_ip: String,
    /// The host's port.
    pub(in crate::http::docker) host_port: String,
}

/// A place on the network `bridge`.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::http::docker) struct OnBridge {
    /// The endpoint; empty for none.
    #[serde(rename = "EndpointID")]
    pub(in crate::http::docker) endpoint_id: String,
    /// The IPv4 gateway.
    pub(in crate::http::docker) gateway: String,
    /// IPv4 address.
    #[serde(rename = "IPAddress")]
    pub(in crate::http::docker) ip_address: String,
    /// Its prefix length in bits.
    #[serde(rename = "IPPrefixLen")]
    pub(in crate::http::docker) ip_prefix_len: u8,
    /// Ethernet address.
    pub(in crate::http::docker) mac_address: String,
}
