//! Who shares whose namespace.

use std::sync::Arc;

use netd_model::{Container, ContainerId, ContainerState};

use super::State;

impl State {
    /// The containers in a container's namespace, by id: those that run or start. One that entered a namespace which
    /// this container has left since is none of them.
    pub fn companions_of<'a>(
        &'a self,
        owner: &'a Container,
    ) -> impl Iterator<Item = &'a Arc<Container>> {
        self.followers_of(owner.id)
            .filter(|other| other.joined.is_none() || other.joined == owner.netns())
    }

    /// The containers that joined a container, whichever namespace it had then: those that run or start.
    pub fn followers_of(&self, owner: ContainerId) -> impl Iterator<Item = &Arc<Container>> {
        let ids = self.companions.get(&owner).into_iter().flatten();
        ids.filter_map(|id| self.containers.get(id))
            .filter(|other| {
                matches!(
                    other.state,
                    ContainerState::Running | ContainerState::Starting { .. }
                )
            })
    }

    /// True if a container has ended and the last of those that kept its namespace has, too.
    #[must_use]
    pub fn is_deserted(&self, container: &Container) -> bool {
        container.is_kept() && self.companions_of(container).next().is_none()
    }

    /// The boot of the machine in which this was written last.
    #[must_use]
    pub fn boot(&self) -> Option<&str> {
        self.boot.as_deref()
    }

    /// Keeps the index of companions true when a container's record comes.
    pub(super) fn index_companion(&mut self, container: &Container) {
        if let Some(owner) = container.shares() {
            self.companions
                .entry(owner)
                .or_default()
                .insert(container.id);
        }
    }

    /// Keeps the index of companions true when a container's record goes.
    pub(super) fn unindex_companion(&mut self, container: &Container) {
        let Some(owner) = container.shares() else {
            return;
        };
        if let Some(others) = self.companions.get_mut(&owner) {
            others.remove(&container.id);
            if others.is_empty() {
                self.companions.remove(&owner);
            }
        }
    }
}
