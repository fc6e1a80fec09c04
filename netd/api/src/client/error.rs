//! What can go wrong between a program and the daemon, in sentences that a person can act on.

use std::io;
use std::path::PathBuf;

use crate::{DEFAULT_SOCKET, ErrorBody};

/// Why the daemon did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody listens at the socket.
    #[error(
        "cannot reach netd at {}: {source}; is it running? start it with `netd` (or `systemctl start netd`), or name \
         another with -H or NETD_HOST",
        socket.display()
    )]
    NoDaemon {
        /// Where it was looked for.
        socket: PathBuf,
        /// What connect(2) said.
        source: io::Error,
    },
    /// The socket may not be opened by this user.
    #[error(
        "may not open netd's socket {}: {source}; become root, or join its group \
         (`usermod -aG netd USER`, then log in again)",
        socket.display()
    )]
    NoPermission {
        /// The socket.
        socket: PathBuf,
        /// What connect(2) said.
        source: io::Error,
    },
    /// The daemon understood and said no.
    #[error("{}", body.message)]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said.
        body: ErrorBody,
    },
    /// The connection ended, or timed out, in the middle of an answer: what was asked for may or may not be done.
    #[error(
        "lost netd at {} before it had answered: {source}; look at its log, then ask again: it finishes or undoes what \
         it had begun",
        socket.display()
    )]
    Lost {
        /// The socket.
        socket: PathBuf,
        /// What happened to the connection.
        source: io::Error,
    },
    /// Something answered, but not as netd does.
    #[error(
        "what answers at {} does not speak this version of netd's interface: {detail}; compare `net version`",
        socket.display()
    )]
    Protocol {
        /// The socket.
        socket: PathBuf,
        /// What was not as expected.
        detail: String,
    },
    /// The daemon's address is none.
    #[error(
        "{given:?} is not an address of netd: expected the path of its socket, such as {DEFAULT_SOCKET} or \
         unix://{DEFAULT_SOCKET}"
    )]
    BadHost {
        /// What was given.
        given: String,
    },
}

impl ClientError {
    /// True if no answer came, so that nothing is known to have been done.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::NoDaemon { .. } | Self::NoPermission { .. } | Self::Lost { .. }
        )
    }
}
