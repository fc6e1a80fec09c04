//! Who has links to whom (`--link`), so that nobody has to be asked one by one.

use netd_model::{Container, ContainerId};

use super::State;

impl State {
    /// Containers that have links to this one.
    pub fn linked_to(&self, container: ContainerId) -> impl Iterator<Item = ContainerId> {
        self.linked.get(&container).into_iter().flatten().copied()
    }

    /// Keeps the index true when a container's record comes.
    pub(super) fn index_links(&mut self, container: &Container) {
        for link in &container.links {
            self.linked
                .entry(link.target)
                .or_default()
                .insert(container.id);
        }
    }

    /// Keeps the index true when a container's record goes.
    pub(super) fn unindex_links(&mut self, container: &Container) {
        for link in &container.links {
            if let Some(others) = self.linked.get_mut(&link.target) {
                others.remove(&container.id);
                if others.is_empty() {
                    self.linked.remove(&link.target);
                }
            }
        }
    }
}
