//! Containers become known. Their end is another file's business ([`ending`](super::ending)).

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use netd_kernel::{AdoptError, NetnsHandle};
use netd_model::container::{DnsSettings, Link, Supervisor};
use netd_model::{
    Alias, Container, ContainerId, ContainerName, ContainerState, Endpoint, Hostname,
    NamespaceMode, NetnsId, NetworkId, RuntimeId, Sandbox,
};

use super::place::{self, Place};
use super::{Engine, EngineError, Wish, companions, random};
use crate::ledger::Ledger;
use crate::state::State;
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

/// What was found out about a new container.
pub(super) struct Facts {
    pub(super) id: ContainerId,
    namespace: NamespaceMode,
    joined: Option<NetnsId>,
    sandbox: Option<Sandbox>,
    pub(super) supervisor: Option<Supervisor>,
}

impl Facts {
    fn shares(&self) -> Option<ContainerId> {
        match self.namespace {
            NamespaceMode::Container(owner) => Some(owner),
            NamespaceMode::Private | NamespaceMode::Host => None,
        }
    }
}

/// Whether a container that was handed over is a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Enrolled {
    /// Its record was written.
    New,
    /// Its record was written, and it is back in the namespace that was kept for it.
    Returned,
    /// This one runs under the name, in the namespace.
    Known(ContainerId),
}

fn register(ledger: &mut Ledger, new: NewContainer, facts: Facts) -> Result<Enrolled, EngineError> {
    let state = ledger.state();
    let id = facts.id;
    let netns = |sandbox: &Option<Sandbox>| sandbox.as_ref().map(|sandbox| sandbox.netns);
    let same = |present: &&Arc<Container>| {
        !present.has_ended()
            && facts.sandbox.is_some()
            && netns(&present.sandbox) == netns(&facts.sandbox)
    };
    let named = new
        .name
        .as_ref()
        .and_then(|name| state.container_named(name));
    // A runtime means the container that it handed over itself, whatever that is called.
    let meant = match &new.runtime_id {
        Some(id) => state.container_of_runtime(id),
        None => named,
    };
    if let Some(present) = meant.filter(same) {
        return Ok(Enrolled::Known(present.id));
    }
    let name = match new.name {
        Some(name) => name,
        None => ContainerName::new(&id.short())?,
    };
    let in_the_way = |container: &&Arc<Container>| !container.has_ended() || container.id != id;
    if let Some(present) = state
        .container_named(&name)
        .or(state.container(id))
        .or(meant)
        .filter(in_the_way)
    {
        return Err(EngineError::ContainerExists {
            name: present.name.clone(),
            id: present.id.short(),
        });
    }
    let kept = state.container(id).filter(|record| record.is_kept());
    let returns = kept.is_some_and(|kept| {
        facts.namespace == NamespaceMode::Private && kept.netns() == netns(&facts.sandbox)
    });
    if let Some(kept) = kept.filter(|_| !returns) {
        return Err(companions::kept(state, kept));
    }
    if let Some(sandbox) = &facts.sandbox
        && let Some(holder) = state.container_in(sandbox.netns)
        && !returns
    {
        return Err(EngineError::NamespaceKnown {
            netns: sandbox.netns.to_string(),
            holder: holder.name.clone(),
        });
    }
    let joined = match facts.shares() {
        Some(owner) => place::joinable(state, owner, facts.joined)?,
        None => None,
    };
    let hostname = match new.hostname {
        Some(hostname) => hostname,
        None => Hostname::new(&id.short())?,
    };
    let before = state
        .container(id)
        .map(|record| Box::new(Container::clone(record)));
    let places = match returns {
        true => state
            .endpoints_of(id)
            .iter()
            .map(|place| Endpoint::clone(place))
            .collect(),
        false => Vec::new(),
    };
    let dns_port = kept.and_then(|kept| kept.sandbox.as_ref()?.dns_port);
    let container = Container {
        id,
        name,
        hostname,
        created: Timestamp::now(),
        namespace: facts.namespace,
        sandbox: facts.sandbox.map(|sandbox| Sandbox {
            dns_port,
            ..sandbox
        }),
        joined,
        state: ContainerState::Starting { before, places },
        command: new.command,
        supervisor: facts.supervisor,
        links: links(state, &new.links)?,
        dns: new.dns,
        auto_remove: new.auto_remove,
        labels: new.labels,
        runtime_id: new.runtime_id,
    };
    ledger.commit(&[Change::PutContainer(container)])?;
    Ok(if returns {
        Enrolled::Returned
    } else {
        Enrolled::New
    })
}

fn links(state: &State, given: &[String]) -> Result<Vec<Link>, EngineError> {
    let link = |text: &String| {
        let (target, alias) = text.split_once(':').unwrap_or((text, text));
        let target = state
            .find_container(target)
            .map_err(|error| EngineError::container_lookup(target, error))?;
        Ok(Link {
            target: target.id,
            alias: Alias::new(alias)?,
        })
    };
    given.iter().map(link).collect()
}
