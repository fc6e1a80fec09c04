//! Networks on the wire. [`NetworkView`] has the form that `docker network inspect` prints.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netd_model::{IfName, NetworkId, NetworkName, Subnet};
use serde::{Deserialize, Serialize};

/// Body of `POST /networks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NetworkRequest {
    /// Its name.
    pub name: NetworkName,
    /// Its driver; `None` for `bridge`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Nothing goes in or out.
    #[serde(default)]
    pub internal: bool,
    /// Shown again in the view.
    #[serde(default)]
    pub attachable: bool,
    /// Whether containers get IPv4 addresses; `None` means yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<bool>,
    /// Whether containers get IPv6 addresses; `None` means: if a pool is of IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<bool>,
    /// Address pools; one is chosen for each family that has none here.
    #[serde(default)]
    pub pools: Vec<PoolRequest>,
    /// The driver's options under Docker's names.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// The user's own marks.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Resolvers that its containers' questions are forwarded to; empty for the daemon's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_servers: Vec<IpAddr>,
    /// It is only a configuration, which others are made from.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub config_only: bool,
    /// Name or id of the configuration that says pools, options, labels and resolvers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_from: Option<String>,
}

/// Body of `PATCH /networks/{network}`: what shall be other than it is. What is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct UpdateRequest {
    /// Marks to put or replace.
    pub labels: BTreeMap<String, String>,
    /// Keys of marks to take away; one that is not there is taken away already.
    pub remove_labels: Vec<String>,
    /// Resolvers to add behind those that it has.
    pub add_dns: Vec<IpAddr>,
    /// Resolvers to take away; one that is not there is taken away already.
    pub remove_dns: Vec<IpAddr>,
    /// Whether nothing goes in or out.
    pub internal: Option<bool>,
    /// The driver's options to change, under Docker's names.
    pub options: BTreeMap<String, String>,
    /// Its driver, which cannot change: another one is refused with what to do instead.
    pub driver: Option<String>,
    /// Its address pools, which cannot change: others are refused with what to do instead.
    pub pools: Vec<PoolRequest>,
}

/// An address pool as asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct PoolRequest {
    /// All addresses; `None` lets the daemon choose.
    pub subnet: Option<Subnet>,
    /// The part to hand out from.
    pub range: Option<Subnet>,
    /// The gateway's address.
    pub gateway: Option<IpAddr>,
    /// Addresses to keep free, by the name of what has them.
    pub aux: BTreeMap<String, IpAddr>,
}

/// Answer to `POST /networks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Created {
    /// The new network's id.
    pub id: NetworkId,
    /// What the user should know although it worked.
    pub warnings: Vec<String>,
}

/// Body of `POST /networks/{network}/allow` and `.../deny`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PairRequest {
    /// The other network: its name, id or the beginning of its id.
    pub network: String,
}

/// Answer to `POST /networks/prune`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PruneReport {
    /// Names of the networks that were removed.
    pub networks: Vec<NetworkName>,
    /// Networks that could not be removed, each with the reason.
    pub failures: Vec<String>,
}

/// A network as `docker network inspect` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase")]
pub struct NetworkView {
    /// Its name.
    pub name: NetworkName,
    /// 64 hexadecimal digits.
    pub id: NetworkId,
    /// RFC 3339 time with nanoseconds.
    pub created: String,
    /// `local`.
    pub scope: String,
    /// `bridge`, `host` or `null`.
    pub driver: String,
    /// Whether containers get IPv6 addresses.
    #[serde(rename = "EnableIPv6")]
    pub enable_ipv6: bool,
    /// Its address pools.
    #[serde(rename = "IPAM")]
    pub ipam: IpamView,
    /// Nothing goes in or out.
    pub internal: bool,
    /// As given at creation.
    pub attachable: bool,
    /// Always false: there is no swarm.
    pub ingress: bool,
    /// The network that this one took its configuration from.
    pub config_from: ConfigFrom,
    /// Whether it is only a template for others.
    pub config_only: bool,
    /// Connected containers by id.
    pub containers: BTreeMap<String, NetworkContainer>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// The user's own marks.
    pub labels: BTreeMap<String, String>,
    /// Names of the networks that this one may talk to, in order. Docker has no such field: left out if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_networks: Vec<NetworkName>,
    /// Cards of the host that are ports of the bridge, in order. Docker has no such field: left out if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uplinks: Vec<IfName>,
    /// Resolvers that its containers' questions are forwarded to. Docker has no such field: left out if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_servers: Vec<IpAddr>,
}

/// Address management of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase")]
pub struct IpamView {
    /// `default`.
    pub driver: String,
    /// Docker prints null for built-in networks, `{}` for others.
    pub options: Option<BTreeMap<String, String>>,
    /// The pools.
    pub config: Vec<PoolView>,
}

/// One pool; fields that the user did not give are left out, as Docker does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase")]
pub struct PoolView {
    /// All addresses.
    pub subnet: String,
    /// The part that is handed out.
    #[serde(rename = "IPRange", default, skip_serializing_if = "String::is_empty")]
    pub ip_range: String,
    /// The gateway's address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub gateway: String,
    /// Addresses kept free.
    #[serde(
        rename = "AuxiliaryAddresses",
        default,
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub auxiliary_addresses: BTreeMap<String, IpAddr>,
}

/// The network that another one took its configuration from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase")]
pub struct ConfigFrom {
    /// Its name; empty for none.
    pub network: String,
}

/// A container on a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase")]
pub struct NetworkContainer {
    /// The container's name.
    pub name: String,
    /// The endpoint's id.
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    /// Ethernet address; empty on networks without interfaces.
    pub mac_address: String,
    /// IPv4 address with prefix; empty for none.
    #[serde(rename = "IPv4Address")]
    pub ipv4_address: String,
    /// IPv6 address with prefix; empty for none.
    #[serde(rename = "IPv6Address")]
    pub ipv6_address: String,
    /// Name of the interface inside. Docker has no such field: only where the container is on the network by several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<IfName>,
    /// The further interfaces that it has there, by age. Docker has no such field: left out if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<FurtherInterface>,
}

/// A further interface of a container on a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase")]
pub struct FurtherInterface {
    /// Its name inside.
    pub interface: IfName,
    /// The endpoint's id.
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    /// Ethernet address.
    pub mac_address: String,
    /// IPv4 address with prefix; empty for none.
    #[serde(rename = "IPv4Address")]
    pub ipv4_address: String,
    /// IPv6 address with prefix; empty for none.
    #[serde(rename = "IPv6Address")]
    pub ipv6_address: String,
}
