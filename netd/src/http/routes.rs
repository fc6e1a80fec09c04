//! The paths: [`native`] has all of netd's own, [`description`] tells of them, and what is not below their prefix is
//! Docker's ([`docker`]). A request, once understood, is carried out to its end even if its client hangs up: flows run in
//! tasks of their own.

mod attachments;
mod containers;
mod description;
mod native;
mod networks;
mod peers;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use futures::StreamExt;
use netd_api::{ErrorCode, PREFIX, Status, Version};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tracing::Instrument;

use super::body::Refusal;
use super::{Endless, docker};
use crate::engine::{Engine, EngineError};

type Answer<T> = Result<axum::Json<T>, Refusal>;

/// What the paths share.
#[derive(Clone)]
pub(super) struct App {
    pub(super) engine: Arc<Engine>,
    pub(super) end: watch::Receiver<bool>,
}

pub(super) fn router(engine: Arc<Engine>, end: watch::Receiver<bool>) -> Router {
    let native = native::served()
        .route("/openapi.json", get(description::show))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method);
    let app = App { engine, end };
    Router::new()
        .nest(PREFIX, native)
        .fallback_service(docker::service(app.clone()))
        .with_state(app)
}

async fn no_such_path(uri: axum::http::Uri) -> Refusal {
    let path = below_prefix(&uri);
    let message = format!("nothing is at {PREFIX}{path}; the interface begins at {PREFIX}");
    Refusal::new(StatusCode::NOT_FOUND, ErrorCode::NoSuchPath, message)
}

/// A path as it is called within the native interface, whether or not the router has taken the prefix off.
fn below_prefix(uri: &axum::http::Uri) -> &str {
    let path = uri.path();
    path.strip_prefix(PREFIX).unwrap_or(path)
}

async fn no_such_method(method: axum::http::Method, uri: axum::http::Uri) -> Refusal {
    let path = below_prefix(&uri);
    let message = format!("{PREFIX}{path} cannot be used with {method}");
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::InvalidRequest,
        message,
    )
}

/// A flow ended in a panic, which is a bug of the daemon.
#[derive(Debug)]
pub(super) struct Panicked;

impl Panicked {
    /// What whoever asked is told.
    pub(super) const SENTENCE: &'static str = "the daemon made a mistake; its log says more";
}

/// Runs a flow to its end, whatever becomes of the client.
pub(super) async fn to_the_end<T: Send + 'static>(
    flow: impl Future<Output = T> + Send + 'static,
) -> Result<T, Panicked> {
    tokio::spawn(flow.in_current_span())
        .await
        .map_err(|failure| {
            tracing::error!(%failure, "a flow panicked");
            Panicked
        })
}

async fn whole<T: Send + 'static>(
    flow: impl Future<Output = Result<T, EngineError>> + Send + 'static,
) -> Result<T, Refusal> {
    match to_the_end(flow).await {
        Ok(result) => Ok(result?),
        Err(Panicked) => Err(Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            ErrorCode::Internal,
            Panicked::SENTENCE,
        )),
    }
}

async fn version() -> axum::Json<Version> {
    axum::Json(Version {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api: 1,
    })
}

async fn status(Shared(app): Shared<App>) -> Answer<Status> {
    Ok(axum::Json(app.engine.status().await?))
}

/// Newline-separated JSON for as long as the client and the daemon stay.
async fn events(Shared(app): Shared<App>) -> EventStream {
    let mut end = app.end.clone();
    let lines = futures::stream::unfold(app.engine.listen(), |mut listener| async {
        loop {
            match listener.recv().await {
                Ok(event) => {
                    let mut line = serde_json::to_string(&event).unwrap_or_default();
                    line.push('\n');
                    return Some((Ok::<_, Infallible>(line), listener));
                }
                // The listener was too slow; it goes on with what there is.
                Err(RecvError::Lagged(missed)) => {
                    tracing::debug!(missed, "a listener missed events");
                }
                Err(RecvError::Closed) => return None,
            }
        }
    });
    let until_end = lines.take_until(async move {
        let _ = end.changed().await;
    });
    EventStream(Body::from_stream(until_end))
}

/// Events as they happen, a line each.
struct EventStream(Body);

/// Their content type.
const LINES_OF_JSON: &str = "application/x-ndjson";

impl IntoResponse for EventStream {
    fn into_response(self) -> Response {
        let parts = (Extension(Endless), [(CONTENT_TYPE, LINES_OF_JSON)]);
        (parts, self.0).into_response()
    }
}
