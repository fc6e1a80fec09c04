//! The record of a new container is written, or why it cannot be one.

use std::sync::Arc;

use jiff::Timestamp;
use netd_model::container::{Link, Supervisor};
use netd_model::{
    Alias, Container, ContainerId, ContainerName, ContainerState, Endpoint, Hostname,
    NamespaceMode, NetnsId, Sandbox,
};

use super::containers::NewContainer;
use super::{EngineError, companions, place};
use crate::ledger::Ledger;
use crate::state::State;
use crate::store::Change;

/// What was found out about a new container.
pub(super) struct Facts {
    pub(super) id: ContainerId,
    pub(super) namespace: NamespaceMode,
    pub(super) joined: Option<NetnsId>,
    pub(super) sandbox: Option<Sandbox>,
    pub(super) supervisor: Option<Supervisor>,
}

impl Facts {
    pub(super) fn shares(&self) -> Option<ContainerId> {
        match self.namespace {
            NamespaceMode::Container(owner) => Some(owner),
            NamespaceMode::Private | NamespaceMode::Host | NamespaceMode::Docker => None,
        }
    }

    fn netns(&self) -> Option<NetnsId> {
        self.sandbox.as_ref().map(|sandbox| sandbox.netns)
    }

    /// True if this container runs in that namespace.
    fn is_of(&self, container: &Container) -> bool {
        !container.has_ended() && self.netns().is_some() && container.netns() == self.netns()
    }
}

/// Whether a container that was handed over is a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Enrolled {
    /// Its record was written.
    New,
    /// Its record was written, and it is back in the namespace that was kept for it.
    Returned,
    /// This one runs under the name, in the namespace.
    Known(ContainerId),
}

/// Writes the intent to have a container, unless it is known already or something is in its way.
pub(super) fn register(
    ledger: &mut Ledger,
    new: NewContainer,
    facts: Facts,
) -> Result<Enrolled, EngineError> {
    let state = ledger.state();
    let id = facts.id;
    if let Some(known) = meant(state, &new).filter(|known| facts.is_of(known)) {
        return Ok(Enrolled::Known(known.id));
    }
    let name = match &new.name {
        Some(name) => name.clone(),
        None => ContainerName::new(&id.short())?,
    };
    let in_the_way = |container: &&Arc<Container>| !container.has_ended() || container.id != id;
    let there = state.container_named(&name).or(state.container(id));
    if let Some(present) = there.or(meant(state, &new)).filter(in_the_way) {
        return Err(EngineError::ContainerExists {
            name: present.name.clone(),
            id: present.id.short(),
        });
    }
    let returns = returns(state, &facts)?;
    let container = record((name, new), facts, (state, returns))?;
    ledger.commit(&[Change::PutContainer(container)])?;
    Ok(match returns {
        true => Enrolled::Returned,
        false => Enrolled::New,
    })
}

/// The container that a caller may mean: a runtime means the one that it handed over itself, whatever that is called.
fn meant<'a>(state: &'a State, new: &NewContainer) -> Option<&'a Arc<Container>> {
    match &new.runtime_id {
        Some(id) => state.container_of_runtime(id),
        None => state.container_named(new.name.as_ref()?),
    }
}

/// Whether the container comes back into the namespace that was kept for it.
///
/// # Errors
/// Another namespace is kept for it, or its own is another container's.
fn returns(state: &State, facts: &Facts) -> Result<bool, EngineError> {
    let kept = state.container(facts.id).filter(|record| record.is_kept());
    if let Some(kept) = kept {
        let is_private = facts.namespace == NamespaceMode::Private;
        return match is_private && kept.netns() == facts.netns() {
            true => Ok(true),
            false => Err(companions::kept(state, kept)),
        };
    }
    let Some(netns) = facts.netns() else {
        return Ok(false);
    };
    match state.container_in(netns) {
        Some(holder) => Err(EngineError::NamespaceKnown {
            netns: netns.to_string(),
            holder: holder.name.clone(),
        }),
        None => Ok(false),
    }
}

fn record(
    (name, new): (ContainerName, NewContainer),
    facts: Facts,
    (state, returns): (&State, bool),
) -> Result<Container, EngineError> {
    let id = facts.id;
    let joined = match facts.shares() {
        Some(owner) => place::joinable(state, owner, facts.joined)?,
        None => None,
    };
    let hostname = match new.hostname {
        Some(hostname) => hostname,
        None => Hostname::new(&id.short())?,
    };
    let before = state.container(id);
    let kept = before.filter(|record| record.is_kept());
    let dns_port = kept.and_then(|kept| kept.sandbox.as_ref()?.dns_port);
    let places: Vec<Endpoint> = match returns {
        true => state
            .endpoints_of(id)
            .iter()
            .map(|place| Endpoint::clone(place))
            .collect(),
        false => Vec::new(),
    };
    Ok(Container {
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
        state: ContainerState::Starting {
            before: before.map(|record| Box::new(Container::clone(record))),
            places,
        },
        command: new.command,
        supervisor: facts.supervisor,
        links: links(state, &new.links)?,
        dns: new.dns,
        auto_remove: new.auto_remove,
        labels: new.labels,
        runtime_id: new.runtime_id,
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
