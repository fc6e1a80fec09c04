//! Containers become known. Their end is another file's business ([`ending`](super::ending)).

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use netd_kernel::{AdoptError, NetnsHandle};
use netd_model::container::{DnsSettings, Link, Supervisor};
use netd_model::{
    Alias, Container, ContainerId, ContainerName, ContainerState, Hostname, NamespaceMode, NetnsId,
    NetworkId, Sandbox,
};

use super::{Engine, EngineError, Wish, random};
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
}

impl Engine {
    /// Makes a container known and connects it, all or nothing. The name of one that ended continues its record: id
    /// and addresses come back.
    ///
    /// # Errors
    /// [`EngineError`]; then nothing is known of it, or as much as before.
    pub async fn run_container(&self, new: NewContainer) -> Result<Arc<Container>, EngineError> {
        let _house = self.house.read().await;
        let id = self.identity(&new).await?;
        let lane = self.containers.alone(id).await;
        let (namespace, network) = self.place(&new).await?;
        let supervisor = match new.supervisor_pid {
            Some(pid) => Some(self.kernel(move |kernel| kernel.identify(pid)).await?),
            None => None,
        };
        let wish = new.wish.clone();
        let facts = Facts {
            id,
            namespace,
            sandbox: None,
            supervisor,
        };
        if let Enrolled::Known(known) = self.enroll(new, facts).await? {
            drop(lane);
            return self.join(known, network, wish).await;
        }
        match self.bring_up(id, network, wish).await {
            Ok(container) => {
                let subject = (id.to_string(), container.name.to_string());
                self.events.tell("container", "start", subject, &[]);
                Ok(container)
            }
            Err(error) => {
                if let Err(undo) = self.conclude(id).await {
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
        network: Option<NetworkId>,
        wish: Wish,
    ) -> Result<Arc<Container>, EngineError> {
        if let Some(network) = network {
            self.attach(network, id, wish).await?;
        }
        self.refresh_files(id).await?;
        self.turns
            .take(move |ledger| {
                let Some(record) = ledger.state().container(id) else {
                    return Err(EngineError::ContainerNotFound(id.short()));
                };
                let running = Container {
                    state: ContainerState::Running,
                    ..Container::clone(record)
                };
                ledger.commit(&[Change::PutContainer(running.clone())])?;
                Ok(Arc::new(running))
            })
            .await?
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

    /// Whose namespace it uses, and the network it joins there.
    async fn place(
        &self,
        new: &NewContainer,
    ) -> Result<(NamespaceMode, Option<NetworkId>), EngineError> {
        let word = new.network.as_deref().unwrap_or("bridge");
        let word = if word == "default" { "bridge" } else { word };
        if let Some(target) = word.strip_prefix("container:") {
            if !new.wish.ports.is_empty()
                || !new.wish.ips.is_empty()
                || !new.wish.aliases.is_empty()
            {
                return Err(EngineError::Invalid(format!(
                    "ports, addresses and aliases belong to the container whose network is shared; give them to {target}"
                )));
            }
            let target = self.find_container(target).await?;
            if !target.is_running() {
                return Err(EngineError::NotRunning(target.name.clone()));
            }
            // One that shares itself leads on to the owner of the namespace.
            return Ok(match target.namespace {
                NamespaceMode::Private => (NamespaceMode::Container(target.id), None),
                NamespaceMode::Host => (
                    NamespaceMode::Host,
                    Some(self.find_network("host").await?.id),
                ),
                NamespaceMode::Container(owner) => (NamespaceMode::Container(owner), None),
            });
        }
        let network = self.find_network(word).await?;
        let namespace = match network.driver {
            netd_model::DriverSpec::Host => NamespaceMode::Host,
            netd_model::DriverSpec::Bridge(_) | netd_model::DriverSpec::Null => {
                NamespaceMode::Private
            }
        };
        Ok((namespace, Some(network.id)))
    }
}

struct Facts {
    id: ContainerId,
    namespace: NamespaceMode,
    sandbox: Option<Sandbox>,
    supervisor: Option<Supervisor>,
}

/// Whether a container that was handed over is a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Enrolled {
    /// Its record was written.
    New,
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
    if let Some(present) = named.filter(same) {
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
        .filter(in_the_way)
    {
        return Err(EngineError::ContainerExists {
            name: present.name.clone(),
            id: present.id.short(),
        });
    }
    if let Some(sandbox) = &facts.sandbox
        && let Some(holder) = state.container_in(sandbox.netns)
    {
        return Err(EngineError::NamespaceKnown {
            netns: sandbox.netns.to_string(),
            holder: holder.name.clone(),
        });
    }
    if let NamespaceMode::Container(owner) = &facts.namespace
        && !state
            .container(*owner)
            .is_some_and(|owner| owner.is_running())
    {
        return Err(EngineError::ContainerNotFound(owner.short()));
    }
    let hostname = match new.hostname {
        Some(hostname) => hostname,
        None => Hostname::new(&id.short())?,
    };
    let before = state
        .container(id)
        .map(|record| Box::new(Container::clone(record)));
    let container = Container {
        id,
        name,
        hostname,
        created: Timestamp::now(),
        namespace: facts.namespace,
        sandbox: facts.sandbox,
        state: ContainerState::Starting { before },
        command: new.command,
        supervisor: facts.supervisor,
        links: links(state, &new.links)?,
        dns: new.dns,
        auto_remove: new.auto_remove,
        labels: new.labels,
    };
    ledger.commit(&[Change::PutContainer(container)])?;
    Ok(Enrolled::New)
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
