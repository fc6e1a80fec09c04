//! Paths of what leads to other hosts: routes, and cards on networks.

use axum::extract::State as Shared;
use axum::response::NoContent;
use netd_api::{RouteRequest, RouteView, UplinkRequest};
use netd_model::{IfName, Subnet};

use super::{Answer, App, whole};
use crate::http::body::{Json, Made, Pair, Refusal, Word};
use crate::http::views;

pub(super) async fn list_routes(Shared(app): Shared<App>) -> Answer<Vec<RouteView>> {
    let views = app.engine.look(|state| {
        let routes = state.peer_routes();
        routes.map(|route| views::route(state, route)).collect()
    });
    Ok(axum::Json(views.await?))
}

pub(super) async fn add_route(
    Shared(app): Shared<App>,
    Json(request): Json<RouteRequest>,
) -> Result<Made<RouteView>, Refusal> {
    let engine = std::sync::Arc::clone(&app.engine);
    let route = whole(async move { engine.add_route(request).await }).await?;
    let view = app.engine.look(move |state| views::route(state, &route));
    Ok(Made(view.await?))
}

pub(super) async fn remove_route(
    Shared(app): Shared<App>,
    Word(subnet): Word,
) -> Result<NoContent, Refusal> {
    let subnet: Subnet =
        subnet
            .parse()
            .map_err(|error: netd_model::subnet::ParseSubnetError| {
                Refusal::invalid(error.to_string())
            })?;
    whole(async move { app.engine.remove_route(subnet).await }).await?;
    Ok(NoContent)
}

pub(super) async fn add_uplink(
    Shared(app): Shared<App>,
    Word(word): Word,
    Json(request): Json<UplinkRequest>,
) -> Result<NoContent, Refusal> {
    let network = app.engine.find_network(&word).await?.id;
    whole(async move { app.engine.add_uplink(network, request).await }).await?;
    Ok(NoContent)
}

pub(super) async fn remove_uplink(
    Shared(app): Shared<App>,
    Pair(word, device): Pair,
) -> Result<NoContent, Refusal> {
    let device = IfName::new(&device).map_err(|error| Refusal::invalid(error.to_string()))?;
    let network = app.engine.find_network(&word).await?.id;
    whole(async move { app.engine.remove_uplink(network, device).await }).await?;
    Ok(NoContent)
}
