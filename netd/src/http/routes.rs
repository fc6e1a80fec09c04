//! The paths of the native interface. A request, once understood, is carried out to its end even if its client hangs
//! up: flows run in tasks of their own.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::StreamExt;
use netd_api::{
    Attachment, ConnectRequest, ContainerRequest, ContainerView, Created, DisconnectRequest,
    ErrorCode, ExitReport, ForgetReport, NetworkRequest, NetworkView, PREFIX, PairRequest,
    PortsRequest, PruneReport, Status, StopRequest, Version,
};
use netd_kernel::NetnsHandle;
use netd_model::{Container, ContainerId, PublishRequest};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use super::body::{Json, Refusal, Word};
use super::views;
use crate::config::resolver;
use crate::engine::{Absent, Ending, Engine, EngineError, NewContainer, Wish};

type Answer<T> = Result<axum::Json<T>, Refusal>;

#[derive(Clone)]
struct App {
    engine: Arc<Engine>,
    end: watch::Receiver<bool>,
}

pub(super) fn router(engine: Arc<Engine>, end: watch::Receiver<bool>) -> Router {
    let native = Router::new()
        .route("/version", get(version))
        .route("/status", get(status))
        .route("/events", get(events))
        .route("/networks", get(list_networks).post(create_network))
        .route("/networks/prune", post(prune_networks))
        .route(
            "/networks/{network}",
            get(show_network).delete(remove_network),
        )
        .route("/networks/{network}/connect", post(connect))
        .route("/networks/{network}/disconnect", post(disconnect))
        .route("/networks/{network}/allow", post(allow))
        .route("/networks/{network}/deny", post(deny))
        .route("/containers", get(list_containers).post(run_container))
        .route("/containers/prune", post(prune_containers))
        .route(
            "/containers/{container}",
            get(show_container).delete(forget_container),
        )
        .route("/containers/{container}/stop", post(stop_container))
        .route("/containers/{container}/exit", post(exit_container))
        .route("/containers/{container}/publish", post(publish))
        .route("/containers/{container}/unpublish", post(unpublish));
    Router::new()
        .nest(PREFIX, native)
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(App { engine, end })
}

async fn no_such_path(uri: axum::http::Uri) -> Refusal {
    let message = format!(
        "nothing is at {}; the interface begins at {PREFIX}",
        uri.path()
    );
    Refusal::new(StatusCode::NOT_FOUND, ErrorCode::NoSuchPath, message)
}

async fn no_such_method(method: axum::http::Method, uri: axum::http::Uri) -> Refusal {
    let message = format!("{} cannot be used with {method}", uri.path());
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::InvalidRequest,
        message,
    )
}

/// Runs a flow to its end, whatever becomes of the client.
async fn whole<T: Send + 'static>(
    flow: impl Future<Output = Result<T, EngineError>> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::spawn(flow).await {
        Ok(result) => Ok(result?),
        Err(failure) => {
            tracing::error!(%failure, "a flow panicked");
            let message = "the daemon made a mistake; its log says more".to_owned();
            Err(Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                ErrorCode::Internal,
                message,
            ))
        }
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
async fn events(Shared(app): Shared<App>) -> Response {
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
    (
        [(CONTENT_TYPE, "application/x-ndjson")],
        Body::from_stream(until_end),
    )
        .into_response()
}

async fn list_networks(Shared(app): Shared<App>) -> Answer<Vec<NetworkView>> {
    let views = app.engine.look(|state| {
        state
            .networks()
            .map(|network| views::network(state, network))
            .collect()
    });
    Ok(axum::Json(views.await?))
}

async fn create_network(
    Shared(app): Shared<App>,
    Json(request): Json<NetworkRequest>,
) -> Result<(StatusCode, axum::Json<Created>), Refusal> {
    let network = whole(async move { app.engine.create_network(request).await }).await?;
    Ok((
        StatusCode::CREATED,
        axum::Json(Created {
            id: network.id,
            warnings: Vec::new(),
        }),
    ))
}

async fn prune_networks(Shared(app): Shared<App>) -> Answer<PruneReport> {
    Ok(axum::Json(
        whole(async move { app.engine.prune_networks().await }).await?,
    ))
}

async fn show_network(Shared(app): Shared<App>, Word(word): Word) -> Answer<NetworkView> {
    let view = app
        .engine
        .look(move |state| match state.find_network(&word) {
            Ok(network) => Ok(views::network(state, network)),
            Err(error) => Err(EngineError::network_lookup(&word, error)),
        });
    Ok(axum::Json(view.await??))
}

async fn remove_network(Shared(app): Shared<App>, Word(word): Word) -> Result<StatusCode, Refusal> {
    let network = app.engine.find_network(&word).await?;
    whole(async move { app.engine.remove_network(network.id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn allow(
    Shared(app): Shared<App>,
    Word(word): Word,
    Json(request): Json<PairRequest>,
) -> Result<StatusCode, Refusal> {
    let one = app.engine.find_network(&word).await?.id;
    let other = app.engine.find_network(&request.network).await?.id;
    whole(async move { app.engine.allow(one, other).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn deny(
    Shared(app): Shared<App>,
    Word(word): Word,
    Json(request): Json<PairRequest>,
) -> Result<StatusCode, Refusal> {
    let one = app.engine.find_network(&word).await?.id;
    let other = app.engine.find_network(&request.network).await?.id;
    whole(async move { app.engine.deny(one, other).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn connect(
    Shared(app): Shared<App>,
    Word(word): Word,
    Json(request): Json<ConnectRequest>,
) -> Answer<Attachment> {
    let network = app.engine.find_network(&word).await?;
    let wish = Wish {
        ips: request.ips,
        mac: request.mac,
        aliases: request.aliases,
        ports: publishable(request.ports)?,
        gateway_priority: request.gateway_priority,
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
                wish,
                auto_remove: true,
                ..NewContainer::default()
            };
            let container = whole(async move { engine.run_container(new).await }).await?;
            let between = app.engine.look(move |state| {
                state
                    .endpoint_between(container.id, network.id)
                    .map(|endpoint| endpoint.id)
            });
            between
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

async fn disconnect(
    Shared(app): Shared<App>,
    Word(word): Word,
    Json(request): Json<DisconnectRequest>,
) -> Result<StatusCode, Refusal> {
    let network = app.engine.find_network(&word).await?;
    let absent = if request.force {
        Absent::Accept
    } else {
        Absent::Refuse
    };
    let container = match app.engine.find_container(&request.container).await {
        Ok(container) => container,
        Err(EngineError::ContainerNotFound(_)) if request.force => {
            return Ok(StatusCode::NO_CONTENT);
        }
        Err(error) => return Err(error.into()),
    };
    whole(async move {
        app.engine
            .disconnect(network.id, container.id, absent)
            .await
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_containers(Shared(app): Shared<App>) -> Answer<Vec<ContainerView>> {
    let engine = Arc::clone(&app.engine);
    let views = app.engine.look(move |state| {
        let view = |container: &Arc<Container>| {
            views::container(state, container, engine.files_of(container))
        };
        state.containers().map(view).collect()
    });
    Ok(axum::Json(views.await?))
}

async fn run_container(
    Shared(app): Shared<App>,
    Json(request): Json<ContainerRequest>,
) -> Result<(StatusCode, axum::Json<ContainerView>), Refusal> {
    let new = new_container(request)?;
    let engine = Arc::clone(&app.engine);
    let container = whole(async move { engine.run_container(new).await }).await?;
    Ok((StatusCode::CREATED, view_of(&app, container.id).await?))
}

fn new_container(request: ContainerRequest) -> Result<NewContainer, Refusal> {
    resolver::check(&request.dns).map_err(Refusal::invalid)?;
    let mut ports = publishable(request.ports)?;
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
            mac: request.mac,
            aliases: request.aliases,
            ports,
            gateway_priority: 0,
        },
        links: request.links,
        dns: request.dns,
        // Whoever gave it no name cannot bring it back by one.
        auto_remove: request.auto_remove || nameless,
        labels: request.labels,
    })
}

fn handle(netns: netd_api::Netns) -> NetnsHandle {
    match netns.fd {
        Some(fd) => NetnsHandle::Descriptor { pid: netns.pid, fd },
        None => NetnsHandle::Process { pid: netns.pid },
    }
}

fn checked(requests: Vec<PublishRequest>) -> Result<Vec<PublishRequest>, Refusal> {
    requests
        .into_iter()
        .map(|request| {
            request
                .check()
                .map_err(|error| EngineError::from(error).into())
        })
        .collect()
}

/// What is asked to be published; on IPv6 nothing would lead to the container, and whoever connects would wait.
fn publishable(requests: Vec<PublishRequest>) -> Result<Vec<PublishRequest>, Refusal> {
    let ipv6 = |request: &PublishRequest| request.host_ip.filter(IpAddr::is_ipv6);
    if let Some(address) = requests.iter().find_map(ipv6) {
        return Err(Refusal::invalid(format!(
            "cannot publish on {address}: this version publishes on IPv4 addresses; give one of those, or none for all"
        )));
    }
    checked(requests)
}

async fn view_of(app: &App, id: ContainerId) -> Answer<ContainerView> {
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

async fn show_container(Shared(app): Shared<App>, Word(word): Word) -> Answer<ContainerView> {
    let container = app.engine.find_container(&word).await?;
    view_of(&app, container.id).await
}

async fn forget_container(
    Shared(app): Shared<App>,
    Word(word): Word,
) -> Result<StatusCode, Refusal> {
    let container = app.engine.find_container(&word).await?;
    whole(async move {
        app.engine
            .end_container(container.id, Ending::Forgotten)
            .await
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn prune_containers(Shared(app): Shared<App>) -> Answer<ForgetReport> {
    Ok(axum::Json(
        whole(async move { app.engine.prune_containers().await }).await?,
    ))
}

async fn stop_container(
    Shared(app): Shared<App>,
    Word(word): Word,
    Json(request): Json<StopRequest>,
) -> Result<StatusCode, Refusal> {
    let container = app.engine.find_container(&word).await?;
    let patience = Duration::from_secs(u64::from(request.timeout_seconds));
    whole(async move { app.engine.stop_container(container.id, patience).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn exit_container(
    Shared(app): Shared<App>,
    Word(word): Word,
    Json(report): Json<ExitReport>,
) -> Result<StatusCode, Refusal> {
    let container = app.engine.find_container(&word).await?;
    whole(async move {
        app.engine
            .end_container(container.id, Ending::Exited(report.code))
            .await
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn publish(
    Shared(app): Shared<App>,
    Word(word): Word,
    Json(request): Json<PortsRequest>,
) -> Answer<ContainerView> {
    let id = app.engine.find_container(&word).await?.id;
    let (engine, ports) = (Arc::clone(&app.engine), publishable(request.ports)?);
    whole(async move { engine.publish(id, ports).await }).await?;
    view_of(&app, id).await
}

async fn unpublish(
    Shared(app): Shared<App>,
    Word(word): Word,
    Json(request): Json<PortsRequest>,
) -> Answer<ContainerView> {
    let id = app.engine.find_container(&word).await?.id;
    let (engine, ports) = (Arc::clone(&app.engine), checked(request.ports)?);
    whole(async move { engine.unpublish(id, ports).await }).await?;
    view_of(&app, id).await
}
