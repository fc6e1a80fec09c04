//! What runtimes ask for that have a key of their own for each container on each network, and remember nothing else
//! (CNI). Each wish may come again, late, or about what was never there.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use netd_api::{RetainReport, Retained, WantedNetwork};
use netd_kernel::Kernel;
use netd_model::desired::KernelState;
use netd_model::diff::diff;
use netd_model::{
    ContainerId, DriverSpec, Endpoint, EndpointId, InstanceId, Network, Op, Phase, RuntimeId,
    RuntimeKey,
};

use super::described::Ensured;
use super::ending::Ending;
use super::{Engine, EngineError, NewContainer, RuntimeError, names, plan};
use crate::state::State;

/// How often a described network may vanish between its making and the container's coming.
const TRIES: u8 = 10;

/// What a runtime is told of an endpoint besides the record itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Where the container asks for names; empty where it asks whom the host asks.
    pub nameservers: Vec<IpAddr>,
    /// MTU of its interface, in bytes.
    pub mtu_bytes: u32,
    /// Next hops of the container's default routes that leave by this interface.
    pub default_gateways: Vec<IpAddr>,
}

impl Engine {
    /// Makes a namespace known under the runtime's key, unless it is, and connects it. The same wish again gives the
    /// same answer.
    ///
    /// # Errors
    /// [`EngineError`]; nothing of the attempt is left then.
    pub async fn attach_for_runtime(
        &self,
        key: RuntimeKey,
        wanted: WantedNetwork,
        mut new: NewContainer,
    ) -> Result<Joined, EngineError> {
        new.runtime_id = Some(key.container.clone());
        new.wish.joined_as = Some(key.network.clone());
        new.wish.options.inside = Some(key.interface.clone());
        for _ in 1..TRIES {
            match self.attach_once(&key, &wanted, new.clone()).await {
                // Who described it first did not come onto it after all, and took it away again.
                Err(EngineError::NetworkNotFound(_))
                    if matches!(wanted, WantedNetwork::Described(_)) => {}
                done => {
                    done?;
                    return self.attached(&key).await;
                }
            }
        }
        self.attach_once(&key, &wanted, new).await?;
        self.attached(&key).await
    }

    async fn attach_once(
        &self,
        key: &RuntimeKey,
        wanted: &WantedNetwork,
        mut new: NewContainer,
    ) -> Result<(), EngineError> {
        let ensured = match wanted {
            WantedNetwork::Existing(word) => Ensured::There(self.find_network(word).await?),
            WantedNetwork::Described(request) => self.ensure_network((**request).clone()).await?,
        };
        check_driver(ensured.network(), key)?;
        new.network = Some(ensured.network().id.to_string());
        match self.run_container(new).await {
            Ok(_) => Ok(()),
            Err(error) => {
                self.withdraw(&ensured).await;
                Err(error)
            }
        }
    }

    /// What the records say of a key.
    async fn attached(&self, key: &RuntimeKey) -> Result<Joined, EngineError> {
        let wanted = key.clone();
        self.look(move |state| {
            let endpoint = standing(state, &wanted)?;
            joined(state, &endpoint)
        })
        .await?
        .ok_or_else(|| RuntimeError::NotAttached(Box::new(key.clone())).into())
    }

    /// Ends what a runtime knows by this key, and the container with its last network. Content if there is nothing.
    ///
    /// # Errors
    /// What could not be undone now, which stays recorded and is tried again.
    pub async fn release_for_runtime(&self, key: RuntimeKey) -> Result<bool, EngineError> {
        let _house = self.house.read().await;
        let runtime_id = key.container.clone();
        let known = self.look(move |state| Some(state.container_of_runtime(&runtime_id)?.id));
        let Some(container) = known.await? else {
            return Ok(false);
        };
        let _lane = self.containers.alone(container).await;
        let found = self.look(move |state| {
            let leaving = state.endpoints_of_runtime(&key);
            let all = state.endpoints_of(container).len();
            (leaving, all)
        });
        let (leaving, all) = found.await?;
        if leaving.is_empty() {
            return Ok(false);
        }
        if leaving.len() == all {
            self.end(container, Ending::Forgotten).await?;
            return Ok(true);
        }
        let ids: Vec<_> = leaving.iter().map(|endpoint| endpoint.id).collect();
        self.dissolve(container, &ids).await?;
        for endpoint in &leaving {
            self.tell_of(endpoint, "disconnect").await?;
        }
        Ok(true)
    }

    /// Ends everything of a runtime's network configuration but what it still knows.
    ///
    /// # Errors
    /// [`EngineError::Closed`] when the daemon is ending; other failures are in the report.
    pub async fn retain_for_runtime(
        &self,
        network: RuntimeId,
        keep: Vec<Retained>,
    ) -> Result<RetainReport, EngineError> {
        let keep: BTreeSet<Retained> = keep.into_iter().collect();
        let keys = self.look(move |state| state.keys_of_runtime(&network));
        let mut report = RetainReport::default();
        for key in keys.await? {
            let retained = Retained {
                container: key.container.clone(),
                interface: key.interface.clone(),
            };
            if keep.contains(&retained) {
                continue;
            }
            match self.release_for_runtime(key.clone()).await {
                Ok(true) => report.removed.push(key),
                // Somebody else was faster.
                Ok(false) => {}
                Err(error) => {
                    let failure = format!("{}: {}", key.container, error.sentence());
                    report.failures.push(failure);
                }
            }
        }
        Ok(report)
    }

    /// Looks whether the kernel is as the records say of a key. What is not has one reconcile to come back.
    ///
    /// # Errors
    /// [`RuntimeError::NotAttached`] if nothing is recorded, [`RuntimeError::NotAsRecorded`] with what is missing.
    pub async fn check_for_runtime(&self, key: RuntimeKey) -> Result<Joined, EngineError> {
        let attached = self.attached(&key).await?;
        if self.missing_of(&key).await?.is_none() {
            return Ok(attached);
        }
        self.reconcile().await?;
        let attached = self.attached(&key).await?;
        match self.missing_of(&key).await? {
            None => Ok(attached),
            Some(missing) => Err(RuntimeError::NotAsRecorded {
                key: Box::new(key),
                missing,
            }
            .into()),
        }
    }

    /// What the kernel lacks of the container with this key, in words.
    async fn missing_of(&self, key: &RuntimeKey) -> Result<Option<String>, EngineError> {
        let _house = self.house.read().await;
        let runtime_id = key.container.clone();
        let known = self.look(move |state| Some(state.container_of_runtime(&runtime_id)?.id));
        let Some(id) = known.await? else {
            return Ok(None);
        };
        let _lane = self.containers.alone(id).await;
        let plan = self.look(move |state| standing_plan(state, id)).await??;
        let instance = self.instance;
        self.kernel(move |kernel| missing(kernel, &plan, instance))
            .await
    }
}

fn check_driver(network: &Network, key: &RuntimeKey) -> Result<(), EngineError> {
    match &network.driver {
        DriverSpec::Bridge(_) => Ok(()),
        driver @ (DriverSpec::Host | DriverSpec::Null | DriverSpec::Template(_)) => {
            Err(EngineError::Invalid(format!(
                "container {} cannot be connected to network {}: its driver {} makes no interface {}; use a bridge network",
                key.container,
                network.name,
                driver.name(),
                key.interface
            )))
        }
    }
}

fn standing(state: &State, key: &RuntimeKey) -> Option<Arc<Endpoint>> {
    let endpoints = state.endpoints_of_runtime(key).into_iter();
    endpoints
        .filter(|endpoint| endpoint.phase == Phase::Attached)
        .last()
}

fn standing_plan(state: &State, id: ContainerId) -> Result<KernelState, EngineError> {
    match state.container(id) {
        Some(container) => plan::standing_sandbox(state, container),
        None => Ok(KernelState::default()),
    }
}

fn joined(state: &State, endpoint: &Endpoint) -> Option<Joined> {
    let network = state.network(endpoint.network)?;
    let plan = plan::standing_sandbox(state, state.container(endpoint.container)?).ok()?;
    let interface = endpoint.interface.as_ref()?;
    let routes = plan.sandboxes.values().flat_map(|inside| &inside.routes);
    let defaults = routes.filter(|route| route.destination.prefix() == 0);
    let by_it = defaults.filter(|route| route.interface.as_ref() == Some(&interface.inside));
    let default_gateways = by_it.map(|route| route.gateway).collect();
    Some(Joined {
        endpoint: endpoint.id,
        nameservers: match names::has_names(network) {
            true => vec![names::RESOLVER],
            false => Vec::new(),
        },
        mtu_bytes: plan.host.veths.get(&interface.outside)?.mtu_bytes,
        default_gateways,
    })
}

/// The first step that a repair of this container would take, in words.
fn missing(
    kernel: &dyn Kernel,
    plan: &KernelState,
    instance: InstanceId,
) -> Result<Option<String>, EngineError> {
    let mut seen = kernel.observe(plan)?;
    // Of this container only: what else is on the host is no business of the question.
    seen.host
        .veths
        .retain(|name, _| plan.host.veths.contains_key(name));
    seen.host
        .ifbs
        .retain(|name, _| plan.host.ifbs.contains_key(name));
    seen.host
        .sysctls
        .retain(|key, _| plan.host.sysctls.contains_key(key));
    seen.host.bridges.clear();
    seen.host.uplinks.clear();
    seen.host.routes.clear();
    seen.sandboxes
        .retain(|netns, _| plan.sandboxes.contains_key(netns));
    if let Some(gone) = plan
        .sandboxes
        .keys()
        .find(|netns| !seen.sandboxes.contains_key(netns))
    {
        return Ok(Some(format!("its namespace {gone} is no more")));
    }
    Ok(diff(plan, &seen, instance).first().map(in_words))
}

fn in_words(op: &Op) -> String {
    match op {
        Op::CreateVeth(veth) => format!("its interface {} is not there", veth.outside),
        Op::CreateIfb { name, .. } => format!("{name}, which limits its rate, is not there"),
        Op::SetBucket { name, .. } | Op::Redirect { name, .. } => {
            format!("the limit of its rate by {name} was changed")
        }
        Op::SetLink { name, .. } => format!("its interface {name} on the host was changed"),
        Op::SetInterface { .. } => "its interface was changed inside".to_owned(),
        Op::AddAddress { address, .. } => format!("its address {address} is not there"),
        Op::AddRoute { route, .. } => format!("its route to {} is not there", route.destination),
        Op::RedirectDns { .. } => "its resolver is not reached".to_owned(),
        other => format!("it is otherwise in the kernel: {other:?}"),
    }
}
