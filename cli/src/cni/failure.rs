//! How a call fails: a code of the specification and a sentence, as the object that goes to stdout.

use netd_api::{ClientError, ErrorCode};
use serde_json::{Value, json};

use super::version::Version;

/// What went wrong, under the specification's number (section "Error") or one of ours from 100 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Code {
    /// The version is not one of ours.
    Version = 1,
    /// A field that is not understood.
    Unsupported = 2,
    /// The container is not known.
    Unknown = 3,
    /// The environment is not as it should be.
    Environment = 4,
    /// Reading or writing failed.
    Io = 5,
    /// What was read is not JSON of the right form.
    Decode = 6,
    /// The configuration cannot be.
    Config = 7,
    /// Not now.
    TryAgain = 11,
    /// The plugin cannot serve (STATUS).
    NotAvailable = 50,
    /// The daemon, the kernel or the firewall failed.
    Internal = 100,
    /// No address is left, or it is another's.
    Address = 101,
    /// A published port is another's.
    Port = 102,
    /// The container, its name or its place on the network is taken.
    Taken = 103,
    /// It is connected otherwise than recorded (CHECK).
    Drifted = 104,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// Its number.
    pub(super) code: Code,
    /// What happened.
    pub(super) message: String,
}

impl Failure {
    /// A failure with a sentence.
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// A field that is there and cannot be: `why` says what to do.
    pub(super) fn unsupported(field: &str, value: &Value, why: &str) -> Self {
        let mut shown = value.to_string();
        if let Some((end, _)) = shown.char_indices().nth(100) {
            shown.truncate(end);
            shown.push_str("...");
        }
        Self::new(
            Code::Unsupported,
            format!("unsupported field {field} = {shown}: {why}"),
        )
    }

    /// A configuration that cannot be.
    pub(super) fn config(message: impl Into<String>) -> Self {
        Self::new(Code::Config, message)
    }

    /// The error object of the specification.
    pub(super) fn object(&self, version: Version) -> Value {
        json!({
            "cniVersion": version.as_str(),
            "code": self.code as u32,
            "msg": self.message,
        })
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let code = match &error {
            ClientError::NoDaemon { .. } | ClientError::Lost { .. } => Code::TryAgain,
            ClientError::NoPermission { .. } => Code::Io,
            ClientError::BadHost { .. } => Code::Config,
            ClientError::Refused { body, .. } => of_refusal(body.code),
            _ => Code::Internal,
        };
        Self::new(code, error.to_string())
    }
}

fn of_refusal(code: ErrorCode) -> Code {
    match code {
        ErrorCode::InvalidRequest
        | ErrorCode::InvalidName
        | ErrorCode::AddressNotAllowed
        | ErrorCode::NetworkNotFound
        | ErrorCode::NetworkDiffers
        | ErrorCode::SubnetOverlap
        | ErrorCode::NotConnectable
        | ErrorCode::Ambiguous
        | ErrorCode::TooLarge
        | ErrorCode::Builtin => Code::Config,
        ErrorCode::ContainerNotFound | ErrorCode::NotConnected => Code::Unknown,
        ErrorCode::NamespaceUnusable => Code::Environment,
        ErrorCode::ShuttingDown => Code::TryAgain,
        ErrorCode::AddressTaken
        | ErrorCode::AddressesExhausted
        | ErrorCode::PoolsExhausted
        | ErrorCode::BridgeFull => Code::Address,
        ErrorCode::PortTaken => Code::Port,
        ErrorCode::NameTaken
        | ErrorCode::AlreadyConnected
        | ErrorCode::NamespaceKept
        | ErrorCode::NotRunning => Code::Taken,
        ErrorCode::NotAsRecorded => Code::Drifted,
        _ => Code::Internal,
    }
}
