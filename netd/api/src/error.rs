//! Errors on the wire: a stable code for programs, a sentence for people.

use serde::{Deserialize, Serialize};

/// Body of every answer whose status is not 2xx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorBody {
    /// Stable word for programs.
    pub code: ErrorCode,
    /// What was tried, on what, who holds it and what to do.
    pub message: String,
}

/// Stable words for what went wrong. A program may meet ones that are newer than itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// The request is not well-formed, or asks for what can never be (400).
    InvalidRequest,
    /// A name breaks the rules (400).
    InvalidName,
    /// No such network (404).
    NetworkNotFound,
    /// No such container (404).
    ContainerNotFound,
    /// No route to that subnet (404).
    RouteNotFound,
    /// Nothing at that path (404).
    NoSuchPath,
    /// A prefix or name fits several objects (409).
    Ambiguous,
    /// A network or container of that name exists (409).
    NameTaken,
    /// The subnet overlaps another network's or a route of the host (409).
    SubnetOverlap,
    /// Every default address pool is in use (409).
    PoolsExhausted,
    /// Every address of the network is in use (409).
    AddressesExhausted,
    /// The address is held by another (409).
    AddressTaken,
    /// The address is not one that can be had on this network (400).
    AddressNotAllowed,
    /// The port is held by another container or process (409).
    PortTaken,
    /// A route to that subnet stands, another one (409).
    RouteExists,
    /// Containers are connected to it, or a route names it (409).
    NetworkInUse,
    /// A network of that name is there, other than it was described (409).
    NetworkDiffers,
    /// A container is not connected as the records say, and that could not be mended (409).
    NotAsRecorded,
    /// `bridge`, `host` and `none` stay (403).
    Builtin,
    /// The container is connected to that network already, in another way (409).
    AlreadyConnected,
    /// The container is not connected to that network (409).
    NotConnected,
    /// The network has no interfaces to connect to, or the container no namespace of its own (400).
    NotConnectable,
    /// The container does not run (409).
    NotRunning,
    /// The namespace, process or descriptor that was handed over is none, or ended meanwhile (400).
    NamespaceUnusable,
    /// The container's namespace is kept by others, who would be cut off: enter that one (409).
    NamespaceKept,
    /// No room on the bridge (409).
    BridgeFull,
    /// The body is larger than the daemon reads (413).
    TooLarge,
    /// The kernel, the firewall or the store did not do its part; everything was undone (500).
    Internal,
    /// The daemon is about to end (503).
    ShuttingDown,
    /// A code that this program does not know.
    #[serde(other)]
    Unknown,
}
