//! Why a network cannot be as it was asked for.

use netd_api::ErrorCode;

/// Why a network cannot be as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum AskedError {
    /// There is one network with that driver already, and it stays the only one.
    #[error(
        "there is one network with driver {driver}, and it is built in; create one with driver bridge"
    )]
    OnlyInstance {
        /// The driver.
        driver: String,
    },
    /// There is no such driver.
    #[error("unknown driver {driver:?}; this version has bridge")]
    UnknownDriver {
        /// What was given.
        driver: String,
    },
    /// More subnets of a family than a bridge has.
    #[error("a bridge network has one subnet of each family, but {first} and {second} were given")]
    TwoSubnets {
        /// One of them.
        first: String,
        /// Another.
        second: String,
    },
}

impl AskedError {
    /// The stable word for the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::OnlyInstance { .. } | Self::UnknownDriver { .. } | Self::TwoSubnets { .. } => {
                ErrorCode::InvalidRequest
            }
        }
    }
}
