//! What a runtime gives for one container: capabilities in `runtimeConfig`, and the conventions of `args`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netd_api::{Alias, Mac, PoolRequest, PortRange, Protocol, PublishRequest, Rate, Rates};
use serde::Deserialize;
use serde_json::Value;

use super::Dns;
use super::fields::{fields, typed};
use super::ipam::ranges;
use crate::cni::failure::Failure;
use crate::handover::address;

/// The capabilities that are served.
const KNOWN: &[&str] = &[
    "portMappings",
    "ips",
    "mac",
    "dns",
    "aliases",
    "ipRanges",
    "bandwidth",
];

/// What `runtimeConfig` says.
#[derive(Debug, Default)]
pub(super) struct Capabilities {
    /// Addresses to have.
    pub(super) ips: Vec<IpAddr>,
    /// Ethernet address to have.
    pub(super) mac: Option<Mac>,
    /// Further names.
    pub(super) aliases: Aliases,
    /// How fast its traffic may be.
    pub(super) rates: Rates,
    /// Ports to publish.
    pub(super) ports: Vec<PublishRequest>,
    /// Resolver settings.
    pub(super) dns: Option<Dns>,
    /// Address pools of the network.
    pub(super) pools: Vec<PoolRequest>,
}

/// A list of names, or one for each network.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Aliases {
    /// For this network.
    Here(Vec<String>),
    /// By the names of the networks.
    ByNetwork(BTreeMap<String, Vec<String>>),
}

impl Default for Aliases {
    fn default() -> Self {
        Self::Here(Vec::new())
    }
}

impl Aliases {
    /// Those of one network.
    pub(super) fn of(self, network: &str) -> Result<Vec<Alias>, Failure> {
        let names = match self {
            Self::Here(names) => names,
            Self::ByNetwork(mut all) => all.remove(network).unwrap_or_default(),
        };
        let alias = |name: String| {
            let parsed = name.parse();
            parsed.map_err(|error| Failure::config(format!("runtimeConfig.aliases: {error}")))
        };
        names.into_iter().map(alias).collect()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mapping {
    #[serde(default)]
    host_port: i64,
    #[serde(default)]
    container_port: i64,
    #[serde(default)]
    protocol: String,
    #[serde(default, rename = "hostIP")]
    host_ip: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resolver {
    servers: Vec<IpAddr>,
    searches: Vec<String>,
    options: Vec<String>,
}

impl Capabilities {
    /// Reads the key.
    pub(super) fn read(given: &Value) -> Result<Self, Failure> {
        if given.is_null() {
            return Ok(Self::default());
        }
        let all: BTreeMap<String, Value> = fields("runtimeConfig", given, KNOWN)?;
        let at = |key: &str| all.get(key).filter(|value| !value.is_null());
        let mut read = Self::default();
        if let Some(value) = at("bandwidth") {
            read.rates = rates(value)?;
        }
        if let Some(value) = at("ips") {
            read.ips = addresses("runtimeConfig.ips", value)?;
        }
        if let Some(value) = at("mac").filter(|mac| **mac != "") {
            read.mac = Some(typed("runtimeConfig.mac", value)?);
        }
        if let Some(value) = at("aliases") {
            read.aliases = typed("runtimeConfig.aliases", value)?;
        }
        if let Some(value) = at("portMappings") {
            let mappings: Vec<Value> = typed("runtimeConfig.portMappings", value)?;
            read.ports = mappings.iter().map(port).collect::<Result<_, _>>()?;
        }
        if let Some(value) = at("dns") {
            let known = ["servers", "searches", "options"];
            let Resolver {
                servers,
                searches,
                options,
            } = fields("runtimeConfig.dns", value, &known)?;
            read.dns = Some(Dns {
                nameservers: servers,
                domain: None,
                search: searches,
                options,
            });
        }
        if let Some(value) = at("ipRanges") {
            read.pools = ranges("runtimeConfig.ipRanges", value)?;
        }
        Ok(read)
    }
}

/// Limits as the conventions have them: `ingress` is what comes to the container, all is counted in bits, and 0 is none.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Bandwidth {
    ingress_rate: u64,
    ingress_burst: u64,
    egress_rate: u64,
    egress_burst: u64,
}

fn rates(value: &Value) -> Result<Rates, Failure> {
    let what = "runtimeConfig.bandwidth";
    let known = ["ingressRate", "ingressBurst", "egressRate", "egressBurst"];
    let given: Bandwidth = fields(what, value, &known)?;
    let limit = |key: &str, rate: u64, burst_bits: u64| {
        Rate::given(Some(rate), Some(burst_bits.div_ceil(8)))
            .map_err(|error| Failure::config(format!("{what}: {key} of {value}: {error}")))
    };
    Ok(Rates {
        inward: limit("ingress", given.ingress_rate, given.ingress_burst)?,
        outward: limit("egress", given.egress_rate, given.egress_burst)?,
    })
}

fn port(mapping: &Value) -> Result<PublishRequest, Failure> {
    let what = "runtimeConfig.portMappings";
    let known = ["hostPort", "containerPort", "protocol", "hostIP"];
    let given: Mapping = fields(what, mapping, &known)?;
    let single = |key: &str, port: i64| {
        let port = u16::try_from(port).ok();
        let range = port.and_then(|port| PortRange::new(port, port));
        range.ok_or_else(|| {
            Failure::config(format!("{what}: {key} of {mapping}: expected 1 to 65535"))
        })
    };
    let protocol = match given.protocol.as_str() {
        "" => Protocol::Tcp,
        name => name
            .parse()
            .map_err(|error| Failure::config(format!("{what}: {error}")))?,
    };
    let host_ip =
        match given.host_ip.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| {
                Failure::config(format!("{what}: hostIP {text:?} is no IP address"))
            })?),
        };
    Ok(PublishRequest {
        protocol,
        host_ip,
        host_ports: Some(single("hostPort", given.host_port)?),
        container_ports: single("containerPort", given.container_port)?,
        from: Vec::new(),
    })
}

/// Addresses, each with or without a prefix.
fn addresses(what: &str, value: &Value) -> Result<Vec<IpAddr>, Failure> {
    let texts: Vec<String> = typed(what, value)?;
    let parse = |text: &String| {
        address(text).ok_or_else(|| Failure::config(format!("{what}: {text:?} is no IP address")))
    };
    texts.iter().map(parse).collect()
}

/// What `args.cni` says (conventions of the CNI project). All else below `args` is for other plugins.
#[derive(Debug, Default)]
pub(super) struct Extra {
    /// Addresses to have.
    pub(super) ips: Vec<IpAddr>,
    /// The user's own marks.
    pub(super) labels: BTreeMap<String, String>,
}

impl Extra {
    /// Reads the key.
    pub(super) fn read(args: &Value) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        struct Label {
            key: String,
            value: String,
        }
        let cni = &args["cni"];
        let mut read = Self::default();
        if !cni["ips"].is_null() {
            read.ips = addresses("args.cni.ips", &cni["ips"])?;
        }
        if !cni["labels"].is_null() {
            let labels: Vec<Label> = typed("args.cni.labels", &cni["labels"])?;
            let pairs = labels.into_iter().map(|label| (label.key, label.value));
            read.labels = pairs.collect();
        }
        Ok(read)
    }
}
