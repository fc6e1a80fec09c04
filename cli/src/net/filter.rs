//! `--filter KEY=VALUE` of the verbs that list or prune: what can be asked for, and which of a list it leaves.
//!
//! As in Docker: several values of one key are alternatives, of labels all must fit, and different keys must all fit.
//! Pure; knows neither daemon nor clock, except that a text like `24h` is a time before `now`.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use netd_api::{ContainerView, NetworkView};

/// Keys of `net ls`.
const OF_NETWORKS: [&str; 7] = ["dangling", "driver", "id", "label", "name", "scope", "type"];
/// Keys of `net ps`.
const OF_CONTAINERS: [&str; 5] = ["id", "label", "name", "network", "status"];
/// Keys of `net prune`.
const OF_PRUNE: [&str; 3] = ["label", "label!", "until"];
/// The networks that are there from the start.
const BUILTIN: [&str; 3] = ["bridge", "host", "none"];
/// How many typing errors a key may have and still be recognised.
const TYPOS_MAX: usize = 2;

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    key: &'static str,
    value: String,
}

/// Why a filter is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FilterError {
    #[error("expected KEY=VALUE; the keys are {}", known.join(", "))]
    NoValue { known: &'static [&'static str] },
    #[error("unknown key {key:?}{}; the keys are {}", meant(key, known), known.join(", "))]
    UnknownKey {
        key: String,
        known: &'static [&'static str],
    },
    #[error("{key} cannot be {value:?}: expected {}", allowed.join(" or "))]
    Value {
        key: &'static str,
        value: String,
        allowed: &'static [&'static str],
    },
    #[error(
        "until cannot be {value:?}: expected a span such as 24h or 1h30m, or a time such as 2026-11-20T18:00:00Z"
    )]
    Until { value: String },
}

fn meant(key: &str, known: &[&str]) -> String {
    let distance = |other: &&&str| strsim::damerau_levenshtein(key, other);
    let nearest = known.iter().min_by_key(distance);
    nearest
        .filter(|nearest| distance(nearest) <= TYPOS_MAX)
        .map_or_else(String::new, |nearest| {
            format!(", did you mean {nearest:?}?")
        })
}

/// Reads a condition on networks.
pub(super) fn of_networks(text: &str) -> Result<Filter, FilterError> {
    parse(text, &OF_NETWORKS)
}

/// Reads a condition on containers.
pub(super) fn of_containers(text: &str) -> Result<Filter, FilterError> {
    parse(text, &OF_CONTAINERS)
}

/// Reads a condition on what is to be removed.
pub(super) fn of_prune(text: &str) -> Result<Filter, FilterError> {
    parse(text, &OF_PRUNE)
}

fn parse(text: &str, known: &'static [&'static str]) -> Result<Filter, FilterError> {
    let (key, value) = text.split_once('=').ok_or(FilterError::NoValue { known })?;
    let (key, value) = (key.trim(), value.trim());
    let found = known.iter().find(|known| **known == key);
    let key = *found.ok_or_else(|| FilterError::UnknownKey {
        key: key.to_owned(),
        known,
    })?;
    let allowed: &[&str] = match key {
        "type" => &["builtin", "custom"],
        "dangling" => &["true", "false"],
        "status" => &["running", "exited"],
        _ => &[],
    };
    // Docker takes the digits for the words.
    let value = match (key, value) {
        ("dangling", "1") => "true",
        ("dangling", "0") => "false",
        (_, value) => value,
    };
    let value = value.to_owned();
    if !allowed.is_empty() && !allowed.contains(&value.as_str()) {
        return Err(FilterError::Value {
            key,
            value,
            allowed,
        });
    }
    if key == "until" && before(&value, Timestamp::UNIX_EPOCH).is_none() {
        return Err(FilterError::Until { value });
    }
    Ok(Filter { key, value })
}

impl Filter {
    /// True if it is about that key.
    pub(super) fn is_about(&self, key: &str) -> bool {
        self.key == key
    }
}

/// True if the filters leave that network.
pub(super) fn leave_network(filters: &[Filter], view: &NetworkView, now: Timestamp) -> bool {
    leave(filters, |filter| {
        let value = filter.value.as_str();
        match filter.key {
            "driver" => view.driver == value,
            "id" => view.id.to_string().contains(value),
            "name" => view.name.as_str().contains(value),
            "scope" => view.scope == value,
            "type" => is_builtin(view) == (value == "builtin"),
            "dangling" => is_dangling(view) == (value == "true"),
            "until" => is_before(&view.created, value, now),
            key => fits_label(key, value, &view.labels),
        }
    })
}

/// True if the filters leave that container.
pub(super) fn leave_container(filters: &[Filter], view: &ContainerView) -> bool {
    leave(filters, |filter| {
        let value = filter.value.as_str();
        match filter.key {
            "id" => view.id.to_string().contains(value),
            "name" => view.name.as_str().contains(value),
            "network" => view.networks.iter().any(|at| {
                at.network.as_str() == value
                    || (!value.is_empty() && at.network_id.to_string().starts_with(value))
            }),
            "status" => view.state == value,
            key => fits_label(key, value, &view.labels),
        }
    })
}

fn leave(filters: &[Filter], fits: impl Fn(&Filter) -> bool) -> bool {
    filters.iter().all(|filter| match filter.key {
        "label" | "label!" => fits(filter),
        key => filters.iter().any(|other| other.key == key && fits(other)),
    })
}

/// True for the networks that nobody can remove.
pub(super) fn is_builtin(view: &NetworkView) -> bool {
    BUILTIN.contains(&view.name.as_str())
}

/// True if nobody would miss it: no container is on it, and it is not built in.
pub(super) fn is_dangling(view: &NetworkView) -> bool {
    !is_builtin(view) && view.containers.is_empty()
}

/// `KEY` is there, or has the value of `KEY=VALUE`; the opposite for `label!`.
fn fits_label(key: &str, wanted: &str, labels: &BTreeMap<String, String>) -> bool {
    let fits = match wanted.split_once('=') {
        Some((name, value)) => labels.get(name).is_some_and(|found| found == value),
        None => labels.contains_key(wanted),
    };
    fits == (key == "label")
}

fn is_before(created: &str, until: &str, now: Timestamp) -> bool {
    let created: Option<Timestamp> = created.parse().ok();
    created
        .zip(before(until, now))
        .is_some_and(|(created, until)| created < until)
}

/// The moment that `until` names: a span before `now`, an RFC 3339 time, or seconds since 1970.
fn before(until: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(seconds) = until.parse() {
        return Timestamp::from_second(seconds).ok();
    }
    let span = until.parse::<SignedDuration>().ok();
    let moment = span.and_then(|span| now.checked_sub(span.abs()).ok());
    moment.or_else(|| until.parse().ok())
}

#[cfg(test)]
mod tests;
