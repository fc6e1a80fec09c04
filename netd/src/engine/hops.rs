//! Routes that a container is to have besides the default route: each needs a next hop that its network reaches.
//!
//! Pure checks, made inside a ledger turn.

use std::net::IpAddr;

use netd_model::{Container, ContainerRoute, Lease, Network};

use super::EngineError;
use super::intent::not_connectable;

/// Refuses routes that the network could not carry.
///
/// # Errors
/// [`EngineError::NotConnectable`] with the first of them and why.
pub(super) fn check(
    (network, container): (&Network, &Container),
    leases: &[Lease],
    routes: &[ContainerRoute],
) -> Result<(), EngineError> {
    let refusal = routes.iter().find_map(|route| reason(leases, *route));
    match refusal {
        Some(reason) => Err(not_connectable(network, container, reason)),
        None => Ok(()),
    }
}

/// Why a route cannot be had, if it cannot.
fn reason(leases: &[Lease], route: ContainerRoute) -> Option<String> {
    let to = route.destination;
    let reaches = |hop: IpAddr| leases.iter().any(|lease| lease.pool.contains(hop));
    let has_family = leases
        .iter()
        .any(|lease| lease.address.is_ipv4() == to.is_ipv4());
    if to.prefix() == 0 {
        return Some(
            "the default route is netd's own and leads over the network's gateway; leave it out"
                .to_owned(),
        );
    }
    match route.gateway {
        Some(hop) if hop.is_ipv4() != to.is_ipv4() || !reaches(hop) => Some(format!(
            "the route to {to} leads over {hop}, which is no address of the network; give one that is"
        )),
        None if !has_family => Some(format!(
            "the route to {to} needs an address of its family, which the network does not have"
        )),
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_leads_over_an_address_of_the_network() {
        let leases = [Lease {
            pool: "10.9.0.0/24".parse().unwrap(),
            address: "10.9.0.5".parse().unwrap(),
            requested: false,
        }];
        let said = |destination: &str, gateway: Option<&str>| {
            let route = ContainerRoute {
                destination: destination.parse().unwrap(),
                gateway: gateway.map(|hop| hop.parse().unwrap()),
            };
            reason(&leases, route)
        };
        assert_eq!(said("10.0.0.0/8", None), None);
        assert_eq!(said("10.0.0.0/8", Some("10.9.0.7")), None);
        for (to, over) in [
            ("10.0.0.0/8", Some("10.8.0.7")),
            ("10.0.0.0/8", Some("fd00::1")),
            ("fd00::/8", None),
            ("fd00::/8", Some("10.9.0.7")),
            ("0.0.0.0/0", None),
        ] {
            assert!(said(to, over).is_some(), "{to} {over:?}");
        }
    }
}
