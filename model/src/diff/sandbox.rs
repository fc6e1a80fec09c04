//! The steps inside one sandbox, and the pairs that lead into it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Age, Plan, about, as_created, is_about, up};
use crate::IfName;
use crate::desired::{
    InterfaceState, NetnsId, NewVeth, Op, RouteState, SandboxState, Sysctl, VethState,
};

impl Plan<'_> {
    pub(super) fn bring_sandbox(&mut self, netns: NetnsId, wished: &SandboxState) {
        let nothing = SandboxState::default();
        let there = self.observed.sandboxes.get(&netns).unwrap_or(&nothing);
        let of_interface = |key: &Sysctl| wished.interfaces.keys().any(|name| is_about(key, name));
        let general = wished.sysctls.iter().filter(|(key, _)| !of_interface(key));
        self.write_sysctls(Some(netns), general, &there.sysctls);
        if wished.loopback_up
            && !there.loopback_up
            && let Ok(lo) = IfName::new("lo")
        {
            self.set_link(Some(netns), &lo, up(true));
        }
        let made = self.create_veths(netns, wished);
        for (name, interface) in &wished.interfaces {
            let made = made.get(name);
            let known = there.interfaces.get(name).filter(|_| made.is_none());
            let age = if known.is_some() {
                Age::Standing
            } else {
                Age::Fresh
            };
            self.write_interface_sysctls((netns, name), (wished, there), age);
            let before = made.or(known).cloned();
            let before = before.unwrap_or_else(|| as_created(interface));
            self.bring_link(Some(netns), name, (interface, &before));
        }
        self.bring_routes(
            Some(netns),
            (&wished.routes, &there.routes),
            if made.is_empty() {
                Age::Standing
            } else {
                Age::Fresh
            },
        );
        if let Some(port) = wished.dns_redirect
            && there.dns_redirect != Some(port)
        {
            self.ops.push(Op::RedirectDns { netns, port });
        }
    }

    fn write_interface_sysctls(
        &mut self,
        (netns, name): (NetnsId, &IfName),
        (wished, there): (&SandboxState, &SandboxState),
        age: Age,
    ) {
        let own = about(&wished.sysctls, name);
        if age == Age::Standing {
            return self.write_sysctls(Some(netns), own, &there.sysctls);
        }
        // A fresh interface begins with the defaults. Those that were written just now need not be written again.
        let inherited = |key: &Sysctl| {
            let default = key.inherited_from()?;
            let written = wished.sysctls.get(&default);
            written.filter(|_| there.sysctls.get(&default) != written)
        };
        let differing = own.filter(|(key, value)| inherited(key) != Some(value));
        self.write_sysctls(Some(netns), differing, &BTreeMap::new());
    }

    /// Makes the pairs into a sandbox that are missing; gives the inner ends as they are then.
    fn create_veths(
        &mut self,
        netns: NetnsId,
        sandbox: &SandboxState,
    ) -> BTreeMap<IfName, InterfaceState> {
        let mut made = BTreeMap::new();
        let desired = self.desired;
        let here = |veth: &VethState| veth.peer == Some(netns);
        for (outside, veth) in desired.host.veths.iter().filter(|(_, veth)| here(veth)) {
            if self.standing_veth(outside, veth).is_some() {
                continue;
            }
            let Some(new) = new_veth(outside, veth, (netns, sandbox)) else {
                continue;
            };
            let inner = InterfaceState {
                mac: new.mac,
                mtu_bytes: new.mtu_bytes,
                up: false,
                addresses: BTreeSet::new(),
            };
            made.insert(new.inside.clone(), inner);
            self.ops.push(Op::CreateVeth(Box::new(new)));
            self.write_link_sysctls(outside, Age::Fresh);
            // Before the inner end is up: until then nothing passes.
            self.hold_back(outside, veth, None);
            if !veth.up {
                self.set_link(None, outside, up(false));
            }
        }
        made
    }

    /// The kernel drops an interface's routes with it, so after one was made anew every route is set again.
    pub(super) fn bring_routes(
        &mut self,
        netns: Option<NetnsId>,
        (wished, there): (&BTreeSet<RouteState>, &BTreeSet<RouteState>),
        age: Age,
    ) {
        let replaced = |route: &RouteState| {
            let mut wished = wished.iter();
            wished.any(|other| other.destination == route.destination)
        };
        let stale = there.difference(wished);
        let stale = stale.filter(|route| !replaced(route));
        let remove = |route: &RouteState| Op::RemoveRoute {
            netns,
            route: route.clone(),
        };
        self.ops.extend(stale.map(remove));
        let missing = wished.iter();
        let missing = missing.filter(|route| age == Age::Fresh || !there.contains(route));
        let add = |route: &RouteState| Op::AddRoute {
            netns,
            route: route.clone(),
        };
        self.ops.extend(missing.map(add));
    }
}

/// The pair to make, if the wish says enough: a mark, a bridge, and the interface inside.
fn new_veth(
    outside: &IfName,
    veth: &VethState,
    (netns, sandbox): (NetnsId, &SandboxState),
) -> Option<NewVeth> {
    let inside = veth.peer_name.as_ref()?;
    Some(NewVeth {
        outside: outside.clone(),
        mark: veth.mark?,
        bridge: veth.bridge.clone()?,
        hairpin: veth.hairpin,
        isolated: veth.isolated,
        mtu_bytes: veth.mtu_bytes,
        netns,
        inside: inside.clone(),
        mac: sandbox.interfaces.get(inside)?.mac,
    })
}
