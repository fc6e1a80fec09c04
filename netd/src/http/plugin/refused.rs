//! Refusals on their way to Docker's engine: `{"Err": "..."}`, which it shows to its user.
//!
//! As the protocol has it, a status of its own says that a request was not understood; one that was understood and cannot be
//! granted is answered with 200 (remote.md, "Errors").

use std::future::Future;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use netd_api::ErrorCode;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::engine::EngineError;
use crate::http::body::{parse, read};
use crate::http::routes::{Panicked, to_the_end};

/// A refusal.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    message: String,
}

/// Its form.
#[derive(Serialize)]
struct Wire<'a> {
    #[serde(rename = "Err")]
    message: &'a str,
}

impl Refused {
    /// What was understood and cannot be granted.
    pub(super) fn because(message: impl Into<String>) -> Self {
        Self::new(StatusCode::OK, message)
    }

    /// What was not understood.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// A method that there is not.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let wire = Wire {
            message: &self.message,
        };
        (self.status, axum::Json(wire)).into_response()
    }
}

impl From<EngineError> for Refused {
    fn from(error: EngineError) -> Self {
        let sentence = error.sentence();
        if error.code() == ErrorCode::Internal {
            tracing::error!(error = %sentence, "a request of Docker's engine failed");
        }
        Self::because(sentence)
    }
}

/// Runs a flow to its end, whatever becomes of the engine.
pub(super) async fn whole<T: Send + 'static>(
    flow: impl Future<Output = Result<T, EngineError>> + Send + 'static,
) -> Result<T, Refused> {
    match to_the_end(flow).await {
        Ok(result) => Ok(result?),
        Err(Panicked) => Err(Refused::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            Panicked::SENTENCE,
        )),
    }
}

/// A request's body. Fields that a later version of the engine adds are passed over.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Asked<T> {
    type Rejection = Refused;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, Refused> {
        let bytes = read(request.into_body()).await;
        let bytes = bytes.map_err(|unread| Refused::new(unread.status(), unread.to_string()))?;
        parse(&bytes).map(Self).map_err(Refused::malformed)
    }
}
