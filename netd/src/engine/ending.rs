//! Containers end: by themselves, by wish, or because their start failed.
//!
//! The end is written first, together with the farewell of each endpoint; then everything is taken apart; the record
//! says so last. Whoever finds a container between the two, after a crash or a refusal, goes on with [`conclude`].
//!
//! [`conclude`]: Engine::conclude

use std::sync::Arc;

use jiff::Timestamp;
use netd_api::ForgetReport;
use netd_model::{Container, ContainerId, ContainerState, NetnsId};

use super::detach::farewell;
use super::{Engine, EngineError};
use crate::ledger::Ledger;
use crate::state::State;
use crate::store::{Change, StoreError};

/// How a container's end became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its command ended with this status.
    Exited(i32),
    /// Its namespace or supervisor is no more.
    Vanished,
    /// The caller wants it forgotten, running or not.
    Forgotten,
}

impl Engine {
    /// A container ends: it leaves its networks and its ports, and is remembered or forgotten.
    ///
    /// # Errors
    /// What could not be undone now; it is tried again.
    pub async fn end_container(&self, id: ContainerId, ending: Ending) -> Result<(), EngineError> {
        let _house = self.house.read().await;
        let _lane = self.containers.alone(id).await;
        self.end(id, ending).await
    }

    /// Forgets every container that has ended.
    ///
    /// # Errors
    /// [`EngineError::Closed`] when the daemon is ending; other failures are in the report.
    pub async fn prune_containers(&self) -> Result<ForgetReport, EngineError> {
        let ended = self.look(|state| {
            let ended = state.containers().filter(|container| container.has_ended());
            ended
                .map(|container| (container.id, container.name.clone()))
                .collect::<Vec<_>>()
        });
        let mut report = ForgetReport::default();
        for (id, name) in ended.await? {
            match self.forget_ended(id).await {
                Ok(true) => report.containers.push(name),
                // Somebody started it again, or forgot it: then it is none of ours.
                Ok(false) => {}
                Err(error) => report
                    .failures
                    .push(format!("{name}: {}", error.sentence())),
            }
        }
        Ok(report)
    }

    /// Forgets a container if it has still ended once nobody else is at it; tells whether it did.
    async fn forget_ended(&self, id: ContainerId) -> Result<bool, EngineError> {
        let _house = self.house.read().await;
        let _lane = self.containers.alone(id).await;
        let ended = self.look(move |state| state.container(id).is_some_and(|c| c.has_ended()));
        if !ended.await? {
            return Ok(false);
        }
        self.end(id, Ending::Forgotten).await?;
        Ok(true)
    }

    /// The flow itself; the caller is alone on the container's lane.
    pub(super) async fn end(&self, id: ContainerId, ending: Ending) -> Result<(), EngineError> {
        let noted = self.turns.take(move |ledger| note(ledger, id, ending));
        let Some(container) = noted.await?? else {
            return Ok(());
        };
        self.conclude(id).await?;
        let code = match ending {
            Ending::Exited(code) => vec![("exit_code", code.to_string())],
            Ending::Vanished | Ending::Forgotten => Vec::new(),
        };
        let action = if container.is_running() {
            "exit"
        } else {
            "remove"
        };
        self.events.tell(
            "container",
            action,
            (id.to_string(), container.name.to_string()),
            &code,
        );
        Ok(())
    }

    /// Ends the container of a namespace that came to its end.
    pub(super) async fn end_netns(&self, netns: NetnsId) -> Result<(), EngineError> {
        let holder = self.look(move |state| state.container_in(netns).map(|holder| holder.id));
        if let Some(id) = holder.await? {
            return self.end_container(id, Ending::Vanished).await;
        }
        // Somebody may be about to register it; that one finds it gone.
        let _sandbox = self.sandboxes.alone(netns).await;
        let known = self.look(move |state| state.container_in(netns).is_some());
        if !known.await? {
            self.kernel(move |kernel| kernel.release(netns)).await;
        }
        Ok(())
    }

    /// Takes apart what is left of a container that is starting or ending, and writes what it comes to. The caller is
    /// alone on its lane, and the start does not go on.
    pub(super) async fn conclude(&self, id: ContainerId) -> Result<(), EngineError> {
        let found = self.look(move |state| {
            let endpoints: Vec<_> = state.endpoints_of(id).iter().map(|e| e.id).collect();
            state.container(id).cloned().zip(Some(endpoints))
        });
        let Some((container, endpoints)) = found.await? else {
            return Ok(());
        };
        let netns = container.sandbox.as_ref().map(|sandbox| sandbox.netns);
        if let Some(netns) = netns {
            self.names.stop(netns).await;
        }
        self.dissolve(id, &endpoints).await?;
        let _sandbox = match netns {
            Some(netns) => {
                let lane = self.sandboxes.alone(netns).await;
                self.kernel(move |kernel| kernel.release(netns)).await;
                Some(lane)
            }
            None => None,
        };
        let rest = self.turns.take(move |ledger| close(ledger, id)).await?;
        if let Rest::Nothing = rest.inspect_err(|_| self.leftovers.notify_one())? {
            self.remove_files(id).await;
        }
        Ok(())
    }
}

/// Writes that a container ends. `None` if it has ended already; else the record as it was.
fn note(
    ledger: &mut Ledger,
    id: ContainerId,
    ending: Ending,
) -> Result<Option<Arc<Container>>, StoreError> {
    let Some(container) = ledger.state().container(id).cloned() else {
        return Ok(None);
    };
    if container.has_ended() && ending != Ending::Forgotten {
        return Ok(None);
    }
    let changes = last_will(ledger.state(), &container, ending);
    ledger.commit(&changes)?;
    Ok(Some(container))
}

/// The changes that announce a container's end, its endpoints' farewells included.
pub(super) fn last_will(state: &State, container: &Container, ending: Ending) -> Vec<Change> {
    let (at, code) = match (&container.state, ending) {
        // A start that failed is undone as such; only who wants it forgotten knows better.
        (ContainerState::Starting { .. }, Ending::Exited(_) | Ending::Vanished) => {
            return Vec::new();
        }
        (ContainerState::Ending { at, code } | ContainerState::Exited { at, code }, _) => {
            (*at, *code)
        }
        (_, Ending::Exited(code)) => (Timestamp::now(), Some(code)),
        (_, Ending::Vanished | Ending::Forgotten) => (Timestamp::now(), None),
    };
    let ending = Container {
        state: ContainerState::Ending { at, code },
        auto_remove: container.auto_remove || ending == Ending::Forgotten,
        ..container.clone()
    };
    let farewells = state.endpoints_of(container.id).into_iter();
    let farewells: Vec<Change> = farewells
        .flat_map(|endpoint| farewell(&endpoint, &ending))
        .collect();
    [Change::PutContainer(ending)]
        .into_iter()
        .chain(farewells)
        .collect()
}

/// What is left of a container.
enum Rest {
    Record,
    Nothing,
}

/// The last word: the ended state, the record of before, or nothing. The addresses of a forgotten one are anybody's.
fn close(ledger: &mut Ledger, id: ContainerId) -> Result<Rest, StoreError> {
    let state = ledger.state();
    let Some(container) = state.container(id).cloned() else {
        return Ok(Rest::Nothing);
    };
    let (changes, rest) = match &container.state {
        ContainerState::Starting { before: None } => {
            (vec![Change::RemoveContainer(id)], Rest::Nothing)
        }
        ContainerState::Starting {
            before: Some(before),
        } => {
            let before = Container::clone(before);
            (vec![Change::PutContainer(before)], Rest::Record)
        }
        _ if container.auto_remove => {
            let kept = state.networks_reserving_for(&container.name).into_iter();
            let changes = kept
                .map(|network| Change::RemoveReservations(network, container.name.clone()))
                .chain([Change::RemoveContainer(id)]);
            (changes.collect(), Rest::Nothing)
        }
        ContainerState::Ending { at, code } => {
            let exited = Container {
                sandbox: None,
                supervisor: None,
                state: ContainerState::Exited {
                    at: *at,
                    code: *code,
                },
                ..Container::clone(&container)
            };
            (vec![Change::PutContainer(exited)], Rest::Record)
        }
        ContainerState::Running | ContainerState::Exited { .. } => (Vec::new(), Rest::Record),
    };
    ledger.commit(&changes)?;
    Ok(rest)
}
