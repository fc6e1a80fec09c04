//! A network becomes other than it was while containers are on it.
//!
//! The record has the new form and the former one until the kernel has followed; only then was anything promised. What
//! is refused on the way, and what a crash cuts off, is taken back by the next reconcile: the former record, then all
//! that follows from it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use netd_api::UpdateRequest;
use netd_drivers::{change_bridge_options, configuration_key, plan_network};
use netd_model::desired::KernelState;
use netd_model::diff::diff;
use netd_model::{DriverSpec, Network, NetworkId, Phase, PoolSpec};

use super::{Engine, EngineError, plan};
use crate::ledger::Ledger;
use crate::state::State;
use crate::store::Change;

impl Engine {
    /// Changes a network while it lives: containers keep their addresses and flows. What is so already changes nothing.
    ///
    /// # Errors
    /// [`EngineError`] says what cannot change, or what failed; all is then as before.
    pub async fn update_network(
        &self,
        id: NetworkId,
        request: UpdateRequest,
    ) -> Result<Arc<Network>, EngineError> {
        // Its containers' namespaces change with it, and those are on other networks, too: as a reconcile, this has
        // the house alone.
        let _house = self.house.write().await;
        let intent = self
            .turns
            .take(move |ledger| intend(ledger, id, &request))
            .await??;
        let (before, changed) = match intent {
            Intent::Already(network) => return Ok(network),
            Intent::Fresh { before, changed } => (*before, changed),
        };
        let done = async {
            self.follow_update(id, before).await?;
            self.acknowledge_update(id).await
        };
        match done.await {
            Ok(network) => {
                let subject = (id.to_string(), network.name.to_string());
                let facts = [("changed", changed)];
                self.events.tell("network", "update", subject, &facts);
                Ok(network)
            }
            Err(error) => {
                if let Err(undo) = self.reconcile_alone().await {
                    tracing::warn!(network = %id.short(), error = %undo.sentence(), "undoing waits for the next reconcile");
                    self.leftovers.notify_one();
                }
                Err(error)
            }
        }
    }

    /// Makes rules and links what the record says; `before` is what they are.
    async fn follow_update(&self, id: NetworkId, before: KernelState) -> Result<(), EngineError> {
        let (rules, ops) = self
            .look(move |state| -> Result<_, EngineError> {
                let Some(network) = state.network(id) else {
                    return Err(EngineError::NetworkNotFound(id.short()));
                };
                let mut rules = plan::network_rules(network, state.instance())?;
                let endpoints = state.endpoints_on(id).into_iter();
                let publishing = endpoints
                    .filter(|endpoint| !endpoint.ports.is_empty() || !endpoint.opened.is_empty());
                rules.extend(publishing.flat_map(|endpoint| plan::port_rules(state, endpoint.id)));
                let after = plan::network_with_containers(state, network)?;
                Ok((rules, diff(&after, &before, state.instance())))
            })
            .await??;
        // Filter first: what is to be closed is closed before anything else moves.
        self.rules.change(rules).await?;
        self.apply(ops).await
    }

    async fn acknowledge_update(&self, id: NetworkId) -> Result<Arc<Network>, EngineError> {
        let names = Arc::clone(&self.names);
        self.turns
            .take(move |ledger| {
                let Some(record) = ledger.state().network(id).cloned() else {
                    return Err(EngineError::NetworkNotFound(id.short()));
                };
                let network = Network {
                    before: None,
                    ..Network::clone(&record)
                };
                ledger.commit(&[Change::PutNetwork(network.clone())])?;
                for endpoint in ledger.state().endpoints_on(id) {
                    names.publish_view(ledger.state(), endpoint.container);
                }
                Ok(Arc::new(network))
            })
            .await?
    }

    /// Puts the former records back of networks whose change was not acknowledged. The caller is alone in the house.
    pub(super) async fn take_back_updates(&self) -> Result<(), EngineError> {
        let taken_back = self.turns.take(|ledger| {
            let networks = ledger.state().networks();
            let former = networks.filter_map(|network| network.before.as_deref());
            let changes: Vec<Change> = former.cloned().map(Change::PutNetwork).collect();
            ledger.commit(&changes)
        });
        Ok(taken_back.await??)
    }
}

/// What a request comes to.
enum Intent {
    /// The network is as asked.
    Already(Arc<Network>),
    /// The new form is written.
    Fresh {
        /// What the kernel has of the former one.
        before: Box<KernelState>,
        /// What changes, in the words of the request.
        changed: String,
    },
}

fn intend(
    ledger: &mut Ledger,
    id: NetworkId,
    request: &UpdateRequest,
) -> Result<Intent, EngineError> {
    let state = ledger.state();
    let present = match state.network(id) {
        Some(network) if network.phase == Phase::Attached => Arc::clone(network),
        _ => return Err(EngineError::NetworkNotFound(id.short())),
    };
    let wanted = wanted(state, &present, request)?;
    if wanted == *present {
        return Ok(Intent::Already(present));
    }
    // What the drivers cannot plan is refused before it is written.
    plan_network(&wanted, state.instance())?;
    let before = plan::network_with_containers(state, &present)?;
    let changed = differences(&present, &wanted);
    ledger.commit(&[Change::PutNetwork(Network {
        before: Some(Box::new(Network::clone(&present))),
        ..wanted
    })])?;
    Ok(Intent::Fresh {
        before: Box::new(before),
        changed,
    })
}

/// The network as it shall be.
fn wanted(
    state: &State,
    present: &Network,
    request: &UpdateRequest,
) -> Result<Network, EngineError> {
    let spec = match &present.driver {
        DriverSpec::Bridge(spec) if !spec.is_default => spec,
        DriverSpec::Bridge(_) => return Err(configured(present, request)),
        DriverSpec::Host | DriverSpec::Null => {
            return Err(EngineError::Builtin {
                name: present.name.to_string(),
                action: "updated: there is nothing about it to change",
            });
        }
        DriverSpec::Template(_) => {
            return Err(EngineError::Invalid(format!(
                "network {} is only a configuration, which networks were made from as it is; make another with `net create --config-only`",
                present.name
            )));
        }
    };
    check_fixed(present, request)?;
    let mut wanted = present.clone();
    wanted.driver = DriverSpec::Bridge(change_bridge_options(spec, &request.options)?);
    wanted.options.extend(request.options.clone());
    for key in &request.remove_labels {
        wanted.labels.remove(key);
    }
    wanted.labels.extend(request.labels.clone());
    change_servers(&mut wanted.dns_servers, request)?;
    if let Some(internal) = request.internal {
        wanted.policy.internal = internal;
    }
    let closes = wanted.policy.internal && !present.policy.internal;
    if closes && let Some(other) = state.allowed_with(present.id).next() {
        return Err(EngineError::Invalid(format!(
            "network {} cannot become internal: it is allowed to talk to {}; `net deny {} {}` first",
            present.name, other.name, present.name, other.name
        )));
    }
    Ok(wanted)
}

/// Refuses what a network is for as long as it lives.
fn check_fixed(present: &Network, request: &UpdateRequest) -> Result<(), EngineError> {
    let name = &present.name;
    if let Some(driver) = request.driver.as_deref()
        && driver != present.driver.name()
    {
        return Err(EngineError::Invalid(format!(
            "network {name}: its driver cannot change from {} to {driver}; create another with `net create -d {driver}` and connect the containers to that",
            present.driver.name()
        )));
    }
    let as_it_is = |wanted: &netd_api::PoolRequest| present.pools.iter().any(|p| is(p, wanted));
    if !request.pools.iter().all(as_it_is) {
        let subnets: Vec<String> = present.pools.iter().map(|p| p.subnet.to_string()).collect();
        return Err(EngineError::Invalid(format!(
            "network {name}: subnet, range, gateway and auxiliary addresses cannot change while it lives (it has {}); \
             create another with `net create --subnet`, `net connect` the containers to that and disconnect them from this one",
            subnets.join(" and ")
        )));
    }
    Ok(())
}

/// True if a pool is what is asked for.
fn is(pool: &PoolSpec, wanted: &netd_api::PoolRequest) -> bool {
    wanted.subnet.is_none_or(|subnet| subnet == pool.subnet)
        && (wanted.range.is_none() || wanted.range == pool.range)
        && wanted.gateway.is_none_or(|gateway| gateway == pool.gateway)
        && (wanted.aux.is_empty() || wanted.aux == pool.aux)
}

fn change_servers(servers: &mut Vec<IpAddr>, request: &UpdateRequest) -> Result<(), EngineError> {
    check_servers(&request.add_dns)?;
    servers.retain(|server| !request.remove_dns.contains(server));
    for server in &request.add_dns {
        if !servers.contains(server) {
            servers.push(*server);
        }
    }
    Ok(())
}

/// Refuses addresses that no resolver can have, and 127.0.0.11, where containers ask netd itself.
pub(super) fn check_servers(servers: &[IpAddr]) -> Result<(), EngineError> {
    let embedded = super::names::RESOLVER;
    for server in servers {
        if server.is_unspecified() || server.is_multicast() || *server == embedded {
            return Err(EngineError::Invalid(format!(
                "{server} is no resolver to forward to; give the address of one, such as 192.0.2.53"
            )));
        }
    }
    Ok(())
}

/// The default network follows the configuration: which keys say what was asked for.
fn configured(present: &Network, request: &UpdateRequest) -> EngineError {
    let mut keys: BTreeSet<&'static str> = request
        .options
        .keys()
        .filter_map(|option| configuration_key(option))
        .collect();
    if !request.add_dns.is_empty() || !request.remove_dns.is_empty() {
        keys.insert("dns");
    }
    if !request.pools.is_empty() {
        keys.insert("bip");
    }
    let keys: Vec<&str> = keys.into_iter().collect();
    let advice = match keys.as_slice() {
        [] => "that cannot be said of it at all; make a network of your own with `net create`"
            .to_owned(),
        keys => format!("set {} in daemon.json and restart netd", keys.join(" and ")),
    };
    EngineError::Configured {
        name: present.name.clone(),
        advice,
    }
}

/// The words for what differs, for whoever listens.
fn differences(before: &Network, after: &Network) -> String {
    let changed = |key: &&String| before.options.get(*key) != after.options.get(*key);
    let keys = after.options.keys().filter(changed);
    let mut words: Vec<&str> = keys.map(String::as_str).collect();
    let fields = [
        ("internal", before.policy != after.policy),
        ("labels", before.labels != after.labels),
        ("dns", before.dns_servers != after.dns_servers),
    ];
    words.extend(fields.iter().filter(|(_, differ)| *differ).map(|f| f.0));
    words.join(" ")
}
