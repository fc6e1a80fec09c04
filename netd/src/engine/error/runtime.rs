//! Why a runtime that has keys of its own did not get its wish.

use netd_api::ErrorCode;
use netd_model::{NetworkName, RuntimeKey};

/// Why a runtime that has keys of its own did not get its wish.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A network of the name is there, another one.
    #[error(
        "network {network} is there with {has}, but was described with {described}; describe it as it is, give the \
         description another name, or remove it with `net rm {network}`"
    )]
    DescribedOtherwise {
        /// The network.
        network: NetworkName,
        /// What it has.
        has: String,
        /// What was described in its place.
        described: String,
    },
    /// Nothing is recorded under the key.
    #[error(
        "container {} is not connected by {} as {}; it was never added, or its namespace has ended",
        .0.container, .0.network, .0.interface
    )]
    NotAttached(Box<RuntimeKey>),
    /// The kernel has something else than the records, and a reconcile did not mend it.
    #[error(
        "container {} is not connected by {} as it should be: {missing}; `net status` says more",
        key.container, key.network
    )]
    NotAsRecorded {
        /// What the runtime knows it by.
        key: Box<RuntimeKey>,
        /// What the kernel lacks.
        missing: String,
    },
}

impl RuntimeError {
    /// The stable word for the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::DescribedOtherwise { .. } => ErrorCode::NetworkDiffers,
            Self::NotAttached(_) => ErrorCode::NotConnected,
            Self::NotAsRecorded { .. } => ErrorCode::NotAsRecorded,
        }
    }
}
