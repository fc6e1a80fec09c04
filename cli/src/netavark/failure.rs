//! How a call fails: a sentence, as the object on stdout that Podman reads, and exit status 1.

use std::path::PathBuf;

use netd_api::ClientError;
use serde_json::{Value, json};

use crate::handover::ReadError;
use crate::netns::OpenError;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The input cannot be read.
    #[error("the request {from} {why}")]
    Read {
        /// Where it comes from.
        from: String,
        /// Why not.
        why: ReadError,
    },
    /// The file with the input cannot be opened.
    #[error("cannot open {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The input is something else.
    #[error(
        "the request is not what Podman sends: {0}; this program is called by Podman, see `netd-netavark --help`"
    )]
    Decode(String),
    /// The container or the call as a whole cannot be.
    #[error("{0}")]
    Asked(String),
    /// What Podman says of a network cannot be.
    #[error("network {network}: {why}")]
    Network {
        /// Its name.
        network: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// The namespace cannot be had.
    #[error(transparent)]
    Namespace(#[from] OpenError),
    /// The daemon is away, or refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The daemon refused a network of the container.
    #[error("network {network}: {source}{hint}")]
    Refused {
        /// Its name.
        network: String,
        /// What it said.
        source: ClientError,
        /// What Podman's users can do, after a semicolon; empty if that is said already.
        hint: &'static str,
    },
    /// Not everything could be removed.
    #[error("not everything could be removed: {}", .0.join("; "))]
    Left(Vec<String>),
}

impl Failure {
    /// What Podman says of a network cannot be.
    pub(super) fn network(network: &str, why: impl Into<String>) -> Self {
        Self::Network {
            network: network.to_owned(),
            why: why.into(),
        }
    }

    /// The object for stdout. Podman refuses one with further fields.
    pub(super) fn object(&self) -> Value {
        json!({ "error": self.to_string() })
    }
}
