//! A container leaves networks: by wish, at its end, or because joining failed.
//!
//! The record goes last. An address is free only when the last object that bore it is gone; rules that led to it go
//! afterwards, and before it is used anew ([`departures`](super::departures)).

use std::net::IpAddr;
use std::sync::Arc;

use netd_drivers::ifb_name;
use netd_model::desired::{FlowFilter, Mark};
use netd_model::diff::diff;
use netd_model::ruleset::RulesetChange;
use netd_model::{
    Container, ContainerId, DriverSpec, Endpoint, EndpointId, IfName, InstanceId, NetworkId, Op,
};

use super::attach::addresses;
use super::farewell::farewells;
use super::timings::{About, Operation, Phase as Part, Stopwatch};
use super::{Engine, EngineError, Hands, PlaceError, plan};
use crate::ledger::Ledger;
use crate::state::State;
use crate::store::Change;

/// What to do when there is nothing to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// Say so.
    Refuse,
    /// Be content.
    Accept,
}

/// Which of its interfaces a container leaves a network with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The only one; if there are several, somebody has to say which.
    Only,
    /// The one of this name.
    Interface(IfName),
    /// All of them.
    All,
}

/// How a container leaves a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leave {
    /// With which of its interfaces there.
    pub which: Which,
    /// What if there is none.
    pub absent: Absent,
}

impl From<Absent> for Leave {
    fn from(absent: Absent) -> Self {
        let which = Which::Only;
        Self { which, absent }
    }
}

impl Engine {
    /// Takes a container off a network.
    ///
    /// # Errors
    /// [`EngineError::NotConnected`] unless absence is accepted, [`EngineError::Place`] if it is not clear which interface
    /// is meant; else what could not be undone, which stays recorded and is tried again.
    pub async fn disconnect(
        &self,
        network: NetworkId,
        container: ContainerId,
        leave: impl Into<Leave>,
    ) -> Result<(), EngineError> {
        let leave = leave.into();
        let _house = self.house.read().await;
        let _container = self.containers.alone(container).await;
        let found = self.look(move |state| leaving(state, (network, container), &leave));
        let endpoints = found.await??;
        if endpoints.is_empty() {
            return Ok(());
        }
        let ids: Vec<EndpointId> = endpoints.iter().map(|endpoint| endpoint.id).collect();
        self.dissolve(container, &ids).await?;
        for endpoint in &endpoints {
            self.tell_of(endpoint, "disconnect").await?;
        }
        Ok(())
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

/// The endpoints that are meant; none where that is accepted.
fn leaving(
    state: &State,
    (network, container): (NetworkId, ContainerId),
    leave: &Leave,
) -> Result<Vec<Arc<Endpoint>>, EngineError> {
    let there = state.endpoints_between(container, network);
    let Some((container, network)) = state.container(container).zip(state.network(network)) else {
        return Ok(Vec::new());
    };
    if !there.is_empty() && matches!(network.driver, DriverSpec::Host) {
        return Err(EngineError::Builtin {
            name: network.name.to_string(),
            action: "left while the container runs",
        });
    }
    let (container, network) = (container.name.clone(), network.name.clone());
    let places = || there.iter().map(|endpoint| spoken(endpoint)).collect();
    match &leave.which {
        _ if there.is_empty() && leave.absent == Absent::Refuse => {
            Err(EngineError::NotConnected { container, network })
        }
        Which::Only if there.len() > 1 => {
            let places = places();
            Err(PlaceError::Several {
                container,
                network,
                places,
            }
            .into())
        }
        Which::Only | Which::All => Ok(there),
        Which::Interface(interface) => {
            let named = there.iter().filter(|one| one.inside() == Some(interface));
            let named: Vec<_> = named.cloned().collect();
            if !named.is_empty() || leave.absent == Absent::Accept {
                return Ok(named);
            }
            Err(PlaceError::NotBy {
                container,
                network,
                interface: interface.clone(),
                places: places(),
            }
            .into())
        }
    }
}

/// An interface with its addresses: `eth0 (10.0.0.2)`.
fn spoken(endpoint: &Endpoint) -> String {
    let name = endpoint.inside().map_or("no interface", IfName::as_str);
    let addresses: Vec<String> = addresses(endpoint).iter().map(IpAddr::to_string).collect();
    format!("{name} ({})", addresses.join(", "))
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
        Some(record) => farewells(state, &endpoints, record),
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
        for (name, mark) in links(endpoint, state.instance()) {
            let delete = Op::DeleteLink { name, mark };
            if !ops.contains(&delete) {
                ops.push(delete);
            }
        }
    }
    Ok(ops)
}

/// The links of the host that an endpoint has, under their marks.
pub(super) fn links(endpoint: &Endpoint, instance: InstanceId) -> Vec<(IfName, Mark)> {
    let outside = endpoint
        .interface
        .iter()
        .map(|interface| &interface.outside);
    let pair = outside.clone().cloned();
    let pair = pair.map(|name| (name, Mark::endpoint(instance, endpoint.id)));
    let limited = outside.filter(|_| endpoint.rates.outward.is_some());
    let ifb = limited.filter_map(ifb_name);
    pair.chain(ifb.map(|name| (name, Mark::ifb(instance, endpoint.id))))
        .collect()
}
