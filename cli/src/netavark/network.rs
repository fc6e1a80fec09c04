//! The network that Podman means: its own definition becomes a description that netd makes on first use; a label names
//! one of netd's instead.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netd_api::{ContainerRoute, NetworkRequest, NetworkView, PoolRequest, Subnet, WantedNetwork};

use super::failure::Failure;
use super::shares;
use super::wire::{Network, Route, SubnetOf};

/// Label of Podman's network: the name of the network of netd to be on.
pub(super) const NAMED: &str = "org.netd.network";

/// Label of a network of netd that was made for Podman: Podman's id of it.
pub(super) const MADE: &str = "org.netd.podman";

/// Option of a network of netd: its bridge.
pub(super) const BRIDGE: &str = "com.docker.network.bridge.name";
const MTU: &str = "com.docker.network.driver.mtu";

/// Options that Podman knows and netd does not, and what to do instead.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "vlan",
        "netd's bridges filter no VLANs; give each VLAN a network, and its card by `net uplink`",
    ),
    ("vrf", "netd's bridges are in no VRF; leave it out"),
    (
        "no_default_route",
        "the gateway of a network is its containers' way out; use --internal, or leave it out",
    ),
    (
        "outbound_addr4",
        "make the network with `net create -o com.docker.network.host_ipv4=...` and name it by the label org.netd.network",
    ),
    (
        "outbound_addr6",
        "make the network with `net create -o com.docker.network.host_ipv6=...` and name it by the label org.netd.network",
    ),
    (
        "metric",
        "netd decides which network has the default route; leave it out",
    ),
];

/// The network of netd that a network of Podman stands for.
#[derive(Debug)]
pub(super) struct Meant {
    /// It, by name or description.
    pub(super) wanted: WantedNetwork,
    /// Routes besides the default route.
    pub(super) routes: Vec<ContainerRoute>,
    /// Containers find each other by name.
    pub(super) has_names: bool,
    /// Nothing goes in or out, as far as Podman knows.
    pub(super) internal: bool,
}

impl Meant {
    /// Reads a definition.
    pub(super) fn read(network: &Network) -> Result<Self, Failure> {
        let refused = |why: String| Failure::network(&network.name, why);
        let routes = network.routes.iter().flatten().map(route);
        let routes = routes.collect::<Result<_, _>>().map_err(refused)?;
        let named = network
            .labels
            .iter()
            .flatten()
            .find(|(key, _)| *key == NAMED);
        let wanted = match named {
            Some((_, name)) => WantedNetwork::Existing(name.clone()),
            None => WantedNetwork::Described(Box::new(description(network).map_err(refused)?)),
        };
        Ok(Self {
            has_names: network.dns_enabled || named.is_some(),
            internal: network.internal,
            wanted,
            routes,
        })
    }
}

fn route(route: &Route) -> Result<ContainerRoute, String> {
    let kind = route.route_type.as_deref().unwrap_or("unicast");
    if kind != "unicast" || route.metric.is_some() {
        let what = match kind {
            "unicast" => "a metric",
            other => other,
        };
        return Err(format!(
            "its route to {} has {what}: netd's routes are plain ones by a gateway; leave that out",
            route.destination
        ));
    }
    Ok(ContainerRoute {
        destination: route.destination,
        gateway: route.gateway,
    })
}

fn description(network: &Network) -> Result<NetworkRequest, String> {
    match network.driver.as_str() {
        "" | "bridge" => {}
        driver => {
            return Err(format!(
                "its driver is {driver:?}: netd makes bridge networks for Podman; create it with `--driver bridge`"
            ));
        }
    }
    check_addresses(network)?;
    let subnets = network.subnets.as_deref().unwrap_or_default();
    let mut labels = network.labels.clone().unwrap_or_default();
    labels.insert(MADE.to_owned(), network.id.clone());
    let name = network.name.parse();
    Ok(NetworkRequest {
        name: name.map_err(|error| format!("{error}; name one of netd's by the label {NAMED}"))?,
        driver: None,
        internal: network.internal,
        attachable: false,
        ipv4: Some(subnets.iter().any(|one| one.subnet.is_ipv4())),
        ipv6: None,
        pools: subnets.iter().map(pool).collect(),
        options: options(network)?,
        labels,
        dns_servers: network.network_dns_servers.clone().unwrap_or_default(),
        config_only: false,
        config_from: None,
    })
}

fn check_addresses(network: &Network) -> Result<(), String> {
    let empty = BTreeMap::new();
    let given = network.ipam_options.as_ref().unwrap_or(&empty);
    match given.get("driver").map_or("", String::as_str) {
        "" | "host-local" => {}
        "none" => {
            return Err(format!(
                "with the ipam driver none its addresses are netd's business: name the network of netd by `--label {NAMED}=NAME`"
            ));
        }
        driver => {
            return Err(format!(
                "its ipam driver is {driver:?}: use host-local, or none with `--label {NAMED}=NAME`"
            ));
        }
    }
    match network.subnets.as_ref().is_none_or(Vec::is_empty) {
        true => Err("it has no subnet; create it anew, with `--subnet`".to_owned()),
        false => Ok(()),
    }
}

fn pool(subnet: &SubnetOf) -> PoolRequest {
    PoolRequest {
        subnet: Some(subnet.subnet),
        range: shares::of_others(subnet),
        // Where Podman knows of no gateway it gives out the first address of the subnet.
        gateway: Some(subnet.gateway.unwrap_or_else(|| last_usable(subnet.subnet))),
        ..PoolRequest::default()
    }
}

/// The address before the last one: the last is for broadcasts in IPv4, and netd leaves it free in IPv6, too.
pub(super) fn last_usable(subnet: Subnet) -> IpAddr {
    let widest = if subnet.is_ipv4() { 32 } else { 128 };
    let all = 1_u128.checked_shl(u32::from(widest - subnet.prefix()));
    let before = all.and_then(|all| subnet.nth(all.saturating_sub(2)));
    before.unwrap_or(subnet.last())
}

fn options(network: &Network) -> Result<BTreeMap<String, String>, String> {
    let mut options = BTreeMap::new();
    if let Some(bridge) = network
        .network_interface
        .as_ref()
        .filter(|name| !name.is_empty())
    {
        options.insert(BRIDGE.to_owned(), bridge.clone());
    }
    for (key, value) in network.options.iter().flatten() {
        match (key.as_str(), value.as_str()) {
            ("mtu", "0" | "") => {}
            ("mtu", mtu) => drop(options.insert(MTU.to_owned(), mtu.to_owned())),
            // Networks of netd are apart from each other, whatever Podman says.
            ("isolate", "true" | "false" | "strict") => {}
            ("mode", "managed" | "") => {}
            ("mode", mode) => {
                return Err(format!(
                    "its option mode is {mode:?}: a bridge that netd did not make is used by \"bridge\" of netd's configuration alone; leave it out"
                ));
            }
            ("no_default_route", "false") | ("metric", "100") => {}
            // Docker's own words pass, as for `net create`.
            (key, value) if key.starts_with("com.docker.network.") => {
                options.insert(key.to_owned(), value.to_owned());
            }
            (key, value) => {
                let known = ELSEWHERE.iter().find(|(known, _)| *known == key);
                let why = known.map_or("netd knows mtu, isolate and mode", |(_, why)| *why);
                return Err(format!("its option {key} is {value:?}: {why}"));
            }
        }
    }
    Ok(options)
}

/// True if a network that others made has what Podman means: the same subnets with the same gateways, as open or
/// closed, and the options that somebody chose. The name of a bridge is Podman's own choice, and says nothing.
pub(super) fn fits(view: &NetworkView, described: &NetworkRequest) -> bool {
    let has = &view.ipam.config;
    let pool = |pool: &PoolRequest| {
        let subnet = pool.subnet.map(|subnet| subnet.to_string());
        let gateway = pool.gateway.map(|gateway| gateway.to_string());
        has.iter().any(|there| {
            Some(&there.subnet) == subnet.as_ref()
                && (there.gateway.is_empty() || Some(&there.gateway) == gateway.as_ref())
        })
    };
    let mut chosen = described.options.iter().filter(|(key, _)| *key != BRIDGE);
    view.driver == "bridge"
        && view.internal == described.internal
        && has.len() == described.pools.len()
        && described.pools.iter().all(pool)
        && chosen.all(|(key, value)| view.options.get(key) == Some(value))
}

#[cfg(test)]
mod tests;
