//! The description of the interface (OpenAPI 3.1), for whoever writes a client.
//!
//! It is a file, so that a daemon whom nobody asks has neither the means to make it nor its parts in memory; a test makes
//! it of the code ([`generated`]) and holds the file to that.

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

#[cfg(test)]
mod generated;

/// The description, as it is served.
const DOCUMENT: &str = include_str!("../../../openapi.json");

/// GET /openapi.json
pub(super) async fn show() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT)
}
