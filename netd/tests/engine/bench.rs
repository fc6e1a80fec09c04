//! A daemon on the fake machine: started, crashed, restarted and compared as a whole.
//!
//! Each daemon has a runtime of its own, which ends with it as a process does: tasks, sockets and the lock on the store.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use netd::config::{Options, Settings};
use netd::engine::{Engine, EngineError, Ground, NewContainer, Wish};
use netd::state::State;
use netd::store::{Change, Journal, Snapshot, Sqlite, StoreError};
use netd_api::NetworkRequest;
use netd_kernel::NetnsHandle;
use netd_kernel::fake::{Fuel, World};
use netd_model::desired::KernelState;
use netd_model::{Container, Endpoint, EndpointId, Network, Ruleset};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// How long anything may take that does happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// The store of a test: dies with the fuel before or after a commit, is full when told to, and holds the kernel to I1.
pub(crate) struct TestJournal {
    inner: Sqlite,
    world: World,
    disk: Disk,
    leases: BTreeMap<EndpointId, BTreeSet<IpAddr>>,
}

/// The disk under the store.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    full: Arc<AtomicBool>,
    room: Arc<AtomicI64>,
    in_haste: Arc<AtomicBool>,
    /// Who wrote, commit by commit.
    pub(crate) writers: Arc<Mutex<Vec<ThreadId>>>,
    broken_promises: Arc<Mutex<Vec<String>>>,
}

impl Disk {
    /// Takes `commits` more commits, and no other until [`Disk::clear`].
    pub(crate) fn fill_after(&self, commits: i64) {
        self.room.store(commits, Ordering::SeqCst);
        self.full.store(true, Ordering::SeqCst);
    }

    /// While in haste, nobody looks at the whole machine before and after each commit.
    pub(crate) fn hasten(&self, in_haste: bool) {
        self.in_haste.store(in_haste, Ordering::SeqCst);
    }

    /// There is room again.
    pub(crate) fn clear(&self) {
        self.full.store(false, Ordering::SeqCst);
    }

    fn has_room(&self) -> bool {
        !self.full.load(Ordering::SeqCst) || self.room.fetch_sub(1, Ordering::SeqCst) > 0
    }
}

impl TestJournal {
    /// I1: no address is in the kernel that is not leased.
    fn check_leases(&self, moment: &str) {
        if self.disk.in_haste.load(Ordering::SeqCst) {
            return;
        }
        let leased: BTreeSet<IpAddr> = self.leases.values().flatten().copied().collect();
        for (netns, sandbox) in self.world.snapshot().sandboxes {
            let interfaces = sandbox.interfaces.values();
            for address in interfaces.flat_map(|interface| &interface.addresses) {
                if !leased.contains(&address.ip()) {
                    let sentence = format!("{moment}: {address} in {netns} is not leased");
                    self.disk.broken_promises.lock().unwrap().push(sentence);
                }
            }
        }
    }
}

/// The addresses that an endpoint may have in the kernel.
fn held_by(endpoint: &Endpoint) -> BTreeSet<IpAddr> {
    let leases = endpoint.leases.iter().map(|lease| lease.address);
    let link_local = endpoint.link_local.iter();
    leases.chain(link_local.map(|own| own.address())).collect()
}

fn crashed() -> StoreError {
    StoreError::Corrupt {
        kind: "commit",
        reason: "the daemon is dead".to_owned(),
    }
}

impl Journal for TestJournal {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        let snapshot = self.inner.load()?;
        for endpoint in &snapshot.endpoints {
            self.leases.insert(endpoint.id, held_by(endpoint));
        }
        Ok(snapshot)
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let fuel = self.world.fuel();
        fuel.spend().map_err(|_| crashed())?;
        (self.disk.writers.lock().unwrap()).push(std::thread::current().id());
        if !self.disk.has_room() {
            let full = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
            return Err(StoreError::Database(rusqlite::Error::SqliteFailure(
                full, None,
            )));
        }
        self.check_leases("before a commit");
        self.inner.commit(changes)?;
        for change in changes {
            match change {
                Change::PutEndpoint(endpoint) => {
                    self.leases.insert(endpoint.id, held_by(endpoint));
                }
                Change::RemoveEndpoint(id) => {
                    self.leases.remove(id);
                }
                _ => {}
            }
        }
        self.check_leases("after a commit");
        fuel.spend().map_err(|_| crashed())
    }
}

/// What a test compares: everything that a daemon leaves behind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Baseline {
    kernel: KernelState,
    rules: Ruleset,
    pinned: usize,
}

/// The machine, the files, and the daemon that runs now.
pub(crate) struct Bench {
    pub(crate) world: World,
    pub(crate) disk: Disk,
    pub(crate) config: String,
    directory: TempDir,
    daemon: Option<(Runtime, Arc<Engine>)>,
}

impl Bench {
    /// A daemon with default settings.
    pub(crate) fn new() -> Self {
        Self::with_config("{}")
    }

    /// A daemon whose configuration file says `config`.
    pub(crate) fn with_config(config: &str) -> Self {
        let mut bench = Self::idle(World::new(), config);
        bench.start().unwrap();
        bench
    }

    /// A machine on which no daemon runs yet.
    pub(crate) fn idle(world: World, config: &str) -> Self {
        Self {
            world,
            disk: Disk::default(),
            config: config.to_owned(),
            directory: tempfile::tempdir().unwrap(),
            daemon: None,
        }
    }

    fn settings(&self) -> Settings {
        let options: Options = serde_json::from_str(&self.config).unwrap();
        let state_dir = Some(self.directory.path().join("run"));
        let data_root = Some(self.data_root());
        Settings::new(Options {
            state_dir,
            data_root,
            ..options
        })
        .unwrap()
    }

    fn data_root(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Where the containers' files are.
    pub(crate) fn files(&self) -> PathBuf {
        self.directory.path().join("run/containers")
    }

    /// Starts a daemon; none runs yet.
    pub(crate) fn start(&mut self) -> Result<(), EngineError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let journal = TestJournal {
            inner: Sqlite::open(&self.data_root())?,
            world: self.world.clone(),
            disk: self.disk.clone(),
            leases: BTreeMap::new(),
        };
        let ground = Ground {
            kernel: Arc::new(self.world.kernel()),
            firewall: Arc::new(self.world.firewall()),
            journal: Box::new(journal),
            resolv_conf: self.directory.path().join("resolv.conf"),
        };
        let settings = self.settings();
        let started = runtime.block_on(async {
            tokio::time::timeout(DEADLINE, Engine::start(settings, ground)).await
        });
        let engine = started.expect("the daemon starts in time");
        match engine {
            Ok(engine) => {
                self.daemon = Some((runtime, engine));
                Ok(())
            }
            Err(error) => {
                runtime.shutdown_timeout(DEADLINE);
                Err(error)
            }
        }
    }

    /// The daemon's process ends, whatever it is doing.
    pub(crate) fn kill(&mut self) {
        self.world.set_fuel(Fuel::limited(0));
        let _ = self.world.fuel().spend();
        if let Some((runtime, engine)) = self.daemon.take() {
            drop(engine);
            runtime.shutdown_timeout(DEADLINE);
        }
        self.world.restart();
    }

    /// The daemon's process ends and another starts.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.start().unwrap();
    }

    /// The daemon that runs now.
    pub(crate) fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.daemon.as_ref().expect("a daemon runs").1)
    }

    /// Waits for something that the daemon does.
    pub(crate) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        let runtime = &self.daemon.as_ref().expect("a daemon runs").0;
        let result = runtime.block_on(async { tokio::time::timeout(DEADLINE, work).await });
        result.expect("done in time")
    }

    /// Waits until what was acknowledged is done, or the daemon is dead.
    pub(crate) fn settle(&self) {
        self.until("all removals are done", |bench| {
            let engine = bench.daemon.as_ref().map(|(_, engine)| engine);
            let dead = bench.world.fuel().check().is_err();
            dead || engine.is_none_or(|engine| engine.departing() == 0)
        });
    }

    /// Begins something beside others.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.daemon.as_ref().expect("a daemon runs").0.spawn(work)
    }

    /// Looks something up.
    pub(crate) fn look<R: Send + 'static>(
        &self,
        look: impl FnOnce(&State) -> R + Send + 'static,
    ) -> R {
        self.wait(self.engine().look(look)).unwrap()
    }

    /// Polls until `condition` holds.
    pub(crate) fn until(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let latest = Instant::now() + DEADLINE;
        while !condition(self) {
            assert!(Instant::now() < latest, "in vain: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Creates a network with a subnet of the user's.
    pub(crate) fn create(&self, name: &str, subnet: &str) -> Result<Arc<Network>, EngineError> {
        self.wait(self.engine().create_network(request(name, subnet)))
    }

    /// Runs a container in a new process on a network.
    pub(crate) fn run(
        &self,
        name: &str,
        network: &str,
        wish: Wish,
    ) -> Result<(u32, Arc<Container>), EngineError> {
        let pid = self.world.spawn_process();
        let container = self.wait(
            self.engine()
                .run_container(process(pid, name, network, wish)),
        )?;
        Ok((pid, container))
    }

    /// Addresses of a container, by age of its endpoints.
    pub(crate) fn addresses(&self, name: &str) -> Vec<String> {
        let name = name.parse().unwrap();
        self.look(move |state| {
            let container = state.container_named(&name).expect("a known container");
            let endpoints = state.endpoints_of(container.id);
            let leases = endpoints.iter().flat_map(|endpoint| &endpoint.leases);
            leases.map(|lease| lease.address.to_string()).collect()
        })
    }

    /// All that must be as before when everything was removed.
    pub(crate) fn baseline(&self) -> Baseline {
        self.settle();
        let mut rules = self.world.rules();
        // Forwarding of IPv6, once on, stays on, and with it that strangers are not forwarded.
        rules.host.drop_forwarded_v6 = false;
        Baseline {
            kernel: self.world.snapshot(),
            rules,
            pinned: self.world.pinned().len(),
        }
    }

    /// Promises of I1 that were broken so far.
    pub(crate) fn broken_promises(&self) -> Vec<String> {
        self.disk.broken_promises.lock().unwrap().clone()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some((runtime, engine)) = self.daemon.take() {
            drop(engine);
            runtime.shutdown_timeout(DEADLINE);
        }
    }
}

/// A request for a network: its subnets, with blanks between, or `ipv6` for one of the daemon's choice. IPv4 is there
/// anyhow; its subnet is left to the daemon if there is none.
pub(crate) fn request(name: &str, subnets: &str) -> NetworkRequest {
    let words = subnets.split_whitespace();
    let (named, flags): (Vec<_>, Vec<_>) = words.partition(|word| word.contains('/'));
    let pools = named
        .iter()
        .map(|subnet| serde_json::json!({ "subnet": subnet }));
    let pools: Vec<_> = pools.collect();
    let ipv6 = flags.contains(&"ipv6").then_some(true);
    serde_json::from_value(serde_json::json!({ "name": name, "pools": pools, "ipv6": ipv6 }))
        .unwrap()
}

/// A container in the namespace of a process.
pub(crate) fn process(pid: u32, name: &str, network: &str, wish: Wish) -> NewContainer {
    NewContainer {
        name: Some(name.parse().unwrap()),
        netns: Some(NetnsHandle::Process { pid }),
        network: Some(network.to_owned()),
        wish,
        ..NewContainer::default()
    }
}

/// A wish for an address.
pub(crate) fn at(address: &str) -> Wish {
    Wish {
        ips: vec![address.parse().unwrap()],
        ..Wish::default()
    }
}

/// A wish for published ports.
pub(crate) fn publishing(ports: &[&str]) -> Wish {
    Wish {
        ports: ports.iter().map(|port| port.parse().unwrap()).collect(),
        ..Wish::default()
    }
}
