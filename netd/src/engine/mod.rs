//! The engine: decides, and has done. Every runtime's interface is a thin translation onto these methods.
//!
//! A flow (create, connect, end ...) is one straight async function: it takes its lanes, commits its intent in a ledger
//! turn, has the kernel and the firewall changed, and commits the outcome. A flow, once begun, is never dropped
//! half-way: callers spawn it. What fails is undone by the same steps that a removal takes; what cannot be undone now
//! stays recorded as `Detaching`, and the next reconcile goes on with it.
//!
//! Reading order: [`start`](Engine::start) and [`recover`], [`networks`] with [`making`], [`pools`], [`template`], [`update`] and [`allow`], [`containers`] with [`place`] and [`arrival`], [`ending`] and [`companions`], [`intent`] with [`present`], [`link_local`], [`hops`] and [`rates`], [`attach`], [`detach`] with [`farewell`] and [`departures`] by [`hands`] and [`beside`], [`ports`], [`host_ports`] with [`sources`], and [`hold`],
//! [`attachments`] with [`described`], [`plugin`],
//! [`reconcile`], [`watch`]; beside them [`names`], [`files`], [`rules`], [`obstacles`], [`events`], [`lanes`], [`timings`], [`error`].

mod error;
mod events;
mod lanes;
mod rules;
mod timings;

mod allow;
mod arrival;
mod attach;
mod attachments;
mod beside;
mod choose;
mod companions;
mod containers;
mod departures;
mod described;
mod detach;
mod ending;
mod farewell;
mod forwarding;
mod hands;
mod hold;
mod hops;
mod host_ports;
mod intent;
mod joining;
mod link_local;
mod making;
mod networks;
mod obstacles;
mod place;
mod plan;
mod plugin;
mod pools;
mod ports;
mod present;
mod rates;
mod relay;
mod routes;
mod sources;
mod template;
mod update;
mod uplinks;

mod files;
mod names;

mod builtin;
mod reconcile;
mod recover;
mod register;
mod repair;
mod start;
mod stop;
mod watch;

pub use attach::Wish;
pub use attachments::Joined;
pub use containers::NewContainer;
pub use detach::{Absent, Leave, Which};
pub use ending::Ending;
pub use error::{AskedError, DockerError, EngineError, PlaceError, RuntimeError, WayError};
pub use plugin::{
    AddressAsked, DockerNames, EndpointAsked, HandedOver, NetworkAsked, PoolAsked, PoolGranted,
};
pub use start::Ground;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use netd_kernel::Kernel;
use netd_model::desired::FlowFilter;
use netd_model::{Container, ContainerId, InstanceId, NetnsId, Network, NetworkId, Op};
use tokio::sync::{Notify, RwLock};
use tokio::task::spawn_blocking;

use crate::config::Settings;
use crate::ledger::Turns;
use crate::state::State;
use events::Events;
use files::Files;
use hands::Hands;
use lanes::Lanes;
use names::Names;
use rules::Rules;

/// The daemon's heart. Shared by all who ask.
pub struct Engine {
    settings: Settings,
    instance: InstanceId,
    started: Timestamp,
    turns: Turns,
    kernel: Arc<dyn Kernel>,
    rules: Rules,
    names: Arc<Names>,
    files: Arc<Files>,
    events: Events,
    /// Flows share the house; a full reconcile has it alone.
    house: RwLock<()>,
    containers: Lanes<ContainerId>,
    sandboxes: Arc<Lanes<NetnsId>>,
    networks: Lanes<NetworkId>,
    /// Routes and uplinks are changed one after another; taken before a network.
    routes: tokio::sync::Mutex<()>,
    /// Networks that are wanted by description are made one after another; taken before the house.
    describing: tokio::sync::Mutex<()>,
    /// Rung when something is left to do that a full reconcile will find.
    leftovers: Arc<Notify>,
    departures: Arc<departures::Departures>,
    workers: Arc<hands::Workers>,
    debts: Mutex<ports::Debts>,
    relays: relay::Relays,
    counts: Counts,
    timings: Arc<timings::Timings>,
    problems: Mutex<Vec<String>>,
    warnings: obstacles::Warnings,
    host: plan::HostWish,
    firewall: String,
    /// Whether the kernel tells of what others do to the firewall's rules.
    rules_are_told: bool,
}

#[derive(Debug, Default)]
struct Counts {
    reconciles: AtomicU64,
    repairs: AtomicU64,
}

/// How often the daemon looks at everything although nobody told it to.
const FULL_RECONCILE_EVERY: Duration = Duration::from_secs(300);

impl Engine {
    /// Looks something up.
    ///
    /// # Errors
    /// [`EngineError::Closed`] when the daemon is ending.
    pub async fn look<R: Send + 'static>(
        &self,
        look: impl FnOnce(&State) -> R + Send + 'static,
    ) -> Result<R, EngineError> {
        Ok(self.turns.take(move |ledger| look(ledger.state())).await?)
    }

    /// The network that a user means.
    ///
    /// # Errors
    /// [`EngineError::NetworkNotFound`] or [`EngineError::Ambiguous`].
    pub async fn find_network(&self, word: &str) -> Result<Arc<Network>, EngineError> {
        let word = word.to_owned();
        self.look(move |state| {
            state
                .find_network(&word)
                .cloned()
                .map_err(|error| EngineError::network_lookup(&word, error))
        })
        .await?
    }

    /// The container that a user means.
    ///
    /// # Errors
    /// [`EngineError::ContainerNotFound`] or [`EngineError::Ambiguous`].
    pub async fn find_container(&self, word: &str) -> Result<Arc<Container>, EngineError> {
        let word = word.to_owned();
        self.look(move |state| {
            state
                .find_container(&word)
                .cloned()
                .map_err(|error| EngineError::container_lookup(&word, error))
        })
        .await?
    }

    /// What happens from now on.
    #[must_use]
    pub fn listen(&self) -> tokio::sync::broadcast::Receiver<netd_api::Event> {
        self.events.listen()
    }

    /// The latest of what happened, and what happens from now on.
    #[must_use]
    pub fn listen_with_past(
        &self,
    ) -> (
        Vec<netd_api::Event>,
        tokio::sync::broadcast::Receiver<netd_api::Event>,
    ) {
        self.events.listen_with_past()
    }

    /// The daemon's settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Paths of a container's files.
    #[must_use]
    pub fn files_of(&self, container: &Container) -> netd_api::container::ContainerFiles {
        self.files.of(container)
    }

    /// What the daemon says of itself.
    ///
    /// # Errors
    /// [`EngineError::Closed`] when the daemon is ending.
    pub async fn status(&self) -> Result<netd_api::Status, EngineError> {
        let stats = self.names.stats();
        let names = [
            ("queries", stats.queries),
            ("answered_locally", stats.answered_locally),
            ("forwarded", stats.forwarded),
            ("cache_hits", stats.cache_hits),
        ];
        let status = netd_api::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: self.started.to_string(),
            netns: self.kernel.own_netns().to_string(),
            data_root: self.settings.data_root.clone(),
            firewall: self.firewall.clone(),
            networks: 0,
            containers_running: 0,
            containers_exited: 0,
            endpoints: 0,
            ports: 0,
            reconciles: netd_api::status::ReconcileCount {
                runs: self.counts.reconciles.load(Ordering::Relaxed),
                repairs: self.counts.repairs.load(Ordering::Relaxed),
            },
            names: names
                .into_iter()
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
            problems: self.problems(),
            warnings: self.warnings.all(),
            departing: self.departing(),
            timings: self.timings.report(),
        };
        self.look(move |state| {
            let running = state
                .containers()
                .filter(|container| container.is_running())
                .count();
            let ports = state.endpoints().flat_map(|endpoint| &endpoint.ports);
            netd_api::Status {
                networks: state.networks().count(),
                containers_running: running,
                containers_exited: state.containers().count() - running,
                endpoints: state.live_endpoints(),
                ports: ports.map(|port| port.host_ports.count() as usize).sum(),
                ..status
            }
        })
        .await
    }

    fn problems(&self) -> Vec<String> {
        self.problems
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set_problems(&self, problems: Vec<String>) {
        *self.problems.lock().unwrap_or_else(PoisonError::into_inner) = problems;
    }

    /// Asks the kernel off the async threads.
    async fn kernel<R: Send + 'static>(
        &self,
        ask: impl FnOnce(&dyn Kernel) -> R + Send + 'static,
    ) -> R {
        let (kernel, span) = (Arc::clone(&self.kernel), tracing::Span::current());
        match spawn_blocking(move || span.in_scope(|| ask(&*kernel))).await {
            Ok(result) => result,
            // A panic in there is a bug; it goes on where it can be seen.
            Err(failure) => std::panic::resume_unwind(failure.into_panic()),
        }
    }

    async fn apply(&self, ops: Vec<Op>) -> Result<(), EngineError> {
        if ops.is_empty() {
            return Ok(());
        }
        Ok(self.kernel(move |kernel| kernel.apply(&ops)).await?)
    }
}

impl Engine {
    /// Has tracked flows forgotten that a change made stale. Their neglect costs a stale flow at worst, so a refusal
    /// fails nobody's request.
    async fn forget_flows(&self, filters: Vec<FlowFilter>) {
        for filter in filters {
            if let Err(error) = self.apply(vec![Op::ForgetFlows(filter)]).await {
                tracing::warn!(error = %error.sentence(), "stale flows may go on for a while");
            }
        }
    }
}

/// 32 random bytes for a new identity.
fn random() -> Result<[u8; 32], EngineError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        EngineError::Invalid(format!("the system has no random numbers: {error}"))
    })?;
    Ok(bytes)
}
