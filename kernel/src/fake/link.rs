//! Links, addresses and routes of one fake namespace, with the kernel's rules for them. Knows no daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netd_model::desired::{LinkChange, Mark, ROUTE_PROTOCOL, RouteState};
use netd_model::{IfName, IpNetwork, Mac, Subnet};
use nix::errno::Errno;

use super::machine::{Kind, Link, Namespace, Port, Route, refused};
use crate::KernelError;

/// Ports that a bridge has at most: `BR_MAX_PORTS` (1 << 10) less number 0 (net/bridge/br_private.h).
const BRIDGE_PORTS: usize = 1023;
/// Smallest MTU of a link that shall carry IPv4, in bytes (`ETH_MIN_MTU`, linux/if_ether.h).
const MTU_MIN_BYTES: u32 = 68;
/// Largest MTU of a bridge or veth, in bytes (`ETH_MAX_MTU`, linux/if_ether.h).
const MTU_MAX_BYTES: u32 = 65535;

impl Link {
    /// A link that is down, with neither addresses nor a place on a bridge.
    pub(super) fn new(kind: Kind, mark: Option<Mark>, mac: Mac, mtu_bytes: u32) -> Self {
        Self {
            index: 0,
            kind,
            mark,
            mac,
            mtu_bytes,
            up: false,
            addresses: BTreeSet::new(),
            port: None,
            filtered: false,
            bucket: None,
            through: None,
            sysctls: BTreeMap::new(),
        }
    }

    /// Sets the administrative state. The kernel forgets IPv6 addresses of a link that goes down
    /// (net.ipv6.conf.*.keep_addr_on_down is 0), and gives loopback its own when it comes up.
    pub(super) fn set_up(&mut self, up: bool) {
        self.up = up;
        if self.kind == Kind::Loopback && up {
            let v4 = IpNetwork::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8);
            let v6 = IpNetwork::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 128);
            self.addresses.extend([v4, v6].into_iter().flatten());
        }
        if !up {
            self.addresses.retain(IpNetwork::is_ipv4);
        }
    }

    /// Its addresses as observers report them: of fe80::/10 and 169.254.0.0/16 only those that are wished for.
    pub(super) fn reported_addresses(
        &self,
        wished: Option<&BTreeSet<IpNetwork>>,
    ) -> BTreeSet<IpNetwork> {
        let is_wished = |address: &IpNetwork| wished.is_some_and(|all| all.contains(address));
        let is_shown = |address: &&IpNetwork| match address.ip() {
            IpAddr::V4(v4) => !v4.is_link_local() || is_wished(address),
            IpAddr::V6(v6) => !v6.is_unicast_link_local() || is_wished(address),
        };
        self.addresses.iter().filter(is_shown).copied().collect()
    }
}

/// Checks what the kernel checks of an MTU.
pub(super) fn check_mtu(mtu_bytes: u32, action: &str) -> Result<(), KernelError> {
    if (MTU_MIN_BYTES..=MTU_MAX_BYTES).contains(&mtu_bytes) {
        return Ok(());
    }
    Err(refused(Errno::EINVAL, action))
}

/// Checks what the kernel checks of an Ethernet address (`is_valid_ether_addr`).
pub(super) fn check_mac(mac: Mac, action: &str) -> Result<(), KernelError> {
    let octets = mac.octets();
    if octets[0] & 1 == 1 || octets == [0; 6] {
        return Err(refused(Errno::EADDRNOTAVAIL, action));
    }
    Ok(())
}

impl Namespace {
    /// A namespace as clone(2) makes it: a loopback interface that is down.
    pub(super) fn with_loopback() -> Self {
        let mut namespace = Self::default();
        let lo = Link::new(Kind::Loopback, None, Mac::from_octets([0; 6]), 65536);
        namespace
            .links
            .extend(IfName::new("lo").into_iter().map(|name| {
                (
                    name,
                    Link {
                        index: 1,
                        ..lo.clone()
                    },
                )
            }));
        namespace
    }

    /// A link that must be there.
    pub(super) fn link_mut(
        &mut self,
        name: &IfName,
        action: &str,
    ) -> Result<&mut Link, KernelError> {
        self.links
            .get_mut(name)
            .ok_or_else(|| refused(Errno::ENODEV, action))
    }

    /// Checks that one more link fits on a bridge.
    pub(super) fn check_bridge(&self, bridge: &IfName, action: &str) -> Result<(), KernelError> {
        let link = self
            .links
            .get(bridge)
            .ok_or_else(|| refused(Errno::ENODEV, action))?;
        if link.kind != Kind::Bridge {
            return Err(refused(Errno::EOPNOTSUPP, action));
        }
        let ports = self.links.values().filter_map(|link| link.port.as_ref());
        if ports.filter(|port| port.bridge == *bridge).count() >= BRIDGE_PORTS {
            return Err(refused(Errno::EXFULL, action));
        }
        Ok(())
    }

    /// Changes a link, or nothing at all if any part of the change is refused.
    pub(super) fn change_link(
        &mut self,
        name: &IfName,
        change: &LinkChange,
    ) -> Result<(), KernelError> {
        let action = format!("change interface {name}");
        let mut link = self.link_mut(name, &action)?.clone();
        if let Some(bridge) = &change.bridge {
            self.move_to_bridge(&mut link, bridge.as_ref(), &action)?;
        }
        if change.hairpin.is_some() || change.isolated.is_some() {
            let port = link
                .port
                .as_mut()
                .ok_or_else(|| refused(Errno::EINVAL, &action))?;
            port.hairpin = change.hairpin.unwrap_or(port.hairpin);
            port.isolated = change.isolated.unwrap_or(port.isolated);
        }
        if let Some(filtered) = change.filtered {
            if link.kind != Kind::Bridge {
                return Err(refused(Errno::EOPNOTSUPP, action));
            }
            link.filtered = filtered;
        }
        if let Some(mtu_bytes) = change.mtu_bytes {
            check_mtu(mtu_bytes, &action)?;
            link.mtu_bytes = mtu_bytes;
        }
        if let Some(mac) = change.mac {
            check_mac(mac, &action)?;
            link.mac = mac;
        }
        if let Some(up) = change.up {
            link.set_up(up);
        }
        let up = link.up;
        self.links.insert(name.clone(), link);
        if up {
            self.drop_ipv6_where_off();
        } else {
            self.routes.retain(|_, route| route.interface != *name);
        }
        Ok(())
    }

    fn move_to_bridge(
        &self,
        link: &mut Link,
        bridge: Option<&IfName>,
        action: &str,
    ) -> Result<(), KernelError> {
        let Some(bridge) = bridge else {
            link.port = None;
            return Ok(());
        };
        if link
            .port
            .as_ref()
            .is_some_and(|port| port.bridge == *bridge)
        {
            return Ok(());
        }
        self.check_bridge(bridge, action)?;
        if matches!(link.kind, Kind::Bridge | Kind::Loopback) {
            return Err(refused(Errno::ELOOP, action));
        }
        link.port = Some(Port {
            bridge: bridge.clone(),
            hairpin: false,
            isolated: false,
        });
        Ok(())
    }

    /// Adds an address to an interface. One that is there counts as added.
    pub(super) fn add_address(
        &mut self,
        name: &IfName,
        address: IpNetwork,
    ) -> Result<(), KernelError> {
        let action = format!("add address {address} to {name}");
        let disabled = address.is_ipv6() && self.ipv6_is_off(name);
        let link = self.link_mut(name, &action)?;
        if disabled {
            return Err(refused(Errno::EACCES, action));
        }
        link.addresses.insert(address);
        Ok(())
    }

    /// Removes an address; the last one of IPv4 takes the interface's routes with it (`fib_disable_ip`).
    pub(super) fn remove_address(&mut self, name: &IfName, address: IpNetwork) {
        let Some(link) = self.links.get_mut(name) else {
            return;
        };
        link.addresses.remove(&address);
        if !link
            .addresses
            .iter()
            .any(|left| left.is_ipv4() == address.is_ipv4())
        {
            self.drop_routes(name, address.is_ipv4());
        }
    }

    /// Drops an interface's routes of one family.
    pub(super) fn drop_routes(&mut self, name: &IfName, ipv4: bool) {
        self.routes
            .retain(|to, route| route.interface != *name || to.is_ipv4() != ipv4);
    }

    /// Adds a route of netd's, replacing one to the same destination.
    pub(super) fn add_route(&mut self, route: &RouteState) -> Result<(), KernelError> {
        let reaches =
            |link: &&Link| link.up && link.addresses.iter().any(|own| own.contains(route.gateway));
        let asked = |name: &IfName| route.interface.as_ref().is_none_or(|asked| asked == name);
        let mut links = self.links.iter();
        let via = links.find(|(name, link)| asked(name) && reaches(link));
        let action = || format!("route {} via {}", route.destination, route.gateway);
        let unreachable = match route.gateway {
            IpAddr::V4(_) => Errno::ENETUNREACH,
            IpAddr::V6(_) => Errno::EHOSTUNREACH,
        };
        let Some((interface, link)) = via else {
            return Err(refused(unreachable, action()));
        };
        if link.addresses.iter().any(|own| own.ip() == route.gateway)
            || route.destination.is_ipv4() != route.gateway.is_ipv4()
        {
            return Err(refused(Errno::EINVAL, action()));
        }
        let entry = Route {
            gateway: Some(route.gateway),
            interface: interface.clone(),
            protocol: ROUTE_PROTOCOL,
        };
        self.routes.insert(route.destination, entry);
        Ok(())
    }

    /// Removes a route if it is netd's.
    pub(super) fn remove_route(&mut self, route: &RouteState) {
        let is_it = |entry: &Route| entry.is_ours() && entry.gateway == Some(route.gateway);
        if self.routes.get(&route.destination).is_some_and(is_it) {
            self.routes.remove(&route.destination);
        }
    }

    /// Subnets that the addresses of an interface that is up make reachable.
    pub(super) fn connected(&self) -> Vec<(Subnet, &IfName)> {
        let mut subnets = Vec::new();
        for (name, link) in &self.links {
            if link.up && link.kind != Kind::Loopback {
                let addresses = link.reported_addresses(None).into_iter();
                subnets.extend(addresses.map(|own| (Subnet::containing(own), name)));
            }
        }
        subnets
    }
}
