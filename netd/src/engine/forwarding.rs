//! Whether the host forwards packets, and whether it was netd who turned that on: then strangers are not forwarded.
//!
//! What is turned on is remembered before it is done, with the boot and namespace that it holds for.

use netd_kernel::Kernel;
use netd_model::Network;
use netd_model::desired::KernelState;
use netd_model::diff::diff;
use netd_model::ruleset::RulesetChange;

use super::plan::{HostWish, has_ipv6};
use super::{Engine, EngineError};
use crate::config::Settings;
use crate::ledger::Ledger;
use crate::store::Change;

/// What the settings ask of the host. Remembers what will be turned on.
pub(super) fn wish(
    ledger: &mut Ledger,
    kernel: &dyn Kernel,
    settings: &Settings,
) -> Result<HostWish, EngineError> {
    let place = format!("{} {}", kernel.boot_id()?, kernel.own_netns());
    if settings.ip_forward {
        note_ipv4(ledger, kernel, &place)?;
    }
    Ok(HostWish::new(settings, place))
}

fn note_ipv4(ledger: &mut Ledger, kernel: &dyn Kernel, place: &str) -> Result<(), EngineError> {
    if ledger.state().forwarding_turned_on() != Some(place) && !kernel.forwards_ipv4()? {
        ledger.commit(&[Change::ForwardingTurnedOn(place.to_owned())])?;
    }
    Ok(())
}

/// Does the same at a start for IPv6, if a network has it: only then is it turned on.
pub(super) fn wish_ipv6(
    ledger: &mut Ledger,
    kernel: &dyn Kernel,
    host: &HostWish,
) -> Result<(), EngineError> {
    let needed = ledger.state().networks().any(|network| has_ipv6(network));
    if !host.forward || !needed || kernel.forwards_ipv6()? {
        return Ok(());
    }
    note_ipv6(ledger, host)?;
    keep_advertisements(kernel)
}

fn note_ipv6(ledger: &mut Ledger, host: &HostWish) -> Result<(), EngineError> {
    if ledger.state().ipv6_forwarding_turned_on() != Some(host.place.as_str()) {
        ledger.commit(&[Change::Ipv6ForwardingTurnedOn(host.place.clone())])?;
    }
    Ok(())
}

/// The host goes on to heed the advertisements of its routers.
fn keep_advertisements(kernel: &dyn Kernel) -> Result<(), EngineError> {
    let kept = kernel.keep_router_advertisements()?;
    if !kept.is_empty() {
        let names: Vec<String> = kept.iter().map(ToString::to_string).collect();
        tracing::info!(
            interfaces = names.join(" "),
            "accept_ra is 2 now: the host forwards IPv6 and goes on to heed its routers"
        );
    }
    Ok(())
}

impl Engine {
    /// Before the first network with IPv6: the host forwards it, and drops what strangers send, from then on.
    pub(super) async fn see_to_ipv6_forwarding(
        &self,
        network: &Network,
    ) -> Result<(), EngineError> {
        if !has_ipv6(network) || !self.host.forward {
            return Ok(());
        }
        if self.kernel(|kernel| kernel.forwards_ipv6()).await? {
            return Ok(());
        }
        let host = self.host.clone();
        let rules = self.turns.take(move |ledger| {
            note_ipv6(ledger, &host)?;
            Ok::<_, EngineError>(host.rules(ledger.state()))
        });
        let rules = rules.await??;
        self.kernel(keep_advertisements).await?;
        self.rules
            .change(vec![RulesetChange::SetHost(rules)])
            .await?;
        let ops = diff(
            &KernelState {
                host: self.host.links(true),
                ..KernelState::default()
            },
            &KernelState::default(),
            self.instance,
        );
        self.apply(ops).await
    }
}
