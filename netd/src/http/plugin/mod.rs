//! The plugin protocol of Docker's engine: a POST for each method, with JSON both ways, on a socket of its own. The engine
//! (dockerd) calls it to have networks and addresses of netd (`docker network create -d netd --ipam-driver netd`).
//!
//! A thin translation, as [`docker`](super::docker) is the other way round. The protocol is described in libnetwork's
//! documents remote.md and ipam.md. Reading order: [`router`], [`wire`] (the forms), [`refused`] (errors out), [`ipam`],
//! [`network`] with [`request`] and [`ports`], [`inquiry`] and [`news`] (names of containers, which the protocol does not tell).

mod inquiry;
mod ipam;
mod network;
mod news;
mod ports;
mod refused;
mod request;
mod wire;

use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderValue, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};

pub(in crate::http) use self::news::{Bell, follow};
use self::refused::Refused;
use self::wire::Manifest;
use crate::engine::Engine;

/// Form of what is answered, as the first version of the protocol has it, and the second, which differs by name only.
const VERSION_1_1: &str = "application/vnd.docker.plugins.v1.1+json";
const VERSION_1_2: &str = "application/vnd.docker.plugins.v1.2+json";

/// All methods. An engine that uses them is told of by the bell.
pub(super) fn router(engine: Arc<Engine>, bell: Bell) -> Router {
    Router::new()
        .route("/Plugin.Activate", post(activate))
        .merge(ipam::methods())
        .merge(network::methods())
        .fallback(no_such_method)
        .method_not_allowed_fallback(only_post)
        .layer(middleware::from_fn(dressed))
        .layer(Extension(bell))
        .with_state(engine)
}

async fn activate(Extension(bell): Extension<Bell>) -> axum::Json<Manifest> {
    bell.ring();
    axum::Json(Manifest {
        implements: &["NetworkDriver", "IpamDriver"],
    })
}

/// The engine takes this answer for a method that the plugin does not have yet.
async fn no_such_method(uri: Uri) -> Refused {
    Refused::not_found(format!("netd has no method {}", uri.path()))
}

async fn only_post(uri: Uri) -> Refused {
    Refused::malformed(format!("{} is called with POST", uri.path()))
}

/// Gives the answer the version that was asked for.
async fn dressed(request: Request, next: Next) -> Response {
    let accepted = request.headers().get(ACCEPT).cloned();
    let accepts = |version: &str| {
        let accepted = accepted.as_ref().and_then(|value| value.to_str().ok());
        accepted.is_some_and(|accepted| accepted.contains(version))
    };
    let version = match accepts(VERSION_1_2) {
        true => VERSION_1_2,
        false => VERSION_1_1,
    };
    let mut answer = next.run(request).await.into_response();
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(version));
    answer
}
