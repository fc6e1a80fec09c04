//! Paths of networks: list, inspect, remove, prune.

use axum::extract::State as Shared;
use axum::http::StatusCode;
use jiff::Timestamp;
use netd_api::NetworkView;

use super::filters::{Filters, Patterns};
use super::given::{Parameters, Word};
use super::problem::Problem;
use super::version::ApiVersion;
use super::wire::network::{Network, Pruned};
use super::{moment, network_of, whole};
use crate::engine::EngineError;
use crate::http::routes::App;
use crate::http::views;

/// Conditions on networks that are pruned.
const PRUNE_FILTERS: &[&str] = &["label", "label!", "until"];

/// Conditions on networks that are listed.
const LIST_FILTERS: &[&str] = &["dangling", "driver", "id", "label", "name", "scope", "type"];

pub(super) async fn list(
    Shared(app): Shared<App>,
    version: ApiVersion,
    parameters: Parameters,
) -> Result<axum::Json<Vec<Network>>, Problem> {
    let conditions = Conditions::read(Filters::parse(parameters.get("filters"), LIST_FILTERS)?)?;
    let networks = app.engine.look(move |state| {
        let all = state.networks();
        all.map(|network| (network.is_builtin(), views::network(state, network)))
            .collect::<Vec<_>>()
    });
    let networks = networks.await?.into_iter();
    let networks = networks
        .filter(|(is_builtin, view)| conditions.leave(*is_builtin, view))
        .map(|(_, view)| Network::from(view));
    Ok(axum::Json(
        match version < ApiVersion::LISTS_WITHOUT_CONTAINERS {
            true => networks.collect(),
            false => networks.map(Network::without_containers).collect(),
        },
    ))
}

/// What a list of networks is to leave.
struct Conditions {
    filters: Filters,
    names: Patterns,
    ids: Patterns,
    dangling: Option<bool>,
    builtin: Option<bool>,
}

impl Conditions {
    fn read(filters: Filters) -> Result<Self, Problem> {
        let kinds = filters.values("type").into_iter().flatten();
        let kinds: Vec<&str> = kinds.map(String::as_str).collect();
        let builtin = match kinds[..] {
            [] | ["builtin", "custom"] => None,
            ["builtin"] => Some(true),
            ["custom"] => Some(false),
            _ => return Err(filters.invalid("type")),
        };
        let dangling = filters.truth("dangling")?;
        Ok(Self {
            names: filters.patterns("name"),
            ids: filters.patterns("id"),
            filters,
            dangling,
            builtin,
        })
    }

    fn leave(&self, is_builtin: bool, view: &NetworkView) -> bool {
        let is_dangling = !is_builtin && view.containers.is_empty();
        self.builtin.is_none_or(|wanted| wanted == is_builtin)
            && self.dangling.is_none_or(|wanted| wanted == is_dangling)
            && self.filters.is("driver", &view.driver)
            && self.filters.is("scope", &view.scope)
            && self.names.fit(view.name.as_str())
            && self.ids.fit(&view.id.to_string())
            && self.filters.has_labels("label", &view.labels)
    }
}

pub(super) async fn show(
    Shared(app): Shared<App>,
    Word(word): Word,
    parameters: Parameters,
) -> Result<axum::Json<Network>, Problem> {
    // There are no services that could be told of besides.
    let _ = parameters.truth("verbose")?;
    let scope = parameters.get("scope").unwrap_or("local").to_owned();
    let network = network_of(&app, &word).await?;
    let look = app.engine.look(move |state| {
        let network = state.network(network.id)?;
        Some(views::network(state, network))
    });
    let view = look.await?.filter(|view| view.scope == scope);
    let view = view.ok_or(EngineError::NetworkNotFound(word))?;
    Ok(axum::Json(view.into()))
}

pub(super) async fn remove(
    Shared(app): Shared<App>,
    Word(word): Word,
) -> Result<StatusCode, Problem> {
    let network = network_of(&app, &word).await?;
    // Whoever removed it in between left nothing but the caller's word for it.
    let gone = |error: EngineError| match error {
        EngineError::NetworkNotFound(_) => EngineError::NetworkNotFound(word),
        other => other,
    };
    let removed = whole(async move { app.engine.remove_network(network.id).await }).await?;
    removed.map_err(gone)?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn prune(
    Shared(app): Shared<App>,
    parameters: Parameters,
) -> Result<axum::Json<Pruned>, Problem> {
    let filters = Filters::parse(parameters.get("filters"), PRUNE_FILTERS)?;
    let until = match filters.values("until").map(|values| values.iter()) {
        None => None,
        Some(mut values) => match (values.next(), values.next()) {
            (Some(only), None) => Some(moment::parse(only, Timestamp::now())?),
            _ => return Err(Problem::bad("more than one until filter specified")),
        },
    };
    let chosen = move |network: &netd_model::Network| {
        until.is_none_or(|until| network.created < until)
            && filters.has_labels("label", &network.labels)
            && filters.has_no_label("label!", &network.labels)
    };
    let report = whole(async move { app.engine.prune_networks_that(chosen).await }).await??;
    for failure in &report.failures {
        tracing::warn!(failure, "a network was not pruned");
    }
    let names: Vec<_> = report.networks;
    Ok(axum::Json(Pruned {
        networks_deleted: Some(names).filter(|names| !names.is_empty()),
    }))
}
