//! What Podman sends and reads, in its own words (netavark(1), and what versions 4 to 6 of Podman are seen to send).
//!
//! Fields that are not known are passed over, as the protocol has it: each version of Podman adds some. Options are not:
//! each of them is understood or refused where it is read.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netd_api::{IpNetwork, Subnet};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::failure::Failure;

/// The body of `setup` and `teardown`.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    /// 64 hexadecimal digits.
    pub(super) container_id: String,
    /// The container's name, or that of its pod.
    #[serde(default)]
    pub(super) container_name: String,
    /// What the container calls itself; newer versions send it.
    #[serde(default)]
    pub(super) container_hostname: Option<String>,
    /// Its places: an object by the networks' names, or a list in newer versions.
    networks: Value,
    /// The networks by name.
    #[serde(default)]
    pub(super) network_info: Map<String, Value>,
    /// Ports to publish.
    #[serde(default)]
    pub(super) port_mappings: Option<Vec<PortMapping>>,
    /// The user's resolvers.
    #[serde(default)]
    pub(super) dns_servers: Option<Vec<IpAddr>>,
}

/// A place of the container on a network.
#[derive(Debug, Deserialize)]
pub(super) struct Place {
    /// The network's name; beside it in an object.
    #[serde(default)]
    pub(super) name: String,
    /// Name of the interface inside.
    pub(super) interface_name: String,
    /// Addresses that Podman gave out.
    #[serde(default)]
    pub(super) static_ips: Option<Vec<IpAddr>>,
    /// Ethernet address wished for.
    #[serde(default)]
    pub(super) static_mac: Option<String>,
    /// Further names.
    #[serde(default)]
    pub(super) aliases: Option<Vec<String>>,
    /// Options of this one place.
    #[serde(default)]
    pub(super) options: Option<BTreeMap<String, String>>,
}

/// A network as Podman has it in its file.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Network {
    /// Its name.
    pub(super) name: String,
    /// 64 hexadecimal digits.
    #[serde(default)]
    pub(super) id: String,
    /// Its driver.
    #[serde(default)]
    pub(super) driver: String,
    /// The bridge.
    #[serde(default)]
    pub(super) network_interface: Option<String>,
    /// Its subnets.
    #[serde(default)]
    pub(super) subnets: Option<Vec<SubnetOf>>,
    /// Routes besides the default route.
    #[serde(default)]
    pub(super) routes: Option<Vec<Route>>,
    /// Nothing goes in or out.
    #[serde(default)]
    pub(super) internal: bool,
    /// Containers are to find each other by name.
    #[serde(default)]
    pub(super) dns_enabled: bool,
    /// Resolvers that questions are forwarded to.
    #[serde(default)]
    pub(super) network_dns_servers: Option<Vec<IpAddr>>,
    /// The user's own marks.
    #[serde(default)]
    pub(super) labels: Option<BTreeMap<String, String>>,
    /// The driver's options.
    #[serde(default)]
    pub(super) options: Option<BTreeMap<String, String>>,
    /// Who gives out addresses.
    #[serde(default)]
    pub(super) ipam_options: Option<BTreeMap<String, String>>,
}

/// A subnet of a network.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct SubnetOf {
    /// All addresses.
    pub(super) subnet: Subnet,
    /// The gateway; none on an internal network without names.
    #[serde(default)]
    pub(super) gateway: Option<IpAddr>,
    /// What Podman gives out.
    #[serde(default)]
    pub(super) lease_range: Option<LeaseRange>,
}

/// Addresses that Podman gives out, both ends included.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct LeaseRange {
    /// The first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) start_ip: Option<IpAddr>,
    /// The last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) end_ip: Option<IpAddr>,
}

/// A route of a network.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Route {
    /// Where it leads.
    pub(super) destination: Subnet,
    /// The next hop.
    #[serde(default)]
    pub(super) gateway: Option<IpAddr>,
    /// Its metric.
    #[serde(default)]
    pub(super) metric: Option<u32>,
    /// Its kind, as ip-route(8) has it.
    #[serde(default)]
    pub(super) route_type: Option<String>,
}

/// Ports to publish.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct PortMapping {
    /// The first inside.
    pub(super) container_port: u16,
    /// Address of the host; empty for all.
    #[serde(default)]
    pub(super) host_ip: String,
    /// The first on the host.
    #[serde(default)]
    pub(super) host_port: u16,
    /// `tcp`, `udp`, `sctp`, or several of them with commas; empty for `tcp`.
    #[serde(default)]
    pub(super) protocol: String,
    /// How many; 0 for one.
    #[serde(default)]
    pub(super) range: u16,
}

/// What Podman keeps of a container on a network.
#[derive(Debug, Serialize)]
pub(super) struct StatusBlock {
    /// For `search` in resolv.conf.
    pub(super) dns_search_domains: Vec<String>,
    /// For `nameserver` in resolv.conf.
    pub(super) dns_server_ips: Vec<IpAddr>,
    /// The interfaces by name.
    pub(super) interfaces: BTreeMap<String, Interface>,
}

/// An interface inside.
#[derive(Debug, Serialize)]
pub(super) struct Interface {
    /// Ethernet address.
    pub(super) mac_address: String,
    /// Its addresses.
    pub(super) subnets: Vec<Address>,
}

/// An address of an interface.
#[derive(Debug, Serialize)]
pub(super) struct Address {
    /// With the prefix of the subnet.
    pub(super) ipnet: IpNetwork,
    /// The network's gateway of that family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gateway: Option<IpAddr>,
}

impl Request {
    /// Reads the body.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let refused = |error: serde_json::Error| Failure::Decode(error.to_string());
        let value: Value = serde_json::from_slice(bytes).map_err(refused)?;
        match value.is_object() {
            true => serde_json::from_value(value).map_err(refused),
            false => Err(Failure::Decode("expected { at its beginning".to_owned())),
        }
    }

    /// The places in the order of the interfaces: eth0 first, eth10 after eth9.
    pub(super) fn places(&self) -> Result<Vec<Place>, Failure> {
        let each: Vec<(Option<&String>, &Value)> = match &self.networks {
            Value::Object(map) => map.iter().map(|(name, one)| (Some(name), one)).collect(),
            Value::Array(list) => list.iter().map(|one| (None, one)).collect(),
            _ => return Err(Failure::Decode("networks is no object".to_owned())),
        };
        let mut places: Vec<Place> = Vec::new();
        for (name, one) in each {
            let shown = name.map_or("networks", String::as_str);
            let place = Place::deserialize(one);
            let mut place =
                place.map_err(|error| Failure::Decode(format!("networks, {shown}: {error}")))?;
            if let Some(name) = name {
                place.name.clone_from(name);
            }
            let twice = |other: &&Place| {
                other.name == place.name || other.interface_name == place.interface_name
            };
            if let Some(other) = places.iter().find(twice) {
                return Err(Failure::Decode(format!(
                    "networks has both {} on {} and {} on {}",
                    other.interface_name, other.name, place.interface_name, place.name
                )));
            }
            places.push(place);
        }
        if places.is_empty() {
            return Err(Failure::Decode(
                "networks names no network; one is needed".to_owned(),
            ));
        }
        places.sort_by_key(|place| (place.interface_name.len(), place.interface_name.clone()));
        Ok(places)
    }

    /// What Podman says of a network.
    pub(super) fn info(&self, name: &str) -> Result<Network, Failure> {
        let info = self.network_info.get(name);
        let info = info.ok_or_else(|| Failure::Decode(format!("network_info has no {name}")))?;
        let network = Network::deserialize(info);
        let network =
            network.map_err(|error| Failure::Decode(format!("network_info, {name}: {error}")))?;
        match network.name == name {
            true => Ok(network),
            false => Err(Failure::Decode(format!(
                "network_info, {name}: its name is {:?}",
                network.name
            ))),
        }
    }
}
