//! Paths of containers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Shared;
use axum::response::NoContent;
use netd_api::{
    ContainerRequest, ContainerView, ExitReport, ForgetReport, PortsRequest, StopRequest,
};
use netd_kernel::NetnsHandle;
use netd_model::{Container, ContainerId, PublishRequest};

use super::{Answer, App, whole};
use crate::config::resolver;
use crate::engine::{Ending, EngineError, NewContainer, Wish};
use crate::http::body::{Json, Made, Refusal, Word};
use crate::http::views;

pub(super) async fn list_containers(Shared(app): Shared<App>) -> Answer<Vec<ContainerView>> {
    let engine = Arc::clone(&app.engine);
    let views = app.engine.look(move |state| {
        let view = |container: &Arc<Container>| {
            views::container(state, container, engine.files_of(container))
        };
        state.containers().map(view).collect()
    });
    Ok(axum::Json(views.await?))
}

pub(super) async fn run_container(
    Shared(app): Shared<App>,
    Json(request): Json<ContainerRequest>,
) -> Result<Made<ContainerView>, Refusal> {
    let new = new_container(request)?;
    let engine = Arc::clone(&app.engine);
    let container = whole(async move { engine.run_container(new).await }).await?;
    let axum::Json(view) = view_of(&app, container.id).await?;
    Ok(Made(view))
}

pub(super) fn new_container(request: ContainerRequest) -> Result<NewContainer, Refusal> {
    resolver::check(&request.dns).map_err(Refusal::invalid)?;
    let mut ports = checked(request.ports)?;
    if request.publish_all {
        // -P leaves alone what -p names already.
        let named = |exposed: &netd_api::container::ExposedPort| {
            ports
                .iter()
                .any(|p| p.protocol == exposed.protocol && p.container_ports == exposed.ports)
        };
        let further: Vec<PublishRequest> = request
            .expose
            .iter()
            .filter(|exposed| !named(exposed))
            .map(|exposed| PublishRequest {
                protocol: exposed.protocol,
                host_ip: None,
                host_ports: None,
                container_ports: exposed.ports,
                from: Vec::new(),
            })
            .collect();
        ports.extend(further);
    }
    let nameless = request.name.is_none();
    Ok(NewContainer {
        id: request.id,
        name: request.name,
        hostname: request.hostname,
        netns: request.netns.map(handle),
        network: request.network,
        supervisor_pid: request.supervisor_pid,
        command: request.command,
        wish: Wish {
            ips: request.ips,
            link_local: request.link_local_ips,
            mac: request.mac,
            aliases: request.aliases,
            rates: request.rates,
            ports,
            options: endpoint_options(&request.driver_options)?,
            gateway_priority: 0,
            routes: Vec::new(),
            joined_as: None,
            anew: false,
        },
        links: request.links,
        dns: request.dns,
        // Whoever gave it no name cannot bring it back by one.
        auto_remove: request.auto_remove || nameless,
        labels: request.labels,
        runtime_id: None,
    })
}

/// Options of an endpoint, read from Docker's keys.
pub(super) fn endpoint_options(
    given: &BTreeMap<String, String>,
) -> Result<netd_drivers::EndpointOptions, Refusal> {
    netd_drivers::parse_endpoint_options(given).map_err(|error| EngineError::from(error).into())
}

pub(super) fn handle(netns: netd_api::Netns) -> NetnsHandle {
    match netns.fd {
        Some(fd) => NetnsHandle::Descriptor { pid: netns.pid, fd },
        None => NetnsHandle::Process { pid: netns.pid },
    }
}

pub(super) fn checked(requests: Vec<PublishRequest>) -> Result<Vec<PublishRequest>, Refusal> {
    requests
        .into_iter()
        .map(|request| {
            request
                .check()
                .map_err(|error| EngineError::from(error).into())
        })
        .collect()
}

pub(super) async fn view_of(app: &App, id: ContainerId) -> Answer<ContainerView> {
    let engine = Arc::clone(&app.engine);
    let view = app.engine.look(move |state| {
        let container = state.container(id)?;
        Some(views::container(
            state,
            container,
            engine.files_of(container),
        ))
    });
    let view = view
        .await?
        .ok_or_else(|| EngineError::ContainerNotFound(id.short()))?;
    Ok(axum::Json(view))
}

pub(super) async fn show_container(
    Shared(app): Shared<App>,
    Word(word): Word,
) -> Answer<ContainerView> {
    let container = app.engine.find_container(&word).await?;
    view_of(&app, container.id).await
}

pub(super) async fn forget_container(
    Shared(app): Shared<App>,
    Word(word): Word,
) -> Result<NoContent, Refusal> {
    let container = app.engine.find_container(&word).await?;
    whole(async move {
        app.engine
            .end_container(container.id, Ending::Forgotten)
            .await
    })
    .await?;
    Ok(NoContent)
}

pub(super) async fn prune_containers(Shared(app): Shared<App>) -> Answer<ForgetReport> {
    Ok(axum::Json(
        whole(async move { app.engine.prune_containers().await }).await?,
    ))
}

pub(super) async fn stop_container(
    Shared(app): Shared<App>,
    Word(word): Word,
    Json(request): Json<StopRequest>,
) -> Result<NoContent, Refusal> {
    let container = app.engine.find_container(&word).await?;
    let patience = Duration::from_secs(u64::from(request.timeout_seconds));
    whole(async move { app.engine.stop_container(container.id, patience).await }).await?;
    Ok(NoContent)
}

pub(super) async fn exit_container(
    Shared(app): Shared<App>,
    Word(word): Word,
    Json(report): Json<ExitReport>,
) -> Result<NoContent, Refusal> {
    let container = app.engine.find_container(&word).await?;
    whole(async move {
        app.engine
            .end_container(container.id, Ending::Exited(report.code))
            .await
    })
    .await?;
    Ok(NoContent)
}

pub(super) async fn publish(
    Shared(app): Shared<App>,
    Word(word): Word,
    Json(request): Json<PortsRequest>,
) -> Answer<ContainerView> {
    let id = app.engine.find_container(&word).await?.id;
    let (engine, ports) = (Arc::clone(&app.engine), checked(request.ports)?);
    whole(async move { engine.publish(id, ports).await }).await?;
    view_of(&app, id).await
}

pub(super) async fn unpublish(
    Shared(app): Shared<App>,
    Word(word): Word,
    Json(request): Json<PortsRequest>,
) -> Answer<ContainerView> {
    let id = app.engine.find_container(&word).await?.id;
    let (engine, ports) = (Arc::clone(&app.engine), checked(request.ports)?);
    whole(async move { engine.unpublish(id, ports).await }).await?;
    view_of(&app, id).await
}
