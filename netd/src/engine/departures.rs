//! What goes on after a removal was acknowledged: rules and tracked flows of what is cut off already.
//!
//! To take rules out of iptables costs some 20 ms a table, and nobody has to wait for it: what they led to is out of use.
//! Order stays right all the same. Rules are changed in the order of asking, so those of a successor with the same port,
//! bridge or subnet stand after those of its predecessor are gone; and an address is not used anew before its departure
//! has ended ([`Departures::wait_for`]). After a crash the next start makes the rules those of the records.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use netd_kernel::Kernel;
use netd_model::Op;
use netd_model::desired::FlowFilter;
use netd_model::ruleset::RulesetChange;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::{Engine, EngineError, Hands};

/// How long an attach waits for the former holder of its address: several times what the slowest firewall takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is under way.
#[derive(Debug)]
pub(super) struct Departures {
    addresses: Mutex<Addresses>,
    /// Counts departures that are under way.
    count: watch::Sender<usize>,
    /// Counts how often all rules were made those of the records.
    restored: watch::Sender<u64>,
}

/// How many departures an address is part of.
type Addresses = BTreeMap<IpAddr, usize>;

impl Default for Departures {
    fn default() -> Self {
        Self {
            addresses: Mutex::default(),
            count: watch::Sender::new(0),
            restored: watch::Sender::new(0),
        }
    }
}

/// A departure. Ends when it is dropped.
#[derive(Debug)]
struct Departure {
    departures: Arc<Departures>,
    addresses: Vec<IpAddr>,
}

impl Drop for Departure {
    fn drop(&mut self) {
        let mut held = self.departures.addresses();
        for address in &self.addresses {
            if let Some(count) = held.get_mut(address) {
                *count -= 1;
            }
        }
        held.retain(|_, count| *count > 0);
        drop(held);
        self.departures.count.send_modify(|count| *count -= 1);
    }
}

impl Departures {
    fn addresses(&self) -> MutexGuard<'_, Addresses> {
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(self: &Arc<Self>, addresses: Vec<IpAddr>) -> Departure {
        let mut held = self.addresses();
        for address in &addresses {
            *held.entry(*address).or_default() += 1;
        }
        drop(held);
        self.count.send_modify(|count| *count += 1);
        Departure {
            departures: Arc::clone(self),
            addresses,
        }
    }

    /// All rules are those of the records: what departures could not remove is gone.
    pub(super) fn restored(&self) {
        self.restored.send_modify(|times| *times += 1);
    }

    /// How many are under way.
    pub(super) fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// One of these addresses that is part of a departure.
    pub(super) fn busy(&self, addresses: &[IpAddr]) -> Option<IpAddr> {
        let held = self.addresses();
        addresses.iter().find(|one| held.contains_key(one)).copied()
    }

    /// Waits until none of these addresses is part of a departure.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] with the address when the firewall does not let go of it.
    pub(super) async fn wait_for(&self, addresses: &[IpAddr]) -> Result<(), EngineError> {
        let busy = || self.busy(addresses);
        let mut count = self.count.subscribe();
        // The sender lives as long as this, so it always comes to an end or to the limit.
        let freed = count.wait_for(|_| busy().is_none());
        let _ = tokio::time::timeout(PATIENCE, freed).await;
        match busy() {
            None => Ok(()),
            Some(address) => Err(EngineError::Invalid(format!(
                "address {address} cannot be used yet: the firewall rules of its last holder are still there; see `net status`, and try again"
            ))),
        }
    }
}

impl Hands {
    /// Removes rules, and then has flows forgotten, without waiting for it. The changes count as asked for from now on;
    /// the addresses are not used anew before it is done.
    pub(super) fn depart(
        &self,
        rules: Vec<RulesetChange>,
        addresses: Vec<IpAddr>,
        stale: Vec<FlowFilter>,
    ) {
        let departure = self.departures.begin(addresses);
        let mut restored = self.departures.restored.subscribe();
        let asked = self.rules.ask(rules);
        let (kernel, leftovers) = (Arc::clone(&self.kernel), Arc::clone(&self.leftovers));
        tokio::spawn(async move {
            if let Err(error) = asked.await {
                tracing::warn!(%error, "rules of what was removed stay until the next reconcile");
                leftovers.notify_one();
                // The sender goes with the engine, and then nobody waits for this.
                let _ = restored.changed().await;
            }
            let _ = spawn_blocking(move || forget(&*kernel, stale)).await;
            drop(departure);
        });
    }
}

impl Engine {
    /// Number of removals that were acknowledged and whose rules or flows are still being removed.
    #[must_use]
    pub fn departing(&self) -> usize {
        self.departures.count()
    }

    /// Waits until all that was acknowledged is done, for as long as a firewall may take.
    pub async fn settled(&self) {
        let mut count = self.departures.count.subscribe();
        let _ = tokio::time::timeout(PATIENCE, count.wait_for(|count| *count == 0)).await;
    }
}

fn forget(kernel: &dyn Kernel, stale: Vec<FlowFilter>) {
    for filter in stale {
        if let Err(error) = kernel.apply(&[Op::ForgetFlows(filter)]) {
            tracing::warn!(%error, "stale flows may go on for a while");
        }
    }
}
