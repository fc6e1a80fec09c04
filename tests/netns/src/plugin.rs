//! What a Docker engine says to netd by its plugin protocol, without an engine: raw requests on the plugin's socket.
//!
//! Must not know what the answers should be.

use serde_json::Value;

use crate::raw_http::Answer;
use crate::{Host, HostOptions, OrFail};

/// The plugin's socket inside the machine, where an engine looks for a plugin named `netd`.
pub const PLUGIN_SOCKET: &str = "/run/docker/plugins/netd.sock";

/// Options of a daemon that serves it.
#[must_use]
pub fn with_plugin() -> HostOptions {
    HostOptions {
        flags: vec!["--docker-plugin".to_owned()],
        ..HostOptions::default()
    }
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).or_fail("read the plugin's answer as JSON")
    }

    /// The body, of a request that was granted.
    ///
    /// # Panics
    /// When it was refused.
    #[track_caller]
    #[must_use]
    pub fn granted(&self) -> Value {
        let body = self.json();
        let is_granted = self.status == 200 && body.get("Err").is_none();
        assert!(is_granted, "{} {}", self.status, self.body);
        body
    }

    /// The sentence, of a request that was refused.
    ///
    /// # Panics
    /// When it was granted.
    #[track_caller]
    #[must_use]
    pub fn refused(&self) -> String {
        match self.json().get("Err").and_then(Value::as_str) {
            Some(sentence) if !sentence.is_empty() => sentence.to_owned(),
            _ => panic!("it was granted: {} {}", self.status, self.body),
        }
    }
}

impl Host {
    /// Calls a method, such as `IpamDriver.RequestPool`, with a body as it stands.
    ///
    /// # Panics
    /// When nothing listens.
    #[track_caller]
    pub fn plugin(&self, method: &str, body: &str) -> Answer {
        let length = body.len();
        let text = format!(
            "POST /{method} HTTP/1.1\r\nHost: plugin\r\nConnection: close\r\n\
             Accept: application/vnd.docker.plugins.v1.2+json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.plugin_raw(text.as_bytes())
    }

    /// Sends bytes as they are, and reads until the daemon hangs up.
    ///
    /// # Panics
    /// When nothing listens.
    #[track_caller]
    pub fn plugin_raw(&self, bytes: &[u8]) -> Answer {
        self.raw_http(PLUGIN_SOCKET, bytes)
    }
}
