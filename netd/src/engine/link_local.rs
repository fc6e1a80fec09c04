//! Which link-local addresses an endpoint may have: pure decisions over the state, made inside a ledger turn.
//!
//! They come from no pool, so nobody leases them: who has one is seen from the records of the network. An address of that
//! kind means something on its own network only, and another network may have it as well.

use netd_drivers::bridge_mac;
use netd_model::{Endpoint, LinkLocal, Mac, Network};

use super::EngineError;
use super::plan::has_ipv6;
use crate::state::State;

/// Checks the link-local addresses that an interface of Ethernet address `mac` is to have on a network.
///
/// # Errors
/// [`EngineError`] names the address, and who has it already.
pub(super) fn check(
    state: &State,
    network: &Network,
    mac: Mac,
    asked: &[LinkLocal],
) -> Result<(), EngineError> {
    let refuse = |address: LinkLocal, reason| {
        Err(EngineError::AddressNotAllowed {
            address: address.address(),
            network: network.name.clone(),
            reason,
        })
    };
    for (at, address) in asked.iter().enumerate() {
        if asked[..at].contains(address) {
            return refuse(*address, "it is asked for twice");
        }
        if address.address().is_ipv6() && !has_ipv6(network) {
            return refuse(
                *address,
                "the network has no IPv6; make one with `net create --ipv6`",
            );
        }
    }
    // What the kernel will give it may be another's by request; two of one Ethernet address there are not.
    let own = own_of(network, mac);
    let own = own.and_then(|own| Some((own, named(state, network, own)?)));
    let mut asked = asked.iter();
    let taken = asked.find_map(|address| Some((*address, holder(state, network, *address)?)));
    match taken.or(own) {
        Some((address, holder)) => Err(EngineError::LinkLocalTaken {
            address,
            network: network.name.clone(),
            holder,
        }),
        None => Ok(()),
    }
}

/// The address that the kernel gives an interface on a network with IPv6.
fn own_of(network: &Network, mac: Mac) -> Option<LinkLocal> {
    LinkLocal::of_mac(mac).filter(|_| has_ipv6(network))
}

fn holder(state: &State, network: &Network, address: LinkLocal) -> Option<String> {
    let spec = network.bridge().filter(|spec| spec.owned);
    if let Some(spec) = spec.filter(|_| own_of(network, bridge_mac(network.id)) == Some(address)) {
        return Some(format!("bridge {}", spec.bridge));
    }
    let by_mac = |endpoint: &Endpoint| {
        let mac = endpoint.interface.as_ref().map(|interface| interface.mac);
        mac.is_some_and(|mac| own_of(network, mac) == Some(address))
    };
    named(state, network, address).or_else(|| container_with(state, network, by_mac))
}

/// Who asked for it.
fn named(state: &State, network: &Network, address: LinkLocal) -> Option<String> {
    let asked_for = |endpoint: &Endpoint| endpoint.link_local.contains(&address);
    container_with(state, network, asked_for)
}

fn container_with(
    state: &State,
    network: &Network,
    has_it: impl Fn(&Endpoint) -> bool,
) -> Option<String> {
    let endpoints = state.endpoints_on(network.id);
    let holder = endpoints.into_iter().find(|endpoint| has_it(endpoint))?;
    let container = state.container(holder.container)?;
    Some(format!("container {}", container.name))
}
