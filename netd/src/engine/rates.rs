//! Limits of traffic: whether they can be had, and whether they stand.

use netd_drivers::bridge;
use netd_model::desired::{HostState, KernelState};
use netd_model::network::BridgeSpec;
use netd_model::{Container, Endpoint, Network, Rates};

use super::intent::not_connectable;
use super::{Engine, EngineError, plan};
use crate::state::State;

/// Sees to it that a full frame of the network passes.
///
/// # Errors
/// [`EngineError::NotConnectable`] says how much has to pass at once.
pub(super) fn check(
    (network, container): (&Network, &Container),
    spec: &BridgeSpec,
    rates: &Rates,
) -> Result<(), EngineError> {
    let mtu_bytes = spec.mtu_bytes.unwrap_or(bridge::DEFAULT_MTU_BYTES);
    let checked = rates.check(mtu_bytes);
    checked.map_err(|error| not_connectable(network, container, error.to_string()))
}

/// Why a place without an interface cannot have limits, if they are asked for.
pub(super) fn without_interface(rates: &Rates) -> Option<String> {
    let reason = "it has no interface of its own whose rate could be limited; leave the rates out";
    (!rates.is_unlimited()).then(|| reason.to_owned())
}

impl Engine {
    /// Looks only whether all limits stand; the remedy is a whole pass. Costs nothing if there is none.
    pub(super) async fn rates_seem_right(&self) -> Result<bool, EngineError> {
        let about = self.look(promised).await?;
        if about == HostState::default() {
            return Ok(true);
        }
        let seen = self
            .kernel(move |kernel| {
                kernel.observe(&KernelState {
                    host: about,
                    ..KernelState::default()
                })
            })
            .await?;
        // What came or went while the kernel was asked is no fault.
        self.look(move |state| {
            let promised = promised(state);
            let holds = |name, wished: &netd_model::desired::VethState| {
                let there = seen.host.veths.get(name);
                there.is_none_or(|there| {
                    there.bucket == wished.bucket && there.through == wished.through
                })
            };
            let mut veths = promised.veths.iter();
            let mut ifbs = promised.ifbs.iter();
            veths.all(|(name, wished)| holds(name, wished))
                && ifbs.all(|(name, wished)| seen.host.ifbs.get(name) == Some(wished))
        })
        .await
    }
}

fn is_limited(endpoint: &Endpoint) -> bool {
    !endpoint.rates.is_unlimited()
}

/// The outer ends of all endpoints with limits, and what belongs to those.
fn promised(state: &State) -> HostState {
    let mut promised = HostState::default();
    let limited = state.endpoints().filter(|endpoint| is_limited(endpoint));
    for endpoint in limited.filter(|endpoint| state.stands(endpoint)) {
        let plan = state
            .container(endpoint.container)
            .and_then(|container| plan::standing_sandbox(state, container).ok());
        if let Some(plan) = plan {
            promised.veths.extend(plan.host.veths);
            promised.ifbs.extend(plan.host.ifbs);
        }
    }
    promised
}
