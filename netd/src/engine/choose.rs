//! Which addresses an endpoint gets: pure choices over the state, made inside a ledger turn.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netd_ipam::Wish as AddressWish;
use netd_model::{Container, IfName, Lease, NamespaceMode, Network};

use super::EngineError;
use super::attach::addresses;
use crate::state::State;

/// An address of each pool: the one asked for, else the one that this interface had last, or another of the container's
/// that has none now, else the next free one.
pub(super) fn leases(
    state: &State,
    (network, container): (&Network, &Container),
    inside: &IfName,
    asked: &[IpAddr],
) -> Result<Vec<Lease>, EngineError> {
    // A Docker engine keeps a book of its own, in which it has chosen before, in the families that it wants.
    let is_dockers = container.namespace == NamespaceMode::Docker;
    if !is_dockers {
        check_asked(network, asked)?;
    }
    let own = state.endpoints_between(container.id, network.id);
    let own: BTreeSet<IpAddr> = own.iter().flat_map(|other| addresses(other)).collect();
    let container = &container.name;
    let mut leases = Vec::new();
    for pool in state.pools(network.id) {
        let same_family = |address: &IpAddr| address.is_ipv4() == pool.subnet().is_ipv4();
        let requested = asked.iter().copied().find(same_family);
        if is_dockers && requested.is_none() && !asked.is_empty() {
            continue;
        }
        let had = || {
            let kept = state.reserved_for(network.id, container);
            let idle =
                kept.filter(|kept| same_family(&kept.address) && !own.contains(&kept.address));
            idle.min_by_key(|kept| kept.interface.as_ref() != Some(inside))
                .map(|kept| kept.address)
        };
        let wish = match (requested, had()) {
            (Some(address), _) if is_dockers => AddressWish::Held(address),
            (Some(address), _) => AddressWish::Exactly(address),
            (None, Some(address)) => AddressWish::Sticky(address),
            (None, None) => AddressWish::Any,
        };
        let address = pool
            .allocate(wish, container)
            .map_err(|source| EngineError::Address {
                network: network.name.clone(),
                source,
            })?;
        leases.push(Lease {
            pool: pool.subnet(),
            address,
            requested: requested.is_some(),
        });
    }
    Ok(leases)
}

fn check_asked(network: &Network, asked: &[IpAddr]) -> Result<(), EngineError> {
    let refuse = |address: IpAddr, reason| {
        Err(EngineError::AddressNotAllowed {
            address,
            network: network.name.clone(),
            reason,
        })
    };
    for (at, address) in asked.iter().enumerate() {
        if asked[..at]
            .iter()
            .any(|earlier| earlier.is_ipv4() == address.is_ipv4())
        {
            return refuse(*address, "one address of each family is enough");
        }
        if network.bridge().is_some_and(|spec| spec.is_default) {
            return refuse(
                *address,
                "the default network chooses itself; make one with `net create --subnet`",
            );
        }
        match network
            .pools
            .iter()
            .find(|pool| pool.subnet.is_ipv4() == address.is_ipv4())
        {
            None => return refuse(*address, "the network has no subnet of that family"),
            Some(pool) if !pool.subnet_given => {
                return refuse(
                    *address,
                    "its subnet was chosen by the daemon; make a network with `net create --subnet`",
                );
            }
            Some(_) => {}
        }
    }
    Ok(())
}
