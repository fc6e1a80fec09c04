//! A container leaves networks: by wish, at its end, or because joining failed.
//!
//! The record goes last. An address is free only when the last object that bore it is gone; rules that led to it go
//! afterwards, and before it is used anew ([`departures`](super::departures)).

use std::net::IpAddr;
use std::sync::Arc;

use netd_model::desired::FlowFilter;
use netd_model::diff::diff;
use netd_model::ruleset::RulesetChange;
use netd_model::{
    Container, ContainerId, ContainerState, Endpoint, EndpointId, NetworkId, Op, Phase,
};

use super::timings::{About, Operation, Phase as Part, Stopwatch};
use super::{Engine, EngineError, Hands, plan};
use crate::ledger::Ledger;
use crate::state::State;
use crate::store::{Change, Reservation};

/// What to do when there is nothing to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// Say so.
    Refuse,
    /// Be content.
    Accept,
}

impl Engine {
    /// Takes a container off a network.
    ///
    /// # Errors
    /// [`EngineError::NotConnected`] unless absence is accepted; else what could not be undone, which stays recorded
    /// and is tried again.
    pub async fn disconnect(
        &self,
        network: NetworkId,
        container: ContainerId,
        absent: Absent,
    ) -> Result<(), EngineError> {
        let _house = self.house.read().await;
        let _container = self.containers.alone(container).await;
        let found = self.look(move |state| {
            let endpoint = state.endpoint_between(container, network).cloned();
            let names = state.container(container).zip(state.network(network));
            (
                endpoint,
                names.map(|(container, network)| {
                    (
                        container.name.clone(),
                        network.name.clone(),
                        is_host(network),
                    )
                }),
            )
        });
        match found.await? {
            (Some(_), Some((_, network, true))) => Err(EngineError::Builtin {
                name: network.to_string(),
                action: "left while the container runs",
            }),
            (Some(endpoint), _) => {
                self.dissolve(container, &[endpoint.id]).await?;
                self.tell_of(&endpoint, "disconnect").await
            }
            (None, Some((container, network, _))) if absent == Absent::Refuse => {
                Err(EngineError::NotConnected { container, network })
            }
            (None, _) => Ok(()),
        }
    }

    /// Removes endpoints of one container, whatever phase they are in. The caller is alone on its lane.
    pub(super) async fn dissolve(
        &self,
        container: ContainerId,
        ids: &[EndpointId],
    ) -> Result<(), EngineError> {
        let wanted = ids.to_vec();
        let watch = self.watch_detach(container, ids);
        let dissolved = self
            .at_work(move |hands| hands.dissolve(container, &wanted, watch))
            .await;
        dissolved.inspect_err(|_| self.leftovers.notify_one())
    }

    /// Begins to time a detach.
    pub(super) fn watch_detach(&self, container: ContainerId, ids: &[EndpointId]) -> Stopwatch {
        let watch = self.timings.start(Operation::Detach);
        let about = About {
            container: Some(container),
            called: None,
            network: None,
            endpoint: match ids {
                [only] => Some(*only),
                _ => None,
            },
        };
        self.describe(watch.span(), about);
        watch
    }

    /// As [`Hands::forget`], off the async threads.
    pub(super) async fn forget(
        &self,
        container: ContainerId,
        endpoints: Vec<Arc<Endpoint>>,
    ) -> Result<(), EngineError> {
        self.at_work(move |hands| hands.forget(container, &endpoints))
            .await
    }
}

impl Hands {
    /// As [`Engine::dissolve`], on a thread that may block.
    pub(super) fn dissolve(
        &self,
        container: ContainerId,
        ids: &[EndpointId],
        mut watch: Stopwatch,
    ) -> Result<(), EngineError> {
        let (endpoints, ops) = watch.part(Part::Intent, || {
            self.turns
                .now(|ledger| intend_end(ledger, container, ids, &self.names))
        })??;
        watch.part(Part::Kernel, || self.apply(&ops))?;
        watch.part(Part::Outcome, || {
            self.part_with(&endpoints);
            self.forget(container, &endpoints)
        })?;
        watch.end();
        Ok(())
    }

    /// Has what led to endpoints go, without waiting for it.
    fn part_with(&self, endpoints: &[Arc<Endpoint>]) {
        // The next one with the address would get what was tracked for this one.
        let leases = endpoints.iter().flat_map(|endpoint| &endpoint.leases);
        let addresses: Vec<IpAddr> = leases.map(|lease| lease.address).collect();
        let stale = addresses.iter().copied().map(FlowFilter::OfAddress);
        let stale = stale.collect();
        let rules = endpoints
            .iter()
            .filter(|endpoint| !endpoint.ports.is_empty() || !endpoint.opened.is_empty());
        let rules: Vec<RulesetChange> = rules
            .map(|endpoint| RulesetChange::RemoveEndpoint(endpoint.id))
            .collect();
        self.depart(rules, addresses, stale);
    }

    /// The last step: ports, addresses and the record itself.
    fn forget(
        &self,
        container: ContainerId,
        endpoints: &[Arc<Endpoint>],
    ) -> Result<(), EngineError> {
        for endpoint in endpoints {
            self.kernel.release_ports(endpoint.id, &[]);
        }
        self.turns.now(|ledger| {
            let gone = endpoints.iter().map(|endpoint| endpoint.id);
            let changes: Vec<Change> = gone.map(Change::RemoveEndpoint).collect();
            ledger.commit(&changes)?;
            self.names.publish_view(ledger.state(), container);
            Ok::<_, EngineError>(())
        })??;
        self.refresh_files_if_possible(container);
        Ok(())
    }
}

fn is_host(network: &netd_model::Network) -> bool {
    matches!(network.driver, netd_model::DriverSpec::Host)
}

/// Records the wish and finds the steps: the difference between the container with these endpoints and without.
fn intend_end(
    ledger: &mut Ledger,
    container: ContainerId,
    ids: &[EndpointId],
    names: &super::Names,
) -> Result<(Vec<Arc<Endpoint>>, Vec<Op>), EngineError> {
    let state = ledger.state();
    let endpoints: Vec<Arc<Endpoint>> = ids
        .iter()
        .filter_map(|id| state.endpoint(*id))
        .cloned()
        .collect();
    let record = state.container(container).cloned();
    let ops = steps(state, record.as_deref(), &endpoints)?;
    let changes: Vec<Change> = match &record {
        Some(record) => endpoints
            .iter()
            .flat_map(|endpoint| farewell(endpoint, record))
            .collect(),
        None => Vec::new(),
    };
    ledger.commit(&changes)?;
    endpoints
        .iter()
        .for_each(|endpoint| names.publish_endpoint(ledger.state(), endpoint));
    names.publish_view(ledger.state(), container);
    Ok((endpoints, ops))
}

fn steps(
    state: &State,
    container: Option<&Container>,
    endpoints: &[Arc<Endpoint>],
) -> Result<Vec<Op>, EngineError> {
    let ids: Vec<EndpointId> = endpoints.iter().map(|endpoint| endpoint.id).collect();
    let mut ops = Vec::new();
    if let Some(container) = container {
        let before = plan::sandbox(state, container, &[])?;
        let after = plan::sandbox(state, container, &ids)?;
        ops = diff(&after, &before, state.instance());
    }
    for endpoint in endpoints {
        // What the plan does not show any more: an endpoint on its way out, or one without a sandbox.
        if let Some(interface) = &endpoint.interface {
            let mark = netd_model::desired::Mark::endpoint(state.instance(), endpoint.id);
            let delete = Op::DeleteLink {
                name: interface.outside.clone(),
                mark,
            };
            if !ops.contains(&delete) {
                ops.push(delete);
            }
        }
    }
    Ok(ops)
}

/// The changes that announce that an endpoint goes. A container that may return finds its addresses again: one it
/// asked for is kept from others, another is only remembered. An endpoint that was never acknowledged leaves no trace.
pub(super) fn farewell(endpoint: &Endpoint, container: &Container) -> Vec<Change> {
    if endpoint.phase == Phase::Detaching {
        return Vec::new();
    }
    let mut changes = vec![Change::PutEndpoint(Endpoint {
        phase: Phase::Detaching,
        ..endpoint.clone()
    })];
    let was_known = endpoint.phase == Phase::Attached
        && !matches!(container.state, ContainerState::Starting { .. });
    if was_known && !container.auto_remove && !endpoint.leases.is_empty() {
        let name = || container.name.clone();
        changes.push(Change::RemoveReservations(endpoint.network, name()));
        changes.extend(endpoint.leases.iter().map(|lease| {
            Change::PutReservation(Reservation {
                network: endpoint.network,
                address: lease.address,
                container: name(),
                firm: lease.requested,
            })
        }));
    }
    changes
}
