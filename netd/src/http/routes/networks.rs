//! Paths of networks.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State as Shared;
use axum::response::NoContent;
use netd_api::{
    Attachment, ConnectRequest, Created, DisconnectRequest, NetworkRequest, NetworkView,
    PairRequest, PruneReport, UpdateRequest,
};
use netd_drivers::EndpointOptions;
use netd_model::{ContainerId, Endpoint, EndpointId, IfName, NetworkId};

use super::containers::{checked, endpoint_options, handle};
use super::{Answer, App, whole};
use crate::engine::{Absent, EngineError, Leave, NewContainer, PlaceError, Which, Wish};
use crate::http::body::{Json, Made, Refusal, Word};
use crate::http::views;
use crate::state::State;

pub(super) async fn list_networks(Shared(app): Shared<App>) -> Answer<Vec<NetworkView>> {
    let views = app.engine.look(|state| {
        state
            .networks()
            .map(|network| views::network(state, network))
            .collect()
    });
    Ok(axum::Json(views.await?))
}

pub(super) async fn create_network(
    Shared(app): Shared<App>,
    Json(request): Json<NetworkRequest>,
) -> Result<Made<Created>, Refusal> {
    let network = whole(async move { app.engine.create_network(request).await }).await?;
    Ok(Made(Created {
        id: network.id,
        warnings: Vec::new(),
    }))
}

pub(super) async fn prune_networks(Shared(app): Shared<App>) -> Answer<PruneReport> {
    Ok(axum::Json(
        whole(async move { app.engine.prune_networks().await }).await?,
    ))
}

pub(super) async fn show_network(
    Shared(app): Shared<App>,
    Word(word): Word,
) -> Answer<NetworkView> {
    let view = app
        .engine
        .look(move |state| match state.find_network(&word) {
            Ok(network) => Ok(views::network(state, network)),
            Err(error) => Err(EngineError::network_lookup(&word, error)),
        });
    Ok(axum::Json(view.await??))
}

pub(super) async fn update_network(
    Shared(app): Shared<App>,
    Word(word): Word,
    Json(request): Json<UpdateRequest>,
) -> Answer<NetworkView> {
    let network = app.engine.find_network(&word).await?;
    let engine = Arc::clone(&app.engine);
    let network = whole(async move { engine.update_network(network.id, request).await }).await?;
    let view = app
        .engine
        .look(move |state| views::network(state, &network));
    Ok(axum::Json(view.await?))
}

pub(super) async fn remove_network(
    Shared(app): Shared<App>,
    Word(word): Word,
) -> Result<NoContent, Refusal> {
    let network = app.engine.find_network(&word).await?;
    // Whoever removed it in between left nothing but the caller's word for it.
    let gone = |error: EngineError| match error {
        EngineError::NetworkNotFound(_) => EngineError::NetworkNotFound(word),
        other => other,
    };
    whole(async move { app.engine.remove_network(network.id).await.map_err(gone) }).await?;
    Ok(NoContent)
}

async fn pair(
    app: &App,
    word: &str,
    request: &PairRequest,
) -> Result<(NetworkId, NetworkId), Refusal> {
    let one = app.engine.find_network(word).await?.id;
    Ok((one, app.engine.find_network(&request.network).await?.id))
}

pub(super) async fn allow(
    Shared(app): Shared<App>,
    Word(word): Word,
    Json(request): Json<PairRequest>,
) -> Result<NoContent, Refusal> {
    let (one, other) = pair(&app, &word, &request).await?;
    whole(async move { app.engine.allow(one, other).await }).await?;
    Ok(NoContent)
}

pub(super) async fn deny(
    Shared(app): Shared<App>,
    Word(word): Word,
    Json(request): Json<PairRequest>,
) -> Result<NoContent, Refusal> {
    let (one, other) = pair(&app, &word, &request).await?;
    whole(async move { app.engine.deny(one, other).await }).await?;
    Ok(NoContent)
}

pub(super) async fn connect(
    Shared(app): Shared<App>,
    Word(word): Word,
    Json(request): Json<ConnectRequest>,
) -> Answer<Attachment> {
    let network = app.engine.find_network(&word).await?;
    let options = named(
        request.interface,
        endpoint_options(&request.driver_options)?,
    )?;
    let wish = Wish {
        ips: request.ips,
        link_local: request.link_local_ips,
        mac: request.mac,
        aliases: request.aliases,
        rates: request.rates,
        ports: checked(request.ports)?,
        options,
        gateway_priority: request.gateway_priority,
        routes: Vec::new(),
        joined_as: None,
        anew: false,
    };
    let engine = Arc::clone(&app.engine);
    let endpoint = match (request.container, request.netns) {
        (Some(word), None) => {
            let container = engine.find_container(&word).await?;
            whole(async move { engine.connect(network.id, container.id, wish).await })
                .await?
                .id
        }
        (None, Some(netns)) => {
            let new = NewContainer {
                name: request.name,
                netns: Some(handle(netns)),
                network: Some(network.id.to_string()),
                wish: wish.clone(),
                auto_remove: true,
                ..NewContainer::default()
            };
            let container = whole(async move { engine.run_container(new).await }).await?;
            let place = app
                .engine
                .look(move |state| place(state, (container.id, network.id), &wish));
            place
                .await?
                .ok_or_else(|| Refusal::invalid("the container ended meanwhile"))?
        }
        _ => return Err(Refusal::invalid("give either container or netns")),
    };
    let view = app
        .engine
        .look(move |state| views::attachment(state, state.endpoint(endpoint)?));
    Ok(axum::Json(view.await?.ok_or_else(|| {
        Refusal::invalid("the container was disconnected meanwhile")
    })?))
}

/// The options of an interface that is to be called so.
fn named(name: Option<IfName>, options: EndpointOptions) -> Result<EndpointOptions, Refusal> {
    match (name, &options.inside) {
        (Some(one), Some(other)) if one != *other => {
            let other = other.clone();
            Err(EngineError::from(PlaceError::TwoNames { one, other }).into())
        }
        (name, _) => Ok(EndpointOptions {
            inside: name.or(options.inside),
            ..options
        }),
    }
}

/// Where a container came by a wish: it may be on the network by several interfaces.
fn place(
    state: &State,
    (container, network): (ContainerId, NetworkId),
    wish: &Wish,
) -> Option<EndpointId> {
    let there = state.endpoints_between(container, network);
    let has = |one: &Endpoint, ip: &IpAddr| one.leases.iter().any(|lease| lease.address == *ip);
    let named = wish.options.inside.as_ref();
    let mut fitting = there.iter().filter(|one| {
        named.is_none_or(|name| one.inside().is_none_or(|own| own == name))
            && wish.ips.iter().all(|ip| has(one, ip))
    });
    fitting.next().map(|one| one.id)
}

pub(super) async fn disconnect(
    Shared(app): Shared<App>,
    Word(word): Word,
    Json(request): Json<DisconnectRequest>,
) -> Result<NoContent, Refusal> {
    let network = app.engine.find_network(&word).await?;
    let absent = if request.force {
        Absent::Accept
    } else {
        Absent::Refuse
    };
    let which = match request.interface {
        Some(interface) => Which::Interface(interface),
        None if request.force => Which::All,
        None => Which::Only,
    };
    let leave = Leave { which, absent };
    let container = match app.engine.find_container(&request.container).await {
        Ok(container) => container,
        Err(EngineError::ContainerNotFound(_)) if request.force => {
            return Ok(NoContent);
        }
        Err(error) => return Err(error.into()),
    };
    whole(async move { app.engine.disconnect(network.id, container.id, leave).await }).await?;
    Ok(NoContent)
}
