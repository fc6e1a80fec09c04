//! Routes to containers of other hosts on the wire, and cards that join networks.

use std::net::IpAddr;

use netd_model::{IfName, NetworkName, Subnet};
use serde::{Deserialize, Serialize};

/// Body of `POST /routes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RouteRequest {
    /// The containers' subnet on the other host.
    pub subnet: Subnet,
    /// The other host: a neighbour on one of this host's links.
    pub gateway: IpAddr,
    /// Names or ids of the networks that it is for; empty for every bridge network that is not internal.
    #[serde(default)]
    pub networks: Vec<String>,
    /// Show the host's address over there instead of the containers'.
    #[serde(default)]
    pub masquerade: bool,
}

/// A route to containers of another host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RouteView {
    /// The containers' subnet on the other host.
    pub subnet: Subnet,
    /// The other host.
    pub gateway: IpAddr,
    /// The link that leads to it, by which alone its containers may come.
    pub device: IfName,
    /// The networks that it is for, in order; `None` for every bridge network that is not internal.
    pub networks: Option<Vec<NetworkName>>,
    /// Whether the other side sees the host's address instead of the containers'.
    pub masquerade: bool,
}

/// Body of `POST /networks/{network}/uplinks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UplinkRequest {
    /// The card.
    pub device: IfName,
    /// Join although the card's addresses, or the host's default route, stop working.
    #[serde(default)]
    pub force: bool,
}
