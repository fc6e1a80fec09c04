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

use super::companions::keep;
use super::farewell::farewells;
use super::{Engine, EngineError, Hands};
use crate::ledger::Ledger;
use crate::state::State;
use crate::store::{Change, StoreError};

/// How a container's end became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its command ended with this status.
    Exited(i32),
    /// Its supervisor is no more.
    Vanished,
    /// The caller wants it forgotten, running or not.
    Forgotten,
    /// This namespace is no more: nobody is in it.
    NamespaceGone(NetnsId),
    /// It ended before, and the last of those who shared its network has ended, too.
    Deserted,
    /// It has another namespace now.
    Replaced,
}

impl Engine {
    /// A container ends: it leaves its networks and its ports, and is remembered or forgotten.
    ///
    /// # Errors
    /// What could not be undone now; it is tried again.
    pub async fn end_container(&self, id: ContainerId, ending: Ending) -> Result<(), EngineError> {
        let _house = self.house.read().await;
        let shared = self.look(move |state| state.container(id).and_then(|c| c.shares()));
        let owner = shared.await?;
        {
            let _lane = self.containers.alone(id).await;
            self.end(id, ending).await?;
        }
        match owner {
            Some(owner) => self.dissolve_if_deserted(owner).await,
            None => Ok(()),
        }
    }

    /// Forgets every container that has ended, but not those whose network others use.
    ///
    /// # Errors
    /// [`EngineError::Closed`] when the daemon is ending; other failures are in the report.
    pub async fn prune_containers(&self) -> Result<ForgetReport, EngineError> {
        let ended = self.look(|state| {
            let ended = state.containers().filter(|container| is_over(container));
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
        let ended = self.look(move |state| state.container(id).is_some_and(|c| is_over(c)));
        if !ended.await? {
            return Ok(false);
        }
        self.end(id, Ending::Forgotten).await?;
        Ok(true)
    }

    /// The flow itself; the caller is alone on the container's lane.
    pub(super) async fn end(&self, id: ContainerId, ending: Ending) -> Result<(), EngineError> {
        let noted = self.turns.take(move |ledger| note(ledger, id, ending));
        let container = match noted.await?? {
            Noted::Nothing => return Ok(()),
            Noted::Kept(container) => container,
            Noted::Ending(container) => {
                self.conclude(id).await?;
                container
            }
        };
        let code = match ending {
            Ending::Exited(code) => vec![("exit_code", code.to_string())],
            _ => Vec::new(),
        };
        let action = match (container.is_running(), ending) {
            (true, _) => "exit",
            // It exited before; this is the end of its network.
            (false, Ending::NamespaceGone(_) | Ending::Deserted | Ending::Replaced) => "release",
            (false, _) => "remove",
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
        if self.end_holder(netns).await? {
            return Ok(());
        }
        {
            let _sandbox = self.sandboxes.alone(netns).await;
            let known = self.look(move |state| state.container_in(netns).is_some());
            if !known.await? {
                self.kernel(move |kernel| kernel.release(netns)).await;
                return Ok(());
            }
        }
        // It was registered meanwhile, by somebody who had pinned it before its end and is told of no other one.
        self.end_holder(netns).await?;
        Ok(())
    }

    /// Ends the container in a namespace and all that share it; tells whether there was one.
    async fn end_holder(&self, netns: NetnsId) -> Result<bool, EngineError> {
        let holder = self.look(move |state| {
            let holder = state.container_in(netns)?;
            let companions = state.companions_of(holder).map(|companion| companion.id);
            Some((holder.id, companions.collect::<Vec<_>>()))
        });
        let Some((id, companions)) = holder.await? else {
            return Ok(false);
        };
        self.end_container(id, Ending::NamespaceGone(netns)).await?;
        for companion in companions {
            self.end_container(companion, Ending::Vanished).await?;
        }
        Ok(true)
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
        if container.returns_to().is_some() {
            return self.go_back(id).await;
        }
        let netns = container.netns();
        let _sandbox = match netns {
            Some(netns) => Some(self.sandboxes.alone(netns).await),
            None => None,
        };
        let watch = self.watch_detach(id, &endpoints);
        let work = self.at_work(move |hands| {
            hands.dissolve(id, &endpoints, watch)?;
            hands.close((id, netns))
        });
        let silence = async {
            if let Some(netns) = netns {
                self.names.stop(netns).await;
            }
        };
        let (closed, ()) = tokio::join!(work, silence);
        closed.inspect_err(|_| self.leftovers.notify_one())
    }
}

impl Hands {
    /// The end of a container that is on no network any more: its namespace, its record, its files.
    fn close(&self, (id, netns): (ContainerId, Option<NetnsId>)) -> Result<(), EngineError> {
        if let Some(netns) = netns {
            self.kernel.release(netns);
        }
        match self.turns.now(|ledger| close(ledger, id))?? {
            Rest::Nothing => self.files.remove(id),
            Rest::Record => {}
        }
        Ok(())
    }
}

/// True once nothing of a container is left but the record.
fn is_over(container: &Container) -> bool {
    container.has_ended() && !container.is_kept()
}

/// What came of an end.
enum Noted {
    /// It is none: it has ended already, or what was said of it is not true any more.
    Nothing,
    /// It ended, and its network stays; the record as it was.
    Kept(Arc<Container>),
    /// It is to be taken apart; the record as it was.
    Ending(Arc<Container>),
}

/// Writes that a container ends.
fn note(ledger: &mut Ledger, id: ContainerId, ending: Ending) -> Result<Noted, StoreError> {
    let state = ledger.state();
    let Some(container) = state.container(id).cloned() else {
        return Ok(Noted::Nothing);
    };
    let applies = match ending {
        Ending::Forgotten => true,
        Ending::Exited(_) | Ending::Vanished => !container.has_ended(),
        Ending::NamespaceGone(netns) => container.netns() == Some(netns),
        Ending::Deserted => state.is_deserted(&container),
        Ending::Replaced => container.is_running() || container.is_kept(),
    };
    if !applies {
        return Ok(Noted::Nothing);
    }
    if let Some(kept) = keep(state, &container, ending) {
        ledger.commit(&[Change::PutContainer(kept)])?;
        return Ok(Noted::Kept(container));
    }
    let changes = last_will(state, &container, ending);
    ledger.commit(&changes)?;
    Ok(Noted::Ending(container))
}

/// The changes that announce a container's end, its endpoints' farewells included.
pub(super) fn last_will(state: &State, container: &Container, ending: Ending) -> Vec<Change> {
    // A namespace that is gone takes with it what was to return into it.
    let container = match ending {
        Ending::NamespaceGone(_) => container.returns_to().unwrap_or(container),
        _ => container,
    };
    let (at, code) = match (&container.state, ending) {
        // A start that failed is undone as such; only who wants it forgotten knows better.
        (ContainerState::Starting { .. }, ending) if ending != Ending::Forgotten => {
            return Vec::new();
        }
        (ContainerState::Ending { at, code } | ContainerState::Exited { at, code }, _) => {
            (*at, *code)
        }
        (_, Ending::Exited(code)) => (Timestamp::now(), Some(code)),
        _ => (Timestamp::now(), None),
    };
    let ending = Container {
        state: ContainerState::Ending { at, code },
        // One that has another namespace is about to return: it is not forgotten meanwhile, nor are its addresses.
        auto_remove: (container.auto_remove || ending == Ending::Forgotten)
            && ending != Ending::Replaced,
        ..container.clone()
    };
    let farewells = farewells(state, &state.endpoints_of(container.id), &ending);
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
        ContainerState::Starting { before: None, .. } => {
            (vec![Change::RemoveContainer(id)], Rest::Nothing)
        }
        ContainerState::Starting {
            before: Some(before),
            ..
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
