//! The commands of the specification (section "Network configuration operations").

use std::path::Path;

use netd_api::{ClientError, ErrorCode, RetainRequest, Retained, WantedNetwork};
use serde_json::{Value, json};

use super::config::{self, Config};
use super::environment::{Arguments, Environment};
use super::failure::{Code, Failure};
use super::input::{self, Input};
use super::request;
use super::result::{self, Beside};
use super::version::Version;
use crate::netns;

/// VERSION: what is spoken. It is answered in the version of the question, if that is one of ours.
pub(super) fn version(bytes: &[u8]) -> Result<Value, Failure> {
    let asked = match bytes.iter().all(u8::is_ascii_whitespace) {
        true => Value::Null,
        false => input::object(bytes)?,
    };
    let known = asked["cniVersion"].as_str().and_then(Version::of);
    Ok(json!({
        "cniVersion": known.unwrap_or(Version::NEWEST).as_str(),
        "supportedVersions": Version::ALL.map(Version::as_str),
    }))
}

/// ADD: connect a container.
pub(super) fn add(environment: &Environment, input: &Input) -> Result<Value, Failure> {
    let (container, interface, path) = environment.place_inside()?;
    let arguments = environment.arguments()?;
    let config = Config::read(input, &arguments)?;
    let previous = result::previous(&input.object, input.version)?;
    let netns = open(&path)?;
    let key = request::key(input, (container, interface));
    let wish = request::attach(&key, &config, &arguments, &netns);
    let attached = input.client()?.attach(&wish)?;
    let beside = Beside {
        netns: &path,
        routes: &config.routes,
        dns: &config.dns,
    };
    Ok(result::added(&attached, &beside, previous, input.version))
}

fn open(path: &Path) -> Result<std::fs::File, Failure> {
    netns::open(path).map_err(|error| {
        let message = format!("CNI_NETNS: {error}");
        Failure::new(Code::Environment, message)
    })
}

/// DEL: disconnect a container. What is gone already is no error, nor is what goes by itself: a daemon that is away
/// gives back what belonged to a namespace that has ended when it starts.
pub(super) fn del(environment: &Environment, input: &Input) -> Result<(), Failure> {
    let key = request::key(input, environment.place()?);
    match input.client()?.release(&key) {
        Ok(()) => Ok(()),
        Err(ClientError::NoDaemon { .. } | ClientError::Lost { .. }) if has_ended(environment) => {
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// True if the runtime names no namespace, or one that is not there any more.
fn has_ended(environment: &Environment) -> bool {
    environment
        .netns()
        .is_none_or(|path| netns::open(path).is_err())
}

/// CHECK: look whether a container is connected as it was told.
pub(super) fn check(environment: &Environment, input: &Input) -> Result<(), Failure> {
    input.version.require(Version::V0_4_0, "CHECK")?;
    let (container, interface, path) = environment.place_inside()?;
    let previous = result::previous(&input.object, input.version)?;
    let previous = previous.ok_or_else(|| {
        Failure::config("CHECK needs prevResult, the result of the last ADD; it is missing")
    })?;
    let _netns = open(&path)?;
    let key = request::key(input, (container, interface));
    let wished = config::rates(input)?;
    let attached = input.client()?.check(&key)?;
    let rates = attached.attachment.rates;
    if wished.is_some_and(|wished| wished != rates) {
        return Err(Failure::config(format!(
            "runtimeConfig.bandwidth is not what the container was connected with ({rates})"
        )));
    }
    result::expects(&previous, &attached)
}

/// GC: disconnect what the runtime does not know any more.
pub(super) fn gc(input: &Input) -> Result<(), Failure> {
    input.version.require(Version::V1_1_0, "GC")?;
    let key = "cni.dev/valid-attachments";
    let Some(valid) = input.object[key].as_array() else {
        return Err(Failure::config(format!(
            "GC needs {key}, the list of what stays; nothing was removed"
        )));
    };
    let mut keep = Vec::new();
    for one in valid {
        let text = |key: &str| {
            let value = one[key].as_str();
            value.ok_or_else(|| {
                Failure::config(format!("{key} is no text in {one}; nothing was removed"))
            })
        };
        // What cannot be an id here was never added here.
        if let (Ok(container), Ok(interface)) =
            (text("containerID")?.parse(), text("ifname")?.parse())
        {
            keep.push(Retained {
                container,
                interface,
            });
        }
    }
    let network = input.name.clone();
    let report = input.client()?.retain(&RetainRequest { network, keep })?;
    match report.failures.is_empty() {
        true => Ok(()),
        false => {
            let message = format!(
                "not everything could be removed: {}",
                report.failures.join("; ")
            );
            Err(Failure::new(Code::Internal, message))
        }
    }
}

/// STATUS: tell whether ADD would be served.
pub(super) fn status(input: &Input) -> Result<(), Failure> {
    input.version.require(Version::V1_1_0, "STATUS")?;
    let config = Config::read(input, &Arguments::default())?;
    let client = input.client()?;
    let asked = match &config.network {
        WantedNetwork::Existing(name) => client.network(name).map(drop),
        WantedNetwork::Described(_) => client.version().map(drop),
    };
    asked.map_err(|error| {
        let missing = matches!(&error, ClientError::Refused { body, .. } if body.code == ErrorCode::NetworkNotFound);
        let message = match missing {
            true => format!("{error}; create it with `net create`"),
            false => error.to_string(),
        };
        Failure::new(Code::NotAvailable, message)
    })
}
