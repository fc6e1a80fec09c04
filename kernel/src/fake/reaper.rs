//! Links that are out of use: cut off by a step, deleted a little later, which is no step. A daemon that dies in between
//! leaves them, under their marks.

use netd_model::{IfName, NetnsId};

use super::machine::{Kind, Machine};

impl Machine {
    /// Takes a link of the host out of use, with the other end of a pair; the ports of a bridge are let go.
    pub(super) fn retire(&mut self, name: &IfName) {
        let link = self.host().and_then(|host| host.links.get(name)).cloned();
        let retired = match link.map(|link| link.kind) {
            Some(Kind::Bridge) => self.lay_down(self.host, name),
            Some(Kind::Veth { peer }) => {
                let inside = self.lay_down(peer.0, &peer.1);
                let host = self.namespaces.get_mut(&self.host);
                if let Some(link) = host.and_then(|host| host.links.get_mut(name)) {
                    link.port = None;
                    link.set_up(false);
                    if let Some(inside) = inside {
                        link.kind = Kind::Veth {
                            peer: (peer.0, inside),
                        };
                    }
                }
                Some(name.clone())
            }
            Some(Kind::Ifb) => {
                let host = self.namespaces.get_mut(&self.host);
                if let Some(link) = host.and_then(|host| host.links.get_mut(name)) {
                    link.set_up(false);
                }
                Some(name.clone())
            }
            Some(Kind::Loopback | Kind::Device) | None => None,
        };
        self.daemon.retired.extend(retired);
    }

    /// Sets a link down and takes its name, its addresses and its ports; gives the name that it has then.
    fn lay_down(&mut self, netns: NetnsId, name: &IfName) -> Option<IfName> {
        let number = self.next_number();
        let namespace = self.namespaces.get_mut(&netns)?;
        let unused = IfName::new(&format!("nd{number:08x}")).ok()?;
        let mut link = namespace.links.remove(name)?;
        link.set_up(false);
        link.addresses.clear();
        namespace.routes.retain(|_, route| route.interface != *name);
        for other in namespace.links.values_mut() {
            if other.port.as_ref().is_some_and(|port| port.bridge == *name) {
                other.port = None;
            }
        }
        namespace.links.insert(unused.clone(), link);
        Some(unused)
    }

    /// Deletes what is out of use: the daemon's thread does it within a second, whatever else goes on.
    pub(super) fn reap(&mut self) {
        for name in std::mem::take(&mut self.daemon.retired) {
            self.remove_link(self.host, &name);
        }
    }
}
