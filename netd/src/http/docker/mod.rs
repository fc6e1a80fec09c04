//! The part of Docker's Engine interface that is about networks, on the daemon's own socket, so that an unpatched
//! `docker network ...` works. A thin translation: the engine decides, as it does for the native interface.
//!
//! What comes with a version in front (`/v1.41/networks`) is checked for it and answered as that version has it. Reading
//! order: [`service`], [`version`], [`problem`] and [`sentences`] (every refusal, with Docker's status and sentence), [`given`] (bodies,
//! queries and words of a path), [`filters`], [`wire`] (the forms), [`system`], [`networks`], [`create`], [`connect`],
//! [`containers`] with [`views`], [`events`] with [`moment`].

mod connect;
mod containers;
mod create;
mod events;
mod filters;
mod given;
mod moment;
mod networks;
mod problem;
mod sentences;
mod system;
mod version;
mod views;
mod wire;

use std::convert::Infallible;
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::uri::{PathAndQuery, Uri};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use netd_api::{ErrorCode, PREFIX};
use netd_model::{Container, Network};
use tower::{Service, ServiceExt, service_fn};

use self::problem::Problem;
use self::version::ApiVersion;
use super::body::Refusal;
use super::routes::{App, Panicked, to_the_end};
use crate::engine::EngineError;

/// Everything below `/`, whatever version a client puts in front.
pub(super) fn service(
    app: App,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone {
    let paths = paths(app);
    service_fn(move |request: Request| {
        let paths = paths.clone();
        async move { Ok(answer(paths, request).await) }
    })
}

fn paths(app: App) -> Router {
    Router::new()
        .route("/_ping", get(system::ping))
        .route("/version", get(system::version))
        .route("/info", get(system::info))
        .route("/events", get(events::events))
        .route("/containers/json", get(containers::list))
        .route("/containers/{container}/json", get(containers::show))
        .route("/networks", get(networks::list))
        .route("/networks/", get(networks::list))
        .route("/networks/create", post(create::create))
        .route("/networks/prune", post(networks::prune))
        .route(
            "/networks/{network}",
            get(networks::show).delete(networks::remove),
        )
        .route("/networks/{network}/connect", post(connect::connect))
        .route("/networks/{network}/disconnect", post(connect::disconnect))
        .fallback(nothing_there)
        .method_not_allowed_fallback(nothing_there)
        .with_state(app)
}

async fn answer(paths: Router, mut request: Request) -> Response {
    let version = match versioned(request.uri()) {
        Some((version, rest)) => {
            *request.uri_mut() = rest;
            version
        }
        None => ApiVersion::NEWEST,
    };
    if let Err(problem) = version.check() {
        return dressed(problem::as_of(version, problem.into_response()));
    }
    request.extensions_mut().insert(version);
    let answer = match paths.oneshot(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    dressed(problem::as_of(version, answer))
}

/// The version that a path begins with, and the address without it.
fn versioned(uri: &Uri) -> Option<(ApiVersion, Uri)> {
    let rest = uri.path().strip_prefix("/v")?;
    let (version, path) = rest.split_at(rest.find('/')?);
    let version = ApiVersion::parse(version)?;
    let query = uri.query().map(|query| format!("?{query}"));
    let text = format!("{path}{}", query.unwrap_or_default());
    let path = PathAndQuery::from_str(&text).ok()?;
    Some((version, Uri::from(path)))
}

/// What every answer says of who answers.
fn dressed(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    let server = concat!("netd/", env!("CARGO_PKG_VERSION"), " (linux)");
    for (name, value) in [
        ("api-version", ApiVersion::NEWEST_TEXT),
        ("docker-experimental", "false"),
        ("ostype", "linux"),
        ("server", server),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

async fn nothing_there(method: Method, uri: Uri) -> Response {
    let path = uri.path();
    if !path.starts_with("/netd/") {
        return Problem::nothing_at(&method, path).into_response();
    }
    // Who asks there is a client of netd's own, of another version, and reads its errors.
    let message = format!("nothing is at {path}; the interface begins at {PREFIX}");
    Refusal::new(StatusCode::NOT_FOUND, ErrorCode::NoSuchPath, message).into_response()
}

/// The network that a client means.
async fn network_of(app: &App, word: &str) -> Result<Arc<Network>, Problem> {
    let found = app.engine.find_network(word).await;
    found.map_err(sentences::network_lookup)
}

/// The container that a client means.
async fn container_of(app: &App, word: &str) -> Result<Arc<Container>, Problem> {
    if word.is_empty() {
        return Err(Problem::bad("invalid name or ID supplied: \"\""));
    }
    let found = app.engine.find_container(word).await;
    found.map_err(sentences::container_lookup)
}

/// Runs a flow to its end, whatever becomes of the client.
async fn whole<T: Send + 'static>(
    flow: impl Future<Output = Result<T, EngineError>> + Send + 'static,
) -> Result<Result<T, EngineError>, Problem> {
    to_the_end(flow)
        .await
        .map_err(|Panicked| Problem::internal(Panicked::SENTENCE))
}
