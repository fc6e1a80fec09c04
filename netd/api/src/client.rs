//! The blocking client: one typed method for each path of the interface.
//!
//! Knows where the daemon listens and how to say what went wrong on the way; knows no command line and keeps no state
//! but the connection. There is no runtime and no thread behind it, so that a process which uses it starts at once and
//! may change its namespaces while it holds one.

mod attachments;
mod error;
mod routes;
mod unix;

pub use error::ClientError;

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{
    Attachment, ConnectRequest, ContainerRequest, ContainerView, Created, DEFAULT_SOCKET,
    DisconnectRequest, ErrorBody, Event, ExitReport, ForgetReport, HOST_VARIABLE, NetworkRequest,
    NetworkView, PREFIX, PairRequest, PortsRequest, PruneReport, Status, StopRequest,
    UpdateRequest, Version,
};

/// What a path segment keeps as it is: the unreserved characters of RFC 3986 section 2.3.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Longest answer that is read, in bytes. Thousands of containers fit; what is longer does not come from netd.
const ANSWER_MAX_BYTES: u64 = 256 << 20;

/// Reads a daemon's address: a path, or `unix://PATH`.
///
/// # Errors
/// [`ClientError::BadHost`] for an empty text or another scheme.
pub fn parse_host(text: &str) -> Result<PathBuf, ClientError> {
    let path = text.strip_prefix("unix://").unwrap_or(text);
    if path.is_empty() || path.contains("://") || path.contains('\0') {
        return Err(ClientError::BadHost {
            given: text.to_owned(),
        });
    }
    Ok(PathBuf::from(path))
}

/// A connection to one daemon, made when it is first needed and kept for later requests.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    agent: ureq::Agent,
}

type Answer = Result<ureq::http::Response<ureq::Body>, ureq::Error>;

impl Client {
    /// A client of the daemon that listens at `socket`. Does not connect yet, and waits as long as an answer takes.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
            agent: unix::agent(socket, None),
        }
    }

    /// A client of the daemon at `host` (`-H`), or else of the one that the environment names, or else of the usual one.
    ///
    /// # Errors
    /// [`ClientError::BadHost`] if the address is none.
    pub fn from_host(host: Option<&str>) -> Result<Self, ClientError> {
        let variable = std::env::var(HOST_VARIABLE)
            .ok()
            .filter(|text| !text.is_empty());
        let address = host
            .map(str::to_owned)
            .or(variable)
            .unwrap_or_else(|| DEFAULT_SOCKET.to_owned());
        Ok(Self::new(&parse_host(&address)?))
    }

    /// The same client, but each request fails after `limit`, whatever it waits for.
    #[must_use]
    pub fn with_timeout(self, limit: Duration) -> Self {
        Self {
            agent: unix::agent(&self.socket, Some(limit)),
            socket: self.socket,
        }
    }

    /// Where the daemon listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    fn uri(path: &[&str]) -> String {
        let mut uri = format!("http://netd{PREFIX}");
        for segment in path {
            uri.push('/');
            uri.extend(utf8_percent_encode(segment, SEGMENT));
        }
        uri
    }

    fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, ClientError> {
        self.read(self.agent.get(Self::uri(path)).call())
    }

    fn delete(&self, path: &[&str]) -> Result<(), ClientError> {
        self.done(self.agent.delete(Self::uri(path)).call())
    }

    fn send<B: Serialize>(&self, path: &[&str], body: &B) -> Answer {
        let body = serde_json::to_vec(body).map_err(|error| ureq::Error::Io(error.into()))?;
        self.agent
            .post(Self::uri(path))
            .content_type("application/json")
            .send(&body)
    }

    fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &B,
    ) -> Result<T, ClientError> {
        self.read(self.send(path, body))
    }

    fn read<T: DeserializeOwned>(&self, answer: Answer) -> Result<T, ClientError> {
        let bytes = self.body(self.accept(answer)?)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| self.protocol(format!("its answer cannot be read: {error}")))
    }

    fn done(&self, answer: Answer) -> Result<(), ClientError> {
        self.body(self.accept(answer)?).map(drop)
    }

    fn body(&self, answer: ureq::http::Response<ureq::Body>) -> Result<Vec<u8>, ClientError> {
        let limited = answer.into_body().into_with_config();
        let mut bytes = Vec::new();
        match limited
            .limit(ANSWER_MAX_BYTES)
            .reader()
            .read_to_end(&mut bytes)
        {
            Ok(_) => Ok(bytes),
            Err(source) => Err(self.failure(ureq::Error::from(source))),
        }
    }

    /// Passes a success on and makes an error of everything else.
    fn accept(&self, answer: Answer) -> Result<ureq::http::Response<ureq::Body>, ClientError> {
        let answer = answer.map_err(|error| self.failure(error))?;
        let status = answer.status().as_u16();
        if answer.status().is_success() {
            return Ok(answer);
        }
        let bytes = self.body(answer)?;
        match serde_json::from_slice::<ErrorBody>(&bytes) {
            Ok(body) => Err(ClientError::Refused { status, body }),
            Err(_) => {
                let text: String = String::from_utf8_lossy(&bytes).chars().take(200).collect();
                Err(self.protocol(format!("status {status} with {text:?}")))
            }
        }
    }

    fn protocol(&self, detail: String) -> ClientError {
        ClientError::Protocol {
            socket: self.socket.clone(),
            detail,
        }
    }

    fn failure(&self, error: ureq::Error) -> ClientError {
        let socket = self.socket.clone();
        match error {
            ureq::Error::Other(other) => match other.downcast::<unix::ConnectError>() {
                Ok(connect) if connect.0.kind() == io::ErrorKind::PermissionDenied => {
                    ClientError::NoPermission {
                        socket,
                        source: connect.0,
                    }
                }
                Ok(connect) => ClientError::NoDaemon {
                    socket,
                    source: connect.0,
                },
                Err(other) => self.protocol(other.to_string()),
            },
            ureq::Error::Io(source) => ClientError::Lost { socket, source },
            ureq::Error::Timeout(_) => ClientError::Lost {
                socket,
                source: io::ErrorKind::TimedOut.into(),
            },
            other => self.protocol(other.to_string()),
        }
    }
}

/// The paths, one method for each. Every method fails with [`ClientError`]: `Refused` carries the daemon's own sentence.
impl Client {
    /// The daemon's version.
    pub fn version(&self) -> Result<Version, ClientError> {
        self.get(&["version"])
    }

    /// What the daemon says of itself.
    pub fn status(&self) -> Result<Status, ClientError> {
        self.get(&["status"])
    }

    /// Every network.
    pub fn networks(&self) -> Result<Vec<NetworkView>, ClientError> {
        self.get(&["networks"])
    }

    /// One network by name, id or the beginning of its id.
    pub fn network(&self, network: &str) -> Result<NetworkView, ClientError> {
        self.get(&["networks", network])
    }

    /// Creates a network.
    pub fn create_network(&self, request: &NetworkRequest) -> Result<Created, ClientError> {
        self.post(&["networks"], request)
    }

    /// Changes a network while it lives; gives it as it is then.
    pub fn update_network(
        &self,
        network: &str,
        request: &UpdateRequest,
    ) -> Result<NetworkView, ClientError> {
        let body = serde_json::to_vec(request).map_err(|error| self.protocol(error.to_string()))?;
        let request = self.agent.patch(Self::uri(&["networks", network]));
        self.read(request.content_type("application/json").send(&body))
    }

    /// Removes a network that nobody is connected to.
    pub fn remove_network(&self, network: &str) -> Result<(), ClientError> {
        self.delete(&["networks", network])
    }

    /// Removes every network that nobody is connected to.
    pub fn prune_networks(&self) -> Result<PruneReport, ClientError> {
        let uri = Self::uri(&["networks", "prune"]);
        self.read(self.agent.post(uri).send_empty())
    }

    /// Connects a container to a network.
    pub fn connect(
        &self,
        network: &str,
        request: &ConnectRequest,
    ) -> Result<Attachment, ClientError> {
        self.post(&["networks", network, "connect"], request)
    }

    /// Disconnects a container from a network.
    pub fn disconnect(
        &self,
        network: &str,
        request: &DisconnectRequest,
    ) -> Result<(), ClientError> {
        self.done(self.send(&["networks", network, "disconnect"], request))
    }

    /// Lets two networks talk that are isolated from each other.
    pub fn allow(&self, network: &str, request: &PairRequest) -> Result<(), ClientError> {
        self.done(self.send(&["networks", network, "allow"], request))
    }

    /// Isolates two networks from each other again.
    pub fn deny(&self, network: &str, request: &PairRequest) -> Result<(), ClientError> {
        self.done(self.send(&["networks", network, "deny"], request))
    }

    /// Every container, those that ended too.
    pub fn containers(&self) -> Result<Vec<ContainerView>, ClientError> {
        self.get(&["containers"])
    }

    /// One container by name, id or the beginning of its id.
    pub fn container(&self, container: &str) -> Result<ContainerView, ClientError> {
        self.get(&["containers", container])
    }

    /// Makes a container known and connects it, all or nothing.
    pub fn register(&self, request: &ContainerRequest) -> Result<ContainerView, ClientError> {
        self.post(&["containers"], request)
    }

    /// Forgets a container; one that runs is disconnected from everything.
    pub fn forget(&self, container: &str) -> Result<(), ClientError> {
        self.delete(&["containers", container])
    }

    /// Forgets every container that has ended.
    pub fn prune_containers(&self) -> Result<ForgetReport, ClientError> {
        let uri = Self::uri(&["containers", "prune"]);
        self.read(self.agent.post(uri).send_empty())
    }

    /// Stops a container and returns when it has ended.
    pub fn stop(&self, container: &str, request: &StopRequest) -> Result<(), ClientError> {
        self.done(self.send(&["containers", container, "stop"], request))
    }

    /// Tells that a container's command ended.
    pub fn report_exit(&self, container: &str, report: &ExitReport) -> Result<(), ClientError> {
        self.done(self.send(&["containers", container, "exit"], report))
    }

    /// Publishes further ports of a container.
    pub fn publish(
        &self,
        container: &str,
        request: &PortsRequest,
    ) -> Result<ContainerView, ClientError> {
        self.post(&["containers", container, "publish"], request)
    }

    /// Withdraws published ports of a container.
    pub fn unpublish(
        &self,
        container: &str,
        request: &PortsRequest,
    ) -> Result<ContainerView, ClientError> {
        self.post(&["containers", container, "unpublish"], request)
    }

    /// What happens from now on, as it happens.
    pub fn events(&self) -> Result<Events, ClientError> {
        let answer = self.accept(self.agent.get(Self::uri(&["events"])).call())?;
        Ok(Events {
            lines: BufReader::new(answer.into_body().into_reader()).lines(),
            socket: self.socket.clone(),
            ended: false,
        })
    }
}

/// A stream of events. Ends when the daemon closes it; a broken connection is its last item.
pub struct Events {
    lines: io::Lines<BufReader<ureq::BodyReader<'static>>>,
    socket: PathBuf,
    ended: bool,
}

impl Iterator for Events {
    type Item = Result<Event, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let item = match self.lines.next()? {
                Ok(line) if line.trim().is_empty() => continue,
                Ok(line) => serde_json::from_str(&line).map_err(|error| ClientError::Protocol {
                    socket: self.socket.clone(),
                    detail: format!("an event cannot be read: {error}"),
                }),
                Err(source) => Err(ClientError::Lost {
                    socket: self.socket.clone(),
                    source,
                }),
            };
            self.ended = item.is_err();
            return Some(item);
        }
        None
    }
}

#[cfg(test)]
mod tests;
