//! Networks come and go.

use std::sync::Arc;

use netd_api::{NetworkRequest, PruneReport};
use netd_drivers::{BridgeDefaults, parse_bridge_options, plan_network};
use netd_model::desired::KernelState;
use netd_model::diff::diff;
use netd_model::ruleset::RulesetChange;
use netd_model::{DriverSpec, IfName, Network, NetworkId, NetworkName, Phase};

use super::making::{New, Origin, intend};
use super::pools::Surroundings;
use super::routes::check_unnamed;
use super::template::{check_unused, template};
use super::timings::{About, Operation, Phase as Part, Stopwatch};
use super::update::check_servers;
use super::{AskedError, Engine, EngineError, plan, plugin, random};
use crate::config::Settings;
use crate::state::State;
use crate::store::Change;

impl Engine {
    /// Creates a network.
    ///
    /// # Errors
    /// [`EngineError`] says what is wrong with the request or who stands in its way; nothing is left then.
    pub async fn create_network(
        &self,
        request: NetworkRequest,
    ) -> Result<Arc<Network>, EngineError> {
        self.create_network_for(Origin::User, request).await
    }

    /// As [`Engine::create_network`], for whoever wants it.
    pub(super) async fn create_network_for(
        &self,
        origin: Origin,
        request: NetworkRequest,
    ) -> Result<Arc<Network>, EngineError> {
        let mut watch = self.timings.start(Operation::Create);
        watch.span().record("network", request.name.to_string());
        let _house = self.house.read().await;
        let id = match origin {
            Origin::User => NetworkId::from_bytes(random()?),
            Origin::Docker { id, .. } => id,
        };
        let _network = self.networks.alone(id).await;
        let asked = self.understand((id, origin), request);
        let (new, request, surroundings) = watch.part_async(Part::Wait, asked).await?;
        let network = watch.part(Part::Intent, || {
            self.turns
                .now(|ledger| intend(ledger, new, request, &surroundings))
        })??;
        let network = match self.establish_network(&network, &mut watch).await {
            Ok(network) => network,
            Err(error) => {
                if let Err(undo) = self.unmake(&network).await {
                    tracing::warn!(network = %network.name, error = %undo.sentence(), "undoing waits for the next reconcile");
                }
                return Err(error);
            }
        };
        watch.end();
        let facts = [("driver", network.driver.name().to_owned())];
        self.events.tell(
            "network",
            "create",
            (id.to_string(), network.name.to_string()),
            &facts,
        );
        Ok(network)
    }

    /// Checks a request for a network, and looks at what it has to be held against.
    async fn understand(
        &self,
        (id, origin): (NetworkId, Origin),
        request: NetworkRequest,
    ) -> Result<(New, NetworkRequest, Surroundings), EngineError> {
        check_driver(request.driver.as_deref())?;
        check_servers(&request.dns_servers)?;
        let (request, source) = self.fill_from_template(request).await?;
        let driver = if request.config_only {
            DriverSpec::Template(template(&request, &self.settings)?)
        } else {
            let defaults = bridge_defaults(&self.settings);
            let spec = parse_bridge_options(&request.options, defaults)?.into_spec(id)?;
            self.check_bridge_name(&spec.bridge).await?;
            DriverSpec::Bridge(spec)
        };
        let claimed = match &origin {
            Origin::User => Vec::new(),
            Origin::Docker { claimed, .. } => claimed.clone(),
        };
        let new = New {
            id,
            driver,
            config_from: source.as_ref().map(|source| source.id),
            origin,
        };
        let surroundings = Surroundings {
            defaults: self.settings.pools.clone(),
            routes: self.kernel(|kernel| kernel.routed_subnets()).await?,
            claimed,
        };
        Ok((new, request, surroundings))
    }

    /// An interface of the bridge's name must not be there yet.
    async fn check_bridge_name(&self, name: &IfName) -> Result<(), EngineError> {
        let asked = name.clone();
        let there = self
            .kernel(move |kernel| kernel.host_interface(&asked))
            .await?;
        let named = name.clone();
        let owner = self
            .look(move |state| bridge_owner(state, &named).cloned())
            .await?;
        let reason = match (owner, there) {
            (Some(network), _) => format!("belongs to network {network}"),
            (None, Some(_)) => "was not made by netd".to_owned(),
            (None, None) => return Ok(()),
        };
        Err(EngineError::InterfaceTaken {
            name: name.clone(),
            reason,
        })
    }

    /// Filter first, then the bridge: it comes up behind standing rules. Then it is true.
    async fn establish_network(
        &self,
        network: &Network,
        watch: &mut Stopwatch,
    ) -> Result<Arc<Network>, EngineError> {
        let desired = KernelState {
            host: plan_network(network, self.instance)?.state,
            ..KernelState::default()
        };
        let rules = plan::network_rules(network, self.instance)?;
        let admitted = async {
            self.see_to_ipv6_forwarding(network).await?;
            Ok::<_, EngineError>(self.rules.change(rules).await?)
        };
        watch.part_async(Part::Firewall, admitted).await?;
        let ops = diff(&desired, &KernelState::default(), self.instance);
        watch.part_async(Part::Kernel, self.apply(ops)).await?;
        let established = Network {
            phase: Phase::Attached,
            ..network.clone()
        };
        watch.part(Part::Outcome, || {
            self.turns.now(|ledger| {
                ledger.commit(&[Change::PutNetwork(established.clone())])?;
                self.names.publish_network(ledger.state(), established.id);
                Ok(Arc::new(established))
            })
        })?
    }

    /// Removes a network that nobody is on.
    ///
    /// # Errors
    /// [`EngineError::Builtin`], [`EngineError::InUse`] with the names, or what could not be undone.
    pub async fn remove_network(&self, id: NetworkId) -> Result<(), EngineError> {
        self.remove_network_known_as(id, None).await
    }

    /// As [`Engine::remove_network`], for a Docker engine that knows it by that identity.
    pub(super) async fn remove_network_known_as(
        &self,
        id: NetworkId,
        docker: Option<NetworkId>,
    ) -> Result<(), EngineError> {
        let _house = self.house.read().await;
        let _network = self.networks.alone(id).await;
        let network = self
            .look(move |state| removable(state, id, docker))
            .await??;
        self.unmake(&network).await?;
        self.events.tell(
            "network",
            "remove",
            (id.to_string(), network.name.to_string()),
            &[("driver", network.driver.name().to_owned())],
        );
        Ok(())
    }

    /// Takes a network apart; the caller is alone on its lane.
    async fn unmake(&self, network: &Network) -> Result<(), EngineError> {
        self.unmake_steps(network)
            .await
            .inspect_err(|_| self.leftovers.notify_one())
    }

    async fn unmake_steps(&self, network: &Network) -> Result<(), EngineError> {
        let mut watch = self.timings.start(Operation::Remove);
        let id = network.id;
        let about = About {
            network: Some(id),
            ..About::default()
        };
        self.describe(watch.span(), about);
        let at = |phase| Network {
            phase,
            ..network.clone()
        };
        let leaving = at(Phase::Detaching);
        watch.part(Part::Intent, || {
            self.turns.now(|ledger| {
                ledger.commit(&[Change::PutNetwork(leaving)])?;
                self.names.publish_network(ledger.state(), id);
                Ok::<_, EngineError>(())
            })
        })??;
        let before = KernelState {
            host: plan_network(&at(Phase::Attached), self.instance)?.state,
            ..KernelState::default()
        };
        // The bridge goes before the rules that keep it apart.
        let ops = diff(&KernelState::default(), &before, self.instance);
        watch.part_async(Part::Kernel, self.apply(ops)).await?;
        watch.part(Part::Outcome, || {
            let rules = vec![RulesetChange::RemoveNetwork(id)];
            self.hands().depart(rules, Vec::new(), Vec::new());
            self.turns
                .now(|ledger| ledger.commit(&[Change::RemoveNetwork(id)]))
        })??;
        watch.end();
        Ok(())
    }

    /// Removes every network that nobody is on, the built-in ones and configurations left out.
    ///
    /// # Errors
    /// [`EngineError::Closed`] when the daemon is ending; other failures are in the report.
    pub async fn prune_networks(&self) -> Result<PruneReport, EngineError> {
        self.prune_networks_that(|_| true).await
    }

    /// As [`Engine::prune_networks`], but only those that `chosen` says yes to.
    ///
    /// # Errors
    /// As there.
    pub async fn prune_networks_that(
        &self,
        chosen: impl Fn(&Network) -> bool + Send + 'static,
    ) -> Result<PruneReport, EngineError> {
        let idle = self.look(move |state| {
            let idle = state
                .networks()
                .filter(|network| chosen(network))
                .filter(|network| !network.is_builtin() && state.count_on(network.id) == 0)
                .filter(|network| !matches!(network.driver, DriverSpec::Template(_)))
                .filter(|network| state.docker_identities(network.id).next().is_none());
            idle.map(|network| (network.id, network.name.clone()))
                .collect::<Vec<_>>()
        });
        let mut report = PruneReport::default();
        for (id, name) in idle.await? {
            match self.remove_network(id).await {
                Ok(()) => report.networks.push(name),
                // Somebody came onto it, a route names it, or it was removed: then it is none of ours.
                Err(
                    EngineError::InUse { .. }
                    | EngineError::Way(_)
                    | EngineError::NetworkNotFound(_),
                ) => {}
                Err(error) => report
                    .failures
                    .push(format!("{name}: {}", error.sentence())),
            }
        }
        Ok(report)
    }
}

/// What networks take that do not say otherwise.
pub(super) fn bridge_defaults(settings: &Settings) -> BridgeDefaults {
    BridgeDefaults {
        mtu_bytes: settings.mtu_bytes,
        // As in Docker, the daemon's icc is about the default network only.
        icc: true,
        masquerade: settings.masquerade,
        host_binding: settings.host_binding,
    }
}

fn check_driver(driver: Option<&str>) -> Result<(), EngineError> {
    match driver.unwrap_or("bridge") {
        "bridge" => Ok(()),
        only @ ("host" | "null") => Err(AskedError::OnlyInstance {
            driver: only.to_owned(),
        }
        .into()),
        other => Err(AskedError::UnknownDriver {
            driver: other.to_owned(),
        }
        .into()),
    }
}

pub(super) fn bridge_owner<'a>(state: &'a State, bridge: &IfName) -> Option<&'a NetworkName> {
    let owns =
        |network: &&Arc<Network>| network.bridge().is_some_and(|spec| spec.bridge == *bridge);
    state.networks().find(owns).map(|network| &network.name)
}

fn removable(
    state: &State,
    id: NetworkId,
    docker: Option<NetworkId>,
) -> Result<Network, EngineError> {
    // In whatever phase: while nobody else is in its lane, any but `Attached` is a leftover.
    let Some(network) = state.network(id) else {
        return Err(EngineError::NetworkNotFound(id.short()));
    };
    if network.is_builtin() {
        return Err(EngineError::Builtin {
            name: network.name.to_string(),
            action: "removed",
        });
    }
    check_unused(state, network)?;
    plugin::check_not_dockers(state, network, docker)?;
    check_unnamed(state, network)?;
    let endpoints = state.endpoints_on(id);
    if endpoints.is_empty() {
        return Ok(Network::clone(network));
    }
    let name = |container| {
        state
            .container(container)
            .map_or_else(String::new, |known| known.name.to_string())
    };
    let mut containers: Vec<String> = Vec::new();
    for endpoint in &endpoints {
        let name = name(endpoint.container);
        // One that is there by several interfaces is in the way once.
        if !containers.contains(&name) {
            containers.push(name);
        }
    }
    Err(EngineError::InUse {
        network: network.name.clone(),
        containers,
    })
}
