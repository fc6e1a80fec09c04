//! What Docker's engine calls a container: the protocol does not tell, so the engine's own interface is asked, once the
//! container has joined. Only names come of it; whatever goes wrong here, the container has its place.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use netd_model::{ContainerId, NetworkId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use crate::engine::{DockerNames, Engine};

/// How often the engine is asked: it knows of the container a moment after it was told that it may take the interface, and
/// tells nobody when.
const TRIES: u32 = 12;
/// How long after the first try the second comes; each further one after half as long again.
const PAUSE: Duration = Duration::from_millis(30);
/// How long one answer may take: the engine answers about a container that starts when it has started.
const PATIENCE: Duration = Duration::from_secs(20);
/// Largest answer that is read, in bytes.
const ANSWER_BYTES: u64 = 8 << 20;

/// A network as the engine shows it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ShownNetwork {
    #[serde(default)]
    containers: BTreeMap<String, Member>,
}

#[derive(Deserialize)]
struct Member {
    #[serde(rename = "EndpointID", default)]
    endpoint_id: String,
}

/// A container as the engine shows it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ShownContainer {
    name: String,
    config: Configuration,
    network_settings: NetworkSettings,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration {
    #[serde(default)]
    hostname: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    #[serde(default)]
    networks: BTreeMap<String, Place>,
}

#[derive(Deserialize)]
struct Place {
    #[serde(rename = "EndpointID", default)]
    endpoint_id: String,
    #[serde(rename = "Aliases", default)]
    aliases: Option<Vec<String>>,
    #[serde(rename = "DNSNames", default)]
    dns_names: Option<Vec<String>>,
}

/// Asks for the names of an endpoint's container, without keeping anybody waiting.
pub(super) fn ask_for_names(engine: &Arc<Engine>, network: NetworkId, endpoint: ContainerId) {
    let engine = Arc::clone(engine);
    tokio::spawn(async move {
        let Some(socket) = engine.settings().docker_socket.clone() else {
            return;
        };
        let mut pause = PAUSE;
        for _ in 0..TRIES {
            sleep(pause).await;
            pause += pause / 2;
            let asked = timeout(PATIENCE, names(&socket, network, endpoint)).await;
            match asked.unwrap_or_else(|_| Err("it does not answer".to_owned())) {
                Ok(Some(names)) => {
                    if let Err(error) = engine.name_docker_endpoint(endpoint, names).await {
                        tracing::warn!(error = %error.sentence(), "the names of a container of Docker's are not kept");
                    }
                    return;
                }
                Ok(None) => {}
                Err(reason) => {
                    tracing::warn!(socket = %socket.display(), %reason, "Docker's engine cannot be asked what a container is called");
                    return;
                }
            }
        }
        tracing::debug!(endpoint = %endpoint.short(), "Docker's engine does not say which container has it");
    });
}

/// The names of an endpoint's container; `None` while the engine does not know of it.
async fn names(
    socket: &Path,
    network: NetworkId,
    endpoint: ContainerId,
) -> Result<Option<DockerNames>, String> {
    let wanted = endpoint.to_string();
    let shown: Option<ShownNetwork> = get(socket, &format!("/networks/{network}")).await?;
    let members = shown.map(|shown| shown.containers).unwrap_or_default();
    let mut members = members.into_iter();
    let Some((container, _)) = members.find(|(_, member)| member.endpoint_id == wanted) else {
        return Ok(None);
    };
    let path = format!("/containers/{container}/json");
    let shown: Option<ShownContainer> = get(socket, &path).await?;
    Ok(shown.map(|shown| {
        let mut places = shown.network_settings.networks.into_values();
        let place = places.find(|place| place.endpoint_id == wanted);
        let further = place.map(|place| [place.aliases, place.dns_names]);
        DockerNames {
            name: shown.name.trim_start_matches('/').to_owned(),
            hostname: shown.config.hostname,
            aliases: further
                .into_iter()
                .flatten()
                .flatten()
                .flatten()
                .chain([container.chars().take(12).collect()])
                .collect(),
        }
    }))
}

/// What is at a path of the engine's interface; `None` if nothing is.
async fn get<T: DeserializeOwned>(socket: &Path, path: &str) -> Result<Option<T>, String> {
    let answer = exchange(socket, path)
        .await
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or("its answer breaks off")?;
    match head.split_whitespace().nth(1) {
        Some("200") => serde_json::from_str(body)
            .map(Some)
            .map_err(|error| error.to_string()),
        Some("404") => Ok(None),
        other => Err(format!("it answers {}", other.unwrap_or("nothing"))),
    }
}

/// HTTP/1.0, so that the answer is whole when the engine hangs up (RFC 1945).
async fn exchange(socket: &Path, path: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut answer).await?;
    Ok(answer)
}
