//! Routes to containers of other hosts: set, kept, and removed.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use netd_api::RouteRequest;
use netd_ipam::Used;
use netd_kernel::{HostLink, LinkKind};
use netd_model::desired::{FlowFilter, KernelState, RouteState};
use netd_model::ruleset::{PeerRules, RulesetChange};
use netd_model::{IfName, Network, NetworkId, Op, PeerRoute, Phase, Subnet};

use super::pools::used_subnets;
use super::{Engine, EngineError, WayError};
use crate::ledger::Ledger;
use crate::state::State;
use crate::store::Change;

/// What the kernel says of the host's surroundings.
struct Surroundings {
    links: Vec<HostLink>,
    routed: Vec<(Subnet, IfName)>,
}

/// What a request comes to.
enum Intent {
    /// That route stands.
    Already(Arc<PeerRoute>),
    /// It is written.
    Fresh(PeerRoute),
}

impl Engine {
    /// Lets containers of this host and of another talk: a route, the firewall's leave, and their own addresses on both
    /// sides. The same again changes nothing.
    ///
    /// # Errors
    /// [`WayError::RouteRefused`] or [`WayError::RouteExists`] says what is in the way, [`EngineError`] else what
    /// failed; nothing is left then.
    pub async fn add_route(&self, request: RouteRequest) -> Result<Arc<PeerRoute>, EngineError> {
        let _house = self.house.read().await;
        let _routes = self.routes.lock().await;
        let mut networks = BTreeSet::new();
        for word in &request.networks {
            networks.insert(self.find_network(word).await?.id);
        }
        let mut lanes = Vec::new();
        for id in &networks {
            lanes.push(self.networks.shared(*id).await);
        }
        let surroundings = self.kernel(|kernel| {
            Ok::<_, EngineError>(Surroundings {
                links: kernel.host_links()?,
                routed: kernel.routed_subnets()?,
            })
        });
        let surroundings = surroundings.await?;
        let intent = self
            .turns
            .take(move |ledger| intend(ledger, (&request, networks), &surroundings));
        let route = match intent.await?? {
            Intent::Already(route) => return Ok(route),
            Intent::Fresh(route) => route,
        };
        let route = match self.establish_route(&route).await {
            Ok(route) => route,
            Err(error) => {
                if let Err(undo) = self.unmake_route(&route).await {
                    tracing::warn!(subnet = %route.subnet, error = %undo.sentence(), "undoing waits for the next reconcile");
                }
                return Err(error);
            }
        };
        self.tell_route("add", &route);
        Ok(route)
    }

    /// Filter first, then the route; flows that went another way, or under another address, begin anew.
    async fn establish_route(&self, route: &PeerRoute) -> Result<Arc<PeerRoute>, EngineError> {
        let rules = RulesetChange::PutPeer(route.subnet, PeerRules::of(route));
        self.rules.change(vec![rules]).await?;
        let add = Op::AddRoute {
            netns: None,
            route: way(route),
        };
        self.apply(vec![add]).await?;
        self.forget_flows(vec![FlowFilter::OfSubnet(route.subnet)])
            .await;
        let established = PeerRoute {
            phase: Phase::Attached,
            ..route.clone()
        };
        let committed = self.turns.take(move |ledger| {
            ledger.commit(&[Change::PutRoute(established.clone())])?;
            Ok::<_, EngineError>(Arc::new(established))
        });
        committed.await?
    }

    /// Removes a route, and ends the flows that went by it.
    ///
    /// # Errors
    /// [`WayError::RouteNotFound`], or what could not be undone.
    pub async fn remove_route(&self, subnet: Subnet) -> Result<(), EngineError> {
        let _house = self.house.read().await;
        let _routes = self.routes.lock().await;
        let known = self.look(move |state| state.peer_route(subnet).cloned());
        let Some(route) = known.await? else {
            return Err(WayError::RouteNotFound(subnet).into());
        };
        self.unmake_route(&route).await?;
        self.tell_route("remove", &route);
        Ok(())
    }

    async fn unmake_route(&self, route: &PeerRoute) -> Result<(), EngineError> {
        self.unmake_route_steps(route)
            .await
            .inspect_err(|_| self.leftovers.notify_one())
    }

    async fn unmake_route_steps(&self, route: &PeerRoute) -> Result<(), EngineError> {
        let subnet = route.subnet;
        let leaving = PeerRoute {
            phase: Phase::Detaching,
            ..route.clone()
        };
        let written = self
            .turns
            .take(move |ledger| ledger.commit(&[Change::PutRoute(leaving)]));
        written.await??;
        let remove = Op::RemoveRoute {
            netns: None,
            route: way(route),
        };
        self.apply(vec![remove]).await?;
        self.rules
            .change(vec![RulesetChange::RemovePeer(subnet)])
            .await?;
        self.forget_flows(vec![FlowFilter::OfSubnet(subnet)]).await;
        self.forget_route(subnet).await
    }

    /// Forgets a route of which nothing stands any more.
    pub(super) async fn forget_route(&self, subnet: Subnet) -> Result<(), EngineError> {
        let forgotten = self
            .turns
            .take(move |ledger| ledger.commit(&[Change::RemoveRoute(subnet)]));
        Ok(forgotten.await??)
    }

    fn tell_route(&self, action: &str, route: &PeerRoute) {
        let subject = (route.subnet.to_string(), route.subnet.to_string());
        let facts = [("gateway", route.gateway.to_string())];
        self.events.tell("route", action, subject, &facts);
    }

    /// Looks only whether every route that was promised is there; the remedy is a whole pass.
    pub(super) async fn routes_seem_right(&self) -> Result<bool, EngineError> {
        let wanted = self.look(|state| promised(state).collect::<BTreeSet<_>>());
        let wanted = wanted.await?;
        if wanted.is_empty() {
            return Ok(true);
        }
        let seen = self.kernel(|kernel| kernel.observe(&KernelState::default()));
        Ok(wanted == seen.await?.host.routes)
    }

    /// Writes down by which links the gateways are reached now. The caller is alone in the house.
    pub(super) async fn follow_gateways(&self) -> Result<(), EngineError> {
        let routes = self.look(|state| state.peer_routes().cloned().collect::<Vec<_>>());
        let routes = routes.await?;
        if routes.is_empty() {
            return Ok(());
        }
        let links = self.kernel(|kernel| kernel.host_links()).await?;
        let moved = routes.iter().filter_map(|route| {
            let link = links.iter().find(|link| link.leads_to(route.gateway))?;
            let moved = PeerRoute {
                device: link.name.clone(),
                ..PeerRoute::clone(route)
            };
            (link.name != route.device).then_some(Change::PutRoute(moved))
        });
        let moved: Vec<Change> = moved.collect();
        let written = self.turns.take(move |ledger| ledger.commit(&moved));
        Ok(written.await??)
    }
}

/// The route as the kernel has it.
fn way(route: &PeerRoute) -> RouteState {
    RouteState {
        destination: route.subnet,
        gateway: route.gateway,
        interface: None,
    }
}

/// The routes that were acknowledged, as the kernel has them.
pub(super) fn promised(state: &State) -> impl Iterator<Item = RouteState> + '_ {
    standing(state).map(|route| way(route))
}

/// The routes that were acknowledged.
pub(super) fn standing(state: &State) -> impl Iterator<Item = &Arc<PeerRoute>> {
    let routes = state.peer_routes();
    routes.filter(|route| route.phase == Phase::Attached)
}

/// A network that a route names stays: without it the route would be for nobody, or for all.
pub(super) fn check_unnamed(state: &State, network: &Network) -> Result<(), EngineError> {
    let routes = state.peer_routes_naming(network.id);
    let subnets: Vec<Subnet> = routes.map(|route| route.subnet).collect();
    if subnets.is_empty() {
        return Ok(());
    }
    let named = WayError::RoutedFor {
        network: network.name.clone(),
        subnets,
    };
    Err(named.into())
}

fn intend(
    ledger: &mut Ledger,
    (request, networks): (&RouteRequest, BTreeSet<NetworkId>),
    surroundings: &Surroundings,
) -> Result<Intent, EngineError> {
    let state = ledger.state();
    let (subnet, gateway) = (request.subnet, request.gateway);
    let refuse = |reason| Err(EngineError::from(WayError::RouteRefused { subnet, reason }));
    if let Some(reason) = unfit_subnet(subnet, gateway).or_else(|| unfit(state, &networks)) {
        return refuse(reason);
    }
    let route = |device: &IfName| PeerRoute {
        subnet,
        gateway,
        device: device.clone(),
        networks: (!networks.is_empty()).then(|| networks.clone()),
        masquerade: request.masquerade,
        phase: Phase::Attaching,
    };
    if let Some(standing) = state.peer_route(subnet) {
        let same = standing.says_the_same(&route(&standing.device));
        return match same && standing.phase == Phase::Attached {
            true => Ok(Intent::Already(Arc::clone(standing))),
            false => Err(EngineError::from(WayError::RouteExists {
                subnet,
                gateway: standing.gateway,
                masquerade: if standing.masquerade {
                    " --masquerade"
                } else {
                    ""
                },
                networks: named(state, standing),
            })),
        };
    }
    if let Some(Used { subnet: other, by }) = in_the_way(state, subnet, &surroundings.routed) {
        return Err(WayError::RouteOverlap { subnet, other, by }.into());
    }
    if subnet.contains(gateway) {
        return refuse(format!(
            "its gateway {gateway} lies in it; a gateway is a host on this side"
        ));
    }
    let crosses =
        |other: &&Arc<PeerRoute>| other.subnet.contains(gateway) || subnet.contains(other.gateway);
    if let Some(other) = state.peer_routes().find(crosses) {
        return refuse(format!(
            "of it and the route to {} via {} one has its gateway in the other's subnet; a gateway is a host on this side",
            other.subnet, other.gateway
        ));
    }
    match link_to(state, gateway, &surroundings.links) {
        Ok(link) => {
            let route = route(&link.name);
            ledger.commit(&[Change::PutRoute(route.clone())])?;
            Ok(Intent::Fresh(route))
        }
        Err(reason) => refuse(reason),
    }
}

/// ` --network N` for each network that a route names.
fn named(state: &State, route: &PeerRoute) -> String {
    let networks = route.networks.iter().flatten();
    let names = networks.filter_map(|id| state.network(*id));
    names
        .map(|network| format!(" --network {}", network.name))
        .collect()
}

/// Why no route leads to such a subnet, or not by such a gateway.
fn unfit_subnet(subnet: Subnet, gateway: IpAddr) -> Option<String> {
    let family = |is_ipv4| if is_ipv4 { "IPv4" } else { "IPv6" };
    let (of_subnet, of_gateway) = (family(subnet.is_ipv4()), family(gateway.is_ipv4()));
    if subnet.prefix() == 0 {
        return Some("that is the default route, which is the host's own; give the subnet of the other host's containers".to_owned());
    }
    if of_subnet != of_gateway {
        return Some(format!(
            "it is of {of_subnet} and its gateway {gateway} of {of_gateway}; give one of the same family"
        ));
    }
    let (first, last) = (subnet.first(), subnet.last());
    let is_odd = |address: IpAddr| {
        let is_mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
        is_mapped || address.is_loopback() || address.is_multicast() || address.is_unspecified()
    };
    (is_odd(first) || is_odd(last)).then(|| "no container has such addresses".to_owned())
}

/// Why a route cannot be for one of these networks.
fn unfit(state: &State, networks: &BTreeSet<NetworkId>) -> Option<String> {
    networks.iter().find_map(|id| {
        let Some(network) = state
            .network(*id)
            .filter(|one| one.phase == Phase::Attached)
        else {
            return Some(format!("network {} is gone", id.short()));
        };
        let name = &network.name;
        match network.bridge() {
            None => Some(format!(
                "{name} is no bridge network, so no route is for it"
            )),
            Some(_) if network.policy.internal => Some(format!(
                "{name} is internal, closed to everything else; leave it out"
            )),
            Some(_) => None,
        }
    })
}

/// Whose subnet this one would take away.
fn in_the_way(state: &State, subnet: Subnet, routed: &[(Subnet, IfName)]) -> Option<Used> {
    let used = used_subnets(state, routed, None);
    used.into_iter().find(|used| used.subnet.overlaps(subnet))
}

/// The link that has the gateway as a neighbour, or why none will do.
fn link_to<'a>(
    state: &State,
    gateway: IpAddr,
    links: &'a [HostLink],
) -> Result<&'a HostLink, String> {
    let is_own = |own: &netd_model::IpNetwork| own.ip() == gateway;
    if let Some(link) = links.iter().find(|link| link.addresses.iter().any(is_own)) {
        let name = &link.name;
        return Err(format!(
            "its gateway {gateway} is this host's own address on {name}; give the other host's"
        ));
    }
    let network_of = |link: &HostLink| {
        let serves = |bridge: Option<&IfName>| bridge == Some(&link.name);
        let mut networks = state.networks();
        networks.find(|network| serves(network.bridge().map(|spec| &spec.bridge)))
    };
    let near = links.iter().find(|link| link.leads_to(gateway));
    match near.map(|link| (link, network_of(link))) {
        Some((link, None)) => Ok(link),
        Some((link, Some(network))) => Err(format!(
            "its gateway {gateway} is on {}, the bridge of network {}; a gateway is a host on another link",
            link.name, network.name
        )),
        None => {
            let usable = |link: &&HostLink| {
                link.up && link.kind != LinkKind::Loopback && network_of(link).is_none()
            };
            let has: Vec<String> = links
                .iter()
                .filter(usable)
                .flat_map(|link| {
                    let of_family =
                        |own: &&netd_model::IpNetwork| own.is_ipv4() == gateway.is_ipv4();
                    let addresses = link.addresses.iter().filter(of_family);
                    addresses.map(|own| format!("{own} on {}", link.name))
                })
                .collect();
            let has = match has.is_empty() {
                true => "no address of that family".to_owned(),
                false => has.join(", "),
            };
            Err(format!(
                "its gateway {gateway} is no neighbour on any link of this host, which has {has}; give one that is"
            ))
        }
    }
}
