//! The names of one network, compiled once for lookups that allocate nothing and take no lock.
//!
//! Pure: knows neither packets' headers nor who asks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use netd_model::{ContainerId, EndpointId, NetworkName};

use crate::name;
use crate::shards::Shards;

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
    /// By which it is found when it goes.
    pub endpoint: EndpointId,
    /// Whose presence it is: one container may be there several times.
    pub container: ContainerId,
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
    /// Who they are, in the order in which they came.
    who: Vec<(EndpointId, ContainerId)>,
    /// A turn for each family: resolver libraries ask for both at a time, and with two holders and one turn for both
    /// families each would begin with the same holder for ever.
    v4_turn: AtomicUsize,
    v6_turn: AtomicUsize,
}

impl Holders {
    fn join(&mut self, entry: &HostEntry) {
        let one = (entry.endpoint, entry.container);
        if !self.who.contains(&one) {
            self.who.push(one);
        }
        let addresses = entry.addresses.iter();
        addresses.for_each(|address| self.add(*address));
    }

    fn leave(&mut self, entry: &HostEntry) {
        self.who.retain(|(one, _)| *one != entry.endpoint);
        let addresses = entry.addresses.iter();
        addresses.for_each(|address| self.drop(*address));
    }

    /// Whether there are several who may share the work. One container that is there several times is best asked where it
    /// was first.
    fn are_several(&self) -> bool {
        let mut containers = self.who.iter().map(|(_, container)| container);
        let first = containers.next();
        containers.any(|other| Some(other) != first)
    }

    fn add(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(v4) if !self.v4.contains(&v4) => self.v4.push(v4),
            IpAddr::V6(v6) if !self.v6.contains(&v6) => self.v6.push(v6),
            _ => {}
        }
    }

    fn drop(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => self.v4.retain(|held| *held != v4),
            IpAddr::V6(v6) => self.v6.retain(|held| *held != v6),
        }
    }

    /// A copy that goes on with whose turn it is.
    fn copy(&self) -> Self {
        let turn = |turn: &AtomicUsize| AtomicUsize::new(turn.load(Ordering::Relaxed));
        Self {
            v4: self.v4.clone(),
            v6: self.v6.clone(),
            who: self.who.clone(),
            v4_turn: turn(&self.v4_turn),
            v6_turn: turn(&self.v6_turn),
        }
    }

    /// The IPv4 addresses for one answer.
    pub(crate) fn next_v4(&self) -> impl Iterator<Item = Ipv4Addr> {
        rotated(&self.v4, self.turn(&self.v4_turn, self.v4.len()))
    }

    /// The IPv6 addresses for one answer.
    pub(crate) fn next_v6(&self) -> impl Iterator<Item = Ipv6Addr> {
        rotated(&self.v6, self.turn(&self.v6_turn, self.v6.len()))
    }

    /// Which of `count` addresses begins this answer.
    fn turn(&self, turn: &AtomicUsize, count: usize) -> usize {
        match count {
            // Most names: no write to memory that other cores read.
            0 | 1 => 0,
            _ if !self.are_several() => 0,
            _ => turn.fetch_add(1, Ordering::Relaxed) % count,
        }
    }
}

/// All of `list`, beginning at `start`: of several holders each time one further, so that clients which take the first
/// one spread over all.
fn rotated<T: Copy>(list: &[T], start: usize) -> impl Iterator<Item = T> {
    let (back, front) = list.split_at(start);
    front.iter().chain(back).copied()
}

/// A compiled [`NetworkZone`]. A copy shares with it whatever is not changed.
#[derive(Debug, Clone)]
pub(crate) struct Zone {
    /// The network's labels as it is written, and in lower case.
    network: Arc<[u8]>,
    suffix: Arc<[u8]>,
    names: Shards<Arc<[u8]>, Arc<Holders>>,
    pointers: Shards<IpAddr, Arc<[u8]>>,
    entries: Shards<EndpointId, Arc<HostEntry>>,
}

impl Zone {
    pub(crate) fn compile(zone: &NetworkZone) -> Self {
        let network = name::labels_of(zone.name.as_str()).unwrap_or_default();
        let mut compiled = Self {
            suffix: network.to_ascii_lowercase().into(),
            network: network.into(),
            names: Shards::default(),
            pointers: Shards::default(),
            entries: Shards::default(),
        };
        zone.entries.iter().for_each(|entry| compiled.put(entry));
        compiled
    }

    /// Adds a container's presence, instead of what its endpoint had before.
    pub(crate) fn put(&mut self, entry: &HostEntry) {
        self.remove(entry.endpoint);
        let mut labels = labels(entry).peekable();
        if let Some(first) = labels.peek() {
            let target = pointer_target(first, &self.network);
            for address in &entry.addresses {
                if self.pointers.get(address).is_none() {
                    self.pointers.insert(*address, Arc::clone(&target));
                }
            }
        }
        for key in labels.map(|labels| labels.to_ascii_lowercase()) {
            let mut holders = self
                .names
                .get(&*key)
                .map_or_else(Holders::default, |there| there.copy());
            holders.join(entry);
            self.names.insert(key.into(), Arc::new(holders));
        }
        self.entries.insert(entry.endpoint, Arc::new(entry.clone()));
    }

    /// Takes away what an endpoint has here; nothing is fine.
    pub(crate) fn remove(&mut self, endpoint: EndpointId) {
        let Some(entry) = self.entries.remove(&endpoint) else {
            return;
        };
        for address in &entry.addresses {
            self.pointers.remove(address);
        }
        for key in labels(&entry).map(|labels| labels.to_ascii_lowercase()) {
            let Some(there) = self.names.get(&*key) else {
                continue;
            };
            let mut holders = there.copy();
            holders.leave(&entry);
            if holders.v4.is_empty() && holders.v6.is_empty() {
                self.names.remove(&*key);
            } else {
                self.names.insert(key.into(), Arc::new(holders));
            }
        }
    }

    /// Who has this very name.
    pub(crate) fn holders(&self, key: &[u8]) -> Option<&Holders> {
        self.names.get(key).map(|holders| &**holders)
    }

    /// Who has the part before `.network`.
    pub(crate) fn qualified_holders(&self, key: &[u8]) -> Option<&Holders> {
        self.holders(name::before(key, &self.suffix)?)
    }

    /// The name of an address, as labels with the root.
    pub(crate) fn pointer(&self, address: IpAddr) -> Option<&[u8]> {
        self.pointers.get(&address).map(|target| &**target)
    }
}

/// The names of an entry that DNS can ask for.
fn labels(entry: &HostEntry) -> impl Iterator<Item = Vec<u8>> {
    entry.names.iter().filter_map(|name| name::labels_of(name))
}

/// `host.network.`, or `host.` where both together are too long for DNS.
fn pointer_target(host: &[u8], network: &[u8]) -> Arc<[u8]> {
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
        for number in 1..=2 {
            let mut entry = entry(number, &[]);
            entry
                .addresses
                .push(format!("fd00::{number}").parse().unwrap());
            holders.join(&entry);
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
    fn one_container_that_is_there_twice_has_its_addresses_in_one_order() {
        let mut zone = Zone::compile(&NetworkZone {
            name: "net1".parse().unwrap(),
            entries: vec![entry(2, &["web"])],
        });
        let second = HostEntry {
            container: ContainerId::from_bytes([2; 32]),
            ..entry(1, &["web"])
        };
        zone.put(&second);
        let answers = |zone: &Zone| -> Vec<Vec<Ipv4Addr>> {
            let holders = zone.holders(b"\x03web").unwrap();
            (0..3).map(|_| holders.next_v4().collect()).collect()
        };
        let [one, two, three] = [1, 2, 3].map(|last| Ipv4Addr::new(10, 0, 0, last));
        assert_eq!(answers(&zone), [[two, one], [two, one], [two, one]]);
        for address in [one, two] {
            assert_eq!(
                zone.pointer(address.into()),
                Some(&b"\x03web\x04net1\0"[..])
            );
        }
        // With another container they take turns.
        zone.put(&entry(3, &["web"]));
        let firsts: Vec<_> = answers(&zone).iter().map(|answer| answer[0]).collect();
        assert_eq!(firsts, [two, one, three]);
        zone.remove(entry(3, &[]).endpoint);
        zone.remove(entry(2, &[]).endpoint);
        assert_eq!(answers(&zone), [[one], [one], [one]]);
    }

    #[test]
    fn a_pointer_that_would_be_too_long_lacks_its_network() {
        let label = "x".repeat(60);
        let long = [label.as_str(); 3].join(".");
        let network: NetworkName = format!("{label}.{}", &label[..50]).parse().unwrap();
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        let entry = HostEntry {
            endpoint: EndpointId::from_bytes([1; 32]),
            container: ContainerId::from_bytes([1; 32]),
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

    fn entry(number: u8, names: &[&str]) -> HostEntry {
        HostEntry {
            endpoint: EndpointId::from_bytes([number; 32]),
            container: ContainerId::from_bytes([number; 32]),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            addresses: vec![IpAddr::from([10, 0, 0, number])],
        }
    }

    #[test]
    fn what_goes_leaves_the_others_of_its_names() {
        let network: NetworkName = "net1".parse().unwrap();
        let all = [entry(1, &["one", "web"]), entry(2, &["two", "web"])];
        let mut zone = Zone::compile(&NetworkZone {
            name: network,
            entries: all.to_vec(),
        });
        let before = zone.clone();
        zone.remove(all[0].endpoint);
        zone.remove(all[0].endpoint);
        let v4 = |zone: &Zone, key: &[u8]| zone.holders(key).map(|holders| holders.v4.clone());
        let [one, two] = [1, 2].map(|last| Ipv4Addr::new(10, 0, 0, last));
        assert_eq!(v4(&zone, b"\x03web"), Some(vec![two]));
        assert_eq!(v4(&zone, b"\x03one"), None);
        assert_eq!(zone.pointer(one.into()), None);
        assert_eq!(
            v4(&before, b"\x03web"),
            Some(vec![one, two]),
            "a copy stays"
        );
        // Under other names, with the same address.
        zone.put(&entry(2, &["second"]));
        assert_eq!(v4(&zone, b"\x03web"), None);
        assert_eq!(v4(&zone, b"\x06second"), Some(vec![two]));
        assert_eq!(zone.pointer(two.into()), Some(&b"\x06second\x04net1\0"[..]));
    }
}
