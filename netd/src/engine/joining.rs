//! The parts of an attach that may block: the intent, the interface with all that belongs to it, the acknowledgement.

use std::collections::BTreeSet;
use std::sync::Arc;

use netd_drivers::{Attachment, pair_to_hand_over};
use netd_kernel::{ApplyError, KernelError, ResolverSockets};
use netd_model::desired::KernelState;
use netd_model::diff::diff;
use netd_model::{
    Container, ContainerId, ContainerState, Endpoint, EndpointId, IfName, NamespaceMode, NetworkId,
    Op, Phase, Sandbox,
};

use super::attach::{Wish, addresses, has_rules};
use super::beside::Beside;
use super::hold::stale_flows;
use super::intent::{Intent, Subject, intend};
use super::names::wants_names;
use super::timings::{Phase as Part, Stopwatch};
use super::{Engine, EngineError, Hands, plan};
use crate::state::State;
use crate::store::Change;

/// What came of the kernel's part, and the port that the resolver listens on by now.
pub(super) type Made = (Option<u16>, Result<(), EngineError>);

impl Engine {
    /// Opens the sockets of the embedded resolver inside a container's sandbox, once it is on a network with names.
    pub(super) async fn open_resolver(&self, id: ContainerId) -> Result<(), EngineError> {
        self.at_work(move |hands| {
            let Some(sockets) = hands.resolver_sockets(id)? else {
                return Ok(());
            };
            let port = sockets.port;
            hands.turns.now(|ledger| {
                if let Some(record) = ledger.state().container(id).cloned() {
                    hands.names.serve(ledger.state(), &record, sockets)?;
                }
                let moved = moved(ledger.state(), id, port);
                ledger.commit(moved.map(Change::PutContainer).as_slice())?;
                Ok(())
            })?
        })
        .await
    }
}

/// How far an attach came without having to wait for anybody.
pub(super) enum Begun {
    /// The wish was fulfilled before.
    Already(Arc<Endpoint>),
    /// The intent is written, and this became of it.
    Done(Result<Arc<Endpoint>, EngineError>),
    /// The intent is written; ports, rules or a departure are next.
    Waits {
        endpoint: Box<Endpoint>,
        before: Box<KernelState>,
    },
}

impl Hands {
    /// Writes the intent, and goes on to the end if there is nothing to wait for.
    pub(super) fn begin(
        &self,
        (id, network, container): (EndpointId, NetworkId, ContainerId),
        wish: Wish,
        watch: &mut Stopwatch,
    ) -> Result<Begun, EngineError> {
        let requests = wish.ports.clone();
        let intent = watch.part(Part::Intent, || {
            let subject = Subject {
                id,
                network,
                container,
                present: self.present_inside(container)?,
            };
            self.turns.now(|ledger| intend(ledger, &subject, wish))?
        })?;
        let (endpoint, before) = match intent {
            Intent::Already(endpoint) => return Ok(Begun::Already(endpoint)),
            Intent::Fresh { endpoint, before } => (endpoint, before),
        };
        let busy = self.departures.busy(&addresses(&endpoint));
        if has_rules(&endpoint, &requests) || busy.is_some() {
            return Ok(Begun::Waits { endpoint, before });
        }
        let done = self
            .make((id, container), &before, watch)
            .and_then(|made| self.conclude((id, container), made, watch));
        // The kernel had its time while the outcome was written down.
        if done.is_ok() {
            self.settle(&endpoint, watch)?;
        }
        Ok(Begun::Done(done))
    }

    /// Waits until packets pass to and from an endpoint. One that a Docker engine is to take is up later.
    pub(super) fn settle(
        &self,
        endpoint: &Endpoint,
        watch: &mut Stopwatch,
    ) -> Result<(), EngineError> {
        let waits = self.turns.now(|ledger| {
            let container = ledger.state().container(endpoint.container);
            container.is_some_and(|one| one.namespace != NamespaceMode::Docker)
        })?;
        if let Some(interface) = endpoint.interface.as_ref().filter(|_| waits) {
            watch.part(Part::Carrier, || self.kernel.settle(&interface.outside));
        }
        Ok(())
    }

    /// Interfaces that are in a container's namespace already: another runtime may have made some.
    fn present_inside(&self, container: ContainerId) -> Result<BTreeSet<IfName>, EngineError> {
        let netns = self.turns.now(|ledger| {
            let container = ledger.state().container(container)?;
            Some(container.sandbox.as_ref()?.netns)
        })?;
        match netns {
            Some(netns) => Ok(self.kernel.inside_names(netns)?),
            None => Ok(BTreeSet::new()),
        }
    }

    /// The kernel's part of an attach, `before` being what it has of the container without it.
    ///
    /// # Errors
    /// What kept it from beginning. What came of it is in the answer.
    pub(super) fn make(
        &self,
        (id, container): (EndpointId, ContainerId),
        before: &KernelState,
        watch: &mut Stopwatch,
    ) -> Result<Made, EngineError> {
        let (port, ops) = watch.part(Part::Resolver, || {
            let sockets = self.resolver_sockets(container)?;
            let port = sockets.as_ref().map(|sockets| sockets.port);
            self.turns.now(|ledger| {
                let wanted = planned(ledger.state(), (id, container), port)?;
                if let (Some(sockets), Some(known)) = (sockets, ledger.state().container(container))
                {
                    self.names.serve(ledger.state(), known, sockets)?;
                }
                let mut ops = diff(&wanted, before, ledger.state().instance());
                ops.extend(self.pair_for_docker(ledger.state(), id)?);
                Ok::<_, EngineError>((port, ops))
            })?
        })?;
        let made = watch.part(Part::Kernel, || self.make_steps(container, ops));
        Ok((port, made))
    }

    /// The end of an attach: flows that its ports make stale are forgotten, and the outcome is written down.
    pub(super) fn conclude(
        &self,
        (id, container): (EndpointId, ContainerId),
        (port, made): Made,
        watch: &mut Stopwatch,
    ) -> Result<Arc<Endpoint>, EngineError> {
        if made.is_ok() {
            watch.part(Part::Flows, || {
                let stale = self.turns.now(|ledger| {
                    let record = ledger.state().endpoint(id);
                    record.map_or_else(Vec::new, |record| stale_flows(&record.ports))
                });
                stale.map(|stale| self.forget_flows(stale))
            })?;
        }
        watch.part(Part::Outcome, || {
            self.acknowledge((id, container), port, made)
        })
    }

    /// Makes the steps of an attach, and beside them the container's files.
    fn make_steps(&self, container: ContainerId, ops: Vec<Op>) -> Result<(), EngineError> {
        // The files say what the record says, and the redirection is nobody's but the sandbox's: both are made beside, if
        // there is a processor for it. A failure takes all back.
        let (redirect, ops) = ops
            .into_iter()
            .partition::<Vec<Op>, _>(|op| matches!(op, Op::RedirectDns { .. }));
        let hands = self.clone();
        let beside = Beside::new(move || {
            hands
                .apply(&redirect)
                .and_then(|()| hands.refresh_files(container))
        });
        let beside = match self.workers.have_room() {
            true => beside.hand_over(),
            false => beside,
        };
        let made = self.apply(&ops).map_err(without_step);
        made.and(beside.end())
    }

    /// Writes down what came of an attach whose resolver listens on `port`.
    fn acknowledge(
        &self,
        (id, container): (EndpointId, ContainerId),
        port: Option<u16>,
        made: Result<(), EngineError>,
    ) -> Result<Arc<Endpoint>, EngineError> {
        self.turns.now(|ledger| {
            let moved = port.and_then(|port| moved(ledger.state(), container, port));
            if let Err(error) = made {
                // The sockets stay, so where they are has to be known.
                let changes: Vec<Change> = moved.into_iter().map(Change::PutContainer).collect();
                if let Err(lost) = ledger.commit(&changes) {
                    tracing::warn!(error = %lost, "the resolver's port is not written down");
                }
                return Err(error);
            }
            let record = runs(ledger.state(), container, moved);
            let mut changes: Vec<Change> = record.into_iter().map(Change::PutContainer).collect();
            let attached = Endpoint {
                phase: Phase::Attached,
                ..Endpoint::clone(record_of(ledger.state(), id)?)
            };
            changes.push(Change::PutEndpoint(attached.clone()));
            ledger.commit(&changes)?;
            self.names.publish_endpoint(ledger.state(), &attached);
            self.names.publish_view(ledger.state(), attached.container);
            Ok(Arc::new(attached))
        })?
    }

    /// The step that makes an endpoint's pair, if it is for a Docker engine to take.
    fn pair_for_docker(&self, state: &State, id: EndpointId) -> Result<Option<Op>, EngineError> {
        let endpoint = record_of(state, id)?;
        let container = state.container(endpoint.container);
        let is_dockers = container.is_some_and(|one| one.namespace == NamespaceMode::Docker);
        let Some(network) = state.network(endpoint.network).filter(|_| is_dockers) else {
            return Ok(None);
        };
        let attachment = Attachment { network, endpoint };
        let host = self.kernel.own_netns();
        Ok(pair_to_hand_over(attachment, host, state.instance())?)
    }

    /// Opens the resolver's sockets inside a container's sandbox, if names are to be served there and are not yet.
    fn resolver_sockets(&self, id: ContainerId) -> Result<Option<ResolverSockets>, EngineError> {
        let wanted = self.turns.now(|ledger| {
            let state = ledger.state();
            let sandbox = wants_names(state, state.container(id)?)?.clone();
            (!self.names.serves(sandbox.netns)).then_some(sandbox)
        })?;
        let Some(sandbox) = wanted else {
            return Ok(None);
        };
        let sockets = self.kernel.open_resolver(sandbox.netns, sandbox.dns_port)?;
        Ok(Some(sockets))
    }
}

/// What the container of an endpoint wants of the kernel when its resolver listens on `port`.
fn planned(
    state: &State,
    (id, container): (EndpointId, ContainerId),
    port: Option<u16>,
) -> Result<KernelState, EngineError> {
    record_of(state, id)?;
    let moved = port.and_then(|port| moved(state, container, port));
    let known = state.container(container).map(|known| &**known);
    let wanted = moved.as_ref().or(known);
    let wanted = wanted.map(|container| plan::sandbox(state, container, &[]));
    Ok(wanted.transpose()?.unwrap_or_default())
}

fn record_of(state: &State, id: EndpointId) -> Result<&Arc<Endpoint>, EngineError> {
    state
        .endpoint(id)
        .ok_or_else(|| EngineError::Invalid("the endpoint was withdrawn meanwhile".to_owned()))
}

/// A container's record with the port that its resolver listens on now; `None` if that is the one it had.
fn moved(state: &State, id: ContainerId, port: u16) -> Option<Container> {
    let record = state.container(id)?;
    let sandbox = record.sandbox.as_ref()?;
    if sandbox.dns_port == Some(port) {
        return None;
    }
    Some(Container {
        sandbox: Some(Sandbox {
            dns_port: Some(port),
            ..sandbox.clone()
        }),
        ..Container::clone(record)
    })
}

/// What becomes of a container's record when it is on its network: one that comes with it runs from then on. `moved` is the
/// record so far, if it changes anyhow.
fn runs(state: &State, id: ContainerId, moved: Option<Container>) -> Option<Container> {
    let record = state.container(id)?;
    match record.state {
        ContainerState::Starting { .. } => Some(Container {
            state: ContainerState::Running,
            ..moved.unwrap_or_else(|| Container::clone(record))
        }),
        _ => moved,
    }
}

/// Of a parameter that a user named, and of a rate, the user hears what is wrong with it, not which step it was.
fn without_step(error: EngineError) -> EngineError {
    match error {
        EngineError::Apply(ApplyError {
            source:
                source @ (KernelError::NoSuchParameter { .. }
                | KernelError::ParameterRefused { .. }
                | KernelError::NoRates { .. }),
            ..
        }) => EngineError::Kernel(source),
        other => other,
    }
}
