//! Cards of the host on networks: joined, kept, and let go. A card is never deleted, and keeps what it has.

use std::collections::BTreeMap;
use std::sync::Arc;

use netd_api::UplinkRequest;
use netd_kernel::{HostLink, LinkKind};
use netd_model::desired::{HostState, KernelState, LinkChange, UplinkState};
use netd_model::{IfName, Network, NetworkId, Op, Phase, Uplink};

use super::{Engine, EngineError, WayError};
use crate::ledger::Ledger;
use crate::state::State;
use crate::store::Change;

/// What a request comes to.
enum Intent {
    /// The card is on that network.
    Already,
    /// It is written; the bridge to join.
    Fresh(Uplink, IfName),
}

impl Engine {
    /// Makes a card of the host a port of a network's bridge. The same again changes nothing.
    ///
    /// # Errors
    /// [`WayError::UplinkRefused`] says what is in the way, [`EngineError`] else what failed; the card is then as
    /// before.
    pub async fn add_uplink(
        &self,
        network: NetworkId,
        request: UplinkRequest,
    ) -> Result<(), EngineError> {
        let _house = self.house.read().await;
        let _ways = self.routes.lock().await;
        let _network = self.networks.shared(network).await;
        let links = self.kernel(|kernel| kernel.host_links()).await?;
        let intent = self
            .turns
            .take(move |ledger| intend(ledger, (network, &request), &links));
        let Intent::Fresh(uplink, bridge) = intent.await?? else {
            return Ok(());
        };
        if let Err(error) = self.establish_uplink(&uplink, bridge).await {
            if let Err(undo) = self.unmake_uplink(&uplink).await {
                tracing::warn!(device = %uplink.device, error = %undo.sentence(), "undoing waits for the next reconcile");
            }
            return Err(error);
        }
        self.tell_uplink("uplink", &uplink).await
    }

    async fn establish_uplink(&self, uplink: &Uplink, bridge: IfName) -> Result<(), EngineError> {
        let join = Op::SetLink {
            name: uplink.device.clone(),
            change: LinkChange {
                bridge: Some(Some(bridge)),
                up: Some(true),
                ..LinkChange::default()
            },
        };
        self.apply(vec![join]).await?;
        let established = Uplink {
            phase: Phase::Attached,
            ..uplink.clone()
        };
        let committed = self
            .turns
            .take(move |ledger| ledger.commit(&[Change::PutUplink(established)]));
        Ok(committed.await??)
    }

    /// Takes a card off a network.
    ///
    /// # Errors
    /// [`WayError::NotAnUplink`], or what could not be undone.
    pub async fn remove_uplink(
        &self,
        network: NetworkId,
        device: IfName,
    ) -> Result<(), EngineError> {
        let _house = self.house.read().await;
        let _ways = self.routes.lock().await;
        let _network = self.networks.shared(network).await;
        let known = self.look(move |state| known(state, network, device));
        let uplink = known.await??;
        self.unmake_uplink(&uplink).await?;
        self.tell_uplink("uplink-remove", &uplink).await
    }

    async fn tell_uplink(&self, action: &str, uplink: &Uplink) -> Result<(), EngineError> {
        let id = uplink.network;
        let name =
            self.look(move |state| state.network(id).map(|network| network.name.to_string()));
        let subject = (id.to_string(), name.await?.unwrap_or_default());
        let facts = [("device", uplink.device.to_string())];
        self.events.tell("network", action, subject, &facts);
        Ok(())
    }

    async fn unmake_uplink(&self, uplink: &Uplink) -> Result<(), EngineError> {
        let leaving = Uplink {
            phase: Phase::Detaching,
            ..uplink.clone()
        };
        let steps = async {
            let written = self
                .turns
                .take(move |ledger| ledger.commit(&[Change::PutUplink(leaving)]));
            written.await??;
            self.let_go(uplink).await
        };
        steps.await.inspect_err(|_| self.leftovers.notify_one())
    }

    /// Takes a card off its network's bridge, if it is on that one, and forgets it.
    async fn let_go(&self, uplink: &Uplink) -> Result<(), EngineError> {
        let id = uplink.network;
        let bridge = self.look(move |state| state.network(id).and_then(bridge_of));
        let bridge = bridge.await?;
        let links = self.kernel(|kernel| kernel.host_links()).await?;
        let link = links.iter().find(|link| link.name == uplink.device);
        // Whatever else holds it has got it from somebody else.
        if link.is_some_and(|link| link.holder.is_some() && link.holder == bridge) {
            let leave = Op::SetLink {
                name: uplink.device.clone(),
                change: LinkChange {
                    bridge: Some(None),
                    ..LinkChange::default()
                },
            };
            self.apply(vec![leave]).await?;
        }
        let device = uplink.device.clone();
        let forgotten = self
            .turns
            .take(move |ledger| ledger.commit(&[Change::RemoveUplink(device)]));
        Ok(forgotten.await??)
    }

    /// Lets go of the cards that were on their way onto a network or off it. The caller is alone in the house.
    pub(super) async fn let_leftovers_go(&self) -> Result<(), EngineError> {
        let leftovers = self.look(|state| {
            let half = state.uplinks().filter(|one| one.phase != Phase::Attached);
            half.cloned().collect::<Vec<_>>()
        });
        for uplink in leftovers.await? {
            self.let_go(&uplink).await?;
        }
        Ok(())
    }

    /// What keeps cards from their networks, each a sentence, and whether a reconcile can do something about any.
    async fn look_at_uplinks(&self) -> Result<(Vec<String>, bool), EngineError> {
        let wanted = self.look(|state| promised(state).collect::<BTreeMap<_, _>>());
        let wanted = wanted.await?;
        if wanted.is_empty() {
            return Ok((Vec::new(), false));
        }
        let about = KernelState {
            host: HostState {
                uplinks: wanted.clone(),
                ..HostState::default()
            },
            ..KernelState::default()
        };
        let seen = self.kernel(move |kernel| kernel.observe(&about)).await?;
        let (mut faults, mut can_help) = (Vec::new(), false);
        for (device, wish) in wanted {
            let bridge = wish.holder.as_ref().map_or("its bridge", IfName::as_str);
            match seen.host.uplinks.get(&device) {
                None => faults.push(format!(
                    "uplink {device} of {bridge} is not there; it joins again when it is"
                )),
                Some(there) if *there == wish => {}
                Some(UplinkState {
                    holder: Some(other),
                    ..
                }) if wish.holder.as_ref() != Some(other) => {
                    faults.push(format!(
                        "uplink {device} of {bridge} is a port of {other} now; `ip link set {device} nomaster` lets it return"
                    ));
                }
                Some(_) => can_help = true,
            }
        }
        Ok((faults, can_help))
    }

    /// Looks only whether every card is where it belongs, or known not to be; the remedy is a whole pass.
    pub(super) async fn uplinks_seem_right(&self) -> Result<bool, EngineError> {
        let (faults, can_help) = self.look_at_uplinks().await?;
        let known = self.problems();
        let is_uplink = |problem: &&String| problem.starts_with("uplink ");
        Ok(!can_help && known.iter().filter(is_uplink).eq(faults.iter()))
    }

    /// What keeps cards from their networks although everything was tried.
    pub(super) async fn missing_uplinks(&self) -> Result<Vec<String>, EngineError> {
        Ok(self.look_at_uplinks().await?.0)
    }
}

fn bridge_of(network: &Arc<Network>) -> Option<IfName> {
    network.bridge().map(|spec| spec.bridge.clone())
}

/// The cards that were acknowledged, as the kernel has them.
pub(super) fn promised(state: &State) -> impl Iterator<Item = (IfName, UplinkState)> + '_ {
    let attached = state.uplinks().filter(|one| one.phase == Phase::Attached);
    attached.filter_map(|uplink| {
        let bridge = bridge_of(state.network(uplink.network)?)?;
        let holder = Some(bridge);
        Some((uplink.device.clone(), UplinkState { holder, up: true }))
    })
}

fn known(state: &State, network: NetworkId, device: IfName) -> Result<Arc<Uplink>, EngineError> {
    let Some(record) = state.network(network) else {
        return Err(EngineError::NetworkNotFound(network.short()));
    };
    let uplink = state.uplink(&device).filter(|one| one.network == network);
    let uplink = uplink.cloned().ok_or_else(|| WayError::NotAnUplink {
        device: device.clone(),
        network: record.name.clone(),
    });
    Ok(uplink?)
}

fn intend(
    ledger: &mut Ledger,
    (id, request): (NetworkId, &UplinkRequest),
    links: &[HostLink],
) -> Result<Intent, EngineError> {
    let state = ledger.state();
    let device = &request.device;
    let network = match state.network(id) {
        Some(network) if network.phase == Phase::Attached => network,
        _ => return Err(EngineError::NetworkNotFound(id.short())),
    };
    let refuse = |reason| {
        Err(EngineError::from(WayError::UplinkRefused {
            device: device.clone(),
            network: network.name.clone(),
            reason,
        }))
    };
    let bridge = match bridge_of(network) {
        None => return refuse(format!("{} is no bridge network", network.name)),
        Some(_) if network.policy.internal => {
            return refuse(format!(
                "{} is internal, closed to everything else; create a network without --internal",
                network.name
            ));
        }
        Some(bridge) => bridge,
    };
    match state.uplink(device) {
        Some(one) if one.network == id && one.phase == Phase::Attached => {
            return Ok(Intent::Already);
        }
        Some(one) => {
            let other = state.network(one.network);
            let other = other.map_or_else(|| one.network.short(), |other| other.name.to_string());
            return refuse(format!(
                "it is an uplink of network {other}; take it off with `net uplink --rm {other} {device}`"
            ));
        }
        None => {}
    }
    if let Some(reason) = unfit(request, &bridge, links) {
        return refuse(reason);
    }
    let uplink = Uplink {
        device: device.clone(),
        network: id,
        phase: Phase::Attaching,
    };
    ledger.commit(&[Change::PutUplink(uplink.clone())])?;
    Ok(Intent::Fresh(uplink, bridge))
}

/// Why a card cannot be a port of the bridge, and what to do.
fn unfit(request: &UplinkRequest, bridge: &IfName, links: &[HostLink]) -> Option<String> {
    let device = &request.device;
    let Some(link) = links.iter().find(|link| link.name == *device) else {
        return Some(format!("there is no such device; {}", cards(links)));
    };
    if let Some(mark) = link.mark {
        return Some(format!("it is netd's own ({mark}); {}", cards(links)));
    }
    match link.kind {
        LinkKind::Loopback => {
            return Some(format!("it is the loopback interface; {}", cards(links)));
        }
        LinkKind::Bridge => {
            return Some(
                "it is a bridge, and a bridge is no port of another; give a card that leads out"
                    .to_owned(),
            );
        }
        LinkKind::Veth | LinkKind::Other => {}
    }
    if let Some(holder) = link.holder.as_ref().filter(|holder| *holder != bridge) {
        return Some(format!(
            "it is a port of {holder}; take it off with `ip link set {device} nomaster`, or give {holder} itself if that is a bond"
        ));
    }
    if request.force {
        return None;
    }
    if link.has_default_route {
        return Some("it carries the host's default route, and the host would be cut off: a port of a bridge receives nothing for itself; give another card, or --force if the host has another way".to_owned());
    }
    if link.addresses.is_empty() {
        return None;
    }
    let addresses: Vec<String> = link.addresses.iter().map(ToString::to_string).collect();
    Some(format!(
        "it has {}, which stop working: a port of a bridge receives nothing for itself; remove them with `ip address flush dev {device}`, or give --force",
        addresses.join(", ")
    ))
}

/// What could be given instead.
fn cards(links: &[HostLink]) -> String {
    let is_card = |link: &&HostLink| {
        let inner = matches!(link.kind, LinkKind::Loopback | LinkKind::Bridge);
        !inner && link.mark.is_none() && link.holder.is_none()
    };
    let names: Vec<&str> = links
        .iter()
        .filter(is_card)
        .map(|link| link.name.as_str())
        .collect();
    match names.is_empty() {
        true => "this host has no card that is free".to_owned(),
        false => format!("this host has {}", names.join(", ")),
    }
}
