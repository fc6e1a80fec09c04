//! What a user asked for becomes a complete pool, or an error that says what to ask for instead.
//!
//! Everything that cannot work is refused here, before anything is made. Must not know how the kernel is told.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netd_model::subnet::to_number;
use netd_model::{PoolSpec, Subnet};

use crate::choose::{ChooseSubnetError, DefaultPool, Used, UsedBy, choose_subnet, smallest_prefix};
use crate::intervals::Intervals;
use crate::pool::Pool;

/// A pool as a user asks for it; what is left out is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolRequest {
    /// `--subnet`.
    pub subnet: Option<Subnet>,
    /// `--ip-range`: the part to hand out addresses from.
    pub range: Option<Subnet>,
    /// `--gateway`.
    pub gateway: Option<IpAddr>,
    /// `--aux-address`: addresses never to be handed out, by the name of what has them.
    pub aux: BTreeMap<String, IpAddr>,
}

/// What was asked for cannot be a pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanPoolError {
    /// A part was given without the whole.
    #[error("{option} {given} says nothing without a subnet; give --subnet too")]
    NeedsSubnet {
        /// The flag that was given.
        option: &'static str,
        /// Its value.
        given: String,
    },
    /// No subnet was given, and none can be chosen.
    #[error(transparent)]
    Choose(#[from] ChooseSubnetError),
    /// Somebody uses addresses of it.
    #[error("subnet {subnet} overlaps {other} {by}; give another --subnet")]
    Overlap {
        /// The subnet asked for.
        subnet: Subnet,
        /// The one that was there before.
        other: Subnet,
        /// Whose it is.
        by: UsedBy,
    },
    /// No room for a gateway and a container.
    #[error(
        "subnet {subnet} has no room for a gateway and a container; the smallest that works is a /{smallest}"
    )]
    TooSmall {
        /// The subnet asked for.
        subnet: Subnet,
        /// The longest prefix that works, in bits.
        smallest: u8,
    },
    /// It contains addresses that the kernel keeps for other purposes.
    #[error(
        "subnet {subnet} cannot work: {reserved} is {purpose}; give a private one such as 172.28.0.0/16 or fd00:28::/64"
    )]
    Unusable {
        /// The subnet asked for.
        subnet: Subnet,
        /// The addresses in question.
        reserved: Subnet,
        /// What they are.
        purpose: &'static str,
    },
    /// The range is not part of the subnet.
    #[error("ip-range {range} is not inside subnet {subnet}; give a part of it")]
    RangeOutside {
        /// The range asked for.
        range: Subnet,
        /// The subnet asked for.
        subnet: Subnet,
    },
    /// The gateway is not part of the subnet.
    #[error("gateway {gateway} is not in subnet {subnet}; give one of its addresses")]
    GatewayOutside {
        /// The gateway asked for.
        gateway: IpAddr,
        /// The subnet asked for.
        subnet: Subnet,
    },
    /// The gateway is the first or last address.
    #[error("gateway {gateway} is the {what} of {subnet}; give one of the addresses between")]
    GatewayReserved {
        /// The gateway asked for.
        gateway: IpAddr,
        /// Which of the two.
        what: &'static str,
        /// The subnet.
        subnet: Subnet,
    },
    /// An auxiliary address is not part of the subnet.
    #[error(
        "auxiliary address {name}={address} is not in subnet {subnet}; leave it out or correct it"
    )]
    AuxOutside {
        /// Its name.
        name: String,
        /// The address.
        address: IpAddr,
        /// The subnet.
        subnet: Subnet,
    },
    /// An auxiliary address is the first or last address.
    #[error(
        "auxiliary address {name}={address} is the {what} of {subnet}, which is never handed out; leave it out or correct it"
    )]
    AuxReserved {
        /// Its name.
        name: String,
        /// The address.
        address: IpAddr,
        /// Which of the two.
        what: &'static str,
        /// The subnet.
        subnet: Subnet,
    },
    /// An auxiliary address is the gateway's.
    #[error(
        "auxiliary address {name}={address} is the gateway; give another --gateway or leave it out"
    )]
    AuxIsGateway {
        /// Its name.
        name: String,
        /// The address.
        address: IpAddr,
    },
    /// Two auxiliary addresses are one.
    #[error("address {address} was given to two auxiliary names, {first} and {second}; drop one")]
    AuxTwice {
        /// The address.
        address: IpAddr,
        /// One name.
        first: String,
        /// The other.
        second: String,
    },
    /// Gateway and auxiliary addresses leave nothing.
    #[error(
        "no address of {within} is left for a container beside the gateway and the auxiliary addresses; give a larger one"
    )]
    NoRoom {
        /// The range, or the subnet if there is none.
        within: Subnet,
    },
}

/// Completes and checks a pool.
///
/// Without a subnet, the first free one of `defaults` is taken, so these decide the family. Without a gateway, it is the
/// first address of the range (or of the subnet) that containers could have, as in Docker: with `--ip-range
/// 172.28.5.0/24` inside a /16 that is 172.28.5.0. Pure.
///
/// # Errors
/// [`PlanPoolError`] says what cannot work and what to give instead.
pub fn plan_pool(
    request: PoolRequest,
    defaults: &[DefaultPool],
    used: &[Used],
) -> Result<PoolSpec, PlanPoolError> {
    let subnet = match request.subnet {
        Some(subnet) => subnet,
        None => {
            refuse_parts(&request)?;
            choose_subnet(defaults, used)?
        }
    };
    check_subnet(subnet)?;
    check_overlap(subnet, used)?;
    if let Some(range) = request.range
        && !subnet.contains_subnet(range)
    {
        return Err(PlanPoolError::RangeOutside { range, subnet });
    }
    check_aux(&request.aux, subnet)?;
    let gateway = match request.gateway {
        Some(gateway) => check_gateway(gateway, subnet, &request.aux)?,
        None => first_usable(subnet, request.range, &request.aux)?,
    };
    let spec = PoolSpec {
        subnet,
        range: request.range,
        gateway,
        gateway_given: request.gateway.is_some(),
        aux: request.aux,
        subnet_given: request.subnet.is_some(),
    };
    if !Pool::new(&spec).has_room() {
        let within = spec.range.unwrap_or(subnet);
        return Err(PlanPoolError::NoRoom { within });
    }
    Ok(spec)
}

/// A range, gateway or auxiliary address has no meaning in a subnet that is not known yet.
fn refuse_parts(request: &PoolRequest) -> Result<(), PlanPoolError> {
    let range = request.range.map(|range| ("--ip-range", range.to_string()));
    let gateway = request
        .gateway
        .map(|gateway| ("--gateway", gateway.to_string()));
    let aux = request
        .aux
        .iter()
        .next()
        .map(|(name, address)| ("--aux-address", format!("{name}={address}")));
    match range.or(gateway).or(aux) {
        Some((option, given)) => Err(PlanPoolError::NeedsSubnet { option, given }),
        None => Ok(()),
    }
}

/// Addresses that no container can use, and why.
fn unusable() -> impl Iterator<Item = (Subnet, &'static str)> {
    let v4 = |a, b| IpAddr::V4(Ipv4Addr::new(a, b, 0, 0));
    let v6 = |a| IpAddr::V6(Ipv6Addr::new(a, 0, 0, 0, 0, 0, 0, 0));
    [
        // ip_route_input_slow() in net/ipv4/route.c takes senders of these three for martians.
        (
            v4(0, 0),
            8,
            "\"this network\", whose packets the kernel drops",
        ),
        (v4(127, 0), 8, "loopback, which never leaves a namespace"),
        (v4(224, 0), 4, "multicast"),
        (v4(169, 254), 16, "link-local, which is not routed"),
        (
            IpAddr::V6(Ipv6Addr::LOCALHOST),
            128,
            "loopback, which never leaves a namespace",
        ),
        (v6(0xff00), 8, "multicast"),
        (v6(0xfe80), 10, "link-local, which is not routed"),
        (
            IpAddr::V6(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped()),
            96,
            "IPv4 in disguise (RFC 4291 section 2.5.5.2)",
        ),
    ]
    .into_iter()
    .filter_map(|(first, prefix, purpose)| Some((Subnet::new(first, prefix).ok()?, purpose)))
}

fn check_subnet(subnet: Subnet) -> Result<(), PlanPoolError> {
    if subnet.prefix() == 0 {
        return Err(PlanPoolError::Unusable {
            subnet,
            reserved: subnet,
            purpose: "every address there is, the host's own and its gateway's included",
        });
    }
    if let Some((reserved, purpose)) = unusable().find(|(reserved, _)| subnet.overlaps(*reserved)) {
        return Err(PlanPoolError::Unusable {
            subnet,
            reserved,
            purpose,
        });
    }
    let smallest = smallest_prefix(subnet);
    if subnet.prefix() > smallest {
        return Err(PlanPoolError::TooSmall { subnet, smallest });
    }
    Ok(())
}

/// Names a network before a route: the network's own route may be among them, and the network is what people know.
fn check_overlap(subnet: Subnet, used: &[Used]) -> Result<(), PlanPoolError> {
    let clash = used
        .iter()
        .filter(|used| used.subnet.overlaps(subnet))
        .min_by_key(|used| matches!(used.by, UsedBy::HostRoute(_)));
    match clash {
        Some(Used { subnet: other, by }) => Err(PlanPoolError::Overlap {
            subnet,
            other: *other,
            by: by.clone(),
        }),
        None => Ok(()),
    }
}

/// What an address is that containers never have.
fn reserved_as(address: IpAddr, subnet: Subnet) -> Option<&'static str> {
    if address == subnet.first() {
        Some("network address")
    } else if address == subnet.last() {
        Some("broadcast address")
    } else {
        None
    }
}

fn check_gateway(
    gateway: IpAddr,
    subnet: Subnet,
    aux: &BTreeMap<String, IpAddr>,
) -> Result<IpAddr, PlanPoolError> {
    if !subnet.contains(gateway) {
        return Err(PlanPoolError::GatewayOutside { gateway, subnet });
    }
    if let Some(what) = reserved_as(gateway, subnet) {
        return Err(PlanPoolError::GatewayReserved {
            gateway,
            what,
            subnet,
        });
    }
    match aux.iter().find(|(_, address)| **address == gateway) {
        Some((name, address)) => Err(PlanPoolError::AuxIsGateway {
            name: name.clone(),
            address: *address,
        }),
        None => Ok(gateway),
    }
}

fn check_aux(aux: &BTreeMap<String, IpAddr>, subnet: Subnet) -> Result<(), PlanPoolError> {
    let mut seen: BTreeMap<IpAddr, &String> = BTreeMap::new();
    for (name, address) in aux {
        let address = *address;
        if !subnet.contains(address) {
            return Err(PlanPoolError::AuxOutside {
                name: name.clone(),
                address,
                subnet,
            });
        }
        if let Some(what) = reserved_as(address, subnet) {
            return Err(PlanPoolError::AuxReserved {
                name: name.clone(),
                address,
                what,
                subnet,
            });
        }
        if let Some(first) = seen.insert(address, name) {
            return Err(PlanPoolError::AuxTwice {
                address,
                first: first.clone(),
                second: name.clone(),
            });
        }
    }
    Ok(())
}

fn first_usable(
    subnet: Subnet,
    range: Option<Subnet>,
    aux: &BTreeMap<String, IpAddr>,
) -> Result<IpAddr, PlanPoolError> {
    let within = range.unwrap_or(subnet);
    let mut busy = Intervals::default();
    for address in aux.values().chain([&subnet.first(), &subnet.last()]) {
        busy.insert(to_number(*address));
    }
    busy.next_free(to_number(within.first()), to_number(within.last()))
        .and_then(|number| subnet.nth(number - to_number(subnet.first())))
        .ok_or(PlanPoolError::NoRoom { within })
}

#[cfg(test)]
mod tests;
