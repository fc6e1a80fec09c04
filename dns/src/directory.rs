//! All networks' names in one immutable snapshot, replaced as a whole: a lookup takes no lock and never waits for a
//! change. Knows neither sandboxes nor packets' headers.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use netd_model::NetworkId;

use crate::name;
use crate::zone::{Holders, NetworkZone, Zone};

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
