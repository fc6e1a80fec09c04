//! All networks' names in one immutable snapshot, replaced as a whole: a lookup takes no lock and never waits for a
//! change. Knows neither sandboxes nor packets' headers.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use netd_model::{EndpointId, NetworkId};

use crate::name;
use crate::zone::{Holders, HostEntry, NetworkZone, Zone};

type Zones = HashMap<NetworkId, Arc<Zone>>;

/// The names of all networks, shared by every sandbox's resolver.
#[derive(Debug, Default)]
pub struct Directory {
    zones: ArcSwap<Zones>,
}

impl Directory {
    /// Puts a network's names in the place of those it had. Answers given from now on come from these.
    pub fn put_network(&self, network: NetworkId, zone: &NetworkZone) {
        let zone = Arc::new(Zone::compile(zone));
        self.zones.rcu(|zones| {
            let mut zones = Zones::clone(zones);
            zones.insert(network, Arc::clone(&zone));
            zones
        });
    }

    /// Adds a container's presence to a network's names, or changes it; false if the network is not known.
    pub fn put_host(&self, network: NetworkId, entry: &HostEntry) -> bool {
        self.change(network, |zone| zone.put(entry))
    }

    /// Takes a container's presence out of a network's names. One that is not there is no error.
    pub fn remove_host(&self, network: NetworkId, endpoint: EndpointId) {
        self.change(network, |zone| zone.remove(endpoint));
    }

    fn change(&self, network: NetworkId, change: impl Fn(&mut Zone)) -> bool {
        let before = self.zones.rcu(|zones| {
            let mut zones = Zones::clone(zones);
            if let Some(zone) = zones.get_mut(&network) {
                change(Arc::make_mut(zone));
            }
            zones
        });
        before.contains_key(&network)
    }

    /// Forgets a network's names. An unknown network is no error: teardown may come twice.
    pub fn remove_network(&self, network: NetworkId) {
        self.zones.rcu(|zones| {
            let mut zones = Zones::clone(zones);
            zones.remove(&network);
            zones
        });
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            zones: self.zones.load(),
        }
    }
}

/// The names at one instant. Held for one answer, never across a wait.
pub(crate) struct Snapshot {
    zones: Guard<Arc<Zones>>,
}

/// Which records are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wanted {
    V4,
    V6,
    Both,
    Other,
}

/// What the visible networks say about a name.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// Its addresses; those of the wanted kind are not empty.
    Addresses(&'a Holders),
    /// The name of an address, as labels with the root.
    Pointer(&'a [u8]),
    /// The name is known and has no record of the wanted kind.
    NoData,
    /// Not ours.
    Unknown,
}

impl Snapshot {
    /// Looks a name up in `networks`, in their order. As in Docker, a whole name anywhere goes before `name.network`,
    /// and a network whose holder lacks the wanted kind does not hide a later one that has it.
    pub(crate) fn find(&self, networks: &[NetworkId], key: &[u8], wanted: Wanted) -> Found<'_> {
        let zones = || {
            networks
                .iter()
                .filter_map(|network| self.zones.get(network))
        };
        let whole = zones().filter_map(|zone| zone.holders(key));
        let qualified = zones().filter_map(|zone| zone.qualified_holders(key));
        let mut known = false;
        for holders in whole.chain(qualified) {
            known = true;
            let has = match wanted {
                Wanted::V4 => !holders.v4.is_empty(),
                Wanted::V6 => !holders.v6.is_empty(),
                Wanted::Both => !holders.v4.is_empty() || !holders.v6.is_empty(),
                Wanted::Other => false,
            };
            if has {
                return Found::Addresses(holders);
            }
        }
        if known {
            return Found::NoData;
        }
        name::reverse_address(key)
            .and_then(|address| zones().find_map(|zone| zone.pointer(address)))
            .map_or(Found::Unknown, Found::Pointer)
    }
}

#[cfg(test)]
mod tests {
    use netd_model::ContainerId;
    use proptest::prelude::*;

    use super::*;

    fn directory(network: &str, names: &[String]) -> Directory {
        let addresses = vec!["10.0.0.1".parse().unwrap()];
        let entries = vec![HostEntry {
            endpoint: EndpointId::from_bytes([1; 32]),
            container: ContainerId::from_bytes([1; 32]),
            names: names.to_vec(),
            addresses,
        }];
        let directory = Directory::default();
        let zone = NetworkZone {
            name: network.parse().unwrap(),
            entries,
        };
        directory.put_network(NetworkId::from_bytes([1; 32]), &zone);
        directory
    }

    fn knows(directory: &Directory, name: &str) -> bool {
        let mut asked = name::labels_of(name).unwrap();
        asked.push(0);
        let key = name::Key::of(&asked);
        let networks = [NetworkId::from_bytes([1; 32])];
        let snapshot = directory.snapshot();
        matches!(
            snapshot.find(&networks, key.as_bytes(), Wanted::V4),
            Found::Addresses(_)
        )
    }

    fn recased(text: &str, bits: u64) -> String {
        let turn = |(at, c): (usize, char)| match bits >> (at % 64) & 1 {
            0 => c.to_ascii_lowercase(),
            _ => c.to_ascii_uppercase(),
        };
        text.chars().enumerate().map(turn).collect()
    }

    const NAME: &str = "[a-zA-Z0-9][a-zA-Z0-9_-]{0,12}(\\.[a-zA-Z0-9_-]{1,12}){0,3}";

    proptest! {
        #[test]
        fn a_name_is_found_in_any_case_alone_and_with_its_network(
            name in NAME, network in NAME, bits in any::<u64>(),
        ) {
            prop_assume!(network.parse::<netd_model::NetworkName>().is_ok());
            let directory = directory(&network, std::slice::from_ref(&name));
            prop_assert!(knows(&directory, &recased(&name, bits)));
            let (qualified, twice) =
                (format!("{name}.{network}."), format!("{name}.{network}.{network}"));
            prop_assert!(knows(&directory, &recased(&qualified, bits)));
            prop_assert!(!knows(&directory, &twice));
        }

        #[test]
        fn names_that_dns_cannot_carry_are_left_out(text in ".{0,300}") {
            let directory = directory("net1", &[text, "good".to_owned()]);
            prop_assert!(knows(&directory, "good"));
        }
    }

    #[test]
    fn a_whole_name_anywhere_goes_before_a_qualified_one() {
        let directory = directory("net1", &["web".to_owned()]);
        let address = "10.0.0.2".parse().unwrap();
        let entry = HostEntry {
            endpoint: EndpointId::from_bytes([2; 32]),
            container: ContainerId::from_bytes([2; 32]),
            names: vec!["web.net1".to_owned()],
            addresses: vec![address],
        };
        let (first, second) = (
            NetworkId::from_bytes([1; 32]),
            NetworkId::from_bytes([2; 32]),
        );
        let zone = NetworkZone {
            name: "net2".parse().unwrap(),
            entries: vec![entry],
        };
        directory.put_network(second, &zone);
        let snapshot = directory.snapshot();
        match snapshot.find(&[first, second], b"\x03web\x04net1", Wanted::V4) {
            Found::Addresses(holders) => assert_eq!(std::net::IpAddr::V4(holders.v4[0]), address),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_snapshot_stays_as_it_was() {
        let directory = directory("net1", &["web".to_owned()]);
        let (before, network) = (directory.snapshot(), NetworkId::from_bytes([1; 32]));
        directory.remove_network(network);
        assert!(!knows(&directory, "web"));
        assert!(matches!(
            before.find(&[network], b"\x03web", Wanted::V4),
            Found::Addresses(_)
        ));
    }
}
