//! What is written when endpoints of a container go, and what is kept for when it returns: pure.

use std::sync::Arc;

use netd_model::{Container, ContainerState, Endpoint, Phase};

use crate::state::State;
use crate::store::{Change, Reservation};

/// The changes that announce that endpoints of a container go. If it may return it finds its addresses again: one it
/// asked for is kept from others, another is only remembered. An endpoint that was never acknowledged leaves no trace.
pub(super) fn farewells(
    state: &State,
    endpoints: &[Arc<Endpoint>],
    container: &Container,
) -> Vec<Change> {
    let going = || endpoints.iter().filter(|one| one.phase != Phase::Detaching);
    let leaving = going().map(|endpoint| {
        Change::PutEndpoint(Endpoint {
            phase: Phase::Detaching,
            ..Endpoint::clone(endpoint)
        })
    });
    let returns =
        !container.auto_remove && !matches!(container.state, ContainerState::Starting { .. });
    let remembered = || {
        let known = going().filter(|one| returns && one.phase == Phase::Attached);
        known.filter(|one| !one.leases.is_empty())
    };
    // All that was kept before goes first: several may leave one network, each with an address of it.
    let outdated = remembered().map(|one| outdated(state, endpoints, (one, container)));
    let kept = remembered().flat_map(|one| reservations(one, container));
    leaving.chain(outdated).chain(kept).collect()
}

/// What was kept for a container before it came onto the network that it leaves: all of it, or, while another interface of
/// it stays there, what was kept for this one.
fn outdated(
    state: &State,
    leaving: &[Arc<Endpoint>],
    (endpoint, container): (&Endpoint, &Container),
) -> Change {
    let (network, name) = (endpoint.network, container.name.clone());
    let there = state.endpoints_between(container.id, network);
    let mut others = there
        .iter()
        .filter(|one| leaving.iter().all(|leaving| leaving.id != one.id));
    match others.next() {
        None => Change::RemoveReservations(network, name),
        Some(_) => Change::RemoveReservationsFor(network, name, endpoint.inside().cloned()),
    }
}

fn reservations(endpoint: &Endpoint, container: &Container) -> impl Iterator<Item = Change> {
    endpoint.leases.iter().map(|lease| {
        Change::PutReservation(Reservation {
            network: endpoint.network,
            address: lease.address,
            container: container.name.clone(),
            interface: endpoint.inside().cloned(),
            firm: lease.requested,
        })
    })
}
