//! A container's network outlives it for those who share it, and is there when it returns.
//!
//! The namespace belongs to the daemon. When its container ends while others are in there, the record says so and keeps
//! the namespace with all that is in it: interfaces, addresses, ports, names. It is taken apart when the last of them
//! ends. A container that returns under its name goes on where it was.

use std::sync::Arc;

use jiff::Timestamp;
use netd_kernel::Signal;
use netd_model::container::Anchor;
use netd_model::{
    Container, ContainerId, ContainerState, Endpoint, NetnsId, NetworkId, PublishRequest,
    PublishedPort, Supervisor,
};

use super::ending::Ending;
use super::hold::stale_flows;
use super::host_ports::{self, Avoid, Publisher};
use super::ports::Publication;
use super::register::Facts;
use super::{Engine, EngineError, Wish};
use crate::ledger::Ledger;
use crate::state::State;
use crate::store::{Change, StoreError};

/// A container's place on a network, and the ports that it had there and gives up.
#[derive(Clone, Debug)]
pub(super) struct Regained {
    pub(super) endpoint: Endpoint,
    leave: Vec<PublishedPort>,
}

/// The record of a container that ends while others are in its namespace; `None` if there are none, or if the
/// namespace itself is no more.
pub(super) fn keep(state: &State, container: &Container, ending: Ending) -> Option<Container> {
    let (at, code) = match (&container.state, ending) {
        (ContainerState::Running, Ending::Exited(code)) => (Timestamp::now(), Some(code)),
        (ContainerState::Running, Ending::Vanished | Ending::Forgotten) => (Timestamp::now(), None),
        (ContainerState::Exited { at, code }, Ending::Forgotten) => (*at, *code),
        _ => return None,
    };
    container.sandbox.as_ref()?;
    state.companions_of(container).next()?;
    Some(Container {
        state: ContainerState::Exited { at, code },
        supervisor: None,
        auto_remove: container.auto_remove || ending == Ending::Forgotten,
        ..container.clone()
    })
}

/// Why a container whose network is kept cannot have another one.
pub(super) fn kept(state: &State, container: &Container) -> EngineError {
    let keepers = state.companions_of(container);
    let endpoints = state.endpoints_of(container.id);
    let places = endpoints.iter().filter_map(|endpoint| {
        let network = state.network(endpoint.network)?;
        let addresses = endpoint.leases.iter();
        let addresses: String = addresses
            .map(|lease| format!(" as {}", lease.address))
            .collect();
        Some(format!("--network {}{addresses}", network.name))
    });
    let places: Vec<String> = places.collect();
    EngineError::NamespaceKept {
        name: container.name.clone(),
        keepers: keepers.map(|keeper| keeper.name.to_string()).collect(),
        wanted: places.join(" or "),
    }
}

/// A running container of another runtime that is nowhere any more: what keeps its namespace is one that shares it.
pub(super) fn is_replaced(state: &State, container: &Container) -> bool {
    let Some(Anchor::Process(anchor)) = container.sandbox.as_ref().map(|sandbox| &sandbox.anchor)
    else {
        return false;
    };
    container.is_running()
        && container.supervisor.is_none()
        && state
            .companions_of(container)
            .any(|companion| companion.supervisor == Some(*anchor))
}

/// The record of a container whose namespace is kept while it comes with another.
pub(super) fn leaves_kept(
    state: &State,
    id: ContainerId,
    netns: NetnsId,
) -> Option<&Arc<Container>> {
    let record = state.container(id)?;
    let leaves = (record.is_kept() || is_replaced(state, record)) && record.netns() != Some(netns);
    leaves.then_some(record)
}

impl Engine {
    /// Takes the network of a container apart that ended before the last of those who shared it.
    pub(super) async fn dissolve_if_deserted(&self, owner: ContainerId) -> Result<(), EngineError> {
        let deserted = self.look(move |state| {
            let owner = state.container(owner);
            owner.is_some_and(|owner| state.is_deserted(owner))
        });
        if !deserted.await? {
            return Ok(());
        }
        let _lane = self.containers.alone(owner).await;
        self.end(owner, Ending::Deserted).await
    }

    /// A container whose namespace is kept is handed over with another. `net run` is refused and can enter the kept
    /// one. Another runtime cannot: the kept one is given up, and those who share it stay behind in it.
    pub(super) async fn leave_kept(
        &self,
        facts: &Facts,
        netns: NetnsId,
    ) -> Result<(), EngineError> {
        let (id, can_enter) = (facts.id, facts.supervisor.is_some());
        let found = self.look(move |state| {
            let record = leaves_kept(state, id, netns)?;
            let companions = state.companions_of(record);
            let companions: Vec<_> = companions.cloned().collect();
            Some((Arc::clone(record), companions, kept(state, record)))
        });
        let Some((record, companions, refusal)) = found.await? else {
            return Ok(());
        };
        if can_enter && record.is_kept() {
            return Err(refusal);
        }
        self.end(id, Ending::Replaced).await?;
        for companion in companions {
            tracing::warn!(
                container = %companion.name,
                "{} has a new network namespace; this container is in the former one, which has no network any more: start it again",
                record.name
            );
            let subject = (companion.id.to_string(), companion.name.to_string());
            let facts = [("owner", record.name.to_string())];
            self.events
                .tell("container", "left_behind", subject, &facts);
        }
        Ok(())
    }

    /// A container is back in its namespace: it takes its place on the network again. The names and ports that it asks
    /// for now are added; gives its place as it shall be once it runs, without those that it asks for no more.
    pub(super) async fn resume(
        &self,
        id: ContainerId,
        network: NetworkId,
        wish: Wish,
    ) -> Result<Regained, EngineError> {
        let names = Arc::clone(&self.names);
        let resumed = self.turns.take(move |ledger| -> Result<_, EngineError> {
            let resumed = take_up(ledger, id, network, &wish)?;
            names.publish_network(ledger.state(), network);
            names.publish_view(ledger.state(), id);
            Ok(resumed)
        });
        let (publication, mut stay) = resumed.await??;
        if !publication.fresh.is_empty() {
            self.stand_behind(&publication).await?;
        }
        // A port of the daemon's choice may be another by now.
        let endpoint = publication.endpoint.id;
        let place = self.look(move |state| state.endpoint(endpoint).cloned());
        let Some(place) = place.await? else {
            return Err(EngineError::Invalid(
                "the endpoint was withdrawn meanwhile".to_owned(),
            ));
        };
        let fresh = place
            .ports
            .iter()
            .filter(|port| !publication.before.contains(port));
        let mut leave = publication.before.clone();
        leave.retain(|port| !stay.contains(port));
        stay.extend(fresh.cloned());
        Ok(Regained {
            endpoint: Endpoint {
                ports: stay,
                ..Endpoint::clone(&place)
            },
            leave,
        })
    }

    /// Gives up the ports that a container had and that its record does not publish any more.
    pub(super) async fn let_go_of_ports(&self, place: &Regained) {
        let endpoint = &place.endpoint;
        let followed = self.follow_ports(endpoint.id).await;
        self.forget_flows(stale_flows(&place.leave)).await;
        if let Err(error) = followed {
            tracing::warn!(endpoint = %endpoint.id.short(), error = %error.sentence(), "its former ports wait for the next reconcile");
            self.leftovers.notify_one();
        }
    }

    /// A container did not return into its namespace after all, which goes on to be kept, with what it had.
    pub(super) async fn go_back(&self, id: ContainerId) -> Result<(), EngineError> {
        let names = Arc::clone(&self.names);
        let back = self.turns.take(move |ledger| {
            let places = put_back(ledger, id)?;
            let state = ledger.state();
            let networks = places.iter().map(|place| place.endpoint.network);
            networks.for_each(|network| names.publish_network(state, network));
            names.publish_view(state, id);
            Ok::<_, StoreError>(places)
        });
        let places = back.await?.inspect_err(|_| self.leftovers.notify_one())?;
        for place in &places {
            self.let_go_of_ports(place).await;
        }
        self.refresh_files_if_possible(id).await;
        Ok(())
    }

    /// Ends a running container that is no more although its namespace lives on: one of `net run` when its supervisor
    /// has ended, unless something of its own goes on; one of another runtime when only those who share it are left.
    pub(super) async fn look_after(&self, id: ContainerId) -> Result<(), EngineError> {
        let watched = self.look(move |state| watched(state, state.container(id)?));
        let is_there = match watched.await? {
            None => true,
            Some(Watched::Supervisor(supervisor)) => {
                self.kernel(move |kernel| kernel.signal(supervisor, Signal::Probe))
                    .await?
            }
            Some(Watched::Stranger(netns, guests)) => {
                self.kernel(move |kernel| kernel.is_held_besides(netns, &guests))
                    .await?
            }
        };
        match is_there {
            true => Ok(()),
            false => self.end_container(id, Ending::Vanished).await,
        }
    }
}

/// What tells that a running container ends before its namespace.
enum Watched {
    /// This process.
    Supervisor(Supervisor),
    /// Nobody in this namespace but these, who share it.
    Stranger(NetnsId, Vec<Supervisor>),
}

fn watched(state: &State, container: &Container) -> Option<Watched> {
    let mut guests = state.companions_of(container).peekable();
    let is_shared = guests.peek().is_some();
    let ends_before = container.is_running() && (container.sandbox.is_none() || is_shared);
    match container.supervisor.filter(|_| ends_before) {
        Some(supervisor) => Some(Watched::Supervisor(supervisor)),
        // A guest that nobody supervises cannot be told from the container itself.
        None => {
            let guests: Option<Vec<_>> = guests.map(|guest| guest.supervisor).collect();
            let stranger = container.netns().zip(guests).filter(|_| ends_before);
            stranger.map(|(netns, guests)| Watched::Stranger(netns, guests))
        }
    }
}

/// Writes what a returning container wants of its place on a network, besides what it had there; gives those of its
/// ports that it wants still.
fn take_up(
    ledger: &mut Ledger,
    id: ContainerId,
    network: NetworkId,
    wish: &Wish,
) -> Result<(Publication, Vec<PublishedPort>), EngineError> {
    let state = ledger.state();
    let Some(container) = state.container(id) else {
        return Err(EngineError::ContainerNotFound(id.short()));
    };
    let mut there = state.endpoints_between(id, network).into_iter();
    let Some(endpoint) = there.find(|endpoint| fits(endpoint, wish)) else {
        return Err(kept(state, container.returns_to().unwrap_or(container)));
    };
    let publishing = state
        .network(network)
        .filter(|network| !network.policy.internal);
    let (mut stay, mut leave, mut fresh) = (Vec::new(), endpoint.ports.clone(), Vec::new());
    let mut ports = Vec::new();
    if let Some(publisher) = publishing.and_then(|network| Publisher::of(network, &endpoint)) {
        let wanted = |port: &PublishedPort| {
            let mut requests = wish.ports.iter();
            requests.any(|request| host_ports::is_asked_for(publisher, request, port))
        };
        (stay, leave) = endpoint.ports.iter().cloned().partition(wanted);
        let publisher = Publisher {
            present: &stay,
            ..publisher
        };
        let missing = |request: &&PublishRequest| !host_ports::is_fulfilled(publisher, request);
        fresh = wish.ports.iter().filter(missing).cloned().collect();
        ports = host_ports::ports(state, publisher, &fresh, &Avoid::new())?;
    }
    // What it wants no more stays until it runs, unless it is in the way: a host port that leads elsewhere now.
    leave.retain(|port| !ports.iter().any(|fresh| fresh.conflicts_with(port)));
    let before: Vec<PublishedPort> = stay.iter().cloned().chain(leave).collect();
    let endpoint = Endpoint {
        ports: before.iter().cloned().chain(ports).collect(),
        aliases: wish.aliases.clone(),
        ..Endpoint::clone(&endpoint)
    };
    ledger.commit(&[Change::PutEndpoint(endpoint.clone())])?;
    let publication = Publication {
        endpoint,
        before,
        fresh,
    };
    Ok((publication, stay))
}

/// Writes that a container did not return; gives its places, as they are again.
fn put_back(ledger: &mut Ledger, id: ContainerId) -> Result<Vec<Regained>, StoreError> {
    let Some(container) = ledger.state().container(id).cloned() else {
        return Ok(Vec::new());
    };
    let ContainerState::Starting {
        before: Some(before),
        places,
    } = &container.state
    else {
        return Ok(Vec::new());
    };
    let put_back = |former: &Endpoint| {
        let present = ledger.state().endpoint(former.id);
        let mut leave = present.map_or_else(Vec::new, |present| present.ports.clone());
        leave.retain(|port| !former.ports.contains(port));
        Regained {
            endpoint: former.clone(),
            leave,
        }
    };
    let again = places.iter().map(put_back).collect();
    let changes = places.iter().cloned().map(Change::PutEndpoint);
    let changes = changes.chain([Change::PutContainer(Container::clone(before))]);
    ledger.commit(&changes.collect::<Vec<_>>())?;
    Ok(again)
}

fn fits(endpoint: &Endpoint, wish: &Wish) -> bool {
    let has = |ip| endpoint.leases.iter().any(|lease| lease.address == ip);
    let mac = endpoint.interface.as_ref().map(|interface| interface.mac);
    let mut link_local = wish.link_local.iter();
    let named = wish.options.inside.as_ref();
    named.is_none_or(|name| endpoint.inside() == Some(name))
        && wish.ips.iter().all(|ip| has(*ip))
        && link_local.all(|address| endpoint.link_local.contains(address))
        && (wish.mac.is_none() || wish.mac == mac)
        && (wish.rates.is_unlimited() || wish.rates == endpoint.rates)
}
