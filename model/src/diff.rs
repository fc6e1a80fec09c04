//! The steps from what there is to what there shall be. Pure: the same two states give the same steps.
//!
//! Deletes only links that carry a mark of `instance` and routes of our protocol number; everything else that is there
//! and not wished for belongs to somebody else.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::{
    BridgeState, HostState, InterfaceState, KernelState, LinkChange, NetnsId, NewVeth, Op,
    SandboxState, Sysctl, VethState,
};
use crate::{IfName, InstanceId};

/// Steps that turn `observed` into `desired`, in an order in which they can be made.
///
/// Gone is first: names and addresses become free before they are used again. Then the host's parameters and bridges,
/// then each sandbox. Inside a sandbox, parameters come before the interface that they govern, and an interface comes
/// up after its addresses are there. Equal states give no steps.
///
/// `desired` may be a fragment, if `observed` is the same fragment of what there is. Sandboxes that are only in
/// `observed` are left alone: a namespace ends by its own means.
#[must_use]
pub fn diff(desired: &KernelState, observed: &KernelState, instance: InstanceId) -> Vec<Op> {
    let mut ops = Vec::new();
    let doomed = doomed_veths(desired, observed, instance);
    delete_links(desired, observed, &doomed, instance, &mut ops);
    write_sysctls(None, &desired.host, &observed.host.sysctls, &mut ops);
    for (name, bridge) in &desired.host.bridges {
        bring_bridge(
            name,
            bridge,
            observed.host.bridges.get(name),
            &desired.host,
            &observed.host,
            &mut ops,
        );
    }
    for (name, veth) in &desired.host.veths {
        if let Some(there) = observed
            .host
            .veths
            .get(name)
            .filter(|_| !doomed.contains(name))
        {
            adjust_veth(name, veth, there, &mut ops);
        }
    }
    let nothing = SandboxState::default();
    for (netns, sandbox) in &desired.sandboxes {
        let there = observed.sandboxes.get(netns).unwrap_or(&nothing);
        bring_sandbox(*netns, sandbox, there, desired, observed, &doomed, &mut ops);
    }
    ops
}

/// Marked veths that are not wished for, or that cannot be turned into what is wished for: the other end is gone, was
/// renamed or sits elsewhere. A pair lives and dies together, so such a one is made anew.
fn doomed_veths(
    desired: &KernelState,
    observed: &KernelState,
    instance: InstanceId,
) -> BTreeSet<IfName> {
    let ours = |veth: &VethState| veth.mark.is_some_and(|mark| mark.is_of(instance));
    let usable = |wished: &VethState, there: &VethState| {
        wished.mark == there.mark
            && wished.peer == there.peer
            && wished.peer_name == there.peer_name
    };
    observed
        .host
        .veths
        .iter()
        .filter(|(name, there)| {
            ours(there)
                && desired
                    .host
                    .veths
                    .get(*name)
                    .is_none_or(|wished| !usable(wished, there))
        })
        .map(|(name, _)| name.clone())
        .collect()
}

fn delete_links(
    desired: &KernelState,
    observed: &KernelState,
    doomed: &BTreeSet<IfName>,
    instance: InstanceId,
    ops: &mut Vec<Op>,
) {
    for name in doomed {
        if let Some(mark) = observed.host.veths[name].mark {
            ops.push(Op::DeleteLink {
                name: name.clone(),
                mark,
            });
        }
    }
    for (name, bridge) in &observed.host.bridges {
        let Some(mark) = bridge.mark.filter(|mark| mark.is_of(instance)) else {
            continue;
        };
        if desired
            .host
            .bridges
            .get(name)
            .is_none_or(|wished| wished.mark != Some(mark))
        {
            ops.push(Op::DeleteLink {
                name: name.clone(),
                mark,
            });
        }
    }
}

/// Writes the parameters that belong to no bridge of ours; a bridge's own wait until it is there.
fn write_sysctls(
    netns: Option<NetnsId>,
    desired: &HostState,
    observed: &BTreeMap<Sysctl, String>,
    ops: &mut Vec<Op>,
) {
    for (key, value) in &desired.sysctls {
        let of_bridge = desired.bridges.keys().any(|bridge| is_about(key, bridge));
        if !of_bridge && observed.get(key) != Some(value) {
            ops.push(Op::WriteSysctl {
                netns,
                key: key.clone(),
                value: value.clone(),
            });
        }
    }
}

fn is_about(key: &Sysctl, interface: &IfName) -> bool {
    key.path().split('/').nth(2) == Some(interface.as_str())
}

fn bring_bridge(
    name: &IfName,
    wished: &BridgeState,
    there: Option<&BridgeState>,
    desired: &HostState,
    observed: &HostState,
    ops: &mut Vec<Op>,
) {
    // A bridge with another mark was deleted above, so it counts as absent.
    let there = there.filter(|there| there.mark == wished.mark || wished.mark.is_none());
    if let (None, Some(mark)) = (there, wished.mark) {
        ops.push(Op::CreateBridge {
            name: name.clone(),
            mark,
            mac: wished.mac,
            mtu_bytes: wished.mtu_bytes,
        });
    }
    for (key, value) in desired
        .sysctls
        .iter()
        .filter(|(key, _)| is_about(key, name))
    {
        if there.is_none() || observed.sysctls.get(key) != Some(value) {
            ops.push(Op::WriteSysctl {
                netns: None,
                key: key.clone(),
                value: value.clone(),
            });
        }
    }
    for address in &wished.addresses {
        if there.is_none_or(|there| !there.addresses.contains(address)) {
            ops.push(Op::AddAddress {
                netns: None,
                interface: name.clone(),
                address: *address,
            });
        }
    }
    let ours = wished.mark.is_some();
    let change = LinkChange {
        // A link is made down.
        up: differs(wished.up, Some(there.is_some_and(|there| there.up))),
        mtu_bytes: there
            .filter(|_| ours)
            .and_then(|there| differs(wished.mtu_bytes, Some(there.mtu_bytes))),
        mac: there
            .filter(|_| ours)
            .and_then(|there| differs(wished.mac, Some(there.mac))),
        ..LinkChange::default()
    };
    if change != LinkChange::default() {
        ops.push(Op::SetLink {
            name: name.clone(),
            change,
        });
    }
}

/// `wished`, if that is not what is there.
fn differs<T: PartialEq>(wished: T, there: Option<T>) -> Option<T> {
    (Some(&wished) != there.as_ref()).then_some(wished)
}

fn adjust_veth(name: &IfName, wished: &VethState, there: &VethState, ops: &mut Vec<Op>) {
    let moved = wished.bridge != there.bridge;
    let change = LinkChange {
        up: differs(wished.up, Some(there.up)),
        mtu_bytes: differs(wished.mtu_bytes, Some(there.mtu_bytes)),
        bridge: moved.then(|| wished.bridge.clone()),
        // A port that leaves its bridge loses its settings.
        hairpin: if moved {
            Some(wished.hairpin)
        } else {
            differs(wished.hairpin, Some(there.hairpin))
        },
        isolated: if moved {
            Some(wished.isolated)
        } else {
            differs(wished.isolated, Some(there.isolated))
        },
        mac: None,
    };
    if change != LinkChange::default() {
        ops.push(Op::SetLink {
            name: name.clone(),
            change,
        });
    }
}

fn bring_sandbox(
    netns: NetnsId,
    wished: &SandboxState,
    there: &SandboxState,
    desired: &KernelState,
    observed: &KernelState,
    doomed: &BTreeSet<IfName>,
    ops: &mut Vec<Op>,
) {
    let about_interface = |key: &Sysctl| wished.interfaces.keys().any(|name| is_about(key, name));
    for (key, value) in wished
        .sysctls
        .iter()
        .filter(|(key, _)| !about_interface(key))
    {
        if there.sysctls.get(key) != Some(value) {
            ops.push(Op::WriteSysctl {
                netns: Some(netns),
                key: key.clone(),
                value: value.clone(),
            });
        }
    }
    if wished.loopback_up && !there.loopback_up {
        let change = LinkChange {
            up: Some(true),
            ..LinkChange::default()
        };
        if let Ok(name) = IfName::new("lo") {
            ops.push(Op::SetInterface {
                netns,
                name,
                change,
            });
        }
    }
    let mut created = false;
    for (outside, veth) in desired
        .host
        .veths
        .iter()
        .filter(|(_, veth)| veth.peer == Some(netns))
    {
        if doomed.contains(outside) || !observed.host.veths.contains_key(outside) {
            created |= create_veth(outside, veth, netns, wished, ops);
        }
    }
    let fresh = |name: &IfName| {
        desired.host.veths.iter().any(|(outside, veth)| {
            veth.peer == Some(netns)
                && veth.peer_name.as_ref() == Some(name)
                && (doomed.contains(outside) || !observed.host.veths.contains_key(outside))
        })
    };
    for (name, interface) in &wished.interfaces {
        let before = if fresh(name) {
            None
        } else {
            there.interfaces.get(name)
        };
        bring_interface(netns, name, interface, before, wished, there, ops);
    }
    bring_routes(netns, wished, there, created, ops);
    if let Some(port) = wished
        .dns_redirect
        .filter(|_| wished.dns_redirect != there.dns_redirect)
    {
        ops.push(Op::RedirectDns { netns, port });
    }
}

fn create_veth(
    outside: &IfName,
    veth: &VethState,
    netns: NetnsId,
    sandbox: &SandboxState,
    ops: &mut Vec<Op>,
) -> bool {
    let inside = veth
        .peer_name
        .as_ref()
        .and_then(|name| sandbox.interfaces.get(name).map(|state| (name, state)));
    let (Some((inside, state)), Some(mark), Some(bridge)) = (inside, veth.mark, &veth.bridge)
    else {
        return false;
    };
    ops.push(Op::CreateVeth(Box::new(NewVeth {
        outside: outside.clone(),
        mark,
        bridge: bridge.clone(),
        hairpin: veth.hairpin,
        isolated: veth.isolated,
        mtu_bytes: veth.mtu_bytes,
        netns,
        inside: inside.clone(),
        mac: state.mac,
    })));
    true
}

fn bring_interface(
    netns: NetnsId,
    name: &IfName,
    wished: &InterfaceState,
    there: Option<&InterfaceState>,
    sandbox: &SandboxState,
    sandbox_there: &SandboxState,
    ops: &mut Vec<Op>,
) {
    for (key, value) in sandbox
        .sysctls
        .iter()
        .filter(|(key, _)| is_about(key, name))
    {
        if there.is_none() || sandbox_there.sysctls.get(key) != Some(value) {
            ops.push(Op::WriteSysctl {
                netns: Some(netns),
                key: key.clone(),
                value: value.clone(),
            });
        }
    }
    let change = LinkChange {
        mtu_bytes: there.and_then(|there| differs(wished.mtu_bytes, Some(there.mtu_bytes))),
        mac: there.and_then(|there| differs(wished.mac, Some(there.mac))),
        ..LinkChange::default()
    };
    if change != LinkChange::default() {
        ops.push(Op::SetInterface {
            netns,
            name: name.clone(),
            change,
        });
    }
    for address in &wished.addresses {
        if there.is_none_or(|there| !there.addresses.contains(address)) {
            ops.push(Op::AddAddress {
                netns: Some(netns),
                interface: name.clone(),
                address: *address,
            });
        }
    }
    if let Some(up) = differs(wished.up, Some(there.is_some_and(|there| there.up))) {
        let change = LinkChange {
            up: Some(up),
            ..LinkChange::default()
        };
        ops.push(Op::SetInterface {
            netns,
            name: name.clone(),
            change,
        });
    }
}

/// The kernel drops an interface's routes with it, so after one was made anew every route is set again.
fn bring_routes(
    netns: NetnsId,
    wished: &SandboxState,
    there: &SandboxState,
    created: bool,
    ops: &mut Vec<Op>,
) {
    let replaced = |route: &crate::desired::RouteState| {
        wished
            .routes
            .iter()
            .any(|other| other.destination == route.destination)
    };
    for route in there
        .routes
        .difference(&wished.routes)
        .filter(|route| !replaced(route))
    {
        ops.push(Op::RemoveRoute {
            netns,
            route: *route,
        });
    }
    for route in &wished.routes {
        if created || !there.routes.contains(route) {
            ops.push(Op::AddRoute {
                netns,
                route: *route,
            });
        }
    }
}
