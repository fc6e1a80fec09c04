//! From a store and a kernel to a running engine: what survived is restored, what a crash cut off is undone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use netd_ipam::{PoolRequest, plan_pool};
use netd_kernel::{Firewall, HostInterface, Kernel, Signal};
use netd_model::network::BridgeSpec;
use netd_model::{
    Container, ContainerId, DriverSpec, Endpoint, IfName, Network, NetworkId, NetworkName, Op,
    Phase, Policy, PoolSpec, Subnet,
};
use tokio::sync::{Notify, RwLock};

use super::containers::Ending;
use super::events::Events;
use super::files::Files;
use super::lanes::Lanes;
use super::names::Names;
use super::networks::used_subnets;
use super::plan::HostWish;
use super::rules::Rules;
use super::{Counts, Engine, EngineError, random};
use crate::config::Settings;
use crate::ledger::{Ledger, Turns};
use crate::state::State;
use crate::store::{Change, Journal};

/// Docker's name for the address in `default-gateway`, which nobody else may get.
const GATEWAY_NAME: &str = "DefaultGatewayIPv4";

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
        let gone = recover(&mut ledger, &*kernel)?;
        let host = HostWish::new(
            &settings,
            note_forwarding(&mut ledger, &*kernel, &settings)?,
        );
        let stale = builtins(&mut ledger, &*kernel, &settings)?;
        let names = Names::new(settings.dns.clone(), resolv_conf.clone());
        let files = Files::new(&settings.state_dir, settings.dns.clone(), resolv_conf);
        let engine = Arc::new(Self {
            instance: ledger.state().instance(),
            started: Timestamp::now(),
            firewall: firewall.describe(),
            turns: Turns::start(ledger),
            rules: Rules::start(firewall),
            kernel,
            names: Arc::new(names),
            files: Arc::new(files),
            events: Events::new(),
            house: RwLock::new(()),
            containers: Lanes::new(),
            networks: Lanes::new(),
            leftovers: Notify::new(),
            counts: Counts::default(),
            problems: Mutex::default(),
            host,
            settings,
        });
        engine.bring_back(gone, stale).await?;
        engine.watch().await?;
        Ok(engine)
    }

    async fn bring_back(&self, gone: Vec<ContainerId>, stale: Vec<Op>) -> Result<(), EngineError> {
        let mut problems = self.reconcile_alone().await?.problems;
        if let Err(error) = self.apply(stale).await {
            problems.push(error.sentence());
        }
        for id in gone {
            self.end(id, Ending::Vanished).await?;
        }
        let names = Arc::clone(&self.names);
        let running = self.look(move |state| {
            state
                .networks()
                .for_each(|network| names.publish_network(state, network.id));
            let running = state
                .containers()
                .filter(|container| container.is_running());
            running
                .map(|container| (container.id, container.name.clone()))
                .collect::<Vec<_>>()
        });
        for (id, name) in running.await? {
            if let Err(error) = self.bring_back_container(id).await {
                problems.push(format!("container {name}: {}", error.sentence()));
            }
        }
        self.set_problems(problems);
        Ok(())
    }

    /// The sockets that went with the former daemon: on the host's ports, and inside the sandbox.
    async fn bring_back_container(&self, id: ContainerId) -> Result<(), EngineError> {
        let before = self.look(move |state| {
            state
                .container(id)
                .and_then(|record| super::plan::sandbox(state, record, &[]).ok())
        });
        let before = before.await?.unwrap_or_default();
        self.open_resolver(id).await?;
        let instance = self.instance;
        let (ops, endpoints) = self
            .look(move |state| -> Result<_, EngineError> {
                let after = match state.container(id) {
                    Some(record) => super::plan::sandbox(state, record, &[])?,
                    None => Default::default(),
                };
                // Only the redirection can differ: another port, if the former one was taken meanwhile.
                Ok((
                    netd_model::diff::diff(&after, &before, instance),
                    state.endpoints_of(id),
                ))
            })
            .await??;
        self.apply(ops).await?;
        for endpoint in endpoints {
            self.hold_ports(endpoint.id, &[]).await?;
        }
        self.refresh_files(id).await
    }
}

/// Pins the namespaces that still live, and marks what a crash left between two phases, and what belonged to
/// namespaces that are no more, to be undone. Returns the containers that ended meanwhile.
fn recover(ledger: &mut Ledger, kernel: &dyn Kernel) -> Result<Vec<ContainerId>, EngineError> {
    let state = ledger.state();
    let lives = |container: &Container| match (&container.sandbox, container.supervisor) {
        (Some(sandbox), _) => kernel.readopt(sandbox).is_ok(),
        (None, Some(supervisor)) => kernel.signal(supervisor, Signal::Probe).unwrap_or(false),
        (None, None) => false,
    };
    let running = state
        .containers()
        .filter(|container| container.is_running());
    let gone: Vec<ContainerId> = running
        .filter(|container| !lives(container))
        .map(|container| container.id)
        .collect();
    let lost = |endpoint: &Endpoint| {
        endpoint.phase == Phase::Attaching
            || (endpoint.phase == Phase::Attached
                && (gone.contains(&endpoint.container)
                    || state
                        .container(endpoint.container)
                        .is_none_or(|container| !container.is_running())))
    };
    let endpoints = state
        .endpoints()
        .filter(|endpoint| lost(endpoint))
        .map(|endpoint| {
            Change::PutEndpoint(Endpoint {
                phase: Phase::Detaching,
                ..Endpoint::clone(endpoint)
            })
        });
    let networks = state
        .networks()
        .filter(|network| network.phase == Phase::Attaching)
        .map(|network| {
            Change::PutNetwork(Network {
                phase: Phase::Detaching,
                ..Network::clone(network)
            })
        });
    let changes: Vec<Change> = endpoints.chain(networks).collect();
    ledger.commit(&changes)?;
    Ok(gone)
}

/// Whether it was netd who turned forwarding on, in this boot and namespace. Remembered before it is done.
fn note_forwarding(
    ledger: &mut Ledger,
    kernel: &dyn Kernel,
    settings: &Settings,
) -> Result<bool, EngineError> {
    let place = format!("{} {}", kernel.boot_id()?, kernel.own_netns());
    if ledger.state().forwarding_turned_on() == Some(place.as_str()) {
        return Ok(true);
    }
    if !settings.ip_forward || kernel.forwards_ipv4()? {
        return Ok(false);
    }
    ledger.commit(&[Change::ForwardingTurnedOn(place)])?;
    Ok(true)
}

/// Sees to `bridge`, `host` and `none`. Returns steps that take away what the default bridge had before.
fn builtins(
    ledger: &mut Ledger,
    kernel: &dyn Kernel,
    settings: &Settings,
) -> Result<Vec<Op>, EngineError> {
    for (name, driver) in [("host", DriverSpec::Host), ("none", DriverSpec::Null)] {
        let name = NetworkName::new(name)?;
        if ledger.state().network_named(&name).is_none() {
            let network = builtin(ledger.state(), name, driver, Vec::new())?;
            ledger.commit(&[Change::PutNetwork(network)])?;
        }
    }
    let name = NetworkName::new("bridge")?;
    let present = ledger.state().network_named(&name).cloned();
    if !settings.has_default_network {
        let leaving = present.map(|network| {
            Change::PutNetwork(Network {
                phase: Phase::Detaching,
                ..Network::clone(&network)
            })
        });
        ledger.commit(&leaving.into_iter().collect::<Vec<_>>())?;
        return Ok(Vec::new());
    }
    let (spec, pool) = default_bridge(ledger.state(), kernel, settings, present.as_deref())?;
    let Some(present) = present else {
        let network = builtin(ledger.state(), name, DriverSpec::Bridge(spec), vec![pool])?;
        ledger.commit(&[Change::PutNetwork(network)])?;
        return Ok(Vec::new());
    };
    let stale = moved(ledger.state(), &present, &spec, &pool)?;
    let network = Network {
        driver: DriverSpec::Bridge(spec),
        pools: vec![pool],
        phase: Phase::Attached,
        ..Network::clone(&present)
    };
    if network != *present {
        ledger.commit(&[Change::PutNetwork(network)])?;
    }
    Ok(stale)
}

fn builtin(
    state: &State,
    name: NetworkName,
    driver: DriverSpec,
    pools: Vec<PoolSpec>,
) -> Result<Network, EngineError> {
    Ok(Network {
        id: NetworkId::from_bytes(random()?),
        name,
        created: Timestamp::now(),
        rank: state.next_rank(),
        driver,
        pools,
        policy: Policy::default(),
        labels: BTreeMap::new(),
        options: BTreeMap::new(),
        attachable: false,
        phase: Phase::Attached,
    })
}

fn default_bridge(
    state: &State,
    kernel: &dyn Kernel,
    settings: &Settings,
    present: Option<&Network>,
) -> Result<(BridgeSpec, PoolSpec), EngineError> {
    let bridge = match &settings.bridge {
        Some(existing) => existing.clone(),
        None => IfName::new("docker0")?,
    };
    let facts = kernel.host_interface(&bridge)?;
    let request = match (&settings.bridge, settings.bip) {
        (Some(_), _) => Some(existing_bridge(&bridge, facts.as_ref())?),
        (None, Some(bip)) => Some(PoolRequest {
            subnet: Some(Subnet::containing(bip)),
            gateway: Some(bip.ip()),
            range: settings.fixed_cidr,
            aux: BTreeMap::new(),
        }),
        (None, None) => None,
    };
    let kept = present
        .and_then(|network| network.pools.first())
        .filter(|_| request.is_none())
        .cloned();
    let mut pool = match kept {
        Some(pool) => pool,
        None => {
            let routes = kernel.routed_subnets()?;
            let mut used = used_subnets(state, &routes, present.map(|network| network.id));
            used.retain(
                |other| !matches!(&other.by, netd_ipam::UsedBy::HostRoute(name) if *name == bridge),
            );
            plan_pool(request.unwrap_or_default(), &settings.pools, &used)?
        }
    };
    // Nobody asks for an address on the default network, whoever chose its subnet.
    pool.subnet_given = false;
    pool.aux.remove(GATEWAY_NAME);
    if let Some(gateway) = settings
        .default_gateway
        .filter(|gateway| *gateway != pool.gateway)
    {
        pool.aux.insert(GATEWAY_NAME.to_owned(), gateway);
    }
    let spec = BridgeSpec {
        bridge,
        is_default: true,
        owned: settings.bridge.is_none(),
        mtu_bytes: settings.mtu_bytes,
        masquerade: settings.masquerade,
        icc: settings.icc,
        host_binding: settings.host_binding,
        gateway_override: settings.default_gateway,
    };
    Ok((spec, pool))
}

fn existing_bridge(
    name: &IfName,
    facts: Option<&HostInterface>,
) -> Result<PoolRequest, EngineError> {
    let refuse = |reason: &str| EngineError::Bridge {
        name: name.clone(),
        reason: reason.to_owned(),
    };
    let facts = facts.ok_or_else(|| {
        refuse("there is no such interface; make it first, with `ip link add NAME type bridge`")
    })?;
    if !facts.is_bridge {
        return Err(refuse("it is no bridge"));
    }
    let address = facts.addresses.iter().find(|address| address.is_ipv4());
    let address = address.ok_or_else(|| {
        refuse("it has no IPv4 address; give it one, with `ip addr add ADDRESS/PREFIX dev NAME`")
    })?;
    Ok(PoolRequest {
        subnet: Some(Subnet::containing(*address)),
        gateway: Some(address.ip()),
        range: None,
        aux: BTreeMap::new(),
    })
}

/// The default network may move only while nobody is on it. Its bridge then loses the address that it had.
fn moved(
    state: &State,
    present: &Network,
    spec: &BridgeSpec,
    pool: &PoolSpec,
) -> Result<Vec<Op>, EngineError> {
    let Some(before) = present
        .pools
        .first()
        .filter(|before| before.gateway_address() != pool.gateway_address())
    else {
        return Ok(Vec::new());
    };
    let live = state
        .endpoints_on(present.id)
        .into_iter()
        .filter(|endpoint| endpoint.phase != Phase::Detaching);
    let containers: Vec<String> = live
        .filter_map(|endpoint| state.container(endpoint.container))
        .map(|container| container.name.to_string())
        .collect();
    if !containers.is_empty() {
        return Err(EngineError::DefaultMoved {
            from: before.subnet,
            to: pool.gateway_address(),
            containers,
        });
    }
    let same_bridge = present
        .bridge()
        .is_some_and(|old| old.owned && old.bridge == spec.bridge);
    let address = before.gateway_address();
    let remove = Op::RemoveAddress {
        netns: None,
        interface: spec.bridge.clone(),
        address,
    };
    Ok(if same_bridge {
        vec![remove]
    } else {
        Vec::new()
    })
}
