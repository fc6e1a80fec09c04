//! What a configuration asks for: the network, by name or by description, and what this one container wants there.
//!
//! Every key is known or refused: one that is passed over in silence is a promise that nobody keeps.

mod fields;
mod ipam;
mod runtime;

use std::collections::BTreeMap;
use std::net::IpAddr;

use netd_api::{
    Alias, ContainerRoute, DnsSettings, Mac, NetworkRequest, PublishRequest, Rates, WantedNetwork,
};
use serde::Deserialize;
use serde_json::Value;

use super::environment::Arguments;
use super::failure::Failure;
use super::input::Input;
use fields::{fields, only};
use ipam::Ipam;
use runtime::{Capabilities, Extra};

/// Keys of a configuration. What begins with `cni.dev/` is the specification's own.
const KNOWN: &[&str] = &[
    "cniVersion",
    "cniVersions",
    "name",
    "type",
    "disableCheck",
    "disableGC",
    "loadOnlyInlinedPlugins",
    "capabilities",
    "runtimeConfig",
    "args",
    "prevResult",
    "dns",
    "socket",
    "network",
    "ipam",
    "options",
    "internal",
    "labels",
];

/// Keys that other plugins have, and what to write here instead.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "bridge",
        "give \"options\": {\"com.docker.network.bridge.name\": ...}",
    ),
    (
        "mtu",
        "give \"options\": {\"com.docker.network.driver.mtu\": \"...\"}",
    ),
    (
        "ipMasq",
        "netd masquerades unless \"options\" has com.docker.network.bridge.enable_ip_masquerade \"false\"",
    ),
    (
        "isGateway",
        "the bridge is the gateway always; leave it out",
    ),
    (
        "isDefaultGateway",
        "the bridge is the gateway always; leave it out",
    ),
    ("hairpinMode", "it is on always; leave it out"),
    (
        "bandwidth",
        "limits are each container's own: give \"capabilities\": {\"bandwidth\": true}, and runtimes hand them over",
    ),
];

/// A configuration with what the runtime gave besides.
#[derive(Debug)]
pub(super) struct Config {
    /// The network.
    pub(super) network: WantedNetwork,
    /// Routes besides the default route.
    pub(super) routes: Vec<ContainerRoute>,
    /// Addresses to have.
    pub(super) ips: Vec<IpAddr>,
    /// Ethernet address to have.
    pub(super) mac: Option<Mac>,
    /// Further names.
    pub(super) aliases: Vec<Alias>,
    /// How fast its traffic may be.
    pub(super) rates: Rates,
    /// Ports to publish.
    pub(super) ports: Vec<PublishRequest>,
    /// Resolver settings.
    pub(super) dns: Dns,
    /// Marks for the container.
    pub(super) labels: BTreeMap<String, String>,
}

/// Resolver settings as the specification has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Dns {
    /// Resolvers to ask.
    pub(super) nameservers: Vec<IpAddr>,
    /// The domain that comes first in the search.
    pub(super) domain: Option<String>,
    /// Domains to search.
    pub(super) search: Vec<String>,
    /// `options` of resolv.conf(5).
    pub(super) options: Vec<String>,
}

impl Dns {
    /// As netd has them: the domain is what is searched first.
    pub(super) fn settings(&self) -> DnsSettings {
        let domain = self.domain.iter().filter(|domain| !domain.is_empty());
        DnsSettings {
            servers: self.nameservers.clone(),
            search: domain.chain(&self.search).cloned().collect(),
            options: self.options.clone(),
        }
    }
}

impl Config {
    /// Reads all of it.
    pub(super) fn read(input: &Input, arguments: &Arguments) -> Result<Self, Failure> {
        let object = &input.object;
        check_keys(object)?;
        let given = Capabilities::read(&object["runtimeConfig"])?;
        let extra = Extra::read(&object["args"])?;
        let ipam = Ipam::read(&object["ipam"], given.pools)?;
        let network = network(input, &ipam)?;
        let dns: Dns = match &object["dns"] {
            Value::Null => Dns::default(),
            dns => fields("dns", dns, &["nameservers", "domain", "search", "options"])?,
        };
        let first = |lists: [Vec<IpAddr>; 3]| {
            let mut given = lists.into_iter().filter(|list| !list.is_empty());
            given.next().unwrap_or_default()
        };
        let mut aliases = given.aliases.of(input.name.as_str())?;
        if has_names(&network) {
            aliases.extend(pod_names(arguments));
        }
        aliases.dedup();
        Ok(Self {
            network,
            routes: ipam.routes,
            ips: first([given.ips, extra.ips, arguments.ips.clone()]),
            mac: given.mac.or(arguments.mac),
            aliases,
            rates: given.rates,
            ports: given.ports,
            dns: given.dns.unwrap_or(dns),
            labels: labels(extra.labels, arguments),
        })
    }
}

/// The limits that the runtime gives besides, if it says anything of them.
pub(super) fn rates(input: &Input) -> Result<Option<Rates>, Failure> {
    let given = &input.object["runtimeConfig"];
    let is_said = !given["bandwidth"].is_null();
    Ok(is_said.then_some(Capabilities::read(given)?.rates))
}

fn check_keys(object: &Value) -> Result<(), Failure> {
    for (key, why) in ELSEWHERE {
        if let Some(value) = object.get(key) {
            return Err(Failure::unsupported(key, value, why));
        }
    }
    only("", object, KNOWN)
}

/// The network by its name, or by its description, which bears the configuration's name.
fn network(input: &Input, ipam: &Ipam) -> Result<WantedNetwork, Failure> {
    let object = &input.object;
    let described = ["ipam", "options", "internal", "labels"];
    let described = described.iter().find(|key| !object[**key].is_null());
    match (&object["network"], described) {
        (Value::String(name), None) if ipam.pools.is_empty() && !name.is_empty() => {
            Ok(WantedNetwork::Existing(name.clone()))
        }
        (Value::String(_), Some(key)) => Err(Failure::config(format!(
            "network names one that is there, and {key} describes one: give either"
        ))),
        (Value::String(name), None) if !name.is_empty() => Err(Failure::config(
            "network names one that is there, and ipRanges describe one: leave that capability out",
        )),
        (Value::Null, _) if !object["ipam"].is_null() || !ipam.pools.is_empty() => Ok(
            WantedNetwork::Described(Box::new(description(input, ipam)?)),
        ),
        (Value::Null, _) => Err(Failure::config(
            "which network? give \"network\": \"NAME\" for one that is there (`net ls`), or \"ipam\": {\"subnet\": ...} to describe one",
        )),
        (other, _) => Err(Failure::config(format!(
            "network is {other}: expected a name"
        ))),
    }
}

fn description(input: &Input, ipam: &Ipam) -> Result<NetworkRequest, Failure> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Described {
        options: BTreeMap<String, String>,
        internal: bool,
        labels: BTreeMap<String, String>,
    }
    let name = input.name.as_str().parse();
    let name = name
        .map_err(|error| Failure::config(format!("name of the network configuration: {error}")))?;
    let mut object = serde_json::Map::new();
    for key in ["options", "internal", "labels"] {
        if let Some(value) = input.object.get(key) {
            object.insert(key.to_owned(), value.clone());
        }
    }
    let Described {
        options,
        internal,
        labels,
    } = serde_json::from_value(Value::Object(object))
        .map_err(|error| Failure::config(format!("options, internal or labels: {error}")))?;
    Ok(NetworkRequest {
        name,
        driver: None,
        internal,
        attachable: false,
        ipv4: None,
        ipv6: None,
        pools: ipam.pools.clone(),
        options,
        labels,
        dns_servers: Vec::new(),
        config_only: false,
        config_from: None,
    })
}

/// The default network has no names, as in Docker.
fn has_names(network: &WantedNetwork) -> bool {
    !matches!(network, WantedNetwork::Existing(name) if name == "bridge" || name == "default")
}

/// A pod is found by its name, alone and with its namespace, as far as these can be names.
fn pod_names(arguments: &Arguments) -> Vec<Alias> {
    let pod = arguments.pod.as_ref();
    let full = pod
        .zip(arguments.pod_namespace.as_ref())
        .map(|(pod, namespace)| format!("{pod}.{namespace}"));
    let names = pod.into_iter().chain(full.as_ref());
    names.filter_map(|name| name.parse().ok()).collect()
}

fn labels(mut labels: BTreeMap<String, String>, arguments: &Arguments) -> BTreeMap<String, String> {
    // The keys under which containerd's and CRI-O's own tools show them.
    let pod = [
        ("io.kubernetes.pod.name", &arguments.pod),
        ("io.kubernetes.pod.namespace", &arguments.pod_namespace),
    ];
    for (key, value) in pod {
        if let Some(value) = value {
            labels.insert(key.to_owned(), value.clone());
        }
    }
    labels
}

#[cfg(test)]
mod tests;
