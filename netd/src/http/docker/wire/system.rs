//! What the daemon says of itself and of its machine, in Docker's form.

use std::collections::BTreeMap;

use serde::Serialize;

/// Answer to `GET /version`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::http::docker) struct Version {
    /// Who made it.
    pub(in crate::http::docker) platform: Platform,
    /// What it is made of.
    pub(in crate::http::docker) components: Vec<Component>,
    /// The daemon's version.
    pub(in crate::http::docker) version: &'static str,
    /// The newest version of the interface.
    pub(in crate::http::docker) api_version: String,
    /// The oldest version of the interface.
    #[serde(rename = "MinAPIVersion")]
    pub(in crate::http::docker) min_api_version: String,
    /// Always empty: it is not known at run time.
    pub(in crate::http::docker) git_commit: &'static str,
    /// Always empty: netd is not written in Go.
    pub(in crate::http::docker) go_version: &'static str,
    /// `linux`.
    pub(in crate::http::docker) os: &'static str,
    /// The processor's architecture, in Go's words.
    pub(in crate::http::docker) arch: &'static str,
    /// The kernel's release.
    pub(in crate::http::docker) kernel_version: String,
}

/// Who made a daemon.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::http::docker) struct Platform {
    /// Its name.
    pub(in crate::http::docker) name: &'static str,
}

/// A part of a daemon.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::http::docker) struct Component {
    /// Its name.
    pub(in crate::http::docker) name: &'static str,
    /// Its version.
    pub(in crate::http::docker) version: &'static str,
    /// Further facts; `docker version` prints some of them by these names.
    pub(in crate::http::docker) details: BTreeMap<&'static str, String>,
}

/// Answer to `GET /info`: what netd can say of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::http::docker) struct Info {
    /// Identity of the data root.
    #[serde(rename = "ID")]
    pub(in crate::http::docker) id: String,
    /// Containers that are known.
    pub(in crate::http::docker) containers: usize,
    /// Those that run.
    pub(in crate::http::docker) containers_running: usize,
    /// None: netd pauses nothing.
    pub(in crate::http::docker) containers_paused: usize,
    /// Those that ended.
    pub(in crate::http::docker) containers_stopped: usize,
    /// None: netd has no images.
    pub(in crate::http::docker) images: usize,
    /// The storage driver: there is none.
    pub(in crate::http::docker) driver: &'static str,
    /// Facts in pairs; netd's own.
    pub(in crate::http::docker) driver_status: Vec<[String; 2]>,
    /// Drivers by what they are for.
    pub(in crate::http::docker) plugins: Plugins,
    /// Whether packets are forwarded.
    #[serde(rename = "IPv4Forwarding")]
    pub(in crate::http::docker) ipv4_forwarding: bool,
    /// Whether the log tells all.
    pub(in crate::http::docker) debug: bool,
    /// RFC 3339 time.
    pub(in crate::http::docker) system_time: String,
    /// The kernel's release.
    pub(in crate::http::docker) kernel_version: String,
    /// Name of the system.
    pub(in crate::http::docker) operating_system: String,
    /// `linux`.
    #[serde(rename = "OSType")]
    pub(in crate::http::docker) os_type: &'static str,
    /// The processor's architecture, in the kernel's words.
    pub(in crate::http::docker) architecture: String,
    /// Processors.
    #[serde(rename = "NCPU")]
    pub(in crate::http::docker) cpus: usize,
    /// Memory of the machine in bytes.
    pub(in crate::http::docker) mem_total: u64,
    /// Where the store is.
    pub(in crate::http::docker) docker_root_dir: String,
    /// The host's name.
    pub(in crate::http::docker) name: String,
    /// None.
    pub(in crate::http::docker) labels: Vec<String>,
    /// Never.
    pub(in crate::http::docker) experimental_build: bool,
    /// The daemon's version.
    pub(in crate::http::docker) server_version: &'static str,
    /// Always: containers keep their networks while the daemon is away.
    pub(in crate::http::docker) live_restore_enabled: bool,
    /// Where subnets are chosen from.
    pub(in crate::http::docker) default_address_pools: Vec<AddressPool>,
    /// What makes firewall rules.
    pub(in crate::http::docker) firewall_backend: FirewallBackend,
    /// There is no swarm.
    pub(in crate::http::docker) swarm: Swarm,
    /// What is not as it should be, or others do.
    pub(in crate::http::docker) warnings: Vec<String>,
}

/// Drivers by what they are for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::http::docker) struct Plugins {
    /// None.
    pub(in crate::http::docker) volume: Vec<&'static str>,
    /// Drivers of networks.
    pub(in crate::http::docker) network: Vec<&'static str>,
    /// None.
    pub(in crate::http::docker) log: Vec<&'static str>,
}

/// Where subnets are chosen from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::http::docker) struct AddressPool {
    /// All of it.
    pub(in crate::http::docker) base: String,
    /// Prefix length in bits of what it is cut into.
    pub(in crate::http::docker) size: u8,
}

/// What makes firewall rules.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::http::docker) struct FirewallBackend {
    /// In words.
    pub(in crate::http::docker) driver: String,
}

/// Membership in a swarm.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::http::docker) struct Swarm {
    /// `inactive`.
    pub(in crate::http::docker) local_node_state: &'static str,
}
