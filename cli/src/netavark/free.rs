//! Subnets that nobody uses yet, and those that a user asked for, checked.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv6Addr};

use netd_api::{IpNetwork, Subnet};
use serde::Deserialize;

use super::wire::SubnetOf;

/// Where Podman takes subnets from.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Pool {
    /// All of it.
    base: IpNetwork,
    /// Prefix of each subnet, in bits.
    size: u8,
}

/// How many subnets of a pool are tried. Podman's own pools have 42,000 in all.
const MOST: u128 = 1 << 16;

/// How often chance is asked for an IPv6 subnet.
const DRAWS: u8 = 16;

/// The first IPv4 subnet of the pools that overlaps none of these.
pub(super) fn ipv4(pools: &[Pool], used: &[Subnet]) -> Result<SubnetOf, String> {
    for pool in pools.iter().filter(|pool| pool.base.is_ipv4()) {
        let base = Subnet::containing(pool.base);
        let more = pool.size.checked_sub(base.prefix());
        let Some(more) = more.filter(|_| pool.size <= 32) else {
            continue;
        };
        let width = 32 - pool.size;
        for number in 0..(1_u128 << more).min(MOST) {
            let first = base.nth(number << width);
            let subnet = first.and_then(|first| Subnet::new(first, pool.size).ok());
            let free = subnet.filter(|subnet| !used.iter().any(|other| other.overlaps(*subnet)));
            if let Some(subnet) = free {
                return Ok(of(subnet));
            }
        }
    }
    Err("no subnet of Podman's default_subnet_pools is free; give one by --subnet".to_owned())
}

/// A unique local IPv6 subnet (RFC 4193) that overlaps none of these.
pub(super) fn ipv6(used: &[Subnet]) -> Result<SubnetOf, String> {
    for _ in 0..DRAWS {
        let mut bytes = [0; 16];
        File::open("/dev/urandom")
            .and_then(|mut random| random.read_exact(&mut bytes[1..8]))
            .map_err(|error| format!("cannot draw an IPv6 subnet: /dev/urandom: {error}"))?;
        bytes[0] = 0xfd;
        let subnet = Subnet::new(IpAddr::V6(Ipv6Addr::from(bytes)), 64);
        let free = subnet.ok();
        let free = free.filter(|subnet| !used.iter().any(|other| other.overlaps(*subnet)));
        if let Some(subnet) = free {
            return Ok(of(subnet));
        }
    }
    Err("no IPv6 subnet is free; give one by --subnet".to_owned())
}

const fn of(subnet: Subnet) -> SubnetOf {
    SubnetOf {
        subnet,
        gateway: None,
        lease_range: None,
    }
}

/// Refuses subnets that overlap each other or what is used, and parts that are not in them.
pub(super) fn check(subnets: &[SubnetOf], used: &[Subnet]) -> Result<(), String> {
    for (number, one) in subnets.iter().enumerate() {
        let subnet = one.subnet;
        let before = subnets.iter().take(number).map(|other| other.subnet);
        let mut others = before.chain(used.iter().copied());
        if let Some(other) = others.find(|other| other.overlaps(subnet)) {
            return Err(format!(
                "subnet {subnet} overlaps {other}, which is used; give another by --subnet"
            ));
        }
        let range = one.lease_range;
        let parts = [
            ("gateway", one.gateway),
            ("start of its range", range.and_then(|range| range.start_ip)),
            ("end of its range", range.and_then(|range| range.end_ip)),
        ];
        for (what, address) in parts {
            if let Some(address) = address.filter(|address| !subnet.contains(*address)) {
                return Err(format!("the {what}, {address}, is not in subnet {subnet}"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    fn pool(base: &str, size: u8) -> Pool {
        let base = base.parse().unwrap();
        Pool { base, size }
    }

    #[test]
    fn the_first_free_one_of_the_first_pool_that_has_any() {
        let pools = [
            pool("10.89.0.0/23", 24),
            pool("fd00::/48", 64),
            pool("10.90.0.0/15", 24),
        ];
        let chosen = |used: &[&str]| {
            let used: Vec<Subnet> = used.iter().map(|text| subnet(text)).collect();
            ipv4(&pools, &used).map(|one| one.subnet.to_string())
        };
        assert_eq!(chosen(&[]).unwrap(), "10.89.0.0/24");
        assert_eq!(chosen(&["10.89.0.128/25"]).unwrap(), "10.89.1.0/24");
        assert_eq!(chosen(&["10.89.0.0/16"]).unwrap(), "10.90.0.0/24");
        assert!(chosen(&["10.0.0.0/8"]).unwrap_err().contains("--subnet"));
    }

    #[test]
    fn a_drawn_subnet_is_a_unique_local_one() {
        let drawn = ipv6(&[]).unwrap().subnet;
        assert!(subnet("fd00::/8").contains_subnet(drawn) && drawn.prefix() == 64);
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let mut one = of(subnet("10.9.0.0/24"));
        let used = [subnet("10.8.0.0/15")];
        assert!(
            check(&[one.clone()], &used)
                .unwrap_err()
                .contains("10.8.0.0/15")
        );
        assert!(
            check(&[one.clone(), one.clone()], &[])
                .unwrap_err()
                .contains("overlaps")
        );
        one.gateway = "10.8.0.1".parse().ok();
        assert!(check(&[one], &[]).unwrap_err().contains("gateway"));
    }
}
