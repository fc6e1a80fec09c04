//! From a store and a kernel to a running engine: what survived is restored, what a crash cut off is undone.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use netd_kernel::{Firewall, Kernel};
use netd_model::{ContainerId, ContainerName};
use tokio::sync::{Notify, RwLock};

use super::events::Events;
use super::files::Files;
use super::lanes::Lanes;
use super::names::{Names, wants_names};
use super::rules::Rules;
use super::{Counts, Engine, EngineError, builtin, forwarding, recover, watch};
use crate::config::Settings;
use crate::ledger::{Ledger, Turns};
use crate::store::Journal;

/// What the engine stands on.
pub struct Ground {
    /// The kernel.
    pub kernel: Arc<dyn Kernel>,
    /// The firewall.
    pub firewall: Arc<dyn Firewall>,
    /// The store.
    pub journal: Box<dyn Journal>,
    /// The host's resolv.conf(5).
    pub resolv_conf: PathBuf,
}

impl Engine {
    /// Loads, brings the kernel in line, and begins to watch it. What comes back is ready to serve.
    ///
    /// # Errors
    /// [`EngineError`] when the store cannot be read, the kernel does not answer, or the configuration does not fit
    /// what is there.
    pub async fn start(settings: Settings, ground: Ground) -> Result<Arc<Self>, EngineError> {
        let Ground {
            kernel,
            firewall,
            journal,
            resolv_conf,
        } = ground;
        let mut ledger = Ledger::open(journal)?;
        // Before anything is pinned, so that no end goes unnoticed.
        let told = watch::listen(Arc::clone(&kernel)).await?;
        recover::recover(&mut ledger, &*kernel)?;
        let host = forwarding::wish(&mut ledger, &*kernel, &settings)?;
        builtin::see_to_all(&mut ledger, &*kernel, &settings)?;
        forwarding::wish_ipv6(&mut ledger, &*kernel, &host)?;
        let names = Names::new(settings.dns.clone(), resolv_conf.clone())?;
        let files = Files::new(&settings.state_dir, settings.dns.clone(), resolv_conf);
        let engine = Arc::new(Self {
            instance: ledger.state().instance(),
            started: Timestamp::now(),
            firewall: firewall.describe(),
            rules_are_told: firewall.changes_are_told(),
            turns: Turns::start(ledger),
            rules: Rules::start(firewall),
            kernel,
            names: Arc::new(names),
            files: Arc::new(files),
            events: Events::new(),
            house: RwLock::new(()),
            containers: Lanes::new(),
            sandboxes: Arc::default(),
            networks: Lanes::new(),
            routes: tokio::sync::Mutex::default(),
            describing: tokio::sync::Mutex::default(),
            leftovers: Arc::new(Notify::new()),
            departures: Arc::default(),
            workers: Arc::default(),
            debts: Mutex::default(),
            relays: Default::default(),
            counts: Counts::default(),
            timings: Arc::default(),
            problems: Mutex::default(),
            warnings: Default::default(),
            host,
            settings,
        });
        engine.bring_back().await?;
        engine.watch(told);
        Ok(engine)
    }

    async fn bring_back(&self) -> Result<(), EngineError> {
        let mut problems = self.reconcile_alone().await?.problems;
        let (moved, unwritten) = tokio::join!(self.reopen_resolvers(), self.refresh_all_files());
        for (id, name) in moved? {
            if let Err(error) = self.open_another_resolver(id).await {
                problems.push(format!("container {name}: {}", error.sentence()));
            }
        }
        problems.extend(unwritten?);
        self.see_to_gateways().await;
        self.set_problems(problems);
        Ok(())
    }

    /// The sockets inside sandboxes went with the former daemon. Gives the containers whose former ports are not to be
    /// had.
    async fn reopen_resolvers(&self) -> Result<Vec<(ContainerId, ContainerName)>, EngineError> {
        let names = Arc::clone(&self.names);
        let wanted = self.look(move |state| {
            state
                .networks()
                .for_each(|network| names.publish_network(state, network.id));
            let running = state.containers().filter(|container| container.stands());
            let wanted = running.filter_map(|container| {
                let sandbox = wants_names(state, container)?;
                Some((Arc::clone(container), (sandbox.netns, sandbox.dns_port)))
            });
            wanted.unzip::<_, _, Vec<_>, Vec<_>>()
        });
        let (containers, places) = wanted.await?;
        let (places, opened) = self
            .kernel(move |kernel| {
                let opened = kernel.open_resolvers(&places);
                (places, opened)
            })
            .await;
        let names = Arc::clone(&self.names);
        let moved = self.look(move |state| {
            let opened = places.into_iter().zip(opened);
            let each = containers.into_iter().zip(opened);
            let moved = each.filter_map(|(container, ((_, former), opened))| {
                let same = opened.ok().filter(|sockets| Some(sockets.port) == former);
                let served = same.map(|sockets| names.serve(state, &container, sockets));
                // Whatever was refused is tried once more, by itself, and told of then.
                let is_served = matches!(served, Some(Ok(())));
                (!is_served).then(|| (container.id, container.name.clone()))
            });
            moved.collect()
        });
        moved.await
    }

    /// Another port takes the place of the resolver's former one.
    async fn open_another_resolver(&self, id: ContainerId) -> Result<(), EngineError> {
        let before = self.look(move |state| {
            state
                .container(id)
                .and_then(|record| super::plan::sandbox(state, record, &[]).ok())
        });
        let before = before.await?.unwrap_or_default();
        self.open_resolver(id).await?;
        let instance = self.instance;
        let ops = self
            .look(move |state| -> Result<_, EngineError> {
                let after = match state.container(id) {
                    Some(record) => super::plan::sandbox(state, record, &[])?,
                    None => Default::default(),
                };
                // Only the redirection can differ.
                Ok(netd_model::diff::diff(&after, &before, instance))
            })
            .await??;
        self.apply(ops).await
    }
}
