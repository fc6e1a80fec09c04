//! What a daemon finds of the containers that one before it knew: the namespaces that live are pinned, the end of the
//! others is written down.
//!
//! What a crash left between two phases is no concern here: the first reconcile takes it for a leftover.

use std::collections::BTreeSet;
use std::sync::Arc;

use netd_kernel::{Kernel, Signal};
use netd_model::container::Anchor;
use netd_model::{Container, ContainerId, NamespaceMode, NetnsId, Sandbox};

use super::EngineError;
use super::companions::keep;
use super::ending::{Ending, last_will};
use crate::ledger::Ledger;
use crate::state::State;
use crate::store::Change;

/// Pins the namespaces that still live, and writes down the end of those that are no more.
pub(super) fn recover(ledger: &mut Ledger, kernel: &dyn Kernel) -> Result<(), EngineError> {
    let boot = kernel.boot_id()?;
    let state = ledger.state();
    let same_boot = state.boot() == Some(boot.as_str());
    let mut changes = Vec::new();
    let mut standing: BTreeSet<ContainerId> = BTreeSet::new();
    let known = || state.containers().filter(|container| container.stands());
    let pinned = pin_all(known(), kernel);
    for container in known() {
        let Some(sandbox) = &container.sandbox else {
            continue;
        };
        let anchor = match pinned.contains(&sandbox.netns) {
            true => Some(sandbox.anchor.clone()),
            false => pin_by_others(state, container, kernel),
        };
        match anchor {
            None => {
                let ending = Ending::NamespaceGone(sandbox.netns);
                changes.extend(last_will(state, container, ending));
            }
            Some(anchor) => {
                standing.insert(container.id);
                changes.extend(goes_on(state, container, (kernel, anchor)));
            }
        }
    }
    let lives = |container: &Container| match (&container.namespace, container.supervisor) {
        (_, Some(_)) => is_supervised(container, kernel),
        // Nobody can tell of their end but who told of them: they live as long as that where they are.
        (NamespaceMode::Container(owner), None) => standing.contains(owner),
        (_, None) => same_boot,
    };
    for container in known().filter(|container| container.sandbox.is_none()) {
        if !lives(container) {
            changes.extend(last_will(state, container, Ending::Vanished));
        }
    }
    if !same_boot {
        changes.push(Change::Booted(boot));
    }
    Ok(ledger.commit(&changes)?)
}

fn is_supervised(container: &Container, kernel: &dyn Kernel) -> bool {
    container
        .supervisor
        .is_some_and(|supervisor| kernel.signal(supervisor, Signal::Probe).unwrap_or(false))
}

/// Pins the namespaces that are still where they were last known to be.
fn pin_all<'a>(
    containers: impl Iterator<Item = &'a Arc<Container>>,
    kernel: &dyn Kernel,
) -> BTreeSet<NetnsId> {
    let sandboxes = containers.filter_map(|container| container.sandbox.clone());
    let sandboxes: Vec<Sandbox> = sandboxes.collect();
    let pinned = kernel.readopt_all(&sandboxes);
    let pinned = sandboxes.iter().zip(pinned);
    pinned
        .filter_map(|(sandbox, pinned)| pinned.is_ok().then_some(sandbox.netns))
        .collect()
}

/// Pins a container's namespace by who else is known to be in it; gives who that was.
fn pin_by_others(state: &State, container: &Container, kernel: &dyn Kernel) -> Option<Anchor> {
    let sandbox = container.sandbox.as_ref()?;
    let companions = state.companions_of(container);
    let inside = companions.filter_map(|companion| companion.supervisor);
    let mut inside = container.supervisor.into_iter().chain(inside);
    inside.find_map(|inside| {
        let by = Sandbox {
            anchor: Anchor::Process(inside),
            ..sandbox.clone()
        };
        kernel.readopt(&by).is_ok().then_some(by.anchor)
    })
}

/// What is new about a container whose namespace lives: who keeps it, and whether it has ended itself meanwhile.
fn goes_on(
    state: &State,
    container: &Container,
    (kernel, anchor): (&dyn Kernel, Anchor),
) -> Option<Change> {
    let mut present = container.clone();
    if let Some(sandbox) = &mut present.sandbox {
        sandbox.anchor = anchor;
    }
    if container.supervisor.is_some() && !is_supervised(container, kernel) {
        present = keep(state, &present, Ending::Vanished).unwrap_or(present);
    }
    (present != *container).then_some(Change::PutContainer(present))
}
