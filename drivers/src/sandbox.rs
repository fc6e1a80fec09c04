//! One container on all its networks: interfaces, the default route that wins, parameters, the resolver.
//!
//! Must not know how a driver wires an endpoint.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netd_model::container::Phase;
use netd_model::desired::{KernelState, RouteState, SandboxState, Sysctl};
use netd_model::network::BridgeSpec;
use netd_model::{
    ContainerRoute, DriverSpec, Endpoint, IfName, InstanceId, IpNetwork, Lease, Network, NetworkId,
    NetworkName, Sandbox, Subnet,
};

use crate::bridge;
use crate::plan::PlanError;

/// One endpoint with its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment<'a> {
    /// The network.
    pub network: &'a Network,
    /// The endpoint, which is on it.
    pub endpoint: &'a Endpoint,
}

/// Whether the daemon answers names inside sandboxes at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResolverWish {
    /// It does, on networks that have names.
    Embedded,
    /// Containers ask the host's resolvers themselves.
    Off,
}

/// What a container wants of its own namespace and of the host. Endpoints that are to be gone want nothing.
///
/// # Errors
/// [`PlanError`] when the records do not fit together.
pub fn plan_sandbox(
    sandbox: &Sandbox,
    attachments: &[Attachment<'_>],
    instance: InstanceId,
    resolver: ResolverWish,
) -> Result<KernelState, PlanError> {
    let wired = wired(attachments)?;
    let mut plan = KernelState::default();
    let mut inside = SandboxState {
        loopback_up: true,
        ..SandboxState::default()
    };
    let mut names: BTreeMap<(Side, IfName), &NetworkName> = BTreeMap::new();
    for (attachment, spec) in &wired {
        let wire = bridge::plan_endpoint(attachment, spec, sandbox.netns, instance)?;
        let name = &attachment.network.name;
        let ends = [
            (Side::Inside, &wire.interface.inside),
            (Side::Outside, &wire.interface.outside),
        ];
        for (side, end) in ends {
            if let Some(first) = names.insert((side, end.clone()), name) {
                return Err(PlanError::InterfaceTwice {
                    name: end.clone(),
                    first: first.clone(),
                    second: name.clone(),
                });
            }
        }
        plan.host.veths.insert(wire.interface.outside, wire.outside);
        plan.host.ifbs.extend(wire.ifb);
        inside.interfaces.insert(wire.interface.inside, wire.inside);
    }
    inside.routes.extend(default_route(&wired, Family::V4));
    inside.routes.extend(default_route(&wired, Family::V6));
    for (attachment, spec) in &wired {
        inside.routes.extend(own_routes(attachment, spec));
    }
    inside.sysctls = sysctls(&inside);
    inside.sysctls.extend(manners(&wired));
    for (attachment, _) in &wired {
        // After netd's own: what a user says of an interface goes before.
        let endpoint = attachment.endpoint;
        if let Some(interface) = &endpoint.interface {
            let own = endpoint.sysctls.iter().map(|sysctl| {
                let key = Sysctl::of_user(sysctl, &interface.inside);
                (key, sysctl.value.to_string())
            });
            for (key, value) in own {
                // A map keeps the key that it has, which would be netd's own.
                inside.sysctls.remove(&key);
                inside.sysctls.insert(key, value);
            }
        }
    }
    let has_names = wired.iter().any(|(_, spec)| !spec.is_default);
    if has_names && resolver == ResolverWish::Embedded {
        inside.dns_redirect = sandbox.dns_port;
    }
    plan.sandboxes.insert(sandbox.netns, inside);
    Ok(plan)
}

/// The attachments that have interfaces, with the options of their networks.
pub(crate) fn wired<'a>(
    attachments: &[Attachment<'a>],
) -> Result<Vec<(Attachment<'a>, &'a BridgeSpec)>, PlanError> {
    let mut wired = Vec::new();
    for attachment in attachments {
        let Attachment { network, endpoint } = *attachment;
        if endpoint.network != network.id {
            return Err(PlanError::WrongNetwork {
                endpoint: endpoint.id,
                network: network.name.clone(),
            });
        }
        match &network.driver {
            DriverSpec::Bridge(spec) if endpoint.phase != Phase::Detaching => {
                wired.push((*attachment, spec));
            }
            DriverSpec::Bridge(_)
            | DriverSpec::Host
            | DriverSpec::Null
            | DriverSpec::Template(_) => {}
        }
    }
    Ok(wired)
}

/// Each end of a pair has its name in its own namespace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Inside,
    Outside,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

/// The default route: by the network with the highest priority, then by the lexically first name, as in Docker; of several
/// interfaces on that network by the one that came first. Internal networks lead nowhere.
fn default_route(wired: &[(Attachment<'_>, &BridgeSpec)], family: Family) -> Option<RouteState> {
    let everywhere = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let (gateway, interface) = wired
        .iter()
        .filter(|(Attachment { network, .. }, _)| !network.policy.internal)
        .filter_map(|(Attachment { network, endpoint }, spec)| {
            let lease = endpoint
                .leases
                .iter()
                .find(|lease| lease.address.is_ipv4() == everywhere.is_ipv4())?;
            let gateway = bridge::gateway_for(network, spec, lease)?;
            let place = (
                Reverse(endpoint.gateway_priority),
                &network.name,
                endpoint.rank,
            );
            Some((place, (gateway, &endpoint.interface)))
        })
        .min_by_key(|(place, _)| *place)
        .map(|(_, way)| way)?;
    Some(RouteState {
        destination: Subnet::new(everywhere, 0).ok()?,
        gateway,
        interface: interface.as_ref().map(|own| own.inside.clone()),
    })
}

/// The routes that an endpoint has besides. One without a next hop of its family leads nowhere and is left out: such a
/// one is refused when it is asked for.
fn own_routes(attachment: &Attachment<'_>, spec: &BridgeSpec) -> Vec<RouteState> {
    let Attachment { network, endpoint } = *attachment;
    let hop = |destination: Subnet| {
        let same = |lease: &&Lease| lease.address.is_ipv4() == destination.is_ipv4();
        bridge::gateway_for(network, spec, endpoint.leases.iter().find(same)?)
    };
    let route = |route: &ContainerRoute| {
        Some(RouteState {
            destination: route.destination,
            gateway: route.gateway.or_else(|| hop(route.destination))?,
            interface: endpoint.interface.as_ref().map(|own| own.inside.clone()),
        })
    };
    endpoint.routes.iter().filter_map(route).collect()
}

/// Turns IPv6 on exactly where there is an address of it: an interface that merely has it reaches its neighbours past
/// the IPv4 rules (CVE-2024-32473), and takes routes from whoever advertises them (CVE-2020-13401).
fn sysctls(inside: &SandboxState) -> BTreeMap<Sysctl, String> {
    let mut sysctls = BTreeMap::new();
    let mut set = |key, value: &str| {
        sysctls.insert(key, value.to_owned());
    };
    // Interfaces begin with the `default` values, so a new one is closed before anything else is said about it.
    set(Sysctl::global("ipv6/conf/default/disable_ipv6"), "1");
    set(Sysctl::global("ipv6/conf/default/accept_ra"), "0");
    // Writing `all` writes every interface (addrconf_disable_change() in net/ipv6/addrconf.c), those of others in the
    // namespace too, while what counts is each interface's own. So it is left as it is, and each of ours is told its own.
    let has_ipv6 = |addresses: &BTreeSet<IpNetwork>| addresses.iter().any(IpNetwork::is_ipv6);
    if inside
        .interfaces
        .values()
        .any(|state| has_ipv6(&state.addresses))
    {
        set(Sysctl::global("ipv6/conf/lo/disable_ipv6"), "0");
    }
    for (name, state) in &inside.interfaces {
        let own = |key| Sysctl::of_interface("ipv6", name, key);
        if has_ipv6(&state.addresses) {
            set(own("disable_ipv6"), "0");
            set(own("accept_ra"), "0");
            // Nobody else can have the addresses of the daemon's choice, and the link-local one follows from the MAC.
            set(own("accept_dad"), "0");
        } else {
            set(own("disable_ipv6"), "1");
        }
    }
    sysctls
}

/// What several interfaces on one network need, each of which the kernel would by itself speak of as of the others (weak
/// host model, RFC 1122 section 3.3.4.2). All of it is of IPv4: in IPv6 an interface answers for its own addresses only
/// (`ndisc_recv_ns`, net/ipv6/ndisc.c), and nothing is dropped by where it came from.
fn manners(wired: &[(Attachment<'_>, &BridgeSpec)]) -> BTreeMap<Sysctl, String> {
    let several = |network: NetworkId| {
        let here = wired
            .iter()
            .filter(|(other, _)| other.network.id == network);
        here.count() > 1
    };
    let of_several = wired.iter().filter(|(own, _)| several(own.network.id));
    let interfaces = of_several.filter_map(|(own, _)| own.endpoint.interface.as_ref());
    let manners = interfaces.flat_map(|interface| {
        [
            // Answers for its own address only. Else neighbours would send to whichever interface answered first, also
            // after that one is gone.
            ("arp_ignore", "1"),
            // Asks in its own name only, from which neighbours learn as well.
            ("arp_announce", "2"),
            // Takes what comes although the way back leads over the first of them. 1, which many hosts have and new
            // namespaces inherit, drops it; the higher of this and `all` counts (ip-sysctl.rst).
            ("rp_filter", "2"),
        ]
        .map(|(key, value)| {
            let key = Sysctl::of_interface("ipv4", &interface.inside, key);
            (key, value.to_owned())
        })
    });
    manners.collect()
}

#[cfg(test)]
mod tests;
