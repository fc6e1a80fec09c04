//! Networks in Docker's form.

use std::collections::BTreeMap;

use netd_api::NetworkView;
use netd_api::network::{ConfigFrom, IpamView, NetworkContainer};
use netd_model::{NetworkId, NetworkName};
use serde::{Deserialize, Serialize};

/// A network as Docker shows it: what the native interface shows, without what only that has.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::http::docker) struct Network {
    name: NetworkName,
    id: NetworkId,
    created: String,
    scope: String,
    driver: String,
    #[serde(rename = "EnableIPv4")]
    enable_ipv4: bool,
    #[serde(rename = "EnableIPv6")]
    enable_ipv6: bool,
    #[serde(rename = "IPAM")]
    ipam: IpamView,
    internal: bool,
    attachable: bool,
    ingress: bool,
    config_from: ConfigFrom,
    config_only: bool,
    containers: BTreeMap<String, NetworkContainer>,
    options: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
}

impl Network {
    /// Without its containers, as lists have it.
    pub(in crate::http::docker) fn without_containers(self) -> Self {
        Self {
            containers: BTreeMap::new(),
            ..self
        }
    }
}

impl From<NetworkView> for Network {
    fn from(view: NetworkView) -> Self {
        let has_pools = !view.ipam.config.is_empty();
        let v4 = |subnet: &str| !subnet.contains(':');
        Self {
            enable_ipv4: !has_pools || view.ipam.config.iter().any(|pool| v4(&pool.subnet)),
            name: view.name,
            id: view.id,
            created: view.created,
            scope: view.scope,
            driver: view.driver,
            enable_ipv6: view.enable_ipv6,
            ipam: view.ipam,
            internal: view.internal,
            attachable: view.attachable,
            ingress: view.ingress,
            config_from: view.config_from,
            config_only: view.config_only,
            containers: as_docker_has_them(view.containers),
            options: view.options,
            labels: view.labels,
        }
    }
}

/// Docker's engine has a container on a network once: its first interface there is shown.
fn as_docker_has_them(
    containers: BTreeMap<String, NetworkContainer>,
) -> BTreeMap<String, NetworkContainer> {
    let plain = containers.into_iter().map(|(id, member)| {
        let member = NetworkContainer {
            interface: None,
            also: Vec::new(),
            ..member
        };
        (id, member)
    });
    plain.collect()
}

/// Answer to `POST /networks/prune`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::http::docker) struct Pruned {
    /// Names of those that were removed; null for none.
    pub(in crate::http::docker) networks_deleted: Option<Vec<NetworkName>>,
}

/// Answer to `POST /networks/create`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::http::docker) struct Created {
    /// The new network's id.
    pub(in crate::http::docker) id: NetworkId,
    /// What the user should know although it worked.
    pub(in crate::http::docker) warning: String,
}

/// Body of `POST /networks/create`. Clients write null for what they do not say.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(in crate::http::docker) struct CreateRequest {
    /// Its name.
    pub(in crate::http::docker) name: Option<String>,
    /// Its driver; `bridge` if there is none.
    pub(in crate::http::docker) driver: Option<String>,
    /// `local`, if anything.
    pub(in crate::http::docker) scope: Option<String>,
    /// Whether containers get IPv4 addresses.
    #[serde(rename = "EnableIPv4")]
    pub(in crate::http::docker) enable_ipv4: Option<bool>,
    /// Whether containers get IPv6 addresses.
    #[serde(rename = "EnableIPv6")]
    pub(in crate::http::docker) enable_ipv6: Option<bool>,
    /// Its addresses.
    #[serde(rename = "IPAM")]
    pub(in crate::http::docker) ipam: Option<Ipam>,
    /// Nothing goes in or out.
    pub(in crate::http::docker) internal: Option<bool>,
    /// Only shown again.
    pub(in crate::http::docker) attachable: Option<bool>,
    /// Of a swarm's entrance.
    pub(in crate::http::docker) ingress: Option<bool>,
    /// It is only a configuration.
    pub(in crate::http::docker) config_only: Option<bool>,
    /// The configuration that it is made from.
    pub(in crate::http::docker) config_from: Option<ConfigSource>,
    /// The driver's options.
    pub(in crate::http::docker) options: Option<BTreeMap<String, String>>,
    /// The user's own marks.
    pub(in crate::http::docker) labels: Option<BTreeMap<String, String>>,
}

/// The configuration that a network is made from.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(in crate::http::docker) struct ConfigSource {
    /// Its name; empty for none.
    pub(in crate::http::docker) network: Option<String>,
}

/// Address management as asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(in crate::http::docker) struct Ipam {
    /// `default`, if anything.
    pub(in crate::http::docker) driver: Option<String>,
    /// The pools.
    pub(in crate::http::docker) config: Option<Vec<Pool>>,
}

/// A pool as asked for; empty texts say nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(in crate::http::docker) struct Pool {
    /// All addresses.
    pub(in crate::http::docker) subnet: Option<String>,
    /// The part to hand out from.
    #[serde(rename = "IPRange")]
    pub(in crate::http::docker) ip_range: Option<String>,
    /// The gateway's address.
    pub(in crate::http::docker) gateway: Option<String>,
    /// Addresses to keep free.
    pub(in crate::http::docker) auxiliary_addresses: Option<BTreeMap<String, String>>,
}

/// Body of `POST /networks/{network}/connect`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(in crate::http::docker) struct ConnectRequest {
    /// Name or id.
    pub(in crate::http::docker) container: Option<String>,
    /// What it wants there.
    pub(in crate::http::docker) endpoint_config: Option<EndpointConfig>,
}

/// What a container wants on a network. What Docker only shows of an endpoint is passed over here, since clients send
/// back what they read.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(in crate::http::docker) struct EndpointConfig {
    /// Addresses.
    #[serde(rename = "IPAMConfig")]
    pub(in crate::http::docker) ipam_config: Option<EndpointIpam>,
    /// `TARGET:ALIAS` pairs.
    pub(in crate::http::docker) links: Option<Vec<String>>,
    /// Further names.
    pub(in crate::http::docker) aliases: Option<Vec<String>>,
    /// Ethernet address.
    pub(in crate::http::docker) mac_address: Option<String>,
    /// Options of the interface.
    pub(in crate::http::docker) driver_opts: Option<BTreeMap<String, String>>,
    /// The network with the highest number carries the default route.
    pub(in crate::http::docker) gw_priority: Option<i32>,
}

/// Addresses that a container wants.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(in crate::http::docker) struct EndpointIpam {
    /// Of IPv4.
    #[serde(rename = "IPv4Address")]
    pub(in crate::http::docker) ipv4_address: Option<String>,
    /// Of IPv6.
    #[serde(rename = "IPv6Address")]
    pub(in crate::http::docker) ipv6_address: Option<String>,
    /// Further ones, from no pool.
    #[serde(rename = "LinkLocalIPs")]
    pub(in crate::http::docker) link_local_ips: Option<Vec<String>>,
}

/// Body of `POST /networks/{network}/disconnect`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(in crate::http::docker) struct DisconnectRequest {
    /// Name or id.
    pub(in crate::http::docker) container: Option<String>,
    /// Also if Docker does not know the container any more.
    pub(in crate::http::docker) force: Option<bool>,
}
