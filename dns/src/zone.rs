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
    /// A turn for each family: resolver libraries ask for both at a time, and with two holders and one turn for both
    /// families each would begin with the same holder for ever.
    v4_turn: AtomicUsize,
    v6_turn: AtomicUsize,
}

impl Holders {
    fn add(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(v4) if !self.v4.contains(&v4) => self.v4.push(v4),
            IpAddr::V6(v6) if !self.v6.contains(&v6) => self.v6.push(v6),
            _ => {}
        }
    }

    /// The IPv4 addresses for one answer.
    pub(crate) fn next_v4(&self) -> impl Iterator<Item = Ipv4Addr> {
        rotated(&self.v4, &self.v4_turn)
    }

    /// The IPv6 addresses for one answer.
    pub(crate) fn next_v6(&self) -> impl Iterator<Item = Ipv6Addr> {
        rotated(&self.v6, &self.v6_turn)
    }
}

/// All of `list`, each time beginning one further, so that clients which take the first one spread over all.
fn rotated<T: Copy>(list: &[T], turn: &AtomicUsize) -> impl Iterator<Item = T> {
    let start = match list.len() {
        // Most names: no write to memory that other cores read.
        0 | 1 => 0,
        count => turn.fetch_add(1, Ordering::Relaxed) % count,
    };
    let (back, front) = list.split_at(start);
    front.iter().chain(back).copied()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_families_asked_together_both_go_round() {
        let mut holders = Holders::default();
        for address in ["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2", "fd00::2"] {
            holders.add(address.parse().unwrap());
        }
        let pairs: Vec<_> = (0..3)
            .map(|_| (holders.next_v4().next(), holders.next_v6().next()))
            .collect();
        assert_eq!(pairs[0], pairs[2]);
        assert_ne!(pairs[0].0, pairs[1].0);
        assert_ne!(pairs[0].1, pairs[1].1);
        assert_eq!(
            (holders.next_v4().count(), holders.next_v6().count()),
            (2, 2)
        );
    }

    #[test]
    fn a_pointer_that_would_be_too_long_lacks_its_network() {
        let label = "x".repeat(60);
        let long = [label.as_str(); 3].join(".");
        let network: NetworkName = format!("{label}.{}", &label[..50]).parse().unwrap();
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        let entry = HostEntry {
            names: vec![long.clone()],
            addresses: vec![address],
        };
        let zone = Zone::compile(&NetworkZone {
            name: network,
            entries: vec![entry],
        });
        let target = zone.pointer(address).unwrap();
        assert_eq!(target.len(), long.len() + 2);
        assert_eq!(name::length(target), Some(target.len()));
    }
}
