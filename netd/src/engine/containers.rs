//! Containers become known. Their end is another file's business ([`ending`](super::ending)).

use std::collections::BTreeMap;
use std::sync::Arc;

use netd_kernel::{AdoptError, NetnsHandle};
use netd_model::container::DnsSettings;
use netd_model::{
    Container, ContainerId, ContainerName, ContainerState, Hostname, NamespaceMode, NetnsId,
    NetworkId, RuntimeId,
};

use super::place::Place;
use super::register::{Enrolled, Facts, register};
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
        let enrolled = self.enroll(new, facts).await?;
        if let Enrolled::Known(known) = enrolled {
            drop(lane);
            return self.join(known, network, wish).await;
        }
        match self.bring_up(id, enrolled, (network, wish)).await {
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

    /// Pins the namespace and writes the intent. Nobody else takes or lets go of that namespace meanwhile.
    async fn enroll(&self, new: NewContainer, mut facts: Facts) -> Result<Enrolled, EngineError> {
        if facts.namespace != NamespaceMode::Private {
            return self
                .turns
                .take(move |ledger| register(ledger, new, facts))
                .await?;
        }
        let Some(handle) = new.netns else {
            return Err(EngineError::Invalid(
                "a network namespace is needed: give netns with the pid of a process in it"
                    .to_owned(),
            ));
        };
        let netns = self.kernel(move |kernel| kernel.adopt(handle)).await?.netns;
        if let Err(kept) = self.leave_kept(&facts, netns).await {
            self.release_stranger(netns).await?;
            return Err(kept);
        }
        let _sandbox = self.sandboxes.alone(netns).await;
        // Once more: whoever was in the lane may have let go of it.
        let enrolled = match self.kernel(move |kernel| kernel.adopt(handle)).await {
            Ok(sandbox) if sandbox.netns == netns => {
                facts.sandbox = Some(sandbox);
                self.turns
                    .take(move |ledger| register(ledger, new, facts))
                    .await?
            }
            Ok(other) => Err(AdoptError::Gone {
                netns,
                anchor: other.anchor,
            }
            .into()),
            Err(refused) => Err(refused.into()),
        };
        if enrolled.is_err() {
            self.release_stranger(netns).await?;
        }
        enrolled
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

    /// Lets go of a namespace that was pinned for nothing, unless it is a known container's.
    async fn release_stranger(&self, netns: NetnsId) -> Result<(), EngineError> {
        let known = self
            .look(move |state| state.container_in(netns).is_some())
            .await?;
        if !known {
            self.kernel(move |kernel| kernel.release(netns)).await;
        }
        Ok(())
    }

    async fn bring_up(
        &self,
        id: ContainerId,
        enrolled: Enrolled,
        (network, wish): (Option<NetworkId>, Wish),
    ) -> Result<Arc<Container>, EngineError> {
        let place = match network {
            Some(network) if enrolled == Enrolled::Returned => {
                Some(self.resume(id, network, wish).await?)
            }
            Some(network) => {
                self.attach(network, id, wish).await?;
                None
            }
            None => None,
        };
        self.refresh_files(id).await?;
        let settled = place.as_ref().map(|place| place.endpoint.clone());
        let running = self.turns.take(move |ledger| {
            let Some(record) = ledger.state().container(id) else {
                return Err(EngineError::ContainerNotFound(id.short()));
            };
            let running = Container {
                state: ContainerState::Running,
                ..Container::clone(record)
            };
            let settled = settled.map(Change::PutEndpoint);
            let changes = settled
                .into_iter()
                .chain([Change::PutContainer(running.clone())]);
            ledger.commit(&changes.collect::<Vec<_>>())?;
            Ok(Arc::new(running))
        });
        let running = running.await??;
        if let Some(place) = place {
            self.let_go_of_ports(&place).await;
        }
        Ok(running)
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
