//! Refusals on their way out: a status, a sentence, and their form in each version. Which they are of an error of the
//! engine is said in [`sentences`](super::sentences).

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use netd_api::PREFIX;
use serde::Serialize;

use super::version::ApiVersion;

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

    /// The same behind a sentence of Docker's.
    pub(super) fn after(self, sentence: &str) -> Self {
        Self::new(self.status, format!("{sentence}: {}", self.message))
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
