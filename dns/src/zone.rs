//! The names of one network, compiled once for lookups that allocate nothing and take no lock.
//!
//! Pure: knows neither packets' headers nor who asks.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};

use netd_model::NetworkName;

use crate::name;

/// One network's names, as the engine knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkZone {
    /// The network's name: every host is also found as `host.network`.
    pub name: NetworkName,
    /// Who is on the network now.
    pub entries: Vec<HostEntry>,
}

/// One container's presence on a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEntry {
    /// Container name, short id, hostname, aliases. The first one is what a reverse lookup answers. What DNS cannot
    /// ask for (an empty label, or more than 63 bytes between dots) is left out.
    pub names: Vec<String>,
    /// Its addresses on this network.
    pub addresses: Vec<IpAddr>,
}

/// All addresses that share one name.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    pub(crate) v4: Vec<Ipv4Addr>,
    pub(crate) v6: Vec<Ipv6Addr>,
    turn: AtomicUsize,
}

impl Holders {
    fn add(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(v4) if !self.v4.contains(&v4) => self.v4.push(v4),
            IpAddr::V6(v6) if !self.v6.contains(&v6) => self.v6.push(v6),
            _ => {}
        }
    }

    /// Where this answer begins in the lists: each answer starts one further, so that clients which take the first
    /// address spread over all holders.
    pub(crate) fn next_turn(&self) -> usize {
        if self.v4.len().max(self.v6.len()) < 2 {
            return 0;
        }
        self.turn.fetch_add(1, Ordering::Relaxed)
    }
}

/// A compiled [`NetworkZone`].
#[derive(Debug)]
pub(crate) struct Zone {
    suffix: Box<[u8]>,
    names: HashMap<Box<[u8]>, Holders>,
    pointers: HashMap<IpAddr, Box<[u8]>>,
}

impl Zone {
    pub(crate) fn compile(zone: &NetworkZone) -> Self {
        let network = name::labels_of(zone.name.as_str()).unwrap_or_default();
        let mut names: HashMap<Box<[u8]>, Holders> = HashMap::with_capacity(zone.entries.len() * 3);
        let mut pointers = HashMap::with_capacity(zone.entries.len());
        for entry in &zone.entries {
            let mut labels = entry
                .names
                .iter()
                .filter_map(|name| name::labels_of(name))
                .peekable();
            if let Some(first) = labels.peek() {
                let target = pointer_target(first, &network);
                for address in &entry.addresses {
                    pointers.entry(*address).or_insert_with(|| target.clone());
                }
            }
            for mut key in labels {
                key.make_ascii_lowercase();
                let holders = names.entry(key.into()).or_default();
                entry
                    .addresses
                    .iter()
                    .for_each(|address| holders.add(*address));
            }
        }
        let suffix = network.to_ascii_lowercase().into();
        Self {
            suffix,
            names,
            pointers,
        }
    }

    /// Who has this very name.
    pub(crate) fn holders(&self, key: &[u8]) -> Option<&Holders> {
        self.names.get(key)
    }

    /// Who has the part before `.network`.
    pub(crate) fn qualified_holders(&self, key: &[u8]) -> Option<&Holders> {
        self.names.get(name::before(key, &self.suffix)?)
    }

    /// The name of an address, as labels with the root.
    pub(crate) fn pointer(&self, address: IpAddr) -> Option<&[u8]> {
        self.pointers.get(&address).map(|target| &**target)
    }
}

/// `host.network.`, or `host.` where both together are too long for DNS.
fn pointer_target(host: &[u8], network: &[u8]) -> Box<[u8]> {
    let mut target = host.to_vec();
    if host.len() + network.len() < name::NAME_MAX_BYTES {
        target.extend_from_slice(network);
    }
    target.push(0);
    target.into()
}
