//! The key `ipam`: which addresses a described network has. The words are those of netd and of the plugin host-local.

use std::net::IpAddr;

use netd_api::{ContainerRoute, PoolRequest, Subnet};
use serde::Deserialize;
use serde_json::Value;

use super::fields::{fields, typed};
use crate::cni::failure::Failure;

/// Address pools and routes.
#[derive(Debug, Default)]
pub(super) struct Ipam {
    /// The pools, at most one of each family; the daemon chooses if there is none.
    pub(super) pools: Vec<PoolRequest>,
    /// Routes besides the default route.
    pub(super) routes: Vec<ContainerRoute>,
}

/// Keys of one pool.
const POOL: &[&str] = &["subnet", "gateway", "ipRange", "rangeStart", "rangeEnd"];

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Pool {
    subnet: Option<Subnet>,
    gateway: Option<IpAddr>,
    ip_range: Option<Subnet>,
    range_start: Option<IpAddr>,
    range_end: Option<IpAddr>,
}

#[derive(Debug, Deserialize)]
struct Route {
    dst: Subnet,
    gw: Option<IpAddr>,
}

impl Ipam {
    /// Reads the key, and adds the pools that the runtime gave.
    pub(super) fn read(ipam: &Value, given: Vec<PoolRequest>) -> Result<Self, Failure> {
        let mut read = Self::default();
        if !ipam.is_null() {
            let known = [POOL, &["type", "ranges", "routes"]].concat();
            let pool: Pool = fields("ipam", ipam, &known)?;
            if !matches!(&ipam["type"], Value::Null) && ipam["type"] != "netd" {
                let why = "netd gives the addresses itself; leave it out";
                return Err(Failure::unsupported("ipam.type", &ipam["type"], why));
            }
            if POOL.iter().any(|key| !ipam[*key].is_null()) {
                read.pools.push(pool.request("ipam")?);
            }
            read.pools.extend(ranges("ipam.ranges", &ipam["ranges"])?);
            read.routes = routes(&ipam["routes"])?;
        }
        for pool in given {
            if !read.pools.contains(&pool) {
                read.pools.push(pool);
            }
        }
        Ok(read)
    }
}

/// A list of lists of pools, as host-local and the capability ipRanges have it.
pub(super) fn ranges(what: &str, value: &Value) -> Result<Vec<PoolRequest>, Failure> {
    if value.is_null() {
        return Ok(Vec::new());
    }
    let sets: Vec<Vec<Value>> = typed(what, value)?;
    let pools = sets.iter().flatten();
    pools
        .map(|pool| fields::<Pool>(what, pool, POOL)?.request(what))
        .collect()
}

impl Pool {
    fn request(self, what: &str) -> Result<PoolRequest, Failure> {
        let range = match (self.ip_range, self.range_start, self.range_end) {
            (range, None, None) => range,
            (Some(_), _, _) => {
                return Err(Failure::config(format!(
                    "{what}: ipRange and rangeStart or rangeEnd say the same; give ipRange"
                )));
            }
            (None, start, end) => Some(self.between(what, start, end)?),
        };
        Ok(PoolRequest {
            subnet: self.subnet,
            range,
            gateway: self.gateway,
            ..PoolRequest::default()
        })
    }

    /// The range from one address to another, which must be a subnet: netd knows no others.
    fn between(
        &self,
        what: &str,
        start: Option<IpAddr>,
        end: Option<IpAddr>,
    ) -> Result<Subnet, Failure> {
        let first = start.or(self.subnet.map(|subnet| subnet.first()));
        let last = end.or(self.subnet.map(|subnet| subnet.last()));
        let fits = first.zip(last).and_then(|(first, last)| {
            let widest = if first.is_ipv4() { 32 } else { 128 };
            let mut candidates = (0..=widest).filter_map(|prefix| Subnet::new(first, prefix).ok());
            candidates.find(|subnet| subnet.last() == last)
        });
        fits.ok_or_else(|| {
            let shown = |ip: Option<IpAddr>| ip.map_or_else(|| "?".to_owned(), |ip| ip.to_string());
            Failure::config(format!(
                "{what}: {} to {} is no subnet; give \"ipRange\" as one, such as 10.9.0.128/25",
                shown(first),
                shown(last)
            ))
        })
    }
}

/// The default route is there anyway, over the network's gateway; one over another hop is none of ours.
fn routes(value: &Value) -> Result<Vec<ContainerRoute>, Failure> {
    if value.is_null() {
        return Ok(Vec::new());
    }
    let given: Vec<Value> = typed("ipam.routes", value)?;
    let mut routes = Vec::new();
    for route in &given {
        let Route { dst, gw } = fields("ipam.routes", route, &["dst", "gw"])?;
        if dst.prefix() == 0 && gw.is_none() {
            continue;
        }
        routes.push(ContainerRoute {
            destination: dst,
            gateway: gw,
        });
    }
    Ok(routes)
}
