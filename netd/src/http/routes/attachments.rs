//! Paths of attachments: what runtimes ask for that have keys of their own.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::response::NoContent;
use netd_api::{AttachRequest, Attached, RetainReport, RetainRequest, RuntimeKey};

use super::containers::{checked, handle};
use super::{Answer, App, whole};
use crate::config::resolver;
use crate::engine::{Joined, NewContainer, Wish};
use crate::http::body::{Json, Refusal};
use crate::http::views;

pub(super) async fn attach(
    Shared(app): Shared<App>,
    Json(request): Json<AttachRequest>,
) -> Answer<Attached> {
    let identity = request.container;
    resolver::check(&identity.dns).map_err(Refusal::invalid)?;
    let new = NewContainer {
        id: identity.id,
        name: identity.name,
        hostname: identity.hostname,
        netns: Some(handle(request.netns)),
        wish: Wish {
            ips: request.ips,
            mac: request.mac,
            aliases: request.aliases,
            rates: request.rates,
            ports: checked(request.ports)?,
            routes: request.routes,
            ..Wish::default()
        },
        dns: identity.dns,
        // The runtime brings nothing back by name: a new container is a new one.
        auto_remove: true,
        labels: identity.labels,
        ..NewContainer::default()
    };
    let (engine, key, network) = (Arc::clone(&app.engine), request.key, request.network);
    let joined = whole(async move { engine.attach_for_runtime(key, network, new).await }).await?;
    shown(&app, joined).await
}

pub(super) async fn check(
    Shared(app): Shared<App>,
    Json(key): Json<RuntimeKey>,
) -> Answer<Attached> {
    let engine = Arc::clone(&app.engine);
    let joined = whole(async move { engine.check_for_runtime(key).await }).await?;
    shown(&app, joined).await
}

pub(super) async fn release(
    Shared(app): Shared<App>,
    Json(key): Json<RuntimeKey>,
) -> Result<NoContent, Refusal> {
    whole(async move { app.engine.release_for_runtime(key).await }).await?;
    Ok(NoContent)
}

pub(super) async fn retain(
    Shared(app): Shared<App>,
    Json(request): Json<RetainRequest>,
) -> Answer<RetainReport> {
    let RetainRequest { network, keep } = request;
    let report = whole(async move { app.engine.retain_for_runtime(network, keep).await });
    Ok(axum::Json(report.await?))
}

async fn shown(app: &App, joined: Joined) -> Answer<Attached> {
    let id = joined.endpoint;
    let engine = Arc::clone(&app.engine);
    let view = app.engine.look(move |state| {
        let endpoint = state.endpoint(id)?;
        let files = engine.files_of(state.container(endpoint.container)?);
        Some((views::attachment(state, endpoint)?, files))
    });
    let (attachment, files) = view
        .await?
        .ok_or_else(|| Refusal::invalid("the container was disconnected meanwhile"))?;
    Ok(axum::Json(Attached {
        attachment,
        nameservers: joined.nameservers,
        mtu_bytes: joined.mtu_bytes,
        default_gateways: joined.default_gateways,
        files,
    }))
}
