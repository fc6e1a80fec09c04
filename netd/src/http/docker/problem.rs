//! Refusals: the one place that says which status and sentence of Docker's an error of the engine has.
//!
//! Docker's own sentence comes first, since people look for it; where the engine says more (who holds it, what to do),
//! that stands behind it.

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use netd_api::{ErrorCode, PREFIX};
use netd_drivers::OptionError;
use netd_ipam::{AllocateError, PlanPoolError};
use serde::Serialize;

use super::version::ApiVersion;
use crate::engine::{AskedError, EngineError};

/// A refusal on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    status: StatusCode,
    message: String,
}

/// Its form.
#[derive(Serialize)]
struct Wire<'a> {
    message: &'a str,
}

impl Problem {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    /// What is wrong with the request itself.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// What cannot be found.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// What the daemon could not do.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// Nothing is at this path, of which it is said what is where.
    pub(super) fn nothing_at(method: &Method, path: &str) -> Self {
        Self::not_found(format!(
            "page not found: {method} {path} is not among what netd has of Docker's interface, the part about networks; \
             its own begins at {PREFIX}"
        ))
    }

    /// The same behind a sentence of Docker's, if there is one.
    pub(super) fn after(self, sentence: Option<&str>) -> Self {
        match sentence {
            Some(sentence) => Self::new(self.status, format!("{sentence}: {}", self.message)),
            None => self,
        }
    }

    /// True if what was asked for is not there.
    pub(super) fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// The sentence.
    #[cfg(test)]
    pub(super) fn message(&self) -> &str {
        &self.message
    }
}

/// The sentence of a refusal, for versions that have it without JSON.
#[derive(Clone)]
struct Sentence(String);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let wire = Wire {
            message: &self.message,
        };
        let mut answer = (self.status, axum::Json(wire)).into_response();
        answer.extensions_mut().insert(Sentence(self.message));
        answer
    }
}

/// An answer in the form that a version has: refusals were plain text once.
pub(super) fn as_of(version: ApiVersion, mut answer: Response) -> Response {
    let sentence = answer.extensions_mut().remove::<Sentence>();
    if let Some(Sentence(text)) = sentence.filter(|_| version < ApiVersion::JSON_ERRORS) {
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        let text = text + "\n";
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, plain);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
        *answer.body_mut() = Body::from(text);
    }
    answer
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let sentence = error.sentence();
        if let Some((status, docker)) = known(&error) {
            let plain = Self::new(status, docker);
            return match says_all(&error) {
                true => plain,
                false => Self::new(status, sentence).after(Some(&plain.message)),
            };
        }
        let status = status(error.code());
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = %sentence, "a request failed");
        }
        Self::new(status, sentence)
    }
}

/// True for errors of which Docker's sentence says everything.
fn says_all(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::NetworkNotFound(_)
            | EngineError::ContainerNotFound(_)
            | EngineError::NetworkExists { .. }
            | EngineError::Builtin { .. }
            | EngineError::InUse { .. }
            | EngineError::AlreadyConnected { .. }
            | EngineError::NotConnected { .. }
            | EngineError::Pool(
                PlanPoolError::GatewayOutside { .. } | PlanPoolError::RangeOutside { .. }
            )
    )
}

/// Docker's status and sentence for what it refuses, too.
fn known(error: &EngineError) -> Option<(StatusCode, String)> {
    let forbidden = |sentence: String| Some((StatusCode::FORBIDDEN, sentence));
    let not_found = |sentence: String| Some((StatusCode::NOT_FOUND, sentence));
    let bad = |sentence: String| Some((StatusCode::BAD_REQUEST, sentence));
    match error {
        EngineError::NetworkNotFound(word) => not_found(format!("network {word} not found")),
        EngineError::ContainerNotFound(word) => not_found(format!("No such container: {word}")),
        EngineError::NetworkExists { name, .. } => Some((
            StatusCode::CONFLICT,
            format!("network with name {name} already exists"),
        )),
        EngineError::Builtin { name, action } => match *action {
            "made again" => forbidden(format!(
                "operation is not permitted on predefined {name} network"
            )),
            "removed" => forbidden(format!(
                "{name} is a pre-defined network and cannot be removed"
            )),
            _ => bad(format!(
                "cannot disconnect container from {name} network - container was created in {name} network mode"
            )),
        },
        EngineError::InUse {
            network,
            containers,
        } => {
            let quoted = containers.iter().map(|name| format!("name:{name:?}"));
            let quoted: Vec<String> = quoted.collect();
            forbidden(format!(
                "error while removing network: network {network} has active endpoints ({})",
                quoted.join(", ")
            ))
        }
        EngineError::ConfigurationInUse { network, .. } => {
            forbidden(format!("configuration network {network:?} is in use"))
        }
        EngineError::Asked(error) => match error {
            AskedError::OnlyInstance { driver } => forbidden(format!(
                "only one instance of {driver:?} network is allowed"
            )),
            AskedError::UnknownDriver { driver } => {
                not_found(format!("plugin {driver:?} not found"))
            }
            AskedError::TwoSubnets { .. } => {
                forbidden("bridge driver doesn't support multiple subnets".to_owned())
            }
        },
        EngineError::InterfaceTaken { name, .. } => forbidden(format!(
            "cannot create network: its bridge conflicts with interface {name}"
        )),
        EngineError::Pool(error) => pool(error),
        EngineError::Option(OptionError::BadValue { key, value, .. }) => {
            bad(format!("failed to parse {key} value: {value}"))
        }
        EngineError::AlreadyConnected {
            container, network, ..
        } => forbidden(format!(
            "endpoint with name {container} already exists in network {network}"
        )),
        EngineError::NotConnected { container, network } => Some((
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("container {container} is not connected to network {network}"),
        )),
        EngineError::Address { source, .. } => match source {
            AllocateError::Taken { .. } => forbidden("Address already in use".to_owned()),
            AllocateError::Exhausted { .. } => {
                forbidden("No available addresses on this pool".to_owned())
            }
            AllocateError::OutsideSubnet { address, .. } => bad(format!(
                "invalid endpoint settings:\nno configured subnet contains IP address {address}"
            )),
        },
        EngineError::AddressNotAllowed {
            address, network, ..
        } => match network.as_str() {
            "bridge" => bad("invalid endpoint settings:\nuser-specified IP address is supported on user-defined networks only".to_owned()),
            _ => bad(format!(
                "invalid endpoint settings:\nno configured subnet contains IP address {address}"
            )),
        },
        _ => None,
    }
}

/// Of a pool that is not to be had.
fn pool(error: &PlanPoolError) -> Option<(StatusCode, String)> {
    let bad = |sentence: String| {
        let sentence = format!("invalid network config:\n{sentence}");
        Some((StatusCode::BAD_REQUEST, sentence))
    };
    match error {
        PlanPoolError::Overlap { .. } => Some((
            StatusCode::FORBIDDEN,
            "invalid pool request: Pool overlaps with other one on this address space".to_owned(),
        )),
        PlanPoolError::Choose(_) => Some((
            StatusCode::BAD_REQUEST,
            "all predefined address pools have been fully subnetted".to_owned(),
        )),
        PlanPoolError::GatewayOutside { gateway, subnet } => bad(format!(
            "invalid gateway {gateway}: parent subnet {subnet} doesn't contain this address"
        )),
        PlanPoolError::RangeOutside { range, subnet } => {
            bad(match range.contains_subnet(*subnet) {
                true => format!(
                    "invalid ip-range {range}: CIDR block is bigger than its parent subnet {subnet}"
                ),
                false => format!(
                    "invalid ip-range {range}: parent subnet {subnet} doesn't contain ip-range"
                ),
            })
        }
        PlanPoolError::NeedsSubnet { option, given } => bad(format!(
            "invalid {} {given}: its subnet is missing",
            option.trim_start_matches('-')
        )),
        PlanPoolError::AuxOutside {
            name,
            address,
            subnet,
        } => bad(format!(
            "invalid auxiliary address {name}: {address} - parent subnet {subnet} doesn't contain this address"
        )),
        _ => None,
    }
}

/// Docker's status for what has no sentence of Docker's.
fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidRequest
        | ErrorCode::InvalidName
        | ErrorCode::AddressNotAllowed
        | ErrorCode::NotConnectable
        | ErrorCode::NamespaceUnusable
        | ErrorCode::PoolsExhausted
        | ErrorCode::Ambiguous => StatusCode::BAD_REQUEST,
        ErrorCode::Builtin
        | ErrorCode::SubnetOverlap
        | ErrorCode::AddressTaken
        | ErrorCode::AddressesExhausted
        | ErrorCode::AlreadyConnected
        | ErrorCode::NetworkInUse => StatusCode::FORBIDDEN,
        ErrorCode::NetworkNotFound
        | ErrorCode::ContainerNotFound
        | ErrorCode::RouteNotFound
        | ErrorCode::NoSuchPath => StatusCode::NOT_FOUND,
        ErrorCode::NameTaken
        | ErrorCode::NetworkDiffers
        | ErrorCode::NotAsRecorded
        | ErrorCode::RouteExists
        | ErrorCode::NotRunning
        | ErrorCode::NamespaceKept
        | ErrorCode::BridgeFull => StatusCode::CONFLICT,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
