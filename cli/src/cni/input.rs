//! What comes on stdin: bounded, parsed once, with what every command needs of it.

use netd_api::{Client, RuntimeId};
use serde_json::Value;

use super::failure::{Code, Failure};
use super::version::Version;
use crate::handover::{self, PATIENCE, ReadError, check_path};

/// Reads stdin.
pub(super) fn read() -> Result<Vec<u8>, Failure> {
    handover::read(std::io::stdin().lock()).map_err(|error| {
        let code = match error {
            ReadError::Io(_) => Code::Io,
            ReadError::TooLong => Code::Decode,
        };
        let message = format!("the network configuration on stdin {error}");
        Failure::new(code, message)
    })
}

/// The JSON object in these bytes.
pub(super) fn object(bytes: &[u8]) -> Result<Value, Failure> {
    let refused = |why: String| {
        let message = format!("the network configuration on stdin is no JSON object: {why}");
        Failure::new(Code::Decode, message)
    };
    let value: Value = serde_json::from_slice(bytes).map_err(|error| refused(error.to_string()))?;
    match value.is_object() {
        true => Ok(value),
        false => Err(refused("expected { at its beginning".to_owned())),
    }
}

/// A configuration, as far as every command needs it.
#[derive(Debug)]
pub(super) struct Input {
    /// The version in which it is written, and to answer.
    pub(super) version: Version,
    /// Its name.
    pub(super) name: RuntimeId,
    /// All of it.
    pub(super) object: Value,
    socket: Option<String>,
}

impl Input {
    /// Checks what every command needs.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let object = object(bytes)?;
        let version = Version::of_object(&object)?;
        let name = match &object["name"] {
            Value::String(name) => name.parse().map_err(|error| {
                Failure::config(format!("name of the network configuration: {error}"))
            })?,
            Value::Null => {
                return Err(Failure::config(
                    "name is missing: give the network configuration one",
                ));
            }
            other => return Err(Failure::config(format!("name is {other}: expected a text"))),
        };
        check_type(&object["type"])?;
        let socket = match &object["socket"] {
            Value::Null => None,
            Value::String(socket) => Some(socket.clone()),
            other => {
                return Err(Failure::config(format!(
                    "socket is {other}: expected a path"
                )));
            }
        };
        if let Some(socket) = &socket {
            let path = socket.strip_prefix("unix://").unwrap_or(socket);
            check_path("socket", path.as_ref()).map_err(Failure::config)?;
        }
        Ok(Self {
            version,
            name,
            object,
            socket,
        })
    }

    /// The daemon that the configuration names, or the usual one.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let client = Client::from_host(self.socket.as_deref())?;
        Ok(client.with_timeout(PATIENCE))
    }
}

/// The name under which the runtime found this program. It is used for nothing; one that is a path has misled others.
fn check_type(kind: &Value) -> Result<(), Failure> {
    match kind {
        Value::String(name)
            if !name.is_empty() && !name.contains(['/', '\0']) && name != "." && name != ".." =>
        {
            Ok(())
        }
        Value::Null => Err(Failure::config(
            "type is missing: give \"type\": \"netd-cni\"",
        )),
        other => Err(Failure::config(format!(
            "type is {other}: expected the name of a program without a path, such as \"netd-cni\""
        ))),
    }
}
