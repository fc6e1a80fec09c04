//! Events in Docker's form.

use std::collections::BTreeMap;

use serde::Serialize;

/// One line of `GET /events`.
#[derive(Debug, Serialize)]
pub(in crate::http::docker) struct Event {
    /// The action once more, of containers, where clients of the first years look for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::http::docker) status: Option<String>,
    /// The container once more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::http::docker) id: Option<String>,
    /// `network`, `container` or `daemon`.
    #[serde(rename = "Type")]
    pub(in crate::http::docker) kind: String,
    /// What happened.
    #[serde(rename = "Action")]
    pub(in crate::http::docker) action: String,
    /// What it happened to.
    #[serde(rename = "Actor")]
    pub(in crate::http::docker) actor: Actor,
    /// `local`.
    pub(in crate::http::docker) scope: &'static str,
    /// Seconds since 1970.
    pub(in crate::http::docker) time: i64,
    /// Nanoseconds since 1970.
    #[serde(rename = "timeNano")]
    pub(in crate::http::docker) time_nano: i64,
}

/// What an event happened to.
#[derive(Debug, Serialize)]
pub(in crate::http::docker) struct Actor {
    /// Its id.
    #[serde(rename = "ID")]
    pub(in crate::http::docker) id: String,
    /// Further facts.
    #[serde(rename = "Attributes")]
    pub(in crate::http::docker) attributes: BTreeMap<String, String>,
}
