//! Paths of containers, only to be looked at: who is on networks, and where.

use std::sync::Arc;

use axum::extract::State as Shared;
use jiff::Timestamp;
use netd_api::ContainerView;
use netd_model::Container;

use super::container_of;
use super::filters::{Filters, Patterns};
use super::given::{Parameters, Word};
use super::problem::Problem;
use super::wire::container::{Details, Summary};
use crate::engine::EngineError;
use crate::http::routes::App;
use crate::http::views;

/// Conditions on containers that are listed.
const FILTERS: &[&str] = &["exited", "id", "label", "name", "network", "status"];

/// States of containers in Docker's words; netd's are two of them.
const STATES: &[&str] = &[
    "created",
    "dead",
    "exited",
    "paused",
    "removing",
    "restarting",
    "running",
];

pub(super) async fn list(
    Shared(app): Shared<App>,
    parameters: Parameters,
) -> Result<axum::Json<Vec<Summary>>, Problem> {
    let filters = Filters::parse(parameters.get("filters"), FILTERS)?;
    let mut states = filters.values("status").into_iter().flatten();
    if states.any(|state| !STATES.contains(&state.as_str())) {
        return Err(filters.invalid("status"));
    }
    let mut codes = filters.values("exited").into_iter().flatten();
    if codes.any(|code| code.parse::<i32>().is_err()) {
        return Err(filters.invalid("exited"));
    }
    let limit = limit(&parameters)?;
    let all = parameters.is_set("all")
        || limit.is_some()
        || filters.values("status").is_some()
        || filters.values("exited").is_some();
    let engine = Arc::clone(&app.engine);
    let views = app.engine.look(move |state| {
        let view = |container: &Arc<Container>| {
            views::container(state, container, engine.files_of(container))
        };
        state.containers().map(view).collect::<Vec<_>>()
    });
    let mut views: Vec<ContainerView> = views.await?;
    let patterns = ["id", "name"].map(|key| filters.patterns(key));
    views.retain(|view| (all || view.ended.is_none()) && leave(&filters, &patterns, view));
    // The latest first.
    views.sort_by(|one, other| other.created.cmp(&one.created));
    views.truncate(limit.unwrap_or(usize::MAX));
    let now = Timestamp::now();
    let shown = views.into_iter().map(|view| Summary::of(view, now));
    Ok(axum::Json(shown.collect()))
}

/// How many of the latest are wanted. Docker takes a number below one for all.
fn limit(parameters: &Parameters) -> Result<Option<usize>, Problem> {
    let Some(text) = parameters.get("limit") else {
        return Ok(None);
    };
    let wrong = |_| Problem::bad(format!("invalid limit {text:?}: expected a number"));
    let limit: i64 = text.parse().map_err(wrong)?;
    Ok(usize::try_from(limit).ok().filter(|limit| *limit > 0))
}

fn leave(filters: &Filters, [ids, names]: &[Patterns; 2], view: &ContainerView) -> bool {
    let code = view.exit_code.map(|code| code.to_string());
    let is_on = |wanted: &String| {
        let mut networks = view.networks.iter();
        networks.any(|place| {
            place.network.as_str() == wanted || place.network_id.to_string().starts_with(wanted)
        })
    };
    let networks = filters.values("network");
    let name = view.name.as_str();
    ids.fit(&view.id.to_string())
        && (names.fit(name) || names.fit(&format!("/{name}")))
        && filters.has_labels("label", &view.labels)
        && filters.is("status", &view.state)
        && filters.is("exited", code.as_deref().unwrap_or_default())
        && networks.is_none_or(|wanted| wanted.iter().any(is_on))
}

pub(super) async fn show(
    Shared(app): Shared<App>,
    Word(word): Word,
) -> Result<axum::Json<Details>, Problem> {
    let container = container_of(&app, &word).await?;
    let engine = Arc::clone(&app.engine);
    let view = app.engine.look(move |state| {
        let container = state.container(container.id)?;
        let files = engine.files_of(container);
        Some(views::container(state, container, files))
    });
    let view = view.await?.ok_or(EngineError::ContainerNotFound(word))?;
    Ok(axum::Json(Details::of(view)))
}
