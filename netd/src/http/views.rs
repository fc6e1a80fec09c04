//! Records in the form that goes out. The network's is Docker's.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use netd_api::container::ContainerFiles;
use netd_api::network::{ConfigFrom, FurtherInterface, IpamView, NetworkContainer, PoolView};
use netd_api::{Attachment, ContainerView, NetworkView, RouteView};
use netd_drivers::shown_options;
use netd_model::container::Anchor;
use netd_model::network::PoolWish;
use netd_model::{
    Container, ContainerName, ContainerState, DriverSpec, Endpoint, IfName, NamespaceMode, Network,
    NetworkId, NetworkName, PeerRoute, Phase,
};

use crate::state::State;

/// A network as `docker network inspect` shows it.
pub(super) fn network(state: &State, network: &Network) -> NetworkView {
    let connected = state
        .endpoints_on(network.id)
        .into_iter()
        .filter(|endpoint| endpoint.phase != Phase::Detaching);
    let default_bridge = network.bridge().filter(|spec| spec.is_default);
    let template = match &network.driver {
        DriverSpec::Template(template) => Some(template),
        DriverSpec::Bridge(_) | DriverSpec::Host | DriverSpec::Null => None,
    };
    NetworkView {
        name: network.name.clone(),
        id: network.id,
        created: network.created.to_string(),
        scope: "local".to_owned(),
        driver: network.driver.name().to_owned(),
        enable_ipv6: network.pools.iter().any(|pool| !pool.subnet.is_ipv4()),
        ipam: IpamView {
            driver: "default".to_owned(),
            options: (!network.is_builtin()).then(BTreeMap::new),
            config: match template {
                Some(template) => template.pools.iter().map(wished_pool).collect(),
                None => network.pools.iter().map(pool).collect(),
            },
        },
        internal: network.policy.internal,
        attachable: network.attachable,
        ingress: false,
        config_from: ConfigFrom {
            network: network
                .config_from
                .and_then(|from| state.network(from))
                .map(|from| from.name.to_string())
                .unwrap_or_default(),
        },
        config_only: template.is_some(),
        containers: members(state, connected),
        options: default_bridge.map_or_else(|| network.options.clone(), shown_options),
        labels: network.labels.clone(),
        allowed_networks: allowed_networks(state, network),
        uplinks: uplinks(state, network),
        dns_servers: network.dns_servers.clone(),
    }
}

/// Without those on their way out.
fn uplinks(state: &State, network: &Network) -> Vec<IfName> {
    let uplinks = state.uplinks_of(network.id);
    let staying = uplinks.filter(|one| one.phase != Phase::Detaching);
    staying.map(|one| one.device.clone()).collect()
}

fn allowed_networks(state: &State, network: &Network) -> Vec<NetworkName> {
    let others = state.allowed_with(network.id);
    let mut names: Vec<_> = others.map(|other| other.name.clone()).collect();
    names.sort();
    names
}

fn pool(pool: &netd_model::PoolSpec) -> PoolView {
    PoolView {
        subnet: pool.subnet.to_string(),
        ip_range: pool
            .range
            .map(|range| range.to_string())
            .unwrap_or_default(),
        gateway: pool.gateway.to_string(),
        auxiliary_addresses: pool.aux.clone(),
    }
}

/// A pool of a configuration: only what was asked for.
fn wished_pool(wish: &PoolWish) -> PoolView {
    let text = |subnet: Option<netd_model::Subnet>| {
        subnet.map(|subnet| subnet.to_string()).unwrap_or_default()
    };
    PoolView {
        subnet: text(wish.subnet),
        ip_range: text(wish.range),
        gateway: wish.gateway.map(|ip| ip.to_string()).unwrap_or_default(),
        auxiliary_addresses: wish.aux.clone(),
    }
}

/// Containers by id, each as its oldest endpoint has it; its further ones stand behind that.
fn members(
    state: &State,
    connected: impl Iterator<Item = Arc<Endpoint>>,
) -> BTreeMap<String, NetworkContainer> {
    let mut members: BTreeMap<String, (Arc<Endpoint>, NetworkContainer)> = BTreeMap::new();
    for endpoint in connected {
        let Some(container) = state.container(endpoint.container) else {
            continue;
        };
        match members.entry(container.id.to_string()) {
            Entry::Vacant(vacant) => {
                let member = member(container, &endpoint);
                vacant.insert((endpoint, member));
            }
            Entry::Occupied(mut first) => {
                let (oldest, member) = first.get_mut();
                member.interface = oldest.inside().cloned();
                member.also.extend(further(container, &endpoint));
            }
        }
    }
    let members = members.into_iter();
    members.map(|(id, (_, member))| (id, member)).collect()
}

fn further(container: &Container, endpoint: &Endpoint) -> Option<FurtherInterface> {
    let shown = member(container, endpoint);
    Some(FurtherInterface {
        interface: endpoint.inside()?.clone(),
        endpoint_id: shown.endpoint_id,
        mac_address: shown.mac_address,
        ipv4_address: shown.ipv4_address,
        ipv6_address: shown.ipv6_address,
    })
}

fn member(container: &Container, endpoint: &Endpoint) -> NetworkContainer {
    let address = |wanted: fn(&IpAddr) -> bool| {
        let lease = endpoint.leases.iter().find(|lease| wanted(&lease.address));
        lease
            .map(|lease| lease.interface_address().to_string())
            .unwrap_or_default()
    };
    NetworkContainer {
        name: container.name.to_string(),
        endpoint_id: endpoint.id.to_string(),
        mac_address: endpoint
            .interface
            .as_ref()
            .map(|interface| interface.mac.to_string())
            .unwrap_or_default(),
        ipv4_address: address(IpAddr::is_ipv4),
        ipv6_address: address(IpAddr::is_ipv6),
        interface: None,
        also: Vec::new(),
    }
}

/// A route to containers of another host.
pub(super) fn route(state: &State, route: &PeerRoute) -> RouteView {
    let name = |id: &NetworkId| Some(state.network(*id)?.name.clone());
    let networks = route.networks.as_ref().map(|ids| {
        let mut names: Vec<_> = ids.iter().filter_map(name).collect();
        names.sort();
        names
    });
    RouteView {
        subnet: route.subnet,
        gateway: route.gateway,
        device: route.device.clone(),
        networks,
        masquerade: route.masquerade,
    }
}

/// A container with its place on each network.
pub(super) fn container(
    state: &State,
    container: &Container,
    files: ContainerFiles,
) -> ContainerView {
    let (pid, netns_path) = reach(state, container);
    let (ended, exit_code) = match &container.state {
        ContainerState::Starting { .. } | ContainerState::Running => (None, None),
        ContainerState::Ending { at, code } | ContainerState::Exited { at, code } => {
            (Some(at.to_string()), *code)
        }
    };
    let live = state
        .endpoints_of(container.id)
        .into_iter()
        .filter(|endpoint| endpoint.phase != Phase::Detaching);
    ContainerView {
        id: container.id,
        name: container.name.clone(),
        hostname: container.hostname.clone(),
        created: container.created.to_string(),
        state: if ended.is_none() { "running" } else { "exited" }.to_owned(),
        ended,
        exit_code,
        command: container.command.clone(),
        namespace: match container.namespace {
            NamespaceMode::Private => "private".to_owned(),
            NamespaceMode::Host => "host".to_owned(),
            NamespaceMode::Container(owner) => format!("container:{owner}"),
            NamespaceMode::Docker => "docker".to_owned(),
        },
        owner: container
            .shares()
            .and_then(|owner| state.container(owner))
            .map(|owner| owner.name.clone()),
        left_behind: is_left_behind(state, container),
        shared_with: sharers(state, container),
        pid,
        netns_path,
        files,
        networks: live
            .filter_map(|endpoint| attachment(state, &endpoint))
            .collect(),
        labels: container.labels.clone(),
    }
}

/// True for one that is in a namespace which its owner has left.
fn is_left_behind(state: &State, container: &Container) -> bool {
    let owner = container.shares().and_then(|owner| state.container(owner));
    let netns = owner.and_then(|owner| owner.netns());
    container.is_running() && container.joined.is_some() && netns != container.joined
}

fn sharers(state: &State, container: &Container) -> Vec<ContainerName> {
    let sharers = state.companions_of(container);
    let mut names: Vec<_> = sharers.map(|other| other.name.clone()).collect();
    names.sort();
    names
}

/// How to get inside: a process there, or the file that the namespace is bound to.
fn reach(state: &State, container: &Container) -> (Option<u32>, Option<std::path::PathBuf>) {
    if let Some(supervisor) = container.supervisor {
        return (Some(supervisor.pid), None);
    }
    let owner = match container.namespace {
        NamespaceMode::Container(owner) => state
            .container(owner)
            .filter(|owner| container.joined.is_none() || container.joined == owner.netns())
            .and_then(|owner| owner.sandbox.clone()),
        NamespaceMode::Private | NamespaceMode::Host | NamespaceMode::Docker => {
            container.sandbox.clone()
        }
    };
    match owner.map(|sandbox| sandbox.anchor) {
        Some(Anchor::Process(process)) => (Some(process.pid), None),
        Some(Anchor::Path(path)) => (None, Some(path)),
        None => (None, None),
    }
}

/// A container's place on a network.
pub(super) fn attachment(state: &State, endpoint: &Endpoint) -> Option<Attachment> {
    let network = state.network(endpoint.network)?;
    let interface = endpoint.interface.as_ref();
    let gateways = network.pools.iter().map(|pool| {
        let replaced = network.bridge().and_then(|spec| spec.gateway_override);
        replaced
            .filter(|gateway| gateway.is_ipv4() == pool.gateway.is_ipv4())
            .unwrap_or(pool.gateway)
    });
    let link_local = endpoint.link_local.iter();
    let link_local = link_local.map(|address| address.interface_address());
    Some(Attachment {
        network_id: network.id,
        network: network.name.clone(),
        endpoint_id: endpoint.id,
        interface: interface.map(|interface| interface.inside.clone()),
        host_interface: interface.map(|interface| interface.outside.clone()),
        mac: interface.map(|interface| interface.mac),
        addresses: endpoint
            .leases
            .iter()
            .map(|lease| lease.interface_address())
            .collect(),
        link_local_addresses: link_local.collect(),
        gateways: gateways.collect(),
        aliases: endpoint.aliases.clone(),
        rates: endpoint.rates,
        ports: match network.policy.internal {
            // A network that became internal keeps its ports for when it is open again.
            true => Vec::new(),
            false => reachable(endpoint),
        },
    })
}

/// What is published, and what is open at the container's own address, which then stands where the host's would.
fn reachable(endpoint: &Endpoint) -> Vec<netd_model::PublishedPort> {
    let opened = endpoint
        .opened
        .iter()
        .map(|open| netd_model::PublishedPort {
            from: Vec::new(),
            protocol: open.protocol,
            host_ip: open.address,
            host_ports: open.ports,
            container_ports: open.ports,
        });
    endpoint.ports.iter().cloned().chain(opened).collect()
}
