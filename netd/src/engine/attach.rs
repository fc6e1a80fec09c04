//! A container joins a network.
//!
//! Intent, ports, filter, interface, acknowledgement: in this order, so that a crash at any point leaves a record of
//! what to undo, and no packet passes before its rules stand.

use std::net::IpAddr;
use std::sync::Arc;

use netd_drivers::{host_interface_name, mac_for, next_inside_name};
use netd_kernel::ReservePortError;
use netd_model::container::Interface;
use netd_model::desired::{FlowFilter, KernelState};
use netd_model::diff::diff;
use netd_model::{
    Alias, Container, ContainerId, ContainerState, DriverSpec, Endpoint, EndpointId, IfName, Mac,
    NamespaceMode, Network, NetworkId, Phase, Protocol, PublishRequest, PublishedPort,
};

use super::choose::{self, Avoid};
use super::names::has_names;
use super::{Engine, EngineError, plan, random};
use crate::ledger::Ledger;
use crate::state::State;
use crate::store::Change;

/// What a container wants on a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Addresses, at most one of each family.
    pub ips: Vec<IpAddr>,
    /// Ethernet address.
    pub mac: Option<Mac>,
    /// Further names.
    pub aliases: Vec<Alias>,
    /// Ports to publish.
    pub ports: Vec<PublishRequest>,
    /// The network with the highest number carries the default route.
    pub gateway_priority: i32,
}

/// Most ports of a bridge (`BR_MAX_PORTS`, net/bridge/br_private.h: 1 << 10, of which number 0 is not used).
const BRIDGE_PORTS: usize = 1023;
/// How often a port of the daemon's choice is chosen anew because a process of the host has it.
const PORT_ATTEMPTS: usize = 128;

enum Intent {
    Already(Arc<Endpoint>),
    Fresh {
        endpoint: Box<Endpoint>,
        before: Box<KernelState>,
    },
}

impl Engine {
    /// Connects a container to a network. The same wish again gives the same answer.
    ///
    /// # Errors
    /// [`EngineError`]; the container is then not on the network, and nothing of the attempt is left.
    pub async fn connect(
        &self,
        network: NetworkId,
        container: ContainerId,
        wish: Wish,
    ) -> Result<Arc<Endpoint>, EngineError> {
        let _house = self.house.read().await;
        let _container = self.containers.alone(container).await;
        self.attach(network, container, wish).await
    }

    /// The flow itself; the caller is alone on the container's lane.
    pub(super) async fn attach(
        &self,
        network: NetworkId,
        container: ContainerId,
        wish: Wish,
    ) -> Result<Arc<Endpoint>, EngineError> {
        let _network = self.networks.shared(network).await;
        let id = EndpointId::from_bytes(random()?);
        let requests = wish.ports.clone();
        let intent = self
            .turns
            .take(move |ledger| intend(ledger, id, (network, container), wish))
            .await??;
        let (endpoint, before) = match intent {
            Intent::Already(endpoint) => return Ok(endpoint),
            Intent::Fresh { endpoint, before } => (*endpoint, *before),
        };
        match self.establish(&endpoint, before, &requests).await {
            Ok(endpoint) => {
                self.tell_of(&endpoint, "connect").await?;
                Ok(endpoint)
            }
            Err(error) => {
                if let Err(undo) = self.dissolve(container, &[endpoint.id]).await {
                    tracing::warn!(endpoint = %endpoint.id.short(), error = %undo.sentence(), "undoing waits for the next reconcile");
                }
                Err(error)
            }
        }
    }

    async fn establish(
        &self,
        endpoint: &Endpoint,
        before: KernelState,
        requests: &[PublishRequest],
    ) -> Result<Arc<Endpoint>, EngineError> {
        let id = endpoint.id;
        self.hold_ports(id, requests, &[]).await?;
        self.open_resolver(endpoint.container).await?;
        let (ops, rules, stale) = self
            .turns
            .take(move |ledger| -> Result<_, EngineError> {
                let state = ledger.state();
                let Some(record) = state.endpoint(id).cloned() else {
                    return Err(EngineError::Invalid(
                        "the endpoint was withdrawn meanwhile".to_owned(),
                    ));
                };
                let container = state.container(record.container).cloned();
                let after = container
                    .map(|container| plan::sandbox(state, &container, &[]))
                    .transpose()?;
                let ops = diff(&after.unwrap_or_default(), &before, state.instance());
                Ok((ops, plan::port_rules(state, id), stale_flows(&record)))
            })
            .await??;
        if !endpoint.ports.is_empty() || !requests.is_empty() {
            self.rules.change(rules).await?;
        }
        self.apply(ops).await?;
        self.forget_flows(stale).await;
        let names = Arc::clone(&self.names);
        let endpoint = self
            .turns
            .take(move |ledger| -> Result<_, EngineError> {
                let Some(record) = ledger.state().endpoint(id).cloned() else {
                    return Err(EngineError::Invalid(
                        "the endpoint was withdrawn meanwhile".to_owned(),
                    ));
                };
                let attached = Endpoint {
                    phase: Phase::Attached,
                    ..Endpoint::clone(&record)
                };
                ledger.commit(&[Change::PutEndpoint(attached.clone())])?;
                names.publish_network(ledger.state(), attached.network);
                names.publish_view(ledger.state(), attached.container);
                Ok(Arc::new(attached))
            })
            .await??;
        self.refresh_files(endpoint.container).await?;
        Ok(endpoint)
    }

    /// Takes the host ports of an endpoint: those `kept` from before, and those granted for `requests`. One of the
    /// daemon's own choice that a process has is chosen anew.
    pub(super) async fn hold_ports(
        &self,
        id: EndpointId,
        requests: &[PublishRequest],
        kept: &[PublishedPort],
    ) -> Result<(), EngineError> {
        let mut avoid = Avoid::new();
        for _ in 0..PORT_ATTEMPTS {
            let ports = self
                .look(move |state| state.endpoint(id).map(|record| record.ports.clone()))
                .await?;
            let Some(ports) = ports.filter(|ports| !ports.is_empty()) else {
                return Ok(());
            };
            let refused = match self
                .kernel(move |kernel| kernel.reserve_ports(id, &ports))
                .await
            {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            };
            let ReservePortError::Taken { protocol, port, .. } = refused else {
                return Err(EngineError::HostPort(refused));
            };
            if !avoid.insert((protocol, port)) {
                return Err(EngineError::HostPort(refused));
            }
            let (avoiding, requests, kept) = (avoid.clone(), requests.to_vec(), kept.to_vec());
            let moved = self
                .turns
                .take(move |ledger| choose_again(ledger, id, (&requests, &kept), &avoiding))
                .await??;
            if !moved {
                return Err(EngineError::HostPort(refused));
            }
        }
        Err(EngineError::NoHostPort {
            count: 1,
            protocol: Protocol::Tcp,
            host_ip: IpAddr::from([0; 4]),
        })
    }

    /// Opens the sockets of the embedded resolver inside a container's sandbox, once it is on a network with names.
    pub(super) async fn open_resolver(&self, id: ContainerId) -> Result<(), EngineError> {
        let names = Arc::clone(&self.names);
        let wanted = self.look(move |state| {
            let sandbox = state.container(id)?.sandbox.clone()?;
            let named = state.endpoints_of(id).iter().any(|endpoint| {
                endpoint.phase != Phase::Detaching
                    && state
                        .network(endpoint.network)
                        .is_some_and(|network| has_names(network))
            });
            (named && !names.serves(sandbox.netns)).then_some(sandbox)
        });
        let Some(sandbox) = wanted.await? else {
            return Ok(());
        };
        let (netns, preferred) = (sandbox.netns, sandbox.dns_port);
        let sockets = self
            .kernel(move |kernel| kernel.open_resolver(netns, preferred))
            .await?;
        let names = Arc::clone(&self.names);
        self.turns
            .take(move |ledger| -> Result<(), EngineError> {
                let Some(record) = ledger.state().container(id).cloned() else {
                    return Ok(());
                };
                if sandbox.dns_port != Some(sockets.port) {
                    let mut moved = Container::clone(&record);
                    if let Some(sandbox) = &mut moved.sandbox {
                        sandbox.dns_port = Some(sockets.port);
                    }
                    ledger.commit(&[Change::PutContainer(moved)])?;
                }
                names.serve(ledger.state(), &record, sockets)
            })
            .await?
    }

    pub(super) async fn tell_of(
        &self,
        endpoint: &Endpoint,
        action: &'static str,
    ) -> Result<(), EngineError> {
        let (network, container) = (endpoint.network, endpoint.container);
        let found = self.look(move |state| {
            Some((
                state.network(network)?.clone(),
                state.container(container)?.clone(),
            ))
        });
        if let Some((network, container)) = found.await? {
            let addresses: Vec<String> = endpoint
                .leases
                .iter()
                .map(|lease| lease.address.to_string())
                .collect();
            let mut facts = vec![
                ("container", container.name.to_string()),
                ("container_id", container.id.to_string()),
            ];
            if !addresses.is_empty() {
                facts.push(("address", addresses.join(" ")));
            }
            self.events.tell(
                "network",
                action,
                (network.id.to_string(), network.name.to_string()),
                &facts,
            );
        }
        Ok(())
    }
}

/// UDP flows that were tracked before the port was published would go on to bypass it (moby issue 8795).
pub(super) fn stale_flows(endpoint: &Endpoint) -> Vec<FlowFilter> {
    let udp = endpoint
        .ports
        .iter()
        .filter(|port| port.protocol == Protocol::Udp);
    udp.flat_map(|port| port.host_ports.iter())
        .map(|port| FlowFilter::ToHostPort {
            protocol: Protocol::Udp,
            port,
        })
        .collect()
}

fn intend(
    ledger: &mut Ledger,
    id: EndpointId,
    (network, container): (NetworkId, ContainerId),
    wish: Wish,
) -> Result<Intent, EngineError> {
    let state = ledger.state();
    let network = match state.network(network) {
        Some(network) if network.phase == Phase::Attached => Arc::clone(network),
        _ => return Err(EngineError::NetworkNotFound(network.short())),
    };
    let container = match state.container(container) {
        Some(container) => Arc::clone(container),
        None => return Err(EngineError::ContainerNotFound(container.short())),
    };
    if !matches!(
        container.state,
        ContainerState::Running | ContainerState::Starting { .. }
    ) {
        return Err(EngineError::NotRunning(container.name.clone()));
    }
    if let Some(present) = state.endpoint_between(container.id, network.id) {
        return already(&network, &container, present, &wish);
    }
    connectable(state, &network, &container)?;
    let endpoint = match &network.driver {
        DriverSpec::Bridge(_) => bridged(state, id, (&network, &container), wish)?,
        DriverSpec::Host | DriverSpec::Null => plain(state, id, (&network, &container), wish)?,
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

fn already(
    network: &Network,
    container: &Container,
    present: &Arc<Endpoint>,
    wish: &Wish,
) -> Result<Intent, EngineError> {
    if present.phase != Phase::Attached {
        let reason =
            "its former connection is still being removed; try again in a moment".to_owned();
        return Err(not_connectable(network, container, reason));
    }
    let has_ips = wish
        .ips
        .iter()
        .all(|ip| present.leases.iter().any(|lease| lease.address == *ip));
    let has_mac = wish
        .mac
        .is_none_or(|mac| present.interface.as_ref().is_some_and(|i| i.mac == mac));
    let has_ports = network
        .bridge()
        .is_none_or(|spec| choose::fulfils(present, spec, &wish.ports));
    if has_ips && has_mac && has_ports && wish.aliases == present.aliases {
        return Ok(Intent::Already(Arc::clone(present)));
    }
    let addresses: Vec<String> = present
        .leases
        .iter()
        .map(|lease| lease.address.to_string())
        .collect();
    Err(EngineError::AlreadyConnected {
        container: container.name.clone(),
        network: network.name.clone(),
        address: if addresses.is_empty() {
            "a member without address".to_owned()
        } else {
            addresses.join(" and ")
        },
    })
}

fn not_connectable(network: &Network, container: &Container, reason: String) -> EngineError {
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
        (NamespaceMode::Container(_), _) => {
            return refuse("it shares another container's network; connect that one");
        }
        (NamespaceMode::Private, DriverSpec::Host) => {
            return refuse("a container uses the host's network from its start or not at all");
        }
        (NamespaceMode::Private, DriverSpec::Bridge(_) | DriverSpec::Null) => {}
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
    if let Some(address) = wish.ips.first() {
        let reason = "it gives no addresses";
        return Err(EngineError::AddressNotAllowed {
            address: *address,
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
        aliases: wish.aliases,
        gateway_priority: wish.gateway_priority,
        phase: Phase::Attaching,
    })
}

fn bridged(
    state: &State,
    id: EndpointId,
    (network, container): (&Network, &Container),
    wish: Wish,
) -> Result<Endpoint, EngineError> {
    let Some(spec) = network.bridge() else {
        return plain(state, id, (network, container), wish);
    };
    if spec.is_default && !wish.aliases.is_empty() {
        let reason =
            "the default network has no names, so no aliases; use --link or a network of your own"
                .to_owned();
        return Err(not_connectable(network, container, reason));
    }
    let leases = choose::leases(state, network, &container.name, &wish.ips)?;
    let mac = mac_for(id, &leases, wish.mac);
    if let Some(mac) = wish.mac {
        check_mac(state, network, mac)?;
    }
    // Docker takes -p on an internal network and publishes nothing; so do we.
    let requests = if network.policy.internal {
        Vec::new()
    } else {
        wish.ports
    };
    let ports = choose::ports(state, spec, &requests, (id, &[]), &Avoid::new())?;
    let own = state.endpoints_of(container.id);
    let inside = next_inside_name(own.iter().map(|endpoint| &**endpoint))?;
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
        aliases: wish.aliases,
        gateway_priority: wish.gateway_priority,
        phase: Phase::Attaching,
    })
}

/// An Ethernet address that follows from an IP address is as unique as that; one that was asked for may not be.
fn check_mac(state: &State, network: &Network, mac: Mac) -> Result<(), EngineError> {
    let has_it = |other: &Arc<Endpoint>| {
        other
            .interface
            .as_ref()
            .is_some_and(|interface| interface.mac == mac)
    };
    let other = state.endpoints_on(network.id).into_iter().find(has_it);
    match other.and_then(|other| state.container(other.container).cloned()) {
        Some(holder) => Err(EngineError::MacTaken {
            mac,
            network: network.name.clone(),
            holder: holder.name.clone(),
        }),
        None => Ok(()),
    }
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

/// Chooses other host ports where the daemon may; false if none of the requests leaves it the choice.
fn choose_again(
    ledger: &mut Ledger,
    id: EndpointId,
    (requests, kept): (&[PublishRequest], &[PublishedPort]),
    avoid: &Avoid,
) -> Result<bool, EngineError> {
    let state = ledger.state();
    let Some(record) = state.endpoint(id).cloned() else {
        return Ok(false);
    };
    let network = state.network(record.network);
    let Some(spec) = network.and_then(|network| network.bridge()) else {
        return Ok(false);
    };
    let chosen = choose::ports(state, spec, requests, (id, kept), avoid)?;
    let ports: Vec<_> = kept.iter().copied().chain(chosen).collect();
    if ports == record.ports {
        return Ok(false);
    }
    ledger.commit(&[Change::PutEndpoint(Endpoint {
        ports,
        ..Endpoint::clone(&record)
    })])?;
    Ok(true)
}
