//! The kernel is made what the records say. The same pass repairs, finishes what was left, and undoes what a crash cut
//! off; when nothing is wrong it does nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use netd_model::desired::{KernelState, Mark, Purpose};
use netd_model::{ContainerId, Endpoint, IfName, NetworkId, Phase, Subnet};

use super::detach::links;
use super::ending::Ending;
use super::plan;
use super::repair::repair;
use super::{Engine, EngineError};
use crate::state::State;
use crate::store::Change;

/// What a pass came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Steps that brought back what somebody else had changed, rules included.
    repairs: u64,
    /// Steps that finished what was left, such as the end of a link that was cut off.
    finished: u64,
    /// Rules that stood otherwise, each a sentence.
    drift: Vec<String>,
    /// What could not be made right, each a sentence.
    pub(super) problems: Vec<String>,
}

impl Outcome {
    /// Keeps a refusal among the problems, so that it stops nothing else; only the daemon's end does.
    fn note(&mut self, result: Result<(), EngineError>) -> Result<(), EngineError> {
        match result {
            Ok(()) => Ok(()),
            Err(EngineError::Closed(closed)) => Err(closed.into()),
            Err(error) => {
                self.problems.push(error.sentence());
                Ok(())
            }
        }
    }
}

impl Engine {
    /// Compares everything with the records and makes it so; gives the number of steps. Flows wait meanwhile.
    ///
    /// # Errors
    /// When the kernel cannot be observed or the daemon is ending; what single steps said is in the status.
    pub async fn reconcile(&self) -> Result<u64, EngineError> {
        let _house = self.house.write().await;
        let outcome = self.reconcile_alone().await?;
        warn_of(&outcome.drift);
        if outcome.repairs > 0 {
            self.tell_repair(outcome.repairs);
            self.renew_gateways().await;
        }
        Ok(outcome.repairs + outcome.finished)
    }

    /// The pass itself; nobody else is in the house.
    pub(super) async fn reconcile_alone(&self) -> Result<Outcome, EngineError> {
        let mut outcome = Outcome::default();
        outcome.note(self.settle_debts().await)?;
        outcome.note(self.take_back_updates().await)?;
        outcome.note(self.follow_gateways().await)?;
        outcome.note(self.let_leftovers_go().await)?;
        let host = self.host.clone();
        let (desired, rules, problems) = self
            .look(move |state| plan::everything(state, &host))
            .await?;
        outcome.problems.extend(problems);
        // Filter first, and nothing without it: nothing comes up, or back, before its rules stand, and no address is
        // given to another while rules of its last holder do. To look at the links meanwhile changes nothing, and a
        // port that is held opens nothing.
        let look = self.kernel(move |kernel| (kernel.observe(&desired), desired));
        let (restored, (observed, desired), held) =
            tokio::join!(self.rules.restore(rules), look, self.hold_all_ports());
        let held = held?;
        match restored {
            Ok(drift) => {
                self.departures.restored();
                outcome.repairs += drift.len() as u64;
                outcome.drift = drift;
                self.set_links((desired, observed?), &mut outcome).await?;
                outcome.problems.extend(self.missing_uplinks().await?);
                outcome.problems.extend(held.problems);
                self.relay_all(held.publishing).await?;
            }
            Err(refused) => outcome.problems.push(EngineError::from(refused).sentence()),
        }
        self.look_for_obstacles().await;
        let known = self.problems();
        outcome
            .problems
            .iter()
            .filter(|problem| !known.contains(problem))
            .for_each(|problem| tracing::error!("{problem}"));
        if !outcome.problems.is_empty() {
            self.leftovers.notify_one();
        }
        self.set_problems(outcome.problems.clone());
        self.counts.reconciles.fetch_add(1, Ordering::Relaxed);
        self.counts
            .repairs
            .fetch_add(outcome.repairs, Ordering::Relaxed);
        Ok(outcome)
    }

    /// Makes links what is wished, from what was seen, then the records of what was on its way out and has no object any more.
    async fn set_links(
        &self,
        states: (KernelState, KernelState),
        outcome: &mut Outcome,
    ) -> Result<(), EngineError> {
        let instance = self.instance;
        let done = self
            .kernel(move |kernel| repair(kernel, states, instance))
            .await;
        outcome.repairs += done.repairs;
        outcome.finished += done.finished;
        outcome.problems.extend(done.failures);
        for netns in done.vanished {
            let ended = self.look(move |state| {
                let owner = state.container_in(netns)?;
                let companions = state.companions_of(owner).map(|companion| companion.id);
                Some((owner.id, companions.collect::<Vec<_>>()))
            });
            if let Some((id, companions)) = ended.await? {
                outcome.note(self.end(id, Ending::NamespaceGone(netns)).await)?;
                for companion in companions {
                    outcome.note(self.end(companion, Ending::Vanished).await)?;
                }
            }
        }
        for name in done.lost {
            let owner = self.look(move |state| state.container_with(&name).map(|one| one.id));
            if let Some(id) = owner.await? {
                outcome.note(self.end(id, Ending::Vanished).await)?;
            }
        }
        let failed = done.failed_routes;
        let gone =
            move |name: Option<&IfName>| name.is_none_or(|name| !done.failed_links.contains(name));
        let leftovers = self.look(move |state| leftovers(state, gone)).await?;
        for subnet in leftovers.routes {
            if !failed.contains(&subnet) {
                outcome.note(self.forget_route(subnet).await)?;
            }
        }
        for endpoint in leftovers.endpoints {
            let container: ContainerId = endpoint.container;
            outcome.note(self.forget(container, vec![endpoint]).await)?;
        }
        for container in leftovers.containers {
            outcome.note(self.conclude(container).await)?;
        }
        let deserted = self.look(|state| {
            let deserted = state.containers().filter(|owner| state.is_deserted(owner));
            deserted.map(|owner| owner.id).collect::<Vec<_>>()
        });
        for owner in deserted.await? {
            outcome.note(self.end(owner, Ending::Deserted).await)?;
        }
        for network in leftovers.networks {
            outcome.note(self.forget_network(network).await)?;
        }
        Ok(())
    }

    async fn forget_network(&self, id: NetworkId) -> Result<(), EngineError> {
        let names = Arc::clone(&self.names);
        self.turns
            .take(move |ledger| {
                if ledger.state().count_on(id) == 0 {
                    ledger.commit(&[Change::RemoveNetwork(id)])?;
                    names.publish_network(ledger.state(), id);
                }
                Ok(())
            })
            .await?
    }

    /// Looks only whether every interface is there and in its place; the remedy is a whole pass.
    pub(super) async fn seems_right(&self) -> Result<bool, EngineError> {
        let expected = self.look(expected_links).await?;
        let seen = self
            .kernel(|kernel| kernel.observe(&KernelState::default()))
            .await?;
        let instance = self.instance;
        let right = self.look(move |state| {
            // What came or went while the kernel was asked is no fault.
            let wanted: BTreeSet<Mark> = expected_links(state)
                .into_iter()
                .map(|link| link.mark)
                .collect();
            let known: BTreeSet<Mark> = state
                .endpoints()
                .flat_map(|endpoint| links(endpoint, instance))
                .map(|(_, mark)| mark)
                .collect();
            let veths = seen.host.veths.values().map(|veth| veth.mark);
            let ifbs = seen.host.ifbs.values().map(|ifb| ifb.mark);
            let marks = veths.chain(ifbs).flatten();
            expected
                .iter()
                .all(|link| link.is_in(&seen) || !wanted.contains(&link.mark))
                && marks
                    .filter(|mark| mark.is_of(instance))
                    .all(|mark| known.contains(&mark))
        });
        right.await
    }
}

/// Says which firewall rules somebody else had changed.
pub(super) fn warn_of(drift: &[String]) {
    for sentence in drift {
        tracing::warn!("restored a firewall rule: {sentence}");
    }
}

/// A link that the records promise.
struct ExpectedLink {
    mark: Mark,
    name: IfName,
    place: Place,
}

/// What it is.
enum Place {
    Bridge,
    PortOf(IfName),
    Ifb,
}

impl ExpectedLink {
    fn is_in(&self, seen: &KernelState) -> bool {
        match &self.place {
            Place::PortOf(bridge) => seen.host.veths.get(&self.name).is_some_and(|veth| {
                veth.mark == Some(self.mark) && veth.up && veth.bridge.as_ref() == Some(bridge)
            }),
            Place::Bridge => seen
                .host
                .bridges
                .get(&self.name)
                .is_some_and(|there| there.mark == Some(self.mark) && there.up),
            Place::Ifb => seen
                .host
                .ifbs
                .get(&self.name)
                .is_some_and(|there| there.mark == Some(self.mark) && there.up),
        }
    }
}

fn expected_links(state: &State) -> Vec<ExpectedLink> {
    let instance = state.instance();
    let bridges = state
        .networks()
        .filter(|network| network.phase == Phase::Attached)
        .filter_map(|network| {
            let spec = network.bridge().filter(|spec| spec.owned)?;
            Some(ExpectedLink {
                mark: Mark::bridge(instance, network.id),
                name: spec.bridge.clone(),
                place: Place::Bridge,
            })
        });
    let veths = state
        .endpoints()
        .filter(|endpoint| state.stands(endpoint))
        .filter_map(|endpoint| {
            let bridge = &state.network(endpoint.network)?.bridge()?.bridge;
            let link = |(name, mark): (IfName, Mark)| ExpectedLink {
                place: match mark.purpose {
                    Purpose::Ifb(_) => Place::Ifb,
                    Purpose::Endpoint(_) | Purpose::Bridge(_) => Place::PortOf(bridge.clone()),
                },
                mark,
                name,
            };
            Some(
                links(endpoint, instance)
                    .into_iter()
                    .map(link)
                    .collect::<Vec<_>>(),
            )
        })
        .flatten();
    bridges.chain(veths).collect()
}

/// What flows, or a daemon before this one, left half-done.
struct Leftovers {
    endpoints: Vec<Arc<Endpoint>>,
    containers: Vec<ContainerId>,
    networks: Vec<NetworkId>,
    routes: Vec<Subnet>,
}

/// The leftovers whose interfaces are gone.
fn leftovers(state: &State, gone: impl Fn(Option<&IfName>) -> bool) -> Leftovers {
    let instance = state.instance();
    let all_gone = |endpoint: &Endpoint| {
        let mut links = links(endpoint, instance).into_iter();
        links.all(|(name, _)| gone(Some(&name)))
    };
    let endpoints = state
        .endpoints()
        .filter(|endpoint| !state.stands(endpoint) && all_gone(endpoint));
    let containers = state
        .containers()
        .filter(|container| !container.is_running() && !container.has_ended());
    let networks = state.networks().filter(|network| {
        network.phase != Phase::Attached && gone(network.bridge().map(|spec| &spec.bridge))
    });
    let routes = state
        .peer_routes()
        .filter(|route| route.phase != Phase::Attached);
    Leftovers {
        routes: routes.map(|route| route.subnet).collect(),
        endpoints: endpoints.cloned().collect(),
        containers: containers.map(|container| container.id).collect(),
        networks: networks.map(|network| network.id).collect(),
    }
}
