//! JSON bodies in, errors out: every refusal has the same form, whatever refused.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use netd_api::{ErrorBody, ErrorCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::engine::EngineError;

/// Largest body that is read, in bytes. The largest sensible one, 65,535 published ports, has about 6 MB.
const BODY_BYTES: usize = 8 << 20;
/// How long a client may take to send a body.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// A refusal on its way out.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    body: ErrorBody,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            status,
            body: ErrorBody {
                code,
                message: message.into(),
            },
        }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, axum::Json(self.body)).into_response()
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        let code = error.code();
        let status = status(code);
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = %error.sentence(), "a request failed");
        }
        Self::new(status, code, error.sentence())
    }
}

fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidRequest
        | ErrorCode::InvalidName
        | ErrorCode::AddressNotAllowed
        | ErrorCode::NotConnectable
        | ErrorCode::NamespaceUnusable => StatusCode::BAD_REQUEST,
        ErrorCode::Builtin => StatusCode::FORBIDDEN,
        ErrorCode::NetworkNotFound
        | ErrorCode::ContainerNotFound
        | ErrorCode::RouteNotFound
        | ErrorCode::NoSuchPath => StatusCode::NOT_FOUND,
        ErrorCode::Ambiguous
        | ErrorCode::NameTaken
        | ErrorCode::SubnetOverlap
        | ErrorCode::PoolsExhausted
        | ErrorCode::AddressesExhausted
        | ErrorCode::AddressTaken
        | ErrorCode::PortTaken
        | ErrorCode::NetworkInUse
        | ErrorCode::NetworkDiffers
        | ErrorCode::NotAsRecorded
        | ErrorCode::RouteExists
        | ErrorCode::AlreadyConnected
        | ErrorCode::NotConnected
        | ErrorCode::NotRunning
        | ErrorCode::NamespaceKept
        | ErrorCode::BridgeFull => StatusCode::CONFLICT,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The name or id in a request's path.
pub(super) struct Word(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Word {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path(word) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Refusal::invalid(rejection.body_text()))?;
        Ok(Self(word))
    }
}

/// Two names or ids in a request's path.
pub(super) struct Pair(pub(super) String, pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Pair {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path((one, other)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Refusal::invalid(rejection.body_text()))?;
        Ok(Self(one, other))
    }
}

/// What was made (201).
pub(super) struct Made<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Made<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, axum::Json(self.0)).into_response()
    }
}

/// A request's body, read within bounds and parsed as JSON, whatever content type it claims.
pub(super) struct Json<T>(pub(super) T);

/// Why a body was not read.
#[derive(Debug)]
pub(super) enum Unread {
    /// It has more than [`BODY_BYTES`].
    TooLarge,
    /// It took longer than [`BODY_PATIENCE`].
    TooSlow,
    /// It broke off, or its encoding is wrong.
    Broken(String),
}

impl Unread {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl std::fmt::Display for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge => write!(f, "the body has more than {BODY_BYTES} bytes"),
            Self::TooSlow => {
                let seconds = BODY_PATIENCE.as_secs();
                write!(f, "the body did not arrive within {seconds} s")
            }
            Self::Broken(reason) => write!(f, "the body did not arrive whole: {reason}"),
        }
    }
}

impl From<Unread> for Refusal {
    fn from(unread: Unread) -> Self {
        let code = match unread {
            Unread::TooLarge => ErrorCode::TooLarge,
            Unread::TooSlow | Unread::Broken(_) => ErrorCode::InvalidRequest,
        };
        Self::new(unread.status(), code, unread.to_string())
    }
}

/// Reads a body within bounds of size and time.
pub(super) async fn read(body: Body) -> Result<Bytes, Unread> {
    let body = Limited::new(body, BODY_BYTES).collect();
    match tokio::time::timeout(BODY_PATIENCE, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Unread::TooLarge),
        Ok(Err(error)) => Err(Unread::Broken(error.to_string())),
        Err(_) => Err(Unread::TooSlow),
    }
}

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, Refusal> {
        let bytes = read(request.into_body()).await?;
        parse(&bytes).map(Self).map_err(Refusal::invalid)
    }
}

/// A body as a JSON object, or what is wrong with it.
pub(super) fn parse<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, String> {
    // An array would pass, too: serde takes it for the fields in their order.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err("the body is not what is expected: give a JSON object".to_owned());
    }
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut parser).map_err(|error| {
        let path = error.path().to_string();
        // Where it breaks off in the midst of something, the path is a question mark.
        let place = match path.as_str() {
            "." | "?" => String::new(),
            known => format!(" at {known}"),
        };
        format!("the body is not what is expected{place}: {}", error.inner())
    })?;
    parser
        .end()
        .map_err(|error| format!("the body does not end with its JSON: {error}"))?;
    Ok(value)
}
