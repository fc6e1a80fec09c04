//! Attachments on the wire: what a runtime asks for that has a key of its own for each container on each network, and
//! remembers nothing else. Everything here can be asked for again, and comes to the same.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netd_model::container::{ContainerRoute, DnsSettings, RuntimeKey};
use netd_model::{
    Alias, ContainerId, ContainerName, Hostname, IfName, Mac, PublishRequest, Rates, RuntimeId,
};
use serde::{Deserialize, Serialize};

use crate::container::ContainerFiles;
use crate::{Attachment, Netns, NetworkRequest};

/// Body of `POST /attachments`: make a namespace known as a container, if it is not yet, and connect it under a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AttachRequest {
    /// What the runtime knows it by.
    pub key: RuntimeKey,
    /// The namespace.
    pub netns: Netns,
    /// The network.
    pub network: WantedNetwork,
    /// The container, if it is not known yet.
    #[serde(default)]
    pub container: NewIdentity,
    /// Addresses wished for, at most one of each family.
    #[serde(default)]
    pub ips: Vec<IpAddr>,
    /// Ethernet address wished for.
    #[serde(default)]
    pub mac: Option<Mac>,
    /// Further names on the network.
    #[serde(default)]
    pub aliases: Vec<Alias>,
    /// How fast its traffic may be.
    #[serde(default, skip_serializing_if = "Rates::is_unlimited")]
    pub rates: Rates,
    /// Ports to publish.
    #[serde(default)]
    pub ports: Vec<PublishRequest>,
    /// Routes by way of this network besides the default route.
    #[serde(default)]
    pub routes: Vec<ContainerRoute>,
}

/// The network that a runtime wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WantedNetwork {
    /// One that is there, by name or id.
    Existing(String),
    /// One of this description: made if there is none of its name, refused if that is another one.
    Described(Box<NetworkRequest>),
}

/// Who a container is that becomes known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct NewIdentity {
    /// Its id; `None` draws one.
    pub id: Option<ContainerId>,
    /// Its name; `None` takes the short id.
    pub name: Option<ContainerName>,
    /// Its hostname; `None` takes the short id.
    pub hostname: Option<Hostname>,
    /// Resolver settings.
    pub dns: DnsSettings,
    /// The user's own marks.
    pub labels: BTreeMap<String, String>,
}

/// Answer to `POST /attachments` and `POST /attachments/check`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Attached {
    /// The container's place on the network.
    pub attachment: Attachment,
    /// Where the container asks for names; empty where it asks whom the host asks.
    pub nameservers: Vec<IpAddr>,
    /// MTU of its interface, in bytes.
    pub mtu_bytes: u32,
    /// Next hops of the container's default routes that lead over this network, at most one of each family.
    pub default_gateways: Vec<IpAddr>,
    /// Files for the container's /etc, for a runtime that binds them.
    #[serde(default)]
    pub files: ContainerFiles,
}

/// Body of `POST /attachments/retain`: what a runtime still knows of one of its network configurations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RetainRequest {
    /// Name of the network configuration.
    pub network: RuntimeId,
    /// What stays; all others of this configuration go.
    pub keep: Vec<Retained>,
}

/// One attachment that stays.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Retained {
    /// The runtime's id of the container.
    pub container: RuntimeId,
    /// Name of the interface inside.
    pub interface: IfName,
}

/// Answer to `POST /attachments/retain`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RetainReport {
    /// What went.
    pub removed: Vec<RuntimeKey>,
    /// What could not go now, each with the reason; it is tried again.
    pub failures: Vec<String>,
}
