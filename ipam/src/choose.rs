//! Which subnet a network gets when its user names none: the first default that nobody uses.
//!
//! Must not know how a network is made, nor look for routes itself: what is in use comes in as an argument.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netd_model::subnet::to_number;
use netd_model::{IfName, InstanceId, NetworkName, Subnet};

/// Addresses to cut subnets from: `default-address-pools` of daemon.json.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultPool {
    /// All of them.
    pub base: Subnet,
    /// Prefix length, in bits, of each subnet cut from `base`.
    pub size: u8,
}

/// A subnet that is not to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// The subnet.
    pub subnet: Subnet,
    /// Who has it.
    pub by: UsedBy,
}

/// Who has a subnet. Reads as the end of a sentence: "overlaps 10.0.0.0/8 {}".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsedBy {
    /// A network of this daemon.
    Network(NetworkName),
    /// The host, which reaches it through this interface: its own segment, or a VPN.
    HostRoute(IfName),
    /// A Docker engine, whose IPAM asked for it.
    Docker,
    /// Another host's containers, to which a route of netd leads through this gateway.
    PeerRoute(IpAddr),
}

impl fmt::Display for UsedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(name) => write!(f, "of network {name}"),
            Self::HostRoute(interface) => write!(f, "that the host routes through {interface}"),
            Self::Docker => f.write_str(
                "that Docker's engine asked for (`docker network ls`); it gives it back with its network",
            ),
            Self::PeerRoute(gateway) => {
                write!(
                    f,
                    "of another host's containers (`net route ls`: via {gateway})"
                )
            }
        }
    }
}

/// There is no subnet to be had without asking the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChooseSubnetError {
    /// Everything is in use.
    #[error(
        "none of the {tried} default subnets is free (in the way: networks {networks}, host routes {routes}); give --subnet, or extend default-address-pools in the daemon's configuration"
    )]
    Exhausted {
        /// How many subnets the default pools hold.
        tried: u128,
        /// Networks in their way.
        networks: usize,
        /// Host routes in their way.
        routes: usize,
    },
    /// A default pool cannot be cut so.
    #[error(
        "default-address-pools: {base} cannot be cut into subnets of size {size}; give a size from {} to {smallest}", base.prefix().max(1)
    )]
    BadPool {
        /// The pool.
        base: Subnet,
        /// The size asked for, a prefix length in bits.
        size: u8,
        /// The longest prefix that leaves room for a gateway and a container.
        smallest: u8,
    },
}

/// Longest prefix, in bits, that leaves a gateway and one container beside the first and last address.
pub(crate) fn smallest_prefix(subnet: Subnet) -> u8 {
    if subnet.is_ipv4() { 30 } else { 126 }
}

/// Docker's own defaults: 172.17.0.0/16 to 172.31.0.0/16 one by one, then 192.168.0.0/16 in steps of a /20
/// (moby libnetwork/ipamutils `localScopeDefaultNetworks`).
#[must_use]
pub fn docker_defaults() -> Vec<DefaultPool> {
    let pool = |a, b, size| {
        let base = Subnet::new(IpAddr::V4(Ipv4Addr::new(a, b, 0, 0)), 16);
        base.ok().map(|base| DefaultPool { base, size })
    };
    (17..=31)
        .map(|second| pool(172, second, 16))
        .chain([pool(192, 168, 20)])
        .flatten()
        .collect()
}

/// IPv6 subnets for networks that want IPv6 and name none: the /48 of this daemon among the unique local addresses,
/// in /64s. RFC 4193 section 3.2 wants a random global id; the instance's id was drawn at random.
#[must_use]
pub fn unique_local_pool(instance: InstanceId) -> Option<DefaultPool> {
    let [a, b, c, d, e, ..] = *instance.as_bytes();
    let pair = |high, low| u16::from_be_bytes([high, low]);
    let first = Ipv6Addr::new(pair(0xfd, a), pair(b, c), pair(d, e), 0, 0, 0, 0, 0);
    let base = Subnet::new(IpAddr::V6(first), 48).ok()?;
    Some(DefaultPool { base, size: 64 })
}

/// Chooses the first subnet of `defaults`, in their order, that overlaps nothing in `used`.
///
/// Jumps over what is used instead of trying subnet by subnet, so that a /8 in /30s costs no more than a /16. Pure.
///
/// # Errors
/// [`ChooseSubnetError`]: everything is in use, or a default pool is cut wrongly.
pub fn choose_subnet(defaults: &[DefaultPool], used: &[Used]) -> Result<Subnet, ChooseSubnetError> {
    let mut tried: u128 = 0;
    for pool in defaults {
        let DefaultPool { base, size } = *pool;
        let smallest = smallest_prefix(base);
        if size < base.prefix().max(1) || size > smallest {
            return Err(ChooseSubnetError::BadPool {
                base,
                size,
                smallest,
            });
        }
        if let Some(subnet) = first_free(*pool, used) {
            return Ok(subnet);
        }
        tried = tried.saturating_add(1 << (size - base.prefix()));
    }
    let in_the_way = |used: &&Used| defaults.iter().any(|pool| pool.base.overlaps(used.subnet));
    let (networks, routes): (Vec<_>, Vec<_>) = used
        .iter()
        .filter(in_the_way)
        .partition(|used| matches!(used.by, UsedBy::Network(_) | UsedBy::Docker));
    Err(ChooseSubnetError::Exhausted {
        tried,
        networks: networks.len(),
        routes: routes.len(),
    })
}

/// The first subnet of one valid pool that overlaps nothing in `used`. Numbers are offsets from the pool's first address.
fn first_free(pool: DefaultPool, used: &[Used]) -> Option<Subnet> {
    let (start, end) = (to_number(pool.base.first()), to_number(pool.base.last()));
    let bits = if pool.base.is_ipv4() { 32 } else { 128 };
    let step = 1_u128 << (bits - pool.size);
    let mut spans: Vec<(u128, u128)> = used
        .iter()
        .filter(|used| pool.base.overlaps(used.subnet))
        .map(|used| {
            let (first, last) = (
                to_number(used.subnet.first()),
                to_number(used.subnet.last()),
            );
            (first.max(start) - start, last.min(end) - start)
        })
        .collect();
    spans.sort_unstable();
    let mut candidate: u128 = 0;
    for (first, last) in spans {
        if last < candidate {
            continue;
        }
        if first - candidate.min(first) >= step {
            break;
        }
        candidate = (last / step).checked_add(1)?.checked_mul(step)?;
    }
    Subnet::new(pool.base.nth(candidate)?, pool.size).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    fn pool(base: &str, size: u8) -> DefaultPool {
        DefaultPool {
            base: subnet(base),
            size,
        }
    }

    fn network(text: &str) -> Used {
        Used {
            subnet: subnet(text),
            by: UsedBy::Network("n".parse().unwrap()),
        }
    }

    fn route(text: &str) -> Used {
        Used {
            subnet: subnet(text),
            by: UsedBy::HostRoute("tun0".parse().unwrap()),
        }
    }

    /// The order that a real engine gave, with 172.28 and 172.29 in use (Docker 20.10.24).
    #[test]
    fn the_defaults_come_in_docker_s_order() {
        let mut used = ["172.17.0.0/16", "172.28.0.0/16", "172.29.0.0/24"]
            .map(network)
            .to_vec();
        let mut order = Vec::new();
        while let Ok(next) = choose_subnet(&docker_defaults(), &used) {
            used.push(network(&next.to_string()));
            order.push(next);
        }
        let first = [18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 30, 31];
        let then = (0..16).map(|step| format!("192.168.{}.0/20", step * 16));
        let expected = first.iter().map(|second| format!("172.{second}.0.0/16"));
        let expected: Vec<_> = expected.chain(then).map(|text| subnet(&text)).collect();
        assert_eq!(order, expected);
    }

    #[test]
    fn an_exhausted_list_says_what_is_in_the_way() {
        let used = [
            network("10.0.0.0/25"),
            route("10.0.0.128/25"),
            network("11.0.0.0/24"),
        ];
        let error = choose_subnet(&[pool("10.0.0.0/24", 26)], &used).unwrap_err();
        assert_eq!(
            error.to_string(),
            "none of the 4 default subnets is free (in the way: networks 1, host routes 1); give --subnet, or extend default-address-pools in the daemon's configuration"
        );
    }

    #[test]
    fn a_default_pool_that_cannot_be_cut_is_refused() {
        for (base, size) in [
            ("10.0.0.0/16", 8),
            ("10.0.0.0/16", 31),
            ("0.0.0.0/0", 0),
            ("fd00::/64", 127),
        ] {
            let error = choose_subnet(&[pool(base, size)], &[]);
            assert!(
                matches!(error, Err(ChooseSubnetError::BadPool { .. })),
                "{base} {size}"
            );
        }
    }

    /// 4 million /30s of which one route covers half and 2,000 networks lie behind it: subnet by subnet this would be
    /// billions of comparisons; and an IPv6 pool has 2^64 subnets.
    #[test]
    fn used_stretches_are_jumped_over() {
        let mut used = vec![route("10.0.0.0/9")];
        for number in 0..2000_u32 {
            used.push(network(&format!(
                "10.128.{}.{}/30",
                number / 64,
                number % 64 * 4
            )));
        }
        let next = choose_subnet(&[pool("10.0.0.0/8", 30)], &used);
        assert_eq!(next, Ok(subnet("10.128.31.64/30")));
        let used = [route("fd00::/9")];
        let next = choose_subnet(&[pool("fd00::/8", 72)], &used);
        assert_eq!(next, Ok(subnet("fd80::/72")));
        let all = [route("::/0")];
        assert!(choose_subnet(&[pool("::/0", 1)], &all).is_err());
    }

    #[test]
    fn an_instance_has_its_own_unique_local_subnets() {
        let pool = unique_local_pool(InstanceId::from_bytes([0xab; 32])).unwrap();
        assert_eq!(pool.base, subnet("fdab:abab:abab::/48"));
        assert_eq!(
            choose_subnet(&[pool], &[]),
            Ok(subnet("fdab:abab:abab::/64"))
        );
    }

    proptest! {
        #[test]
        fn it_finds_what_trying_each_would_find(size in 24_u8..=30, used in prop::collection::vec((0_u32..1024, 20_u8..=32), 0..30)) {
            let used: Vec<_> = used
                .into_iter()
                .map(|(offset, prefix)| {
                    let address = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 - 256 + offset));
                    let given = netd_model::IpNetwork::new(address, prefix).unwrap();
                    network(&Subnet::containing(given).to_string())
                })
                .collect();
            let base = subnet("10.0.0.0/23");
            let step = 1_u128 << (32 - size);
            let each = (0..512 / step).map(|at| Subnet::new(base.nth(at * step).unwrap(), size).unwrap());
            let expected = each.into_iter().find(|block| !used.iter().any(|used| used.subnet.overlaps(*block)));
            prop_assert_eq!(choose_subnet(&[DefaultPool { base, size }], &used).ok(), expected);
        }
    }
}
