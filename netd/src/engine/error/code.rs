//! The stable words for the wire that the engine's refusals have.

use netd_api::ErrorCode;
use netd_ipam::{AllocateError, PlanPoolError};
use netd_kernel::{AdoptError, KernelError, ReservePortError};

use super::EngineError;

impl EngineError {
    /// The stable word for the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NetworkNotFound(_) => ErrorCode::NetworkNotFound,
            Self::ContainerNotFound(_) => ErrorCode::ContainerNotFound,
            Self::Ambiguous { .. } => ErrorCode::Ambiguous,
            Self::NetworkExists { .. } | Self::ContainerExists { .. } => ErrorCode::NameTaken,
            Self::Builtin { .. } | Self::Configured { .. } => ErrorCode::Builtin,
            Self::InUse { .. } | Self::ConfigurationInUse { .. } => ErrorCode::NetworkInUse,
            Self::Asked(error) => error.code(),
            Self::Way(error) => error.code(),
            Self::Runtime(error) => error.code(),
            Self::Docker(error) => error.code(),
            Self::Place(error) => error.code(),
            Self::Name(_) => ErrorCode::InvalidName,
            Self::NotAPair { .. }
            | Self::Invalid(_)
            | Self::Publish(_)
            | Self::Option(_)
            | Self::PublishedOtherwise(..)
            | Self::PortTwice { .. } => ErrorCode::InvalidRequest,
            Self::Pool(error) => pool_code(error),
            Self::Address { source, .. } => match source {
                AllocateError::Exhausted { .. } => ErrorCode::AddressesExhausted,
                AllocateError::Taken { .. } => ErrorCode::AddressTaken,
                AllocateError::OutsideSubnet { .. } => ErrorCode::AddressNotAllowed,
            },
            Self::AddressNotAllowed { .. } => ErrorCode::AddressNotAllowed,
            Self::MacTaken { .. } | Self::LinkLocalTaken { .. } => ErrorCode::AddressTaken,
            Self::InterfaceTaken { .. } => ErrorCode::NameTaken,
            Self::PortTaken { .. } | Self::NoHostPort { .. } => ErrorCode::PortTaken,
            Self::HostPort { source } => match source {
                ReservePortError::Taken { .. } => ErrorCode::PortTaken,
                ReservePortError::NotMyAddress { .. } => ErrorCode::AddressNotAllowed,
                ReservePortError::TooMany { .. } => ErrorCode::InvalidRequest,
                ReservePortError::Os { .. } => ErrorCode::Internal,
            },
            Self::NotPublished { .. } | Self::NotConnected { .. } => ErrorCode::NotConnected,
            Self::BridgeFull { .. } => ErrorCode::BridgeFull,
            Self::AlreadyConnected { .. } => ErrorCode::AlreadyConnected,
            Self::NotConnectable { .. } | Self::NoSupervisor(_) => ErrorCode::NotConnectable,
            Self::NotRunning(_) => ErrorCode::NotRunning,
            Self::NamespaceKnown { .. } => ErrorCode::NameTaken,
            Self::NamespaceKept { .. } => ErrorCode::NamespaceKept,
            Self::NotInside { .. } => ErrorCode::NamespaceUnusable,
            Self::Adopt(AdoptError::Kernel(_)) => ErrorCode::Internal,
            Self::Adopt(_) => ErrorCode::NamespaceUnusable,
            Self::Kernel(KernelError::SandboxGone { .. }) => ErrorCode::NamespaceUnusable,
            Self::Apply(error) if matches!(error.source, KernelError::SandboxGone { .. }) => {
                ErrorCode::NamespaceUnusable
            }
            Self::Kernel(
                KernelError::NoSuchParameter { .. }
                | KernelError::ParameterRefused { .. }
                | KernelError::NoRates { .. },
            ) => ErrorCode::InvalidRequest,
            Self::Closed(_) => ErrorCode::ShuttingDown,
            Self::WillNotEnd(_)
            | Self::Plan(_)
            | Self::Apply(_)
            | Self::Kernel(_)
            | Self::Firewall(_)
            | Self::Names(_)
            | Self::Store(_)
            | Self::File { .. }
            | Self::Bridge { .. }
            | Self::DefaultMoved { .. } => ErrorCode::Internal,
        }
    }
}

fn pool_code(error: &PlanPoolError) -> ErrorCode {
    match error {
        PlanPoolError::Overlap { .. } => ErrorCode::SubnetOverlap,
        PlanPoolError::Choose(_) => ErrorCode::PoolsExhausted,
        _ => ErrorCode::InvalidRequest,
    }
}
