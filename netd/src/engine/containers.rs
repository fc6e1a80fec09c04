//! Containers become known. Their end is another file's business ([`ending`](super::ending)).

use std::collections::BTreeMap;
use std::sync::Arc;

use netd_kernel::NetnsHandle;
use netd_model::container::DnsSettings;
use netd_model::{
    Container, ContainerId, ContainerName, ContainerState, Hostname, NetworkId, RuntimeId,
};

use super::arrival::Arrived;
use super::attach::Underway;
use super::place::Place;
use super::register::{Enrolled, Facts};
use super::{Engine, EngineError, Wish, random};
use crate::store::Change;

/// A container that a caller wants known and connected.
#[derive(Clone, Debug, Default)]
pub struct NewContainer {
    /// The runtime's id; `None` draws one.
    pub id: Option<ContainerId>,
    /// Its name; `None` takes the short id.
    pub name: Option<ContainerName>,
    /// Its hostname; `None` takes the short id.
    pub hostname: Option<Hostname>,
    /// Its namespace, unless it uses the host's or another container's.
    pub netns: Option<NetnsHandle>,
    /// `host`, `none`, `container:NAME` or a network; `None` for the default one.
    pub network: Option<String>,
    /// The process that waits for it.
    pub supervisor_pid: Option<u32>,
    /// The command line, for people.
    pub command: Vec<String>,
    /// What it wants on its network.
    pub wish: Wish,
    /// `TARGET:ALIAS` pairs.
    pub links: Vec<String>,
    /// Resolver settings of its own.
    pub dns: DnsSettings,
    /// Forget it when it ends.
    pub auto_remove: bool,
    /// The user's own marks.
    pub labels: BTreeMap<String, String>,
    /// What the runtime calls it, if it has a key of its own for it.
    pub runtime_id: Option<RuntimeId>,
}

/// How a new container comes onto its network.
pub(super) enum Joining {
    /// It has none of its own.
    Nothing,
    /// It has a place there.
    Again(NetworkId),
    /// It has to be connected.
    First(NetworkId),
    /// That has begun.
    Underway(Box<Underway>),
}

impl Engine {
    /// Makes a container known and connects it, all or nothing. The name of one that ended continues its record: id
    /// and addresses come back.
    ///
    /// # Errors
    /// [`EngineError`]; then nothing is known of it, or as much as before.
    pub async fn run_container(
        &self,
        mut new: NewContainer,
    ) -> Result<Arc<Container>, EngineError> {
        let _house = self.house.read().await;
        let id = self.identity(&new).await?;
        let lane = self.containers.alone(id).await;
        let Place {
            namespace,
            hostname,
            network,
        } = self.place(&new).await?;
        new.hostname = new.hostname.or(hostname);
        let supervisor = match new.supervisor_pid {
            Some(pid) => Some(self.kernel(move |kernel| kernel.identify(pid)).await?),
            None => None,
        };
        let joined = self.joined(&namespace, &new).await?;
        let wish = new.wish.clone();
        let facts = Facts {
            id,
            namespace,
            joined,
            sandbox: None,
            supervisor,
        };
        let owner = facts.shares();
        let Arrived { enrolled, underway } = self.arrive(new, facts, network).await?;
        if let Enrolled::Known(known) = enrolled {
            drop(lane);
            return self.join(known, network, wish).await;
        }
        let joining = match (network, underway) {
            (None, _) => Joining::Nothing,
            (Some(network), None) if enrolled == Enrolled::Returned => Joining::Again(network),
            (Some(network), None) => Joining::First(network),
            (Some(_), Some(underway)) => Joining::Underway(underway),
        };
        match self.bring_up(id, joining, wish).await {
            Ok(container) => {
                let subject = (id.to_string(), container.name.to_string());
                self.events.tell("container", "start", subject, &[]);
                Ok(container)
            }
            Err(error) => {
                let undone = self.conclude(id).await;
                drop(lane);
                let undone = match undone {
                    Ok(()) => self.dissolve_if_deserted(owner.unwrap_or(id)).await,
                    failed => failed,
                };
                if let Err(undo) = undone {
                    tracing::warn!(container = %id.short(), error = %undo.sentence(), "undoing waits for the next reconcile");
                }
                Err(error)
            }
        }
    }

    /// The same namespace handed over once more, under the name that it has: it joins the network, or is there already.
    async fn join(
        &self,
        id: ContainerId,
        network: Option<NetworkId>,
        wish: Wish,
    ) -> Result<Arc<Container>, EngineError> {
        let _lane = self.containers.alone(id).await;
        if let Some(network) = network {
            self.attach(network, id, wish).await?;
        }
        self.look(move |state| state.container(id).cloned())
            .await?
            .ok_or_else(|| EngineError::ContainerNotFound(id.short()))
    }

    pub(super) async fn bring_up(
        &self,
        id: ContainerId,
        joining: Joining,
        wish: Wish,
    ) -> Result<Arc<Container>, EngineError> {
        // Who joins a network for the first time has its files written with that, and runs.
        match joining {
            Joining::Underway(underway) => _ = self.see_through(id, *underway).await?,
            Joining::First(network) => _ = self.attach(network, id, wish).await?,
            Joining::Again(network) => {
                let place = self.resume(id, network, wish).await?;
                self.refresh_files(id).await?;
                let settled = Change::PutEndpoint(place.endpoint.clone());
                self.note_running(id, Some(settled)).await?;
                self.let_go_of_ports(&place).await;
            }
            Joining::Nothing => {
                self.refresh_files(id).await?;
                self.note_running(id, None).await?;
            }
        }
        self.look(move |state| state.container(id).cloned())
            .await?
            .ok_or_else(|| EngineError::ContainerNotFound(id.short()))
    }

    /// Writes that a container runs, and what else has become true.
    async fn note_running(
        &self,
        id: ContainerId,
        settled: Option<Change>,
    ) -> Result<(), EngineError> {
        let noted = self.turns.take(move |ledger| {
            let Some(record) = ledger.state().container(id) else {
                return Err(EngineError::ContainerNotFound(id.short()));
            };
            let running = Container {
                state: ContainerState::Running,
                ..Container::clone(record)
            };
            let running = Change::PutContainer(running);
            let changes = settled.into_iter().chain([running]);
            Ok(ledger.commit(&changes.collect::<Vec<_>>())?)
        });
        noted.await?
    }

    /// The id of an ended container of that name, so that its record continues; else the caller's or a drawn one.
    async fn identity(&self, new: &NewContainer) -> Result<ContainerId, EngineError> {
        let drawn = ContainerId::from_bytes(random()?);
        let (name, given) = (new.name.clone(), new.id);
        self.look(move |state| {
            let known =
                name.and_then(|name| state.container_named(&name).map(|container| container.id));
            given.or(known).unwrap_or(drawn)
        })
        .await
    }
}
