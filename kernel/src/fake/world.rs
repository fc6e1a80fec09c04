//! The fake machine as a test holds it: hands out a daemon's view, lets it die, shows what is there.
//!
//! What the rest of the machine does is in `play.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netd_model::desired::{FlowFilter, KernelState, Sysctl};
use netd_model::{EndpointId, IfName, NetnsId, Op, Protocol, Ruleset};

use super::firewall::FakeFirewall;
use super::fuel::{Crashed, Fuel};
use super::kernel::FakeKernel;
use super::machine::{Daemon, Kind, Machine};

/// A machine. Clones are the same machine.
#[derive(Clone)]
pub struct World {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    machine: Machine,
    fuel: Fuel,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// A machine with a loopback interface and IPv6, where nobody runs.
    #[must_use]
    pub fn new() -> Self {
        let inner = Inner {
            machine: Machine::new(),
            fuel: Fuel::unlimited(),
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    /// The kernel, for the daemon that runs now.
    #[must_use]
    pub fn kernel(&self) -> FakeKernel {
        FakeKernel(self.handle())
    }

    /// The firewall, for the daemon that runs now.
    #[must_use]
    pub fn firewall(&self) -> FakeFirewall {
        FakeFirewall(self.handle())
    }

    fn handle(&self) -> Handle {
        let generation = self.lock().machine.daemon.generation;
        Handle {
            world: self.clone(),
            generation,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine a little later, when a living daemon has deleted what is out of use.
    fn later(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.lock();
        if inner.fuel.check().is_ok() {
            inner.machine.reap();
        }
        inner
    }

    /// Does something to the machine.
    pub(super) fn play<T>(&self, act: impl FnOnce(&mut Machine) -> T) -> T {
        self.with(|inner| act(&mut inner.machine))
    }

    /// Does something, then tells the daemon's listeners, unlocked: they may call back.
    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.lock();
        let answer = act(&mut inner);
        let events = std::mem::take(&mut inner.machine.events);
        let listeners = inner.machine.daemon.listeners.clone();
        drop(inner);
        for event in &events {
            listeners.iter().for_each(|tell| tell(event.clone()));
        }
        answer
    }

    /// Gives the daemon this much to live on.
    pub fn set_fuel(&self, fuel: Fuel) {
        self.lock().fuel = fuel;
    }

    /// What the daemon lives on; a test's store spends from it too.
    #[must_use]
    pub fn fuel(&self) -> Fuel {
        self.lock().fuel.clone()
    }

    /// The daemon's process ends and another starts. Pins, reserved ports and listeners go with the old one, and then
    /// the namespaces that nobody else holds; links, addresses, rules and parameters stay. The same [`Fuel`] is without
    /// limit from now on. Kernels and firewalls handed out before stay dead: ask for new ones.
    pub fn restart(&self) {
        self.play(|machine| {
            let generation = machine.daemon.generation + 1;
            machine.daemon = Daemon {
                generation,
                ..Default::default()
            };
            machine.settle();
            machine.events.clear();
        });
        self.fuel().refill();
    }

    /// The machine goes off and on: no processes, links, rules or ports any more, and another boot id. The [`Fuel`] is
    /// without limit from now on.
    pub fn reboot(&self) {
        self.play(Machine::reboot);
        self.fuel().refill();
    }

    /// Lets the next step that `matcher` accepts fail, once, with EIO.
    pub fn fail_next(&self, matcher: impl Fn(&Op) -> bool + Send + 'static) {
        self.play(|machine| machine.faults.push(Box::new(matcher)));
    }

    /// Lets the firewall refuse the next change with `message`, once.
    pub fn refuse_next_rules(&self, message: &str) {
        self.play(|machine| machine.refuse_rules = Some(message.to_owned()));
    }

    /// Names of all links of the host, loopback left out.
    #[must_use]
    pub fn links(&self) -> BTreeSet<IfName> {
        let inner = self.later();
        let links = inner
            .machine
            .host()
            .into_iter()
            .flat_map(|host| &host.links);
        links
            .filter(|(_, link)| link.kind != Kind::Loopback)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Index of a link of the host: another one after it was made anew.
    #[must_use]
    pub fn link_index(&self, name: &IfName) -> Option<u32> {
        let inner = self.lock();
        Some(inner.machine.host()?.links.get(name)?.index)
    }

    /// All bridges and pairs of the host, whoever's, and all namespaces, pinned or not; no parameters.
    #[must_use]
    pub fn snapshot(&self) -> KernelState {
        self.later().machine.snapshot()
    }

    /// The parameters `keys` of a namespace (`None`: the host's), those that are there.
    #[must_use]
    pub fn sysctls<'a>(
        &self,
        netns: Option<NetnsId>,
        keys: impl Iterator<Item = &'a Sysctl>,
    ) -> BTreeMap<Sysctl, String> {
        let machine = &self.lock().machine;
        let netns = netns.unwrap_or(machine.host);
        keys.filter_map(|key| Some((key.clone(), machine.read_sysctl(netns, key)?)))
            .collect()
    }

    /// The bridge that a link of the host is a port of.
    #[must_use]
    pub fn holder_of(&self, name: &IfName) -> Option<IfName> {
        let inner = self.lock();
        let port = inner.machine.host()?.links.get(name)?.port.as_ref()?;
        Some(port.bridge.clone())
    }

    /// The firewall rules that stand.
    #[must_use]
    pub fn rules(&self) -> Ruleset {
        self.lock().machine.rules.clone()
    }

    /// How often the daemon compared all rules with its wish, since the machine was made.
    #[must_use]
    pub fn verifications(&self) -> u64 {
        self.lock().machine.verifications.load(Ordering::Relaxed)
    }

    /// The flows that were forgotten, in order.
    #[must_use]
    pub fn forgotten_flows(&self) -> Vec<FlowFilter> {
        self.lock().machine.forgotten.clone()
    }

    /// The namespaces that the daemon holds open.
    #[must_use]
    pub fn pinned(&self) -> BTreeSet<NetnsId> {
        let inner = self.lock();
        inner.machine.daemon.pins.keys().copied().collect()
    }

    /// The host ports that the daemon holds for an endpoint.
    #[must_use]
    pub fn reserved_ports(&self, endpoint: EndpointId) -> BTreeSet<(Protocol, IpAddr, u16)> {
        let inner = self.lock();
        let held = inner.machine.daemon.reserved.get(&endpoint);
        held.cloned().unwrap_or_default()
    }
}

/// One daemon's way to the machine, closed when it is dead.
#[derive(Clone)]
pub(super) struct Handle {
    world: World,
    generation: u64,
}

impl Handle {
    fn admit(&self, inner: &Inner) -> Result<(), Crashed> {
        inner.fuel.check()?;
        if inner.machine.daemon.generation != self.generation {
            return Err(Crashed);
        }
        Ok(())
    }

    /// Looks at the machine.
    pub(super) fn read<T>(&self, look: impl FnOnce(&Machine) -> T) -> Result<T, Crashed> {
        let inner = self.world.lock();
        self.admit(&inner)?;
        inner.fuel.note_look();
        Ok(look(&inner.machine))
    }

    /// Makes one step of the daemon's.
    pub(super) fn change<T>(&self, act: impl FnOnce(&mut Machine) -> T) -> Result<T, Crashed> {
        self.world.with(|inner| {
            self.admit(inner)?;
            inner.fuel.spend()?;
            inner.machine.reap();
            Ok(act(&mut inner.machine))
        })
    }

    /// The namespace that the daemon runs in, dead or alive.
    pub(super) fn own_netns(&self) -> NetnsId {
        self.world.lock().machine.host
    }
}
