//! What the fake kernel shows: to the daemon what it asked about, to a test everything.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use netd_model::desired::{
    BridgeState, HostState, IfbState, InterfaceState, KernelState, RouteState, SandboxState,
    Sysctl, UplinkState, VethState,
};
use netd_model::{IfName, NetnsId, Subnet};

use super::machine::{Kind, Link, Machine, Namespace};
use super::rates::hide_limits;
use crate::{HostInterface, HostLink, LinkKind};

impl Machine {
    /// What [`crate::Kernel::observe`] promises.
    pub(super) fn observe(&self, about: &KernelState) -> KernelState {
        let named = |name: &IfName| {
            about.host.bridges.contains_key(name)
                || about.host.veths.contains_key(name)
                || about.host.ifbs.contains_key(name)
        };
        let known = |netns: &NetnsId| self.daemon.pins.contains_key(netns);
        let gone = |name: &IfName| self.daemon.retired.contains(name);
        let wanted =
            |name: &IfName, link: &Link| !gone(name) && (link.mark.is_some() || named(name));
        let host = self.host_state(&wanted, &known);
        let mut state = KernelState {
            host,
            sandboxes: BTreeMap::new(),
        };
        hide_limits(&mut state.host, &about.host);
        state.host.sysctls = self.read_sysctls(self.host, &about.host.sysctls);
        let links = self.host().into_iter().flat_map(|host| &host.links);
        let asked = links.filter(|(name, _)| about.host.uplinks.contains_key(name));
        let uplink = |(name, link): (&IfName, &Link)| {
            let holder = link.port.as_ref().map(|port| port.bridge.clone());
            let up = link.up;
            (name.clone(), UplinkState { holder, up })
        };
        state.host.uplinks = asked.map(uplink).collect();
        for (netns, asked) in &about.sandboxes {
            if let Some(namespace) = self.namespaces.get(netns).filter(|_| known(netns)) {
                let mut sandbox = sandbox_state(namespace);
                for (name, interface) in &mut sandbox.interfaces {
                    let wished = asked.interfaces.get(name);
                    let wished = wished.map(|wished| &wished.addresses);
                    let link = namespace.links.get(name);
                    let reported = link.map(|link| link.reported_addresses(wished));
                    interface.addresses = reported.unwrap_or_default();
                }
                sandbox.sysctls = self.read_sysctls(*netns, &asked.sysctls);
                // Linux has to list rules for it, which it spares those who do not ask.
                sandbox.dns_redirect = sandbox
                    .dns_redirect
                    .filter(|_| asked.dns_redirect.is_some());
                state.sandboxes.insert(*netns, sandbox);
            }
        }
        state
    }

    /// Everything: each bridge and pair, whoever's, and each namespace, pinned or not.
    pub(super) fn snapshot(&self) -> KernelState {
        let host = self.host_state(&|_, _| true, &|_| true);
        let others = self.namespaces.iter().filter(|(id, _)| **id != self.host);
        KernelState {
            host,
            sandboxes: others
                .map(|(id, namespace)| (*id, sandbox_state(namespace)))
                .collect(),
        }
    }

    /// An optional parameter that is absent has nothing to turn off: it is reported as it was asked for, so that
    /// writing it again is no step.
    fn read_sysctls(
        &self,
        netns: NetnsId,
        asked: &BTreeMap<Sysctl, String>,
    ) -> BTreeMap<Sysctl, String> {
        let read = |(key, wished): (&Sysctl, &String)| {
            let absent = || key.is_optional().then(|| wished.clone());
            let value = self.read_sysctl(netns, key).or_else(absent)?;
            Some((key.clone(), value))
        };
        asked.iter().filter_map(read).collect()
    }

    fn host_state(
        &self,
        wanted: &dyn Fn(&IfName, &Link) -> bool,
        known: &dyn Fn(&NetnsId) -> bool,
    ) -> HostState {
        let mut state = HostState {
            routes: self.host().map(host_routes).unwrap_or_default(),
            ..HostState::default()
        };
        let links = self.host().map(|host| &host.links);
        for (name, link) in links.into_iter().flatten() {
            if !wanted(name, link) {
                continue;
            }
            match &link.kind {
                Kind::Bridge => {
                    let mut bridge = bridge_state(link);
                    bridge.filtered &= self.has_br_netfilter;
                    state.bridges.insert(name.clone(), bridge);
                }
                Kind::Veth { peer } => {
                    let peer = Some(peer).filter(|(netns, _)| known(netns));
                    state.veths.insert(name.clone(), veth_state(link, peer));
                }
                Kind::Ifb => {
                    let ifb = IfbState {
                        mark: link.mark,
                        bucket: link.bucket,
                        up: link.up,
                    };
                    state.ifbs.insert(name.clone(), ifb);
                }
                Kind::Loopback | Kind::Device => {}
            }
        }
        state
    }

    /// What [`crate::Kernel::routed_subnets`] promises.
    pub(super) fn routed_subnets(&self) -> Vec<(Subnet, IfName)> {
        let Some(host) = self.host() else {
            return Vec::new();
        };
        let ours = |name: &IfName| host.links.get(name).is_some_and(|link| link.mark.is_some());
        let of_others = host.routes.iter().filter(|(_, route)| !route.is_ours());
        let routes = of_others.map(|(to, route)| (*to, &route.interface));
        let all: BTreeSet<(Subnet, &IfName)> = routes.chain(host.connected()).collect();
        all.into_iter()
            .filter(|(to, interface)| to.prefix() > 0 && !ours(interface))
            .map(|(to, interface)| (to, interface.clone()))
            .collect()
    }

    /// What [`crate::Kernel::host_interface`] promises.
    pub(super) fn host_interface(&self, name: &IfName) -> Option<HostInterface> {
        let link = self.host()?.links.get(name)?;
        Some(HostInterface {
            is_bridge: link.kind == Kind::Bridge,
            mtu_bytes: link.mtu_bytes,
            addresses: link.reported_addresses(None),
        })
    }

    /// What [`crate::Kernel::host_links`] promises.
    pub(super) fn host_links(&self) -> Vec<HostLink> {
        let Some(host) = self.host() else {
            return Vec::new();
        };
        let has_default_route = |name: &IfName| {
            let mut routes = host.routes.iter();
            routes.any(|(to, route)| to.prefix() == 0 && route.interface == *name)
        };
        let seen = host.links.iter().map(|(name, link)| HostLink {
            name: name.clone(),
            kind: match link.kind {
                Kind::Loopback => LinkKind::Loopback,
                Kind::Bridge => LinkKind::Bridge,
                Kind::Veth { .. } => LinkKind::Veth,
                Kind::Ifb | Kind::Device => LinkKind::Other,
            },
            mark: link.mark,
            holder: link.port.as_ref().map(|port| port.bridge.clone()),
            up: link.up,
            addresses: link.reported_addresses(None),
            has_default_route: has_default_route(name),
        });
        seen.collect()
    }

    /// Every address of the host.
    pub(super) fn host_addresses(&self) -> BTreeSet<IpAddr> {
        let links = self.host().into_iter().flat_map(|host| host.links.values());
        links
            .flat_map(|link| link.addresses.iter().map(|own| own.ip()))
            .collect()
    }
}

fn bridge_state(link: &Link) -> BridgeState {
    BridgeState {
        mark: link.mark,
        mac: link.mac,
        addresses: link.reported_addresses(None),
        mtu_bytes: link.mtu_bytes,
        filtered: link.filtered,
        up: link.up,
    }
}

fn veth_state(link: &Link, peer: Option<&(NetnsId, IfName)>) -> VethState {
    VethState {
        mark: link.mark,
        bridge: link.port.as_ref().map(|port| port.bridge.clone()),
        hairpin: link.port.as_ref().is_some_and(|port| port.hairpin),
        isolated: link.port.as_ref().is_some_and(|port| port.isolated),
        mtu_bytes: link.mtu_bytes,
        up: link.up,
        bucket: link.bucket,
        through: link.through.clone(),
        peer: peer.map(|(netns, _)| *netns),
        peer_name: peer.map(|(_, name)| name.clone()),
    }
}

fn sandbox_state(namespace: &Namespace) -> SandboxState {
    let mut state = SandboxState {
        dns_redirect: namespace.dns_redirect,
        ..SandboxState::default()
    };
    for (name, link) in &namespace.links {
        if link.kind == Kind::Loopback {
            state.loopback_up = link.up;
            continue;
        }
        let interface = InterfaceState {
            mac: link.mac,
            mtu_bytes: link.mtu_bytes,
            up: link.up,
            addresses: link.addresses.clone(),
        };
        state.interfaces.insert(name.clone(), interface);
    }
    state.routes = own_routes(namespace).collect();
    state
}

/// Of the host's own, nobody asks which link they leave by.
fn host_routes(namespace: &Namespace) -> BTreeSet<RouteState> {
    let routes = own_routes(namespace);
    let anyhow = routes.map(|route| RouteState {
        interface: None,
        ..route
    });
    anyhow.collect()
}

fn own_routes(namespace: &Namespace) -> impl Iterator<Item = RouteState> {
    let routes = namespace.routes.iter().filter(|(_, route)| route.is_ours());
    routes.filter_map(|(to, route)| {
        Some(RouteState {
            destination: *to,
            gateway: route.gateway?,
            interface: Some(route.interface.clone()),
        })
    })
}
