//! What a Docker engine tells of its containers while they live: that one came to a network, and that one has another name.
//! Then it is asked what the container is called. Whatever was told while nobody listened is asked for when somebody listens
//! again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use netd_model::{ContainerId, NetworkId};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::sleep;

use super::inquiry::Inquiry;
use crate::engine::Engine;

/// How long after the engine was not there it is looked for again.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it is looked for: it may load its networks, and call for that, some time before it listens.
const TRIES: u32 = 60;
/// Longest line of an answer, in bytes. An event has its container's labels.
const LINE_BYTES: u64 = 1 << 20;
/// `{"type":["network","container"],"event":["connect","rename"]}`: the engine tells all kinds of events of all types.
const PATH: &str = "/events?filters=%7B%22type%22%3A%5B%22network%22%2C%22container%22%5D%2C%22event%22%3A%5B%22connect%22%2C%22rename%22%5D%7D";

/// An event as the engine tells it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    #[serde(rename = "Type", default)]
    kind: String,
    #[serde(default)]
    actor: Actor,
}

#[derive(Debug, Default, Deserialize)]
struct Actor {
    #[serde(rename = "ID", default)]
    id: String,
    #[serde(rename = "Attributes", default)]
    attributes: BTreeMap<String, String>,
}

impl Told {
    /// The container that it is about.
    fn container(mut self) -> Option<String> {
        let id = match self.kind.as_str() {
            "container" => Some(self.actor.id),
            "network" => self.actor.attributes.remove("container"),
            _ => None,
        };
        // It becomes part of a path.
        id.filter(|id| id.parse::<ContainerId>().is_ok())
    }
}

/// Rung by an engine that starts, or that has a container join.
///
/// Without that, nobody connects to an engine's socket: systemd may hold it, and would start an engine that was stopped on
/// purpose (systemd.socket(5)).
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct Bell(watch::Sender<()>);

impl Bell {
    /// Says that there is an engine.
    pub(super) fn ring(&self) {
        self.0.send_replace(());
    }
}

/// Follows the engine's events, whenever there is one, until told to end.
pub(in crate::http) async fn follow(
    engine: Arc<Engine>,
    bell: Bell,
    mut end: watch::Receiver<bool>,
) {
    let Some(socket) = engine.settings().docker_socket.clone() else {
        return;
    };
    let inquiry = Inquiry::at(&socket);
    let mut rings = bell.0.subscribe();
    // Containers that are there already are somebody's.
    if !places(&engine).await.is_empty() {
        bell.ring();
    }
    let follow = async {
        while rings.changed().await.is_ok() {
            look_for(&engine, &inquiry).await;
            // What rang while it was there is no reason to call it back.
            rings.mark_unchanged();
        }
    };
    tokio::select! {
        () = follow => {}
        _ = end.changed() => {}
    }
}

/// Looks for the engine, and listens until it hangs up.
async fn look_for(engine: &Arc<Engine>, inquiry: &Inquiry) {
    for again in 0..TRIES {
        let Err(reason) = listen(engine, inquiry).await else {
            return;
        };
        if again == 0 {
            let socket = inquiry.socket().display();
            tracing::warn!(%socket, %reason, "Docker's engine cannot be asked what its containers are called; it is looked for again");
        }
        sleep(PAUSE).await;
    }
}

/// Listens until the engine hangs up.
async fn listen(engine: &Arc<Engine>, inquiry: &Inquiry) -> Result<(), String> {
    let stream = inquiry.ask(PATH).await.map_err(|error| error.to_string())?;
    let mut lines = Lines(BufReader::new(stream));
    let status = lines.next().await?.unwrap_or_default();
    match status.split_whitespace().nth(1) {
        Some("200") => {}
        other => return Err(format!("it answers {}", other.unwrap_or("nothing"))),
    }
    while lines.next().await?.is_some_and(|line| !line.is_empty()) {}
    // From here on all is told; what was before is asked for.
    learn_all(engine, inquiry).await?;
    while let Some(line) = lines.next().await? {
        let told = serde_json::from_str::<Told>(&line).ok();
        let Some(container) = told.and_then(Told::container) else {
            continue;
        };
        let (engine, inquiry) = (Arc::clone(engine), inquiry.clone());
        // The engine answers about a container that starts when it has started; others are not to wait for that.
        tokio::spawn(async move {
            if let Err(reason) = learn(&engine, &inquiry, &container).await {
                tracing::warn!(%container, %reason, "Docker's engine does not say what a container is called");
            }
        });
    }
    Ok(())
}

/// The lines of an answer.
struct Lines(BufReader<UnixStream>);

impl Lines {
    /// The next one, without its end; `None` when the engine hangs up.
    async fn next(&mut self) -> Result<Option<String>, String> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.0).take(LINE_BYTES);
        let read = bounded.read_until(b'\n', &mut line).await;
        match read.map_err(|error| error.to_string())? {
            0 => Ok(None),
            _ if line.last() != Some(&b'\n') => Err("its answer breaks off".to_owned()),
            _ => Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned())),
        }
    }
}

/// Endpoints of Docker engines by what the engines call their networks.
async fn places(engine: &Engine) -> BTreeMap<NetworkId, BTreeSet<ContainerId>> {
    let mut places: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (network, endpoint) in engine.docker_endpoints().await.unwrap_or_default() {
        places.entry(network).or_default().insert(endpoint);
    }
    places
}

/// Asks for the names of all containers that have an endpoint.
async fn learn_all(engine: &Engine, inquiry: &Inquiry) -> Result<(), String> {
    for (network, endpoints) in places(engine).await {
        for container in inquiry.members(network, &endpoints).await? {
            learn(engine, inquiry, &container).await?;
        }
    }
    Ok(())
}

/// Asks for the names of a container, and gives them to its endpoints.
async fn learn(engine: &Engine, inquiry: &Inquiry, container: &str) -> Result<(), String> {
    for (endpoint, names) in inquiry.names(container).await? {
        let named = engine.name_docker_endpoint(endpoint, names).await;
        named.map_err(|error| error.sentence())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_about_a_container_or_passed_over() {
        let of = |text: &str| serde_json::from_str::<Told>(text).unwrap().container();
        let id = "ab".repeat(32);
        let connect = format!(
            r#"{{"Type":"network","Action":"connect","Actor":{{"ID":"n","Attributes":{{"container":"{id}","name":"app"}}}}}}"#
        );
        assert_eq!(of(&connect), Some(id.clone()));
        let rename = format!(r#"{{"Type":"container","Action":"rename","Actor":{{"ID":"{id}"}}}}"#);
        assert_eq!(of(&rename), Some(id));
        for other in [
            "{}",
            r#"{"Type":"image","Actor":{"ID":"x"}}"#,
            r#"{"Type":"network","Actor":{"ID":"n"}}"#,
            r#"{"Type":"container","Actor":{"ID":"../networks"}}"#,
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
