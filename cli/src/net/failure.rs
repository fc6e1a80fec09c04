//! How a verb can end, and which exit code says so. Knows no verb.

use std::io;

use netd_api::ClientError;

/// The daemon, or this program before it asked, refused.
pub(super) const REFUSED: u8 = 1;
/// The command line is wrong.
pub(super) const USAGE: u8 = 2;
/// No daemon answered.
pub(super) const UNREACHABLE: u8 = 3;
/// `run` and `exec`: it failed before the command ran, as `docker run` has it.
pub(super) const BEFORE_COMMAND: u8 = 125;
/// The command is there but cannot be executed (POSIX shell, section 2.8.2).
pub(super) const NOT_EXECUTABLE: u8 = 126;
/// There is no such command (POSIX shell, section 2.8.2).
pub(super) const NOT_FOUND: u8 = 127;

/// Why a verb was not done, or not wholly.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The daemon refused or could not be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The command line asks for what cannot be.
    #[error("{0}")]
    Usage(String),
    /// This program refuses.
    #[error("{0}")]
    Refused(String),
    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    /// Some of several things failed, each told when it did.
    #[error("some of it failed")]
    Partly,
    /// `run` or `exec` did not get as far as the command, or the command could not be executed.
    #[error("{sentence}")]
    Command {
        /// The exit code.
        code: u8,
        /// What happened.
        sentence: String,
    },
}

impl Failure {
    /// The same failure with the exit code that `run` and `exec` give before their command runs.
    pub(super) fn before_command(self) -> Self {
        match self {
            Self::Command { .. } => self,
            other => Self::Command {
                code: BEFORE_COMMAND,
                sentence: other.to_string(),
            },
        }
    }

    /// The exit code of the process.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Client(error) if error.is_unreachable() => UNREACHABLE,
            Self::Client(ClientError::BadHost { .. }) | Self::Usage(_) => USAGE,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Client(_) | Self::Refused(_) | Self::Output(_) | Self::Partly => REFUSED,
            Self::Command { code, .. } => *code,
        }
    }

    /// What to tell the user; `None` if it was told already, or if nobody listens.
    pub(super) fn sentence(&self) -> Option<String> {
        match self {
            Self::Partly => None,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
            other => Some(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use netd_api::{ErrorBody, ErrorCode};

    use super::*;

    #[test]
    fn each_end_has_its_exit_code() {
        let refused = || ClientError::Refused {
            status: 409,
            body: ErrorBody {
                code: ErrorCode::NameTaken,
                message: "taken".to_owned(),
            },
        };
        let gone = || ClientError::NoDaemon {
            socket: "/s".into(),
            source: io::ErrorKind::NotFound.into(),
        };
        let pipe = || Failure::Output(io::ErrorKind::BrokenPipe.into());
        assert_eq!(Failure::from(refused()).code(), 1);
        assert_eq!(Failure::from(gone()).code(), 3);
        assert_eq!(Failure::Usage(String::new()).code(), 2);
        assert_eq!(Failure::Partly.code(), 1);
        assert_eq!(Failure::from(gone()).before_command().code(), 125);
        assert_eq!(Failure::from(refused()).before_command().code(), 125);
        assert_eq!((pipe().code(), pipe().sentence()), (0, None));
        let missing = Failure::Command {
            code: 127,
            sentence: String::new(),
        };
        assert_eq!(missing.before_command().code(), 127);
    }
}
