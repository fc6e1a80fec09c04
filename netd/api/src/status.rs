//! What the daemon says of itself, and of what happens.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Answer to `GET /version`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Version {
    /// The daemon's version.
    pub version: String,
    /// The newest version of this interface that it speaks.
    pub api: u32,
}

/// Answer to `GET /status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// RFC 3339 time of its start.
    pub started: String,
    /// Its network namespace, as `net:[INODE]`.
    pub netns: String,
    /// Where its store is.
    pub data_root: PathBuf,
    /// The firewall backend in words.
    pub firewall: String,
    /// Number of networks.
    pub networks: usize,
    /// Number of running containers.
    pub containers_running: usize,
    /// Number of ended containers that are remembered.
    pub containers_exited: usize,
    /// Number of endpoints.
    pub endpoints: usize,
    /// Number of published ports.
    pub ports: usize,
    /// Full comparisons of kernel and store since the start, and steps that they had to make.
    pub reconciles: ReconcileCount,
    /// Names answered and forwarded.
    pub names: BTreeMap<String, u64>,
    /// What is not as it should be; empty when all is well.
    pub problems: Vec<String>,
    /// What others do that packets of containers suffer from, each with where, and what to do.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Removals that were acknowledged and whose firewall rules are still being removed.
    #[serde(default)]
    pub departing: usize,
    /// Where the time of requests went since the start.
    #[serde(default)]
    pub timings: Vec<Timing>,
}

/// How long one part of an operation took, as often as it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Timing {
    /// `attach`, `detach`, `create` or `remove` (of a network).
    pub operation: String,
    /// `whole`, or one of its parts, such as `kernel` or `firewall`.
    pub phase: String,
    /// How often it was measured.
    pub count: u64,
    /// What half of them did not exceed, in microseconds, to within 13 %.
    pub median_us: u64,
    /// What 99 of 100 did not exceed, in microseconds, to within 13 %.
    pub p99_us: u64,
}

/// How often kernel and store were compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReconcileCount {
    /// Comparisons.
    pub runs: u64,
    /// Steps made to bring back what somebody else had changed.
    pub repairs: u64,
}

/// One line of `GET /events`: newline-separated JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Event {
    /// RFC 3339 time with nanoseconds.
    pub time: String,
    /// `network`, `container` or `daemon`.
    pub kind: String,
    /// What happened: `create`, `remove`, `connect`, `disconnect`, `start`, `exit`, `publish`, `unpublish`, `repair`, `obstacle`,
    /// `obstacle-gone`.
    pub action: String,
    /// Id of what it happened to.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Further facts, such as the network of a connect.
    pub attributes: BTreeMap<String, String>,
}
