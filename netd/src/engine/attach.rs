//! A container joins a network.
//!
//! Intent, ports, filter, interface, acknowledgement: in this order, so that a crash at any point leaves a record of
//! what to undo, and no packet passes before its rules stand.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use netd_drivers::EndpointOptions;
use netd_kernel::{ApplyError, KernelError};
use netd_model::desired::KernelState;
use netd_model::diff::diff;
use netd_model::{
    Alias, Container, ContainerId, ContainerRoute, Endpoint, EndpointId, IfName, LinkLocal, Mac,
    NetworkId, Phase, PublishRequest, RuntimeId,
};

use super::hold::stale_flows;
use super::intent::{Intent, Subject, intend};
use super::names::wants_names;
use super::timings::{Operation, Phase as Part, Stopwatch};
use super::{Engine, EngineError, plan, random};
use crate::store::Change;

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
    /// Options of the interface inside.
    pub options: EndpointOptions,
    /// The network with the highest number carries the default route.
    pub gateway_priority: i32,
    /// Routes besides the default route.
    pub routes: Vec<ContainerRoute>,
    /// Name of the runtime's network configuration that it comes by.
    pub joined_as: Option<RuntimeId>,
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
        let mut watch = self.timings.start(Operation::Attach);
        let _network = self.networks.shared(network).await;
        let id = EndpointId::from_bytes(random()?);
        let requests = wish.ports.clone();
        let subject = Subject {
            id,
            network,
            container,
            present: self.present_inside(container).await?,
        };
        watch.lap(Part::Wait);
        let intent = self
            .turns
            .take(move |ledger| intend(ledger, &subject, wish))
            .await??;
        let (endpoint, before) = match intent {
            Intent::Already(endpoint) => return Ok(endpoint),
            Intent::Fresh { endpoint, before } => (*endpoint, *before),
        };
        watch.lap(Part::Intent);
        match self
            .establish(&endpoint, (before, &requests), &mut watch)
            .await
        {
            Ok(endpoint) => {
                self.tell_of(&endpoint, "connect").await?;
                watch.end();
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

    /// Interfaces that are in a container's namespace already: another runtime may have made some.
    async fn present_inside(
        &self,
        container: ContainerId,
    ) -> Result<BTreeSet<IfName>, EngineError> {
        let netns =
            self.look(move |state| Some(state.container(container)?.sandbox.as_ref()?.netns));
        match netns.await? {
            Some(netns) => Ok(self
                .kernel(move |kernel| kernel.inside_names(netns))
                .await?),
            None => Ok(BTreeSet::new()),
        }
    }

    async fn establish(
        &self,
        endpoint: &Endpoint,
        (before, requests): (KernelState, &[PublishRequest]),
        watch: &mut Stopwatch<'_>,
    ) -> Result<Arc<Endpoint>, EngineError> {
        let id = endpoint.id;
        self.hold_ports(id, requests, &[]).await?;
        watch.lap(Part::Ports);
        self.open_resolver(endpoint.container).await?;
        watch.lap(Part::Resolver);
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
                Ok((ops, plan::port_rules(state, id), stale_flows(&record.ports)))
            })
            .await??;
        if !endpoint.ports.is_empty() || !requests.is_empty() {
            self.rules.change(rules).await?;
        }
        let addresses: Vec<IpAddr> = endpoint.leases.iter().map(|lease| lease.address).collect();
        self.departures.wait_for(&addresses).await?;
        watch.lap(Part::Firewall);
        // The files say what the record says, so they are written beside; a failure takes both back.
        let (applied, written) =
            tokio::join!(self.apply(ops), self.refresh_files(endpoint.container));
        applied.map_err(without_step)?;
        written?;
        watch.lap(Part::Kernel);
        self.forget_flows(stale).await;
        watch.lap(Part::Flows);
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
                names.publish_endpoint(ledger.state(), &attached);
                names.publish_view(ledger.state(), attached.container);
                Ok(Arc::new(attached))
            })
            .await??;
        watch.lap(Part::Outcome);
        Ok(endpoint)
    }

    /// Opens the sockets of the embedded resolver inside a container's sandbox, once it is on a network with names.
    pub(super) async fn open_resolver(&self, id: ContainerId) -> Result<(), EngineError> {
        let names = Arc::clone(&self.names);
        let wanted = self.look(move |state| {
            let sandbox = wants_names(state, state.container(id)?)?.clone();
            (!names.serves(sandbox.netns)).then_some(sandbox)
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

/// Of a parameter that a user named, the user hears what is wrong with it, not which step it was.
fn without_step(error: EngineError) -> EngineError {
    match error {
        EngineError::Apply(ApplyError {
            source:
                source @ (KernelError::NoSuchParameter { .. } | KernelError::ParameterRefused { .. }),
            ..
        }) => EngineError::Kernel(source),
        other => other,
    }
}
