//! How a call fails: a sentence for stderr, which the runtime passes on when the hook stops a start.

use std::io;
use std::path::PathBuf;

use netd_api::ClientError;

use super::bind::BindError;
use super::state::Status;
use crate::handover::ReadError;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Stdin cannot be read.
    #[error("the container's state on stdin {0}")]
    Read(ReadError),
    /// Stdin has something else.
    #[error(
        "stdin is no state of a container as the OCI runtime specification has it: {0}; netd-hook is called by a runtime, see `netd-hook --help`"
    )]
    State(String),
    /// The hook stands at another point of the container's life.
    #[error("the container is {status}: {verb} belongs under hooks.{verb} of config.json")]
    Moment {
        /// What was called.
        verb: &'static str,
        /// How far the container is.
        status: Status,
    },
    /// The process of the state does not run.
    #[error("the container has ended: there is no process {pid}")]
    Gone {
        /// Its process id.
        pid: u32,
    },
    /// There is no namespace to connect.
    #[error(
        "the container has no network namespace of its own: give {{\"type\": \"network\"}} in linux.namespaces of config.json, or leave the hooks of netd out"
    )]
    HostNetwork,
    /// The bundle cannot be read.
    #[error("{} {why}", path.display())]
    Bundle {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// An annotation cannot be.
    #[error("annotation {0}")]
    Annotation(String),
    /// The daemon is away, or refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The namespace of the process cannot be looked at.
    #[error("cannot look at the namespaces of process {pid}: {source}")]
    Namespaces {
        /// Its process id.
        pid: u32,
        /// What the system said.
        source: io::Error,
    },
    /// The files cannot be put into the container's /etc.
    #[error("{0}; with the annotation org.netd.files \"none\" its own files stay")]
    Bind(#[from] BindError),
    /// Not everything could be removed now.
    #[error("not everything could be removed, it is tried again by the daemon: {}", .0.join("; "))]
    Left(Vec<String>),
    /// The daemon is away, and what has to be removed does not go by itself.
    #[error(
        "{source}; the namespace {} is there still, so the container stays connected until the daemon runs and this is called again",
        netns.display()
    )]
    Unreleased {
        /// Why the daemon was not asked.
        source: ClientError,
        /// The namespace that outlives the container.
        netns: PathBuf,
    },
}
