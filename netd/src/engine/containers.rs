//! Containers become known, and end.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use netd_kernel::NetnsHandle;
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
    /// Makes a container known and connects it, all or nothing. The name of one that ended continues its record: id
    /// and addresses come back.
    ///
    /// # Errors
    /// [`EngineError`]; then nothing is known of it, or as much as before.
    pub async fn run_container(&self, new: NewContainer) -> Result<Arc<Container>, EngineError> {
        let _house = self.house.read().await;
        let drawn = ContainerId::from_bytes(random()?);
        let id = self.identity(&new, drawn).await?;
        let _lane = self.containers.alone(id).await;
        let (namespace, network) = self.place(&new).await?;
        let supervisor = match new.supervisor_pid {
            Some(pid) => Some(self.kernel(move |kernel| kernel.identify(pid)).await?),
            None => None,
        };
        let sandbox = match namespace {
            NamespaceMode::Private => Some(self.adopt(&new).await?),
            NamespaceMode::Host | NamespaceMode::Container(_) => None,
        };
        let wish = new.wish.clone();
        let facts = Facts {
            id,
            namespace,
            sandbox: sandbox.clone(),
            supervisor,
        };
        let record = self
            .turns
            .take(move |ledger| register(ledger, new, facts))
            .await?;
        let (container, before) = match record {
            Ok(record) => record,
            Err(error) => {
                self.release_stranger(sandbox.as_ref()).await?;
                return Err(error);
            }
        };
        let connected = self.settle(&container, network, wish).await;
        if let Err(error) = connected {
            self.unregister(&container, before).await?;
            return Err(error);
        }
        self.events.tell(
            "container",
            "start",
            (id.to_string(), container.name.to_string()),
            &[],
        );
        self.look(move |state| state.container(id).cloned())
            .await?
            .ok_or_else(|| EngineError::ContainerNotFound(id.short()))
    }

    async fn settle(
        &self,
        container: &Container,
        network: Option<NetworkId>,
        wish: Wish,
    ) -> Result<(), EngineError> {
        if let Some(network) = network {
            self.attach(network, container.id, wish).await?;
        }
        self.refresh_files(container.id).await
    }

    /// The id of an ended container of that name, so that its record continues; else the caller's or a drawn one.
    async fn identity(
        &self,
        new: &NewContainer,
        drawn: ContainerId,
    ) -> Result<ContainerId, EngineError> {
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

    async fn adopt(&self, new: &NewContainer) -> Result<Sandbox, EngineError> {
        let Some(handle) = new.netns else {
            return Err(EngineError::Invalid(
                "a network namespace is needed: give netns with the pid of a process in it"
                    .to_owned(),
            ));
        };
        Ok(self.kernel(move |kernel| kernel.adopt(handle)).await?)
    }

    /// Lets go of a namespace that was pinned for nothing, unless it is a known container's.
    async fn release_stranger(&self, sandbox: Option<&Sandbox>) -> Result<(), EngineError> {
        let Some(netns) = sandbox.map(|sandbox| sandbox.netns) else {
            return Ok(());
        };
        let known = self
            .look(move |state| state.container_in(netns).is_some())
            .await?;
        if !known {
            self.kernel(move |kernel| kernel.release(netns)).await;
        }
        Ok(())
    }

    async fn unregister(
        &self,
        container: &Container,
        before: Option<Arc<Container>>,
    ) -> Result<(), EngineError> {
        let id = container.id;
        let gone = self.turns.take(move |ledger| {
            if !ledger.state().endpoints_of(id).is_empty() {
                // Something of it could not be undone yet; the reconcile that does it also forgets the container.
                return Ok(());
            }
            ledger.commit(&[match before {
                Some(before) => Change::PutContainer(Container::clone(&before)),
                None => Change::RemoveContainer(id),
            }])
        });
        gone.await??;
        self.release_stranger(container.sandbox.as_ref()).await?;
        self.files.remove(id);
        Ok(())
    }

    /// A container ends: it leaves its networks and its ports, and is remembered or forgotten.
    ///
    /// # Errors
    /// What could not be undone now; it is tried again.
    pub async fn end_container(&self, id: ContainerId, ending: Ending) -> Result<(), EngineError> {
        let _house = self.house.read().await;
        let _lane = self.containers.alone(id).await;
        self.end(id, ending).await
    }

    /// The flow itself; the caller is alone on the container's lane.
    pub(super) async fn end(&self, id: ContainerId, ending: Ending) -> Result<(), EngineError> {
        let found = self.look(move |state| {
            let endpoints: Vec<_> = state
                .endpoints_of(id)
                .iter()
                .map(|endpoint| endpoint.id)
                .collect();
            state
                .container(id)
                .cloned()
                .map(|container| (container, endpoints))
        });
        let Some((container, endpoints)) = found.await? else {
            return Ok(());
        };
        if ending != Ending::Forgotten && !container.is_running() && endpoints.is_empty() {
            return Ok(());
        }
        if let Some(sandbox) = &container.sandbox {
            self.names.stop(sandbox.netns).await;
        }
        self.dissolve(id, &endpoints).await?;
        if let Some(netns) = container.sandbox.as_ref().map(|sandbox| sandbox.netns) {
            self.kernel(move |kernel| kernel.release(netns)).await;
        }
        let forget = container.auto_remove || ending == Ending::Forgotten;
        self.turns
            .take(move |ledger| close(ledger, id, ending, forget))
            .await??;
        if forget {
            self.files.remove(id);
        }
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
        match self
            .look(move |state| state.container_in(netns).map(|container| container.id))
            .await?
        {
            Some(id) => self.end_container(id, Ending::Vanished).await,
            None => {
                self.kernel(move |kernel| kernel.release(netns)).await;
                Ok(())
            }
        }
    }
}

struct Facts {
    id: ContainerId,
    namespace: NamespaceMode,
    sandbox: Option<Sandbox>,
    supervisor: Option<Supervisor>,
}

type Registered = (Arc<Container>, Option<Arc<Container>>);

fn register(
    ledger: &mut Ledger,
    new: NewContainer,
    facts: Facts,
) -> Result<Registered, EngineError> {
    let state = ledger.state();
    let id = facts.id;
    let name = match new.name {
        Some(name) => name,
        None => ContainerName::new(&id.short())?,
    };
    let running = |container: &&Arc<Container>| container.is_running() || container.id != id;
    if let Some(present) = state
        .container_named(&name)
        .or(state.container(id))
        .filter(running)
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
    let before = state.container(id).cloned();
    let container = Container {
        id,
        name,
        hostname,
        created: Timestamp::now(),
        namespace: facts.namespace,
        sandbox: facts.sandbox,
        state: ContainerState::Running,
        command: new.command,
        supervisor: facts.supervisor,
        links: links(state, &new.links)?,
        dns: new.dns,
        auto_remove: new.auto_remove,
        labels: new.labels,
    };
    ledger.commit(&[Change::PutContainer(container.clone())])?;
    Ok((Arc::new(container), before))
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

/// The record after the end: the ended state, or nothing. The addresses of a forgotten one are anybody's.
fn close(
    ledger: &mut Ledger,
    id: ContainerId,
    ending: Ending,
    forget: bool,
) -> Result<(), EngineError> {
    let state = ledger.state();
    let Some(container) = state.container(id).cloned() else {
        return Ok(());
    };
    let changes = if forget {
        let reservations = state.networks_reserving_for(&container.name).into_iter();
        reservations
            .map(|network| Change::RemoveReservations(network, container.name.clone()))
            .chain([Change::RemoveContainer(id)])
            .collect()
    } else {
        let code = match ending {
            Ending::Exited(code) => Some(code),
            Ending::Vanished | Ending::Forgotten => None,
        };
        vec![Change::PutContainer(Container {
            sandbox: None,
            supervisor: None,
            state: ContainerState::Exited {
                at: Timestamp::now(),
                code,
            },
            ..Container::clone(&container)
        })]
    };
    Ok(ledger.commit(&changes)?)
}
