//! From a wish to connect to the record that says so: pure decisions over the state, made inside a ledger turn.

mod mac;

use std::collections::BTreeSet;
use std::sync::Arc;

use netd_drivers::{host_interface_name, mac_for, next_inside_name};
use netd_model::container::Interface;
use netd_model::desired::KernelState;
use netd_model::network::BridgeSpec;
use netd_model::{
    Container, ContainerId, ContainerState, DriverSpec, Endpoint, EndpointId, IfName,
    NamespaceMode, Network, NetworkId, Phase,
};

use super::attach::Wish;
use super::choose;
use super::host_ports::{self, Avoid, Publisher};
use super::present::{already, may_mean};
use super::{EngineError, hops, link_local, plan, rates};
use crate::ledger::Ledger;
use crate::state::State;
use crate::store::Change;

/// Most ports of a bridge (`BR_MAX_PORTS`, net/bridge/br_private.h: 1 << 10, of which number 0 is not used).
const BRIDGE_PORTS: usize = 1023;

/// Who wants to join what.
pub(super) struct Subject {
    /// Identity of the endpoint to make.
    pub(super) id: EndpointId,
    /// The network.
    pub(super) network: NetworkId,
    /// The container.
    pub(super) container: ContainerId,
    /// Interfaces inside the container, whoever made them.
    pub(super) present: BTreeSet<IfName>,
}

/// What a wish comes to.
pub(super) enum Intent {
    /// It is fulfilled already.
    Already(Arc<Endpoint>),
    /// It is written.
    Fresh {
        /// The new record.
        endpoint: Box<Endpoint>,
        /// What the kernel has of the container without it.
        before: Box<KernelState>,
    },
}

/// Checks a wish against the records, chooses what it leaves open, and writes the intent.
pub(super) fn intend(
    ledger: &mut Ledger,
    subject: &Subject,
    wish: Wish,
) -> Result<Intent, EngineError> {
    let state = ledger.state();
    let network = match state.network(subject.network) {
        Some(network) if network.phase == Phase::Attached => Arc::clone(network),
        _ => return Err(EngineError::NetworkNotFound(subject.network.short())),
    };
    let container = match state.container(subject.container) {
        Some(container) => Arc::clone(container),
        None => return Err(EngineError::ContainerNotFound(subject.container.short())),
    };
    if !matches!(
        container.state,
        ContainerState::Running | ContainerState::Starting { .. }
    ) {
        return Err(EngineError::NotRunning(container.name.clone()));
    }
    let there = state.endpoints_between(container.id, network.id);
    let meant: Vec<_> = there.iter().filter(|one| may_mean(&wish, one)).collect();
    if !meant.is_empty() {
        return already((&network, &container), &meant, &wish);
    }
    connectable(state, &network, &container)?;
    let endpoint = match &network.driver {
        DriverSpec::Bridge(_) => bridged(state, subject, (&network, &container), wish)?,
        DriverSpec::Host | DriverSpec::Null | DriverSpec::Template(_) => {
            plain(state, subject.id, (&network, &container), wish)?
        }
    };
    let first = state.endpoints_of(container.id).is_empty();
    // Before its first network, nothing is known of a sandbox: take it as empty.
    let before = if first {
        KernelState::default()
    } else {
        plan::sandbox(state, &container, &[])?
    };
    ledger.commit(&[Change::PutEndpoint(endpoint.clone())])?;
    Ok(Intent::Fresh {
        endpoint: Box::new(endpoint),
        before: Box::new(before),
    })
}

pub(super) fn not_connectable(
    network: &Network,
    container: &Container,
    reason: String,
) -> EngineError {
    EngineError::NotConnectable {
        container: container.name.clone(),
        network: network.name.clone(),
        reason,
    }
}

fn connectable(state: &State, network: &Network, container: &Container) -> Result<(), EngineError> {
    let refuse = |reason: &str| Err(not_connectable(network, container, reason.to_owned()));
    match (&container.namespace, &network.driver) {
        (NamespaceMode::Host, DriverSpec::Host) => return Ok(()),
        (NamespaceMode::Host, _) => return refuse("it uses the host's own network"),
        (NamespaceMode::Container(owner), _) => {
            let owner = state.container(*owner);
            let owner = owner.map_or_else(|| "another".to_owned(), |owner| owner.name.to_string());
            return refuse(&format!(
                "it shares the network of {owner}; connect {owner}"
            ));
        }
        (NamespaceMode::Private, DriverSpec::Host) => {
            return refuse("a container uses the host's network from its start or not at all");
        }
        (NamespaceMode::Docker, DriverSpec::Bridge(_))
            if state.endpoints_of(container.id).is_empty() => {}
        (NamespaceMode::Docker, _) => {
            return refuse("it is a container of Docker's engine; use `docker network connect`");
        }
        (NamespaceMode::Private, DriverSpec::Bridge(_) | DriverSpec::Null) => {}
        (NamespaceMode::Private, DriverSpec::Template(_)) => {
            return refuse(
                "it is only a configuration; make a network of it with `net create --config-from`",
            );
        }
    }
    let endpoints = state.endpoints_of(container.id);
    let on_null = endpoints
        .iter()
        .filter_map(|endpoint| state.network(endpoint.network))
        .any(|other| matches!(other.driver, DriverSpec::Null));
    match &network.driver {
        DriverSpec::Null if !endpoints.is_empty() => {
            refuse("it is on other networks; the network none is for none else")
        }
        DriverSpec::Bridge(_) if on_null => {
            refuse("it is on the network none; disconnect it from that first")
        }
        DriverSpec::Bridge(_) if state.count_on(network.id) >= BRIDGE_PORTS => {
            Err(EngineError::BridgeFull {
                network: network.name.clone(),
                limit: BRIDGE_PORTS,
            })
        }
        _ => Ok(()),
    }
}

fn plain(
    state: &State,
    id: EndpointId,
    (network, container): (&Network, &Container),
    wish: Wish,
) -> Result<Endpoint, EngineError> {
    // As in Docker, --mac-address says nothing on the network none, and is refused on the host's.
    let mac = wish
        .mac
        .filter(|_| matches!(network.driver, DriverSpec::Host));
    let impossible = match (mac, wish.aliases.first()) {
        (Some(mac), _) => Some(format!(
            "the MAC address {mac} cannot be had where there is no interface of its own; leave it out"
        )),
        (None, Some(alias)) => Some(format!(
            "it has no names, so not the alias {alias} either; use a network of your own"
        )),
        (None, None) => None,
    };
    let has_options = wish.options != netd_drivers::EndpointOptions::default();
    let without = "it has no interface that could have options; leave --driver-opt out";
    let impossible = impossible.or(has_options.then(|| without.to_owned()));
    if let Some(reason) = impossible.or_else(|| rates::without_interface(&wish.rates)) {
        return Err(not_connectable(network, container, reason));
    }
    let link_local = wish.link_local.first().map(|address| address.address());
    if let Some(address) = wish.ips.first().copied().or(link_local) {
        let reason = "it gives no addresses";
        return Err(EngineError::AddressNotAllowed {
            address,
            network: network.name.clone(),
            reason,
        });
    }
    Ok(Endpoint {
        id,
        network: network.id,
        container: container.id,
        rank: state.next_rank(),
        interface: None,
        leases: Vec::new(),
        ports: Vec::new(),
        opened: Vec::new(),
        link_local: Vec::new(),
        sysctls: Vec::new(),
        rates: wish.rates,
        aliases: wish.aliases,
        gateway_priority: wish.gateway_priority,
        routes: wish.routes,
        joined_as: wish.joined_as,
        phase: Phase::Attaching,
    })
}

fn bridged(
    state: &State,
    subject: &Subject,
    (network, container): (&Network, &Container),
    wish: Wish,
) -> Result<Endpoint, EngineError> {
    let Some(spec) = network.bridge() else {
        return plain(state, subject.id, (network, container), wish);
    };
    let id = subject.id;
    if spec.is_default && !wish.aliases.is_empty() {
        let reason =
            "the default network has no names, so no aliases; use --link or a network of your own"
                .to_owned();
        return Err(not_connectable(network, container, reason));
    }
    let own = state.endpoints_of(container.id);
    let own: Vec<&Endpoint> = own.iter().map(|endpoint| &**endpoint).collect();
    let inside = inside_name(
        (network, container),
        subject,
        (spec, &own),
        wish.options.inside,
    )?;
    let leases = choose::leases(state, (network, container), &inside, &wish.ips)?;
    let mac = mac_for(id, &leases, wish.mac);
    if let Some(mac) = wish.mac {
        mac::check(state, network, mac)?;
    }
    link_local::check(state, network, mac, &wish.link_local)?;
    hops::check((network, container), &leases, &wish.routes)?;
    rates::check((network, container), spec, &wish.rates)?;
    // Docker takes -p on an internal network and publishes nothing; so do we.
    let requests = if network.policy.internal {
        Vec::new()
    } else {
        wish.ports
    };
    let publisher = Publisher {
        id,
        network,
        spec,
        leases: &leases,
        present: &[],
    };
    let ports = host_ports::ports(state, publisher, &requests, &Avoid::new())?;
    let opened = host_ports::opened(spec, &leases, &requests);
    let interface = Interface {
        inside,
        outside: outside_name(state, id)?,
        mac,
    };
    Ok(Endpoint {
        id,
        network: network.id,
        container: container.id,
        rank: state.next_rank(),
        interface: Some(interface),
        leases,
        ports,
        opened,
        link_local: wish.link_local,
        sysctls: wish.options.sysctls,
        rates: wish.rates,
        aliases: wish.aliases,
        gateway_priority: wish.gateway_priority,
        routes: wish.routes,
        joined_as: wish.joined_as,
        phase: Phase::Attaching,
    })
}

/// The name that was asked for, if it is free, or else the next one.
fn inside_name(
    (network, container): (&Network, &Container),
    subject: &Subject,
    (spec, own): (&BridgeSpec, &[&Endpoint]),
    asked: Option<IfName>,
) -> Result<IfName, EngineError> {
    let Some(name) = asked else {
        let own = own.iter().copied();
        return Ok(next_inside_name(
            own,
            &subject.present,
            &spec.interface_prefix,
        )?);
    };
    let mut interfaces = own
        .iter()
        .filter_map(|endpoint| endpoint.interface.as_ref());
    if subject.present.contains(&name) || interfaces.any(|interface| interface.inside == name) {
        let reason = format!("it has an interface {name} already; choose another name");
        return Err(not_connectable(network, container, reason));
    }
    Ok(name)
}

/// Seven digits of the endpoint's id leave room for two to have the same, once in a great while.
fn outside_name(state: &State, id: EndpointId) -> Result<IfName, EngineError> {
    let mut salt = 0;
    loop {
        let name = host_interface_name(id, salt)?;
        if !state.has_host_interface(&name) {
            return Ok(name);
        }
        salt += 1;
    }
}
