//! The state that a runtime writes to a hook's stdin (OCI runtime specification, runtime.md, section "State").

use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal;
use std::path::PathBuf;

use netd_api::RuntimeId;
use serde::Deserialize;

use super::failure::Failure;
use crate::handover;

/// How far a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// The runtime makes it.
    Creating,
    /// It is made, and its program does not run yet; crun says so to createRuntime, too.
    Created,
    /// Its program runs.
    Running,
    /// Its program is halted for a while (runc, crun).
    Paused,
    /// Its program ended.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Creating => "being created",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        })
    }
}

/// A container, as its runtime tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// The runtime's id of it; unique among the containers of that runtime only.
    pub(super) id: RuntimeId,
    /// How far it is.
    pub(super) status: Status,
    /// Its first process, if there is one.
    pub(super) pid: Option<u32>,
    /// Folder of its bundle.
    pub(super) bundle: PathBuf,
    /// Its annotations, empty if the runtime passes none on.
    pub(super) annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    oci_version: String,
    id: RuntimeId,
    status: Status,
    #[serde(default)]
    pid: i64,
    bundle: PathBuf,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl State {
    /// Reads it from stdin.
    pub(super) fn read() -> Result<Self, Failure> {
        let stdin = std::io::stdin().lock();
        if stdin.is_terminal() {
            // A person is not kept waiting for what only runtimes write.
            return Err(Failure::State("it is a terminal".to_owned()));
        }
        Self::parse(&handover::read(stdin).map_err(Failure::Read)?)
    }

    /// Reads it out of these bytes.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let wrong = Failure::State;
        let written: Written =
            serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        check_version(&written.oci_version).map_err(wrong)?;
        handover::check_path("bundle", &written.bundle).map_err(wrong)?;
        let pid = match written.pid {
            0 => None,
            pid => {
                Some(u32::try_from(pid).map_err(|_| wrong(format!("pid {pid} is no process id")))?)
            }
        };
        Ok(Self {
            id: written.id,
            status: written.status,
            pid,
            bundle: written.bundle,
            annotations: written.annotations.unwrap_or_default(),
        })
    }
}

/// Within a major version, later specifications only add. crun writes `1.0`, and runc a suffix such as `-dev`.
fn check_version(text: &str) -> Result<(), String> {
    let mut parts = text.split('-').next().unwrap_or_default().split('.');
    let major = parts.next();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match major == Some("1") && parts.all(is_number) {
        true => Ok(()),
        false => Err(format!(
            "ociVersion is {text:?}, and netd-hook speaks 1.0 and what came after it, up to 2"
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn state() -> Value {
        json!({ "ociVersion": "1.0.2-dev", "id": "web", "status": "creating", "pid": 7, "bundle": "/run/b" })
    }

    #[test]
    fn what_runc_and_crun_write_is_read() {
        let runc = State::parse(state().to_string().as_bytes()).unwrap();
        assert_eq!((runc.pid, runc.status), (Some(7), Status::Creating));
        assert!(runc.annotations.is_empty());
        let crun = br#"{"ociVersion":"1.0","id":"web","pid":0,"root":"rootfs","bundle":"/run/b","status":"stopped",
            "annotations":{"org.netd.network":"app"}}"#;
        let crun = State::parse(crun).unwrap();
        assert_eq!((crun.pid, crun.status), (None, Status::Stopped));
        assert_eq!(crun.annotations["org.netd.network"], "app");
    }

    #[test]
    fn what_is_no_state_is_refused_by_the_field() {
        for (field, value, named) in [
            ("ociVersion", Value::Null, "null"),
            ("ociVersion", json!("2.0.0"), "2.0.0"),
            ("ociVersion", json!("1.x"), "1.x"),
            ("ociVersion", json!(""), "ociVersion"),
            ("id", json!("../x"), "../x"),
            ("id", json!(""), "empty"),
            ("status", json!("asleep"), "asleep"),
            ("pid", json!(-1), "-1"),
            ("pid", json!(1_u64 << 40), "1099511627776"),
            ("pid", json!("7"), "7"),
            ("bundle", json!("run/b"), "bundle"),
            ("bundle", json!("/run/../etc"), "bundle"),
            ("annotations", json!({ "a": 1 }), "string"),
        ] {
            let mut state = state();
            state[field] = value;
            let said = State::parse(state.to_string().as_bytes()).unwrap_err();
            assert!(said.to_string().contains(named), "{field}: {said}");
        }
        for bad in ["", "{", "[]", "null", "\"web\"", "{}"] {
            assert!(State::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
