//! Whose network namespace a new container runs in.

use std::sync::Arc;

use netd_kernel::NetnsHandle;
use netd_model::{Container, ContainerId, DriverSpec, Hostname, NamespaceMode, NetnsId, NetworkId};

use super::{Engine, EngineError, NewContainer};
use crate::state::State;

/// Where a container belongs.
pub(super) struct Place {
    /// Whose namespace.
    pub(super) namespace: NamespaceMode,
    /// The hostname that comes with it.
    pub(super) hostname: Option<Hostname>,
    /// The network that it joins there.
    pub(super) network: Option<NetworkId>,
}

impl Engine {
    /// Finds out whose namespace a container is to use, and the network that it joins there.
    pub(super) async fn place(&self, new: &NewContainer) -> Result<Place, EngineError> {
        let word = new.network.as_deref().unwrap_or("bridge");
        let word = if word == "default" { "bridge" } else { word };
        if let Some(target) = word.strip_prefix("container:") {
            let target = self.find_container(target).await?;
            return self.beside(&target, new).await;
        }
        let network = self.find_network(word).await?;
        let namespace = match network.driver {
            DriverSpec::Host if !new.links.is_empty() => {
                return Err(EngineError::Invalid(format!(
                    "a link cannot be given to a container in the network {}: the host's names are not netd's; use a network of your own",
                    network.name
                )));
            }
            DriverSpec::Host => NamespaceMode::Host,
            DriverSpec::Bridge(_) | DriverSpec::Null | DriverSpec::Template(_) => {
                NamespaceMode::Private
            }
        };
        Ok(Place {
            namespace,
            hostname: None,
            network: Some(network.id),
        })
    }

    /// One that shares another's namespace itself leads on to the owner of that.
    async fn beside(&self, target: &Container, new: &NewContainer) -> Result<Place, EngineError> {
        if !target.is_running() {
            return Err(EngineError::NotRunning(target.name.clone()));
        }
        let owner_id = target.shares().unwrap_or(target.id);
        let owner = self.look(move |state| state.container(owner_id).cloned());
        let owner = owner
            .await?
            .ok_or_else(|| EngineError::ContainerNotFound(owner_id.short()))?;
        only_the_network(&owner, new)?;
        Ok(match target.namespace {
            NamespaceMode::Host => Place {
                namespace: NamespaceMode::Host,
                hostname: None,
                network: Some(self.find_network("host").await?.id),
            },
            NamespaceMode::Docker => {
                return Err(EngineError::Invalid(format!(
                    "the namespace of {} is Docker's engine's; share it with `docker run --network container:...`",
                    target.name
                )));
            }
            NamespaceMode::Private | NamespaceMode::Container(_) => Place {
                namespace: NamespaceMode::Container(owner_id),
                hostname: Some(owner.hostname.clone()),
                network: None,
            },
        })
    }

    /// The namespace that a container in another's is in, by its supervisor or by the process that was handed over.
    pub(super) async fn joined(
        &self,
        namespace: &NamespaceMode,
        new: &NewContainer,
    ) -> Result<Option<NetnsId>, EngineError> {
        if !matches!(namespace, NamespaceMode::Container(_)) {
            return Ok(None);
        }
        let handed = match new.netns {
            Some(NetnsHandle::Process { pid }) => Some(pid),
            Some(NetnsHandle::Descriptor { .. }) | None => None,
        };
        match new.supervisor_pid.or(handed) {
            Some(pid) => Ok(Some(self.kernel(move |kernel| kernel.netns_of(pid)).await?)),
            None => Ok(None),
        }
    }
}

/// What belongs to a network belongs to the container that is on it.
fn only_the_network(owner: &Container, new: &NewContainer) -> Result<(), EngineError> {
    let refuse = |what: &str, advice: &str| {
        let name = &owner.name;
        Err(EngineError::Invalid(format!(
            "{what} cannot be given to a container in the network of {name}: {advice} {name}"
        )))
    };
    let wish = &new.wish;
    if !wish.ports.is_empty() {
        return refuse("published ports", "publish on");
    }
    if !wish.ips.is_empty() || !wish.link_local.is_empty() || wish.mac.is_some() {
        return refuse("an address", "it has that of");
    }
    if !wish.aliases.is_empty() {
        return refuse("an alias", "give it to");
    }
    if wish.options != Default::default() {
        return refuse("an option of the interface", "give it to");
    }
    if !wish.rates.is_unlimited() {
        return refuse("a rate", "it has that of");
    }
    if !new.links.is_empty() {
        return refuse("a link", "it shares /etc/hosts with");
    }
    if new.dns != Default::default() {
        return refuse("resolver settings", "it shares /etc/resolv.conf with");
    }
    match new.hostname {
        Some(_) => refuse("a hostname", "it has that of"),
        None => Ok(()),
    }
}

/// The namespace that a container joins, if it is that of its owner now: there is no other that netd looks after.
pub(super) fn joinable(
    state: &State,
    owner: ContainerId,
    joined: Option<NetnsId>,
) -> Result<Option<NetnsId>, EngineError> {
    let present: &Arc<Container> = state
        .container(owner)
        .ok_or_else(|| EngineError::ContainerNotFound(owner.short()))?;
    let netns = match present.netns() {
        Some(netns) if present.stands() => netns,
        _ => return Err(EngineError::NotRunning(present.name.clone())),
    };
    match joined {
        Some(joined) if joined != netns => Err(EngineError::NotInside {
            owner: present.name.clone(),
        }),
        _ => Ok(Some(netns)),
    }
}
