//! `GET /events`: what happened and happens, as lines of JSON.

use std::convert::Infallible;
use std::future::{pending, ready};

use axum::Extension;
use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use jiff::Timestamp;
use netd_api::Event as Native;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::filters::Filters;
use super::given::Parameters;
use super::moment;
use super::problem::Problem;
use super::wire::event::{Actor, Event};
use crate::http::Endless;
use crate::http::routes::App;

/// Conditions on events.
const FILTERS: &[&str] = &["container", "daemon", "event", "network", "scope", "type"];

pub(super) async fn events(
    Shared(app): Shared<App>,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let now = Timestamp::now();
    let at = |name| {
        parameters
            .get(name)
            .map(|text| moment::parse(text, now))
            .transpose()
    };
    let (since, until) = (at("since")?, at("until")?);
    if let (Some(since), Some(until)) = (since, until)
        && since > until
    {
        return Err(Problem::bad(format!(
            "`since` time ({since}) cannot be after `until` time ({until})"
        )));
    }
    let filters = Filters::parse(parameters.get("filters"), FILTERS)?;
    let (past, listener) = app.engine.listen_with_past();
    // Nobody who names no time asks for what was.
    let asked_for_past = since.is_some() || until.is_some();
    let past = past.into_iter().filter(move |event| {
        let time = event.time.parse::<Timestamp>().unwrap_or(now);
        asked_for_past
            && since.is_none_or(|since| time >= since)
            && until.is_none_or(|until| time <= until)
    });
    let mut end = app.end.clone();
    let over = async move {
        tokio::select! {
            _ = end.changed() => {}
            () = reached(until) => {}
        }
    };
    let lines = futures::stream::iter(past)
        .chain(coming(listener).take_until(over))
        .filter_map(move |event| ready(line(event, &filters)));
    Ok((
        Extension(Endless),
        [(CONTENT_TYPE, "application/json")],
        Body::from_stream(lines.map(Ok::<_, Infallible>)),
    )
        .into_response())
}

/// Returns at a time; never, if there is none.
async fn reached(until: Option<Timestamp>) {
    match until {
        Some(until) => {
            let left = until.duration_since(Timestamp::now());
            // A time that is over leaves nothing to wait for.
            tokio::time::sleep(left.try_into().unwrap_or_default()).await;
        }
        None => pending().await,
    }
}

/// What happens from now on.
fn coming(listener: Receiver<Native>) -> impl futures::Stream<Item = Native> {
    futures::stream::unfold(listener, |mut listener| async {
        loop {
            match listener.recv().await {
                Ok(event) => return Some((event, listener)),
                // The listener was too slow; it goes on with what there is.
                Err(RecvError::Lagged(missed)) => {
                    tracing::debug!(missed, "a listener missed events");
                }
                Err(RecvError::Closed) => return None,
            }
        }
    })
}

fn line(event: Native, filters: &Filters) -> Option<String> {
    let event = translated(event)?;
    if !leave(filters, &event) {
        return None;
    }
    let mut line = serde_json::to_string(&event).ok()?;
    line.push('\n');
    Some(line)
}

/// A native event in Docker's words; `None` for what Docker has no kind of object for.
fn translated(event: Native) -> Option<Event> {
    let Native {
        time,
        kind,
        action,
        id,
        name,
        mut attributes,
    } = event;
    let time: Timestamp = time.parse().ok()?;
    attributes.insert("name".to_owned(), name);
    let action = match (kind.as_str(), action.as_str()) {
        ("network", "remove") => "destroy",
        ("container", "exit") => "die",
        ("container", "remove") => "destroy",
        ("network" | "container" | "daemon", same) => same,
        _ => return None,
    }
    .to_owned();
    if kind == "network" {
        rename(&mut attributes, ("driver", "type"));
        attributes.remove("container");
        rename(&mut attributes, ("container_id", "container"));
    }
    rename(&mut attributes, ("exit_code", "exitCode"));
    let is_container = kind == "container";
    Some(Event {
        status: is_container.then(|| action.clone()),
        id: is_container.then(|| id.clone()),
        kind,
        action,
        actor: Actor { id, attributes },
        scope: "local",
        time: time.as_second(),
        time_nano: i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX),
    })
}

fn rename(attributes: &mut std::collections::BTreeMap<String, String>, (from, to): (&str, &str)) {
    if let Some(value) = attributes.remove(from) {
        attributes.insert(to.to_owned(), value);
    }
}

fn leave(filters: &Filters, event: &Event) -> bool {
    let name = event.actor.attributes.get("name").map(String::as_str);
    let is_meant = |kind: &str| {
        let begins = |text: &str, values: &std::collections::BTreeSet<String>| {
            values.iter().any(|value| text.starts_with(value.as_str()))
        };
        filters.values(kind).is_none_or(|values| {
            event.kind == kind
                && (begins(&event.actor.id, values) || begins(name.unwrap_or_default(), values))
        })
    };
    filters.is("type", &event.kind)
        && filters.is("event", &event.action)
        && filters.is("scope", event.scope)
        && ["container", "daemon", "network"].into_iter().all(is_meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn native(kind: &str, action: &str, attributes: &[(&str, &str)]) -> Native {
        let pairs = attributes.iter();
        Native {
            time: "2026-01-02T15:04:05.000000007Z".to_owned(),
            kind: kind.to_owned(),
            action: action.to_owned(),
            id: "a1".repeat(32),
            name: "app".to_owned(),
            attributes: pairs
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn a_connection_names_the_container_by_its_id() {
        let facts = [
            ("container", "web"),
            ("container_id", "c0ffee"),
            ("driver", "bridge"),
        ];
        let event = translated(native("network", "connect", &facts)).unwrap();
        let shown = serde_json::to_value(&event).unwrap();
        assert_eq!(
            shown["Actor"]["Attributes"],
            serde_json::json!({"container": "c0ffee", "name": "app", "type": "bridge"})
        );
        assert_eq!(shown["timeNano"], 1_767_366_245_000_000_007_i64);
        assert!(shown.get("status").is_none(), "{shown}");
    }

    #[test]
    fn the_words_are_dockers() {
        for (kind, action, word) in [
            ("network", "remove", Some("destroy")),
            ("network", "create", Some("create")),
            ("container", "exit", Some("die")),
            ("route", "add", None),
        ] {
            let event = translated(native(kind, action, &[]));
            assert_eq!(
                event.map(|event| event.action).as_deref(),
                word,
                "{kind} {action}"
            );
        }
    }

    #[test]
    fn a_filter_leaves_what_it_names() {
        let event = translated(native("network", "create", &[])).unwrap();
        for (text, left) in [
            ("{}", true),
            (r#"{"type":["network"]}"#, true),
            (r#"{"type":["container"]}"#, false),
            (r#"{"network":["app"]}"#, true),
            (r#"{"network":["a1a1"]}"#, true),
            (r#"{"container":["app"]}"#, false),
            (r#"{"event":["create","destroy"],"scope":["local"]}"#, true),
        ] {
            let filters = Filters::parse(Some(text), FILTERS).unwrap();
            assert_eq!(leave(&filters, &event), left, "{text}");
        }
    }
}
