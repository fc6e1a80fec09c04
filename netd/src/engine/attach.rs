//! A container joins a network.
//!
//! Intent first and acknowledgement last, so that a crash at any point leaves a record of what to undo. Between them host
//! ports and then the rules that lead to the container, and beside those its interface ([`joining`](super::joining)):
//! what keeps networks apart stands since they were made, so without its rules a container is closed, not open.

use std::net::IpAddr;
use std::sync::Arc;

use netd_drivers::EndpointOptions;
use netd_model::desired::KernelState;
use netd_model::{
    Alias, ContainerId, ContainerName, ContainerRoute, Endpoint, EndpointId, LinkLocal, Mac,
    NetworkId, Protocol, PublishRequest, Rates, RuntimeId,
};

use tokio::sync::OwnedRwLockReadGuard;

use super::joining::Begun;
use super::timings::{About, Operation, Phase as Part, Stopwatch};
use super::{Engine, EngineError, Hands, plan, random};

/// What a container wants on a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Addresses, at most one of each family.
    pub ips: Vec<IpAddr>,
    /// Further addresses, which come from no pool.
    pub link_local: Vec<LinkLocal>,
    /// Ethernet address.
    pub mac: Option<Mac>,
    /// Further names.
    pub aliases: Vec<Alias>,
    /// Ports to publish.
    pub ports: Vec<PublishRequest>,
    /// How fast its traffic may be.
    pub rates: Rates,
    /// Options of the interface inside.
    pub options: EndpointOptions,
    /// The network with the highest number carries the default route.
    pub gateway_priority: i32,
    /// Routes besides the default route.
    pub routes: Vec<ContainerRoute>,
    /// Name of the runtime's network configuration that it comes by.
    pub joined_as: Option<RuntimeId>,
    /// Refuse it if the container is on the network already, even if all is as wished.
    pub anew: bool,
}

/// An attach that nobody is in the way of.
pub(super) struct Outset {
    ids: (EndpointId, NetworkId, ContainerId),
    lane: OwnedRwLockReadGuard<()>,
    pub(super) watch: Stopwatch,
}

impl Outset {
    /// Writes the intent, and goes on to the end if there is nothing to wait for.
    pub(super) fn begin(mut self, hands: &Hands, wish: Wish) -> Underway {
        let requests = wish.ports.clone();
        let begun = hands.begin(self.ids, wish, &mut self.watch);
        Underway {
            id: self.ids.0,
            _lane: self.lane,
            watch: self.watch,
            requests,
            begun,
        }
    }
}

/// An attach that has begun.
pub(super) struct Underway {
    id: EndpointId,
    _lane: OwnedRwLockReadGuard<()>,
    watch: Stopwatch,
    requests: Vec<PublishRequest>,
    begun: Result<Begun, EngineError>,
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
        let outset = self.set_out(network, (container, None)).await?;
        let begin = move |hands: &Hands| outset.begin(hands, wish);
        let underway = self.at_work(begin).await;
        self.see_through(container, underway).await
    }

    /// The first part: nobody changes the network from here on. The container may become known later, as it is `called`.
    pub(super) async fn set_out(
        &self,
        network: NetworkId,
        (container, called): (ContainerId, Option<&ContainerName>),
    ) -> Result<Outset, EngineError> {
        let id = EndpointId::from_bytes(random()?);
        let mut watch = self.timings.start(Operation::Attach);
        let about = About {
            container: Some(container),
            called,
            network: Some(network),
            endpoint: Some(id),
        };
        self.describe(watch.span(), about);
        let lane = self.networks.shared(network);
        let lane = watch.part_async(Part::Wait, lane).await;
        Ok(Outset {
            ids: (id, network, container),
            lane,
            watch,
        })
    }

    /// What is left to do of an attach that has begun.
    pub(super) async fn see_through(
        &self,
        container: ContainerId,
        underway: Underway,
    ) -> Result<Arc<Endpoint>, EngineError> {
        let Underway {
            id,
            _lane,
            mut watch,
            requests,
            begun,
        } = underway;
        let established = match begun? {
            Begun::Already(endpoint) => return Ok(endpoint),
            Begun::Done(result) => result,
            Begun::Waits { endpoint, before } => {
                self.establish((&endpoint, &requests), before, &mut watch)
                    .await
            }
        };
        match established {
            Ok(endpoint) => {
                self.tell_of(&endpoint, "connect").await?;
                watch.end();
                Ok(endpoint)
            }
            Err(error) => {
                if let Err(undo) = self.dissolve(container, &[id]).await {
                    tracing::warn!(endpoint = %id.short(), error = %undo.sentence(), "undoing waits for the next reconcile");
                }
                Err(error)
            }
        }
    }

    /// Makes host ports and rules come true, and beside them the interface: each of them may take a millisecond. Without
    /// the rules nobody is let in, and what keeps networks apart stands already.
    async fn establish(
        &self,
        (endpoint, requests): (&Endpoint, &[PublishRequest]),
        before: Box<KernelState>,
        watch: &mut Stopwatch,
    ) -> Result<Arc<Endpoint>, EngineError> {
        let subject = (endpoint.id, endpoint.container);
        let addresses = addresses(endpoint);
        // Rules of whoever had them before may still lead there.
        if self.departures.busy(&addresses).is_some() {
            let gone = self.departures.wait_for(&addresses);
            watch.part_async(Part::Wait, gone).await?;
        }
        let mut beside = watch.fork();
        let attached = endpoint.clone();
        let make = move |hands: &Hands| {
            let made = hands.make(subject, &before, &mut beside)?;
            if made.1.is_ok() {
                hands.settle(&attached, &mut beside)?;
            }
            Ok::<_, EngineError>(made)
        };
        let admitted = self.admit(endpoint, requests, watch);
        let (admitted, made) = tokio::join!(admitted, self.at_work(make));
        watch.join();
        let (port, made) = match (made, &admitted) {
            (Ok((port, made)), _) => (port, admitted.and(made)),
            (Err(error), Ok(())) => return Err(error),
            (Err(_), Err(_)) => (None, admitted),
        };
        match made.is_ok() && has_udp(endpoint) {
            true => {
                let mut rest = watch.fork();
                self.at_work(move |hands| hands.conclude(subject, (port, made), &mut rest))
                    .await
            }
            // Only what takes no longer than a turn.
            false => self.hands().conclude(subject, (port, made), watch),
        }
    }

    /// What lets packets in: host ports, and then the rules that lead to the container.
    async fn admit(
        &self,
        endpoint: &Endpoint,
        requests: &[PublishRequest],
        watch: &mut Stopwatch,
    ) -> Result<(), EngineError> {
        let id = endpoint.id;
        let held = self.hold_ports(id, requests, &[]);
        watch.part_async(Part::Ports, held).await?;
        if !has_rules(endpoint, requests) {
            return Ok(());
        }
        let admitted = async {
            let rules = self.look(move |state| plan::port_rules(state, id)).await?;
            Ok(self.rules.change(rules).await?)
        };
        watch.part_async(Part::Firewall, admitted).await
    }
}

/// Whether the firewall has to do with an attach.
pub(super) fn has_rules(endpoint: &Endpoint, requests: &[PublishRequest]) -> bool {
    !endpoint.ports.is_empty() || !requests.is_empty()
}

/// Whether flows may have been tracked that pass by its ports.
fn has_udp(endpoint: &Endpoint) -> bool {
    let mut ports = endpoint.ports.iter();
    ports.any(|port| port.protocol == Protocol::Udp)
}

pub(super) fn addresses(endpoint: &Endpoint) -> Vec<IpAddr> {
    let leases = endpoint.leases.iter();
    leases.map(|lease| lease.address).collect()
}
