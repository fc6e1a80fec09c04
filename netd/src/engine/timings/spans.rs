//! The spans of the log by which one request is followed, under the names that the timings have.
//!
//! They are of level debug: at a lower one a span costs a comparison, and nothing is looked up for its fields.

use netd_model::{ContainerId, ContainerName, EndpointId, NetworkId};
use tracing::field::Empty;
use tracing::{Span, debug_span};

use super::{Operation, Phase};
use crate::engine::Engine;

/// What an operation is about; what it is not about is left out, and the network of a connection that is known.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::engine) struct About<'a> {
    /// The container that joins or leaves.
    pub(in crate::engine) container: Option<ContainerId>,
    /// What it is to be called, if it is not known yet.
    pub(in crate::engine) called: Option<&'a ContainerName>,
    /// The network.
    pub(in crate::engine) network: Option<NetworkId>,
    /// The connection of the two: each attempt has another, so this is what tells one operation from all others.
    pub(in crate::engine) endpoint: Option<EndpointId>,
}

impl Engine {
    /// Names in an operation's span what it is about: by name if it has one, else by id.
    pub(in crate::engine) fn describe(&self, span: &Span, about: About<'_>) {
        if span.is_disabled() {
            return;
        }
        if let Some(id) = about.endpoint {
            span.record("endpoint", id.short());
        }
        // Once the ledger is closed the request fails anyhow, and says why.
        let _ = self.turns.now(|ledger| {
            let state = ledger.state();
            let of_endpoint = || Some(state.endpoint(about.endpoint?)?.network);
            if let Some(id) = about.network.or_else(of_endpoint) {
                let known = state.network(id).map(|network| network.name.to_string());
                span.record("network", known.unwrap_or_else(|| id.short()));
            }
            if let Some(id) = about.container {
                let known = state.container(id).map(|known| &known.name);
                let known = known.or(about.called).map(ToString::to_string);
                span.record("container", known.unwrap_or_else(|| id.short()));
            }
        });
    }
}

/// The span of a whole operation, its fields still empty.
pub(super) fn of_operation(operation: Operation) -> Span {
    match operation {
        Operation::Attach => {
            debug_span!(
                "attach",
                container = Empty,
                network = Empty,
                endpoint = Empty
            )
        }
        Operation::Detach => {
            debug_span!(
                "detach",
                container = Empty,
                network = Empty,
                endpoint = Empty
            )
        }
        Operation::Create => debug_span!("create", network = Empty),
        Operation::Remove => debug_span!("remove", network = Empty),
    }
}

/// The span of one part, inside that of its operation.
pub(super) fn of_phase(whole: &Span, phase: Phase) -> Span {
    match phase {
        Phase::Whole => Span::none(),
        Phase::Wait => debug_span!(parent: whole, "wait"),
        Phase::Register => debug_span!(parent: whole, "register"),
        Phase::Intent => debug_span!(parent: whole, "intent"),
        Phase::Ports => debug_span!(parent: whole, "ports"),
        Phase::Resolver => debug_span!(parent: whole, "resolver"),
        Phase::Firewall => debug_span!(parent: whole, "firewall"),
        Phase::Kernel => debug_span!(parent: whole, "kernel"),
        Phase::Carrier => debug_span!(parent: whole, "carrier"),
        Phase::Flows => debug_span!(parent: whole, "flows"),
        Phase::Outcome => debug_span!(parent: whole, "outcome"),
    }
}
