//! What Docker's engine calls its containers: the protocol does not tell, so the engine's own interface is asked. Only names
//! come of it; whatever goes wrong here, the containers have their places.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use netd_model::{ContainerId, NetworkId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::engine::DockerNames;

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

/// An engine's own interface.
#[derive(Clone, Debug)]
pub(super) struct Inquiry {
    socket: PathBuf,
}

impl Inquiry {
    /// Of the engine that listens at this socket.
    pub(super) fn at(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// Where it listens.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The containers that the engine has on a network by these endpoints.
    ///
    /// # Errors
    /// A sentence, when the engine does not answer.
    pub(super) async fn members(
        &self,
        network: NetworkId,
        endpoints: &BTreeSet<ContainerId>,
    ) -> Result<Vec<String>, String> {
        let shown: Option<ShownNetwork> = self.get(&format!("/networks/{network}")).await?;
        let members = shown.map(|shown| shown.containers).unwrap_or_default();
        let is_one = |member: &Member| {
            let endpoint = member.endpoint_id.parse();
            endpoint.is_ok_and(|endpoint| endpoints.contains(&endpoint))
        };
        let members = members.into_iter().filter(|(_, member)| is_one(member));
        Ok(members.map(|(container, _)| container).collect())
    }

    /// The names that a container has by each of its endpoints; none if the engine does not know of it.
    ///
    /// # Errors
    /// A sentence, when the engine does not answer.
    pub(super) async fn names(
        &self,
        container: &str,
    ) -> Result<Vec<(ContainerId, DockerNames)>, String> {
        let path = format!("/containers/{container}/json");
        let Some(shown) = self.get::<ShownContainer>(&path).await? else {
            return Ok(Vec::new());
        };
        let short: String = container.chars().take(12).collect();
        let places = shown.network_settings.networks.into_values();
        let names = places.filter_map(|place| {
            let endpoint = place.endpoint_id.parse().ok()?;
            let further = [place.aliases, place.dns_names].into_iter().flatten();
            let names = DockerNames {
                name: shown.name.trim_start_matches('/').to_owned(),
                hostname: shown.config.hostname.clone(),
                aliases: further.flatten().chain([short.clone()]).collect(),
            };
            Some((endpoint, names))
        });
        Ok(names.collect())
    }

    /// What is at a path of the engine's interface; `None` if nothing is.
    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, String> {
        let answer = timeout(PATIENCE, self.exchange(path)).await;
        let answer = answer.map_err(|_| "it does not answer".to_owned())?;
        let answer = answer.map_err(|error| error.to_string())?;
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

    async fn exchange(&self, path: &str) -> io::Result<Vec<u8>> {
        let stream = self.ask(path).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES).read_to_end(&mut answer).await?;
        Ok(answer)
    }

    /// Asks for a path, by HTTP/1.0: the answer comes as it is, without chunks, and ends when the engine hangs up (RFC 1945).
    ///
    /// # Errors
    /// When nobody listens.
    pub(super) async fn ask(&self, path: &str) -> io::Result<UnixStream> {
        let mut stream = UnixStream::connect(&self.socket).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        Ok(stream)
    }
}
