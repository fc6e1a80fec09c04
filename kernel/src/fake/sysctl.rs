//! Kernel parameters of one fake namespace: which are there, and what writing them does.

use std::collections::BTreeMap;

use netd_model::desired::Sysctl;
use netd_model::{IfName, NetnsId};
use nix::errno::Errno;

use super::machine::{Machine, Namespace, refused};
use crate::KernelError;

/// Where a parameter lives.
enum Place {
    /// In the namespace; the text is its path.
    Namespace(String),
    /// At an interface: family, key.
    Interface(IfName, (String, String)),
    /// Nowhere: this machine has no such parameter.
    Absent,
}

impl Machine {
    fn place_of(&self, netns: NetnsId, key: &Sysctl) -> Place {
        let path = key.path();
        let parts: Vec<&str> = path.split('/').collect();
        let there = match parts.first() {
            Some(&"ipv4" | &"core" | &"netfilter") => true,
            Some(&"ipv6") => self.has_ipv6,
            Some(&"bridge") => self.has_br_netfilter,
            _ => false,
        };
        if !there {
            return Place::Absent;
        }
        match parts[..] {
            [_, "conf", "all" | "default", _] => Place::Namespace(path.to_owned()),
            [family, "conf", interface, key] => {
                let links = self
                    .namespaces
                    .get(&netns)
                    .map(|namespace| &namespace.links);
                match IfName::new(interface) {
                    Ok(name) if links.is_some_and(|links| links.contains_key(&name)) => {
                        Place::Interface(name, (family.to_owned(), key.to_owned()))
                    }
                    _ => Place::Absent,
                }
            }
            _ => Place::Namespace(path.to_owned()),
        }
    }

    /// Reads a parameter of a namespace; `None` if it is absent.
    pub(super) fn read_sysctl(&self, netns: NetnsId, key: &Sysctl) -> Option<String> {
        let namespace = self.namespaces.get(&netns)?;
        let written = match self.place_of(netns, key) {
            Place::Absent => return None,
            Place::Namespace(path) => namespace.sysctls.get(&path).cloned(),
            Place::Interface(name, key) => namespace.links.get(&name)?.sysctls.get(&key).cloned(),
        };
        Some(written.unwrap_or_else(|| initial(key).to_owned()))
    }

    /// Writes a parameter. An absent optional one counts as done, unless a user named it.
    pub(super) fn write_sysctl(
        &mut self,
        netns: Option<NetnsId>,
        key: &Sysctl,
        value: &str,
    ) -> Result<(), KernelError> {
        self.reach(netns)?;
        let place = self.place_of(netns.unwrap_or(self.host), key);
        let namespace = self.reach(netns)?;
        match place {
            Place::Absent if key.is_of_user() => {
                Err(KernelError::of_parameter(key, value, Errno::ENOENT.into()))
            }
            Place::Absent if key.is_optional() => Ok(()),
            Place::Absent => Err(refused(
                Errno::ENOENT,
                format!("write {value} to /proc/sys/net/{}", key.path()),
            )),
            Place::Namespace(path) => {
                namespace.sysctls.insert(path, value.to_owned());
                if key.path() == "ipv6/conf/all/disable_ipv6" {
                    namespace.disable_ipv6_everywhere(value);
                }
                Ok(())
            }
            Place::Interface(name, (family, key)) => {
                if let Some(link) = namespace.links.get_mut(&name) {
                    link.sysctls.insert((family, key), value.to_owned());
                }
                namespace.drop_ipv6_where_off();
                Ok(())
            }
        }
    }
}

impl Machine {
    /// What [`crate::Kernel::keep_router_advertisements`] promises.
    pub(super) fn keep_router_advertisements(&mut self) -> Result<Vec<IfName>, KernelError> {
        let heeds = |name: &IfName| Sysctl::of_interface("ipv6", name, "accept_ra");
        let host = self.host;
        let links = &self.reach(None)?.links;
        let names: Vec<IfName> = links.keys().cloned().collect();
        let is_host = |name: &IfName| self.read_sysctl(host, &heeds(name)).as_deref() == Some("1");
        let kept: Vec<IfName> = names.into_iter().filter(is_host).collect();
        for name in &kept {
            self.write_sysctl(None, &heeds(name), "2")?;
        }
        Ok(kept)
    }
}

/// What a parameter says before anyone writes it.
fn initial(key: &Sysctl) -> &'static str {
    match key.path().rsplit('/').next() {
        Some("accept_ra" | "accept_dad" | "autoconf" | "accept_redirects") => "1",
        Some(name) if name.starts_with("bridge-nf-call") => "1",
        _ => "0",
    }
}

impl Namespace {
    /// What a new interface inherits: the values written below `conf/default`.
    pub(super) fn defaults(&self) -> BTreeMap<(String, String), String> {
        let inherited =
            |(path, value): (&String, &String)| match path.split('/').collect::<Vec<_>>()[..] {
                [family, "conf", "default", key] => {
                    Some(((family.to_owned(), key.to_owned()), value.clone()))
                }
                _ => None,
            };
        self.sysctls.iter().filter_map(inherited).collect()
    }

    /// Writing `all` writes each interface's and the default (`addrconf_disable_ipv6`, net/ipv6/addrconf.c).
    fn disable_ipv6_everywhere(&mut self, value: &str) {
        let default = "ipv6/conf/default/disable_ipv6".to_owned();
        self.sysctls.insert(default, value.to_owned());
        for link in self.links.values_mut() {
            let key = ("ipv6".to_owned(), "disable_ipv6".to_owned());
            link.sysctls.insert(key, value.to_owned());
        }
        self.drop_ipv6_where_off();
    }

    /// True if an interface takes no IPv6 addresses.
    pub(super) fn ipv6_is_off(&self, name: &IfName) -> bool {
        let key = ("ipv6".to_owned(), "disable_ipv6".to_owned());
        let link = self.links.get(name);
        link.and_then(|link| link.sysctls.get(&key))
            .is_some_and(|value| value != "0")
    }

    /// Takes the IPv6 addresses and routes of the interfaces that may have none.
    pub(super) fn drop_ipv6_where_off(&mut self) {
        let off: Vec<IfName> = self
            .links
            .keys()
            .filter(|name| self.ipv6_is_off(name))
            .cloned()
            .collect();
        for name in off {
            if let Some(link) = self.links.get_mut(&name) {
                link.addresses.retain(netd_model::IpNetwork::is_ipv4);
            }
            self.drop_routes(&name, false);
        }
    }
}
