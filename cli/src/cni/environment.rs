//! The parameters that a runtime gives in environment variables (specification, section "Parameters"), each checked
//! where it is taken.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use netd_api::{IfName, Mac, RuntimeId};

use super::failure::{Code, Failure};
use crate::handover::{address, check_path};

/// What the runtime wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Connect.
    Add,
    /// Disconnect.
    Del,
    /// Look whether it is connected.
    Check,
    /// Disconnect what is forgotten.
    Gc,
    /// Tell whether ADD would be served.
    Status,
    /// Tell the versions.
    Version,
}

/// The variables, as they are.
#[derive(Debug, Default)]
pub(super) struct Environment {
    variables: BTreeMap<&'static str, String>,
}

const NAMES: [&str; 5] = [
    "CNI_COMMAND",
    "CNI_CONTAINERID",
    "CNI_NETNS",
    "CNI_IFNAME",
    "CNI_ARGS",
];

impl Environment {
    /// Those of this process. One that is empty counts as missing.
    pub(super) fn of_process() -> Self {
        let value = |name| {
            let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
            Some((name, value.to_string_lossy().into_owned()))
        };
        Self {
            variables: NAMES.into_iter().filter_map(value).collect(),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// What the runtime wants.
    pub(super) fn command(&self) -> Result<Command, Failure> {
        match self.need(&["CNI_COMMAND"])?[0] {
            "ADD" => Ok(Command::Add),
            "DEL" => Ok(Command::Del),
            "CHECK" => Ok(Command::Check),
            "GC" => Ok(Command::Gc),
            "STATUS" => Ok(Command::Status),
            "VERSION" => Ok(Command::Version),
            other => Err(wrong(format!(
                "CNI_COMMAND is {other:?}: expected ADD, DEL, CHECK, GC, STATUS or VERSION"
            ))),
        }
    }

    /// The values of these variables; all that are missing are named at once.
    fn need(&self, names: &[&'static str]) -> Result<Vec<&str>, Failure> {
        let missing: Vec<_> = names
            .iter()
            .filter(|name| self.get(name).is_none())
            .collect();
        if !missing.is_empty() {
            let missing = missing.iter().map(|name| **name).collect::<Vec<_>>();
            return Err(wrong(format!(
                "environment variables are missing: {}; netd-cni is called by a container runtime, see `netd-cni --help`",
                missing.join(", ")
            )));
        }
        Ok(names.iter().filter_map(|name| self.get(name)).collect())
    }

    /// Container and interface, for commands that need no namespace.
    pub(super) fn place(&self) -> Result<(RuntimeId, IfName), Failure> {
        let values = self.need(&["CNI_CONTAINERID", "CNI_IFNAME"])?;
        Ok((container(values[0])?, interface(values[1])?))
    }

    /// Container, interface and namespace.
    pub(super) fn place_inside(&self) -> Result<(RuntimeId, IfName, PathBuf), Failure> {
        let values = self.need(&["CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"])?;
        let netns = PathBuf::from(values[2]);
        check_path("CNI_NETNS", &netns).map_err(wrong)?;
        Ok((container(values[0])?, interface(values[1])?, netns))
    }

    /// The file of the namespace, if one is named.
    pub(super) fn netns(&self) -> Option<&Path> {
        self.get("CNI_NETNS").map(Path::new)
    }

    /// What the user gave for this one container.
    pub(super) fn arguments(&self) -> Result<Arguments, Failure> {
        Arguments::parse(self.get("CNI_ARGS").unwrap_or_default())
    }
}

fn wrong(message: String) -> Failure {
    Failure::new(Code::Environment, message)
}

fn container(text: &str) -> Result<RuntimeId, Failure> {
    text.parse()
        .map_err(|error| wrong(format!("CNI_CONTAINERID: {error}")))
}

fn interface(text: &str) -> Result<IfName, Failure> {
    let name: IfName = text
        .parse()
        .map_err(|error| wrong(format!("CNI_IFNAME: {error}")))?;
    match name.as_str() {
        "lo" => Err(wrong(
            "CNI_IFNAME: lo is the loopback interface's".to_owned(),
        )),
        _ => Ok(name),
    }
}

/// What stands in `CNI_ARGS`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    /// Addresses to have.
    pub(super) ips: Vec<IpAddr>,
    /// Ethernet address to have.
    pub(super) mac: Option<Mac>,
    /// Name of the Kubernetes pod.
    pub(super) pod: Option<String>,
    /// Namespace of the Kubernetes pod.
    pub(super) pod_namespace: Option<String>,
}

impl Arguments {
    /// `KEY=VALUE;KEY=VALUE`. What is not known is an error, unless `IgnoreUnknown` is true.
    fn parse(text: &str) -> Result<Self, Failure> {
        let mut arguments = Self::default();
        let mut unknown = None;
        let mut lenient = false;
        for pair in text.split(';').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or_else(|| {
                wrong(format!(
                    "CNI_ARGS: {pair:?} is no pair: expected KEY=VALUE;KEY=VALUE"
                ))
            })?;
            match key {
                "IgnoreUnknown" => {
                    lenient = matches!(value, "1" | "true" | "True" | "TRUE" | "t" | "T");
                }
                "IP" => arguments.ips = addresses(value)?,
                "MAC" => {
                    let mac = value
                        .parse()
                        .map_err(|error| wrong(format!("CNI_ARGS: MAC: {error}")))?;
                    arguments.mac = Some(mac);
                }
                "K8S_POD_NAME" => arguments.pod = Some(value.to_owned()),
                "K8S_POD_NAMESPACE" => arguments.pod_namespace = Some(value.to_owned()),
                key if key.starts_with("K8S_POD_") => {}
                other => unknown = unknown.or(Some(other)),
            }
        }
        match unknown.filter(|_| !lenient) {
            Some(key) => Err(wrong(format!(
                "CNI_ARGS: unknown key {key:?}: expected IP, MAC or K8S_POD_*, or IgnoreUnknown=1"
            ))),
            None => Ok(arguments),
        }
    }
}

/// Addresses with commas between, each with or without a prefix.
fn addresses(text: &str) -> Result<Vec<IpAddr>, Failure> {
    let each = text.split(',').map(str::trim);
    each.map(|word| {
        address(word).ok_or_else(|| wrong(format!("CNI_ARGS: IP: {word:?} is no IP address")))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_and_strangers_refused_unless_it_is_said() {
        let text = "IgnoreUnknown=1;X=y;IP=10.9.0.5/24,fd00::5;MAC=02:42:0a:09:00:05;\
                    K8S_POD_NAMESPACE=prod;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=ab";
        let arguments = Arguments::parse(text).unwrap();
        let ips = ["10.9.0.5", "fd00::5"].map(|ip| ip.parse::<IpAddr>().unwrap());
        assert_eq!(arguments.ips, ips);
        assert_eq!(arguments.mac, Some("02:42:0a:09:00:05".parse().unwrap()));
        assert_eq!(arguments.pod.as_deref(), Some("web-0"));
        assert_eq!(arguments.pod_namespace.as_deref(), Some("prod"));
        for bad in [
            "X=y",
            "IP",
            "IP=",
            "IP=a",
            "IP=10.9.0.5/33",
            "MAC=ff:ff:ff:ff:ff:ff",
            ";=;",
            "==",
        ] {
            let failure = Arguments::parse(bad).unwrap_err();
            assert_eq!(failure.code, Code::Environment, "{bad}");
        }
    }
}
