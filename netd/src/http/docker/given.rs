//! What a request gives: its body, its query, the word in its path; each refused in Docker's form.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use super::version::ApiVersion;
use crate::http::body::read;

/// The name or id in a request's path.
pub(super) struct Word(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Word {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(word) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Problem::bad(rejection.body_text()))?;
        Ok(Self(word))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ApiVersion {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let version = parts.extensions.get::<Self>();
        Ok(version.copied().unwrap_or(Self::NEWEST))
    }
}

/// The parameters behind the question mark. Of one that is given twice the last counts.
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// What a parameter says; nothing if it is empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    /// Whether a parameter is set, as Docker reads most of its own: all but a few words means yes.
    pub(super) fn is_set(&self, name: &str) -> bool {
        let value = self.get(name).map(|value| value.trim().to_lowercase());
        value.is_some_and(|value| !matches!(&*value, "0" | "no" | "false" | "none"))
    }

    /// A parameter that is nothing but a truth value.
    pub(super) fn truth(&self, name: &str) -> Result<bool, Problem> {
        match self.get(name) {
            None | Some("0" | "f" | "F" | "false" | "False" | "FALSE") => Ok(false),
            Some("1" | "t" | "T" | "true" | "True" | "TRUE") => Ok(true),
            Some(other) => Err(Problem::bad(format!(
                "invalid value for {name}: {other:?} is neither true nor false"
            ))),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Query::try_from_uri(&parts.uri)
            .map_err(|rejection| Problem::bad(rejection.body_text()))?;
        Ok(Self(query.0))
    }
}

/// A request's body. Fields that are not known are passed over, as in Docker: clients are newer than daemons.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, Problem> {
        check_content_type(request.headers())?;
        let bytes = read(request.into_body())
            .await
            .map_err(|unread| Problem::new(unread.status(), unread.to_string()))?;
        if bytes.is_empty() {
            return Err(invalid_json("the request has no body"));
        }
        // An array would pass, too: serde takes it for the fields in their order.
        if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            return Err(invalid_json("expected an object"));
        }
        let mut parser = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut parser).map_err(|error| {
            let path = error.path().to_string();
            match path.as_str() {
                "." | "?" => invalid_json(error.inner()),
                known => invalid_json(format!("{known}: {}", error.inner())),
            }
        })?;
        match parser.end() {
            Ok(()) => Ok(Self(value)),
            Err(_) => Err(Problem::bad("unexpected content after JSON")),
        }
    }
}

fn invalid_json(reason: impl std::fmt::Display) -> Problem {
    Problem::bad(format!("invalid JSON: {reason}"))
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(CONTENT_TYPE).map(|value| value.to_str());
    let given = given.and_then(Result::ok).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Problem::bad(format!(
        "unsupported Content-Type header ({given}): must be 'application/json'"
    )))
}
