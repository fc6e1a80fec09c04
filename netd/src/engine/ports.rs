//! Ports are published and withdrawn while the container runs.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use netd_model::{
    Container, ContainerId, DriverSpec, Endpoint, EndpointId, NamespaceMode, Phase, PublishRequest,
    PublishedPort,
};

use super::hold::stale_flows;
use super::host_ports::{self, Avoid, Publisher};
use super::sources;
use super::{Engine, EngineError, plan};
use crate::ledger::Ledger;
use crate::state::State;
use crate::store::Change;

/// What ports endpoints shall be left with, once the store takes it.
pub(super) type Debts = BTreeMap<EndpointId, Vec<PublishedPort>>;

impl Engine {
    /// Publishes further ports of a container, on the network that carries its default route. Asking for what is
    /// published already changes nothing.
    ///
    /// # Errors
    /// [`EngineError`] names the holder of a port that is taken; nothing new is published then.
    pub async fn publish(
        &self,
        container: ContainerId,
        requests: Vec<PublishRequest>,
    ) -> Result<(), EngineError> {
        let _house = self.house.read().await;
        let _container = self.containers.alone(container).await;
        self.settle_debts().await?;
        let plan = self
            .turns
            .take(move |ledger| intend(ledger, container, &requests))
            .await??;
        let id = plan.endpoint.id;
        if let Err(error) = self.stand_behind(&plan).await {
            // As it was: the record, then the rules and sockets that follow from it.
            self.owe(id, plan.before.clone());
            let undone = async {
                self.settle_debts().await?;
                self.follow_ports(id).await
            };
            if let Err(undo) = undone.await {
                tracing::warn!(endpoint = %id.short(), error = %undo.sentence(), "undoing waits for the next reconcile");
                self.leftovers.notify_one();
            }
            return Err(error);
        }
        self.tell_ports(&plan.endpoint, "publish").await
    }

    /// Withdraws every published port of a container that fits one of `wanted`.
    ///
    /// # Errors
    /// [`EngineError::NotPublished`] when one of them fits nothing; nothing is withdrawn then.
    pub async fn unpublish(
        &self,
        container: ContainerId,
        wanted: Vec<PublishRequest>,
    ) -> Result<(), EngineError> {
        let _house = self.house.read().await;
        let _container = self.containers.alone(container).await;
        let endpoints = self
            .turns
            .take(move |ledger| withdraw(ledger, container, &wanted))
            .await??;
        for (endpoint, withdrawn) in endpoints {
            self.follow_ports(endpoint.id)
                .await
                .inspect_err(|_| self.leftovers.notify_one())?;
            self.forget_flows(stale_flows(&withdrawn)).await;
            self.tell_ports(&endpoint, "unpublish").await?;
        }
        Ok(())
    }

    /// Takes the ports of a publication and has them led to the container.
    pub(super) async fn stand_behind(&self, plan: &Publication) -> Result<(), EngineError> {
        let id = plan.endpoint.id;
        self.hold_ports(id, &plan.fresh, &plan.before).await?;
        let (rules, flows) = self
            .look(move |state| {
                let record = state.endpoint(id);
                let flows = record.map_or_else(Vec::new, |endpoint| stale_flows(&endpoint.ports));
                (plan::port_rules(state, id), flows)
            })
            .await?;
        self.rules.change(rules).await?;
        self.forget_flows(flows).await;
        Ok(())
    }

    /// Remembers that all ports of an endpoint but `kept` are to be withdrawn, for as long as the store refuses it.
    fn owe(&self, id: EndpointId, kept: Vec<PublishedPort>) {
        self.debts().insert(id, kept);
    }

    fn debts(&self) -> std::sync::MutexGuard<'_, Debts> {
        self.debts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Withdraws from the records what was refused to those who asked for it.
    pub(super) async fn settle_debts(&self) -> Result<(), EngineError> {
        let debts = self.debts().clone();
        for (id, kept) in debts {
            let put = self.turns.take(move |ledger| {
                let record = ledger.state().endpoint(id).cloned();
                let restored = record.map(|record| {
                    Change::PutEndpoint(Endpoint {
                        ports: kept,
                        ..Endpoint::clone(&record)
                    })
                });
                ledger.commit(&restored.into_iter().collect::<Vec<_>>())
            });
            put.await??;
            self.debts().remove(&id);
        }
        Ok(())
    }

    /// Makes rules and sockets what the record says.
    pub(super) async fn follow_ports(&self, id: EndpointId) -> Result<(), EngineError> {
        let (rules, keep) = self
            .look(move |state| {
                let keep = state
                    .endpoint(id)
                    .map(|endpoint| endpoint.ports.clone())
                    .unwrap_or_default();
                (plan::port_rules(state, id), keep)
            })
            .await?;
        self.rules.change(rules).await?;
        self.kernel(move |kernel| kernel.release_ports(id, &keep))
            .await;
        Ok(())
    }

    async fn tell_ports(
        &self,
        endpoint: &Endpoint,
        action: &'static str,
    ) -> Result<(), EngineError> {
        let container = endpoint.container;
        if let Some(record) = self
            .look(move |state| state.container(container).cloned())
            .await?
        {
            let subject = (record.id.to_string(), record.name.to_string());
            self.events.tell("container", action, subject, &[]);
        }
        Ok(())
    }
}

/// What a request to publish comes to.
pub(super) struct Publication {
    /// The record with the ports that were granted.
    pub(super) endpoint: Endpoint,
    /// What it had before.
    pub(super) before: Vec<PublishedPort>,
    /// Those of the requests that were not fulfilled already.
    pub(super) fresh: Vec<PublishRequest>,
}

fn intend(
    ledger: &mut Ledger,
    container: ContainerId,
    requests: &[PublishRequest],
) -> Result<Publication, EngineError> {
    let state = ledger.state();
    let Some(record) = state.container(container).cloned() else {
        return Err(EngineError::ContainerNotFound(container.short()));
    };
    let endpoint = publishing_endpoint(state, &record)?;
    let network = state.network(endpoint.network);
    let Some(publisher) = network.and_then(|network| Publisher::of(network, &endpoint)) else {
        return Err(EngineError::NetworkNotFound(endpoint.network.short()));
    };
    if !host_ports::opened(publisher.spec, publisher.leases, requests).is_empty() {
        return Err(EngineError::Invalid(format!(
            "container {} cannot publish ports: network {} is routed, where a port is opened when the container connects; \
             disconnect it and connect it again with -p",
            record.name, publisher.network.name
        )));
    }
    let fresh: Vec<PublishRequest> = requests
        .iter()
        .filter(|request| !host_ports::is_published(publisher, request))
        .cloned()
        .collect();
    let chosen = host_ports::ports(state, publisher, &fresh, &Avoid::new())?;
    let before = endpoint.ports.clone();
    let endpoint = Endpoint {
        ports: before.iter().cloned().chain(chosen).collect(),
        ..Endpoint::clone(&endpoint)
    };
    ledger.commit(&[Change::PutEndpoint(endpoint.clone())])?;
    Ok(Publication {
        endpoint,
        before,
        fresh,
    })
}

/// The endpoint that carries the default route: the highest priority, then the first name.
fn publishing_endpoint(state: &State, container: &Container) -> Result<Arc<Endpoint>, EngineError> {
    if !container.is_running() {
        return Err(EngineError::NotRunning(container.name.clone()));
    }
    let refuse = |reason: &str| {
        EngineError::Invalid(format!(
            "container {} cannot publish ports: {reason}",
            container.name
        ))
    };
    match container.namespace {
        NamespaceMode::Host => {
            return Err(refuse(
                "it uses the host's network, where its ports are open as they are",
            ));
        }
        NamespaceMode::Container(owner) => {
            let owner = state.container(owner);
            let owner =
                owner.map_or_else(|| "its owner".to_owned(), |owner| owner.name.to_string());
            let reason = format!("it shares the network of {owner}; publish on {owner}");
            return Err(refuse(&reason));
        }
        NamespaceMode::Private | NamespaceMode::Docker => {}
    }
    let endpoints = state.endpoints_of(container.id);
    let candidates = endpoints
        .iter()
        .filter(|endpoint| endpoint.phase == Phase::Attached)
        .filter_map(|endpoint| {
            let network = state.network(endpoint.network)?;
            let usable =
                matches!(network.driver, DriverSpec::Bridge(_)) && !network.policy.internal;
            usable.then_some((
                std::cmp::Reverse(endpoint.gateway_priority),
                network.name.clone(),
                endpoint,
            ))
        });
    candidates
        .min_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)))
        .map(|(_, _, endpoint)| Arc::clone(endpoint))
        .ok_or_else(|| refuse("it is on no network that leads outside"))
}

/// Writes that ports go; gives the records as they are then, each with what it lost.
fn withdraw(
    ledger: &mut Ledger,
    container: ContainerId,
    wanted: &[PublishRequest],
) -> Result<Vec<(Endpoint, Vec<PublishedPort>)>, EngineError> {
    let state = ledger.state();
    let Some(record) = state.container(container).cloned() else {
        return Err(EngineError::ContainerNotFound(container.short()));
    };
    let endpoints = state.endpoints_of(container);
    let published = || endpoints.iter().flat_map(|endpoint| &endpoint.ports);
    if let Some(lost) = wanted
        .iter()
        .find(|request| !published().any(|port| fits(request, port)))
    {
        return Err(EngineError::NotPublished {
            container: record.name.clone(),
            wanted: lost.to_string(),
        });
    }
    let mut changed = Vec::new();
    for endpoint in &endpoints {
        let leaves = |port: &PublishedPort| wanted.iter().any(|request| fits(request, port));
        let (withdrawn, ports): (Vec<_>, Vec<_>) = endpoint.ports.iter().cloned().partition(leaves);
        if !withdrawn.is_empty() {
            let endpoint = Endpoint {
                ports,
                ..Endpoint::clone(endpoint)
            };
            changed.push((endpoint, withdrawn));
        }
    }
    let puts = changed.iter().map(|(endpoint, _)| endpoint.clone());
    let changes: Vec<Change> = puts.map(Change::PutEndpoint).collect();
    ledger.commit(&changes)?;
    Ok(changed)
}

/// What was left out of the request fits anything.
fn fits(request: &PublishRequest, port: &PublishedPort) -> bool {
    request.protocol == port.protocol
        && request.container_ports == port.container_ports
        && request
            .host_ports
            .is_none_or(|ports| ports == port.host_ports)
        && request.host_ip.is_none_or(|ip| ip == port.host_ip)
        && (request.from.is_empty()
            || !port.from.is_empty()
                && sources::of(request, port.host_ip).eq(port.from.iter().copied()))
}
