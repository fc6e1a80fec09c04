//! The steps from what there is to what there shall be. Pure: the same two states give the same steps.
//!
//! Deletes only links that carry a mark of `instance` and routes of our protocol number; everything else that is there
//! and not wished for belongs to somebody else. Where a stranger has a name that is wished for, the step is made all
//! the same and the kernel refuses it, so that the user hears of it.

use std::collections::BTreeMap;

use crate::desired::{
    BridgeState, InterfaceState, KernelState, LinkChange, Mark, NetnsId, Op, Sysctl, UplinkState,
    VethState,
};
use crate::{IfName, InstanceId};

mod rates;
mod sandbox;

/// Steps that turn `observed` into `desired`, in an order in which they can be made.
///
/// Gone is first: names and addresses become free before they are used again. Then the host's parameters, bridges, ifbs,
/// cards and routes, then each sandbox. Parameters come before the interface that they govern goes up, and an interface comes up after
/// its addresses are there. Equal states give no steps.
///
/// `desired` may be a fragment, if `observed` is the same fragment of what there is. Sandboxes that are only in
/// `observed` are left alone: a namespace ends by its own means.
#[must_use]
pub fn diff(desired: &KernelState, observed: &KernelState, instance: InstanceId) -> Vec<Op> {
    let mut plan = Plan {
        desired,
        observed,
        doomed: doomed_links(desired, observed, instance),
        ops: Vec::new(),
    };
    plan.delete_links();
    plan.write_host_sysctls();
    for (name, bridge) in &desired.host.bridges {
        plan.bring_bridge(name, bridge);
    }
    for (name, ifb) in &desired.host.ifbs {
        plan.bring_ifb(name, ifb);
    }
    for (name, veth) in &desired.host.veths {
        if let Some(there) = plan.standing_veth(name, veth) {
            plan.adjust_veth(name, veth, there);
        }
    }
    for (name, uplink) in &desired.host.uplinks {
        plan.join_uplink(name, uplink);
    }
    let routes = (&desired.host.routes, &observed.host.routes);
    plan.bring_routes(None, routes, Age::Standing);
    for (netns, sandbox) in &desired.sandboxes {
        plan.bring_sandbox(*netns, sandbox);
    }
    plan.ops
}

/// The steps so far, and what they are derived from.
struct Plan<'a> {
    desired: &'a KernelState,
    observed: &'a KernelState,
    /// Links to delete; from then on they count as absent.
    doomed: BTreeMap<&'a IfName, Mark>,
    ops: Vec<Op>,
}

/// Marked links that are not wished for, or that cannot be turned into what is wished for.
///
/// That is a veth whose other end is gone, was renamed or sits elsewhere: a pair lives and dies together, so such a
/// one is made anew.
fn doomed_links<'a>(
    desired: &KernelState,
    observed: &'a KernelState,
    instance: InstanceId,
) -> BTreeMap<&'a IfName, Mark> {
    let ours = |mark: Option<Mark>| mark.filter(|mark| mark.is_of(instance));
    let usable = |name: &IfName, there: &VethState| {
        desired.host.veths.get(name).is_some_and(|wished| {
            wished.mark == there.mark
                && wished.peer == there.peer
                && wished.peer_name == there.peer_name
        })
    };
    let wished_bridge = |name: &IfName, mark: Mark| {
        let wished = desired.host.bridges.get(name);
        wished.is_some_and(|wished| wished.mark.is_none_or(|wished| wished == mark))
    };
    let veths = observed.host.veths.iter();
    let veths = veths
        .filter(|(name, there)| !usable(name, there))
        .filter_map(|(name, there)| Some((name, ours(there.mark)?)));
    let bridges = observed.host.bridges.iter();
    let bridges = bridges
        .filter_map(|(name, there)| Some((name, ours(there.mark)?)))
        .filter(|(name, mark)| !wished_bridge(name, *mark));
    let ifbs = observed.host.ifbs.iter();
    let ifbs = ifbs
        .filter_map(|(name, there)| Some((name, ours(there.mark)?)))
        .filter(|(name, mark)| {
            let wished = desired.host.ifbs.get(*name);
            wished.is_none_or(|wished| wished.mark != Some(*mark))
        });
    veths.chain(bridges).chain(ifbs).collect()
}

impl<'a> Plan<'a> {
    /// Deletes pairs before bridges, so that no port is cut off only to be deleted, and before the ifbs that they lead to.
    fn delete_links(&mut self) {
        let host = &self.observed.host;
        let turn = |name: &IfName| match host.bridges.contains_key(name) {
            false => u8::from(host.ifbs.contains_key(name)),
            true => 2,
        };
        let mut doomed: Vec<(&IfName, Mark)> = self
            .doomed
            .iter()
            .map(|(name, mark)| (*name, *mark))
            .collect();
        doomed.sort_by_key(|(name, _)| turn(name));
        let delete = |(name, mark): (&IfName, Mark)| Op::DeleteLink {
            name: name.clone(),
            mark,
        };
        self.ops.extend(doomed.into_iter().map(delete));
    }

    /// The bridge as it stands, if it may be used as the wished one.
    fn standing_bridge(&self, name: &IfName, wished: &BridgeState) -> Option<&'a BridgeState> {
        let there = self.observed.host.bridges.get(name)?;
        let fits = there.mark == wished.mark || wished.mark.is_none();
        (fits && !self.doomed.contains_key(name)).then_some(there)
    }

    /// The host end as it stands, if it is the wished one. A stranger of that name counts as absent.
    fn standing_veth(&self, name: &IfName, wished: &VethState) -> Option<&'a VethState> {
        let there = self.observed.host.veths.get(name)?;
        let ours = there.mark.is_some() && there.mark == wished.mark;
        (ours && !self.doomed.contains_key(name)).then_some(there)
    }

    /// Writes those of `wished` that `there` does not have so.
    fn write_sysctls<'b>(
        &mut self,
        netns: Option<NetnsId>,
        wished: impl Iterator<Item = (&'b Sysctl, &'b String)>,
        there: &BTreeMap<Sysctl, String>,
    ) {
        let differing = wished.filter(|(key, value)| there.get(key) != Some(value));
        self.ops
            .extend(differing.map(|(key, value)| Op::WriteSysctl {
                netns,
                key: key.clone(),
                value: value.clone(),
            }));
    }

    /// Writes the host's parameters that belong to no link of ours; a link's own wait until it is there.
    fn write_host_sysctls(&mut self) {
        let host = &self.desired.host;
        let of_link = |key: &Sysctl| {
            let mut links = host.bridges.keys().chain(host.veths.keys());
            links.any(|link| is_about(key, link))
        };
        let general = host.sysctls.iter().filter(|(key, _)| !of_link(key));
        self.write_sysctls(None, general, &self.observed.host.sysctls);
    }

    /// Writes the parameters of one link of the host; a fresh one has none of the observed values.
    fn write_link_sysctls(&mut self, link: &IfName, age: Age) {
        let unknown = BTreeMap::new();
        let there = match age {
            Age::Standing => &self.observed.host.sysctls,
            Age::Fresh => &unknown,
        };
        let own = about(&self.desired.host.sysctls, link);
        self.write_sysctls(None, own, there);
    }

    fn bring_bridge(&mut self, name: &IfName, wished: &BridgeState) {
        let standing = self.standing_bridge(name, wished);
        let age = if standing.is_some() {
            Age::Standing
        } else {
            Age::Fresh
        };
        let Some(mark) = wished.mark else {
            // Somebody else's: only brought up.
            self.write_link_sysctls(name, age);
            if wished.up && !standing.is_some_and(|there| there.up) {
                self.set_link(None, name, up(true));
            }
            return;
        };
        if standing.is_none() {
            self.ops.push(Op::CreateBridge {
                name: name.clone(),
                mark,
                mac: wished.mac,
                mtu_bytes: wished.mtu_bytes,
            });
        }
        self.write_link_sysctls(name, age);
        // Before it is up: until then nobody passes.
        let filtered = standing.is_some_and(|there| there.filtered);
        let change = LinkChange {
            filtered: wished_unless(filtered, wished.filtered),
            ..LinkChange::default()
        };
        self.set_link(None, name, change);
        let wished = shape(wished);
        let there = standing.map_or_else(|| as_created(&wished), shape);
        self.bring_link(None, name, (&wished, &there));
    }

    fn adjust_veth(&mut self, name: &IfName, wished: &VethState, there: &VethState) {
        self.write_link_sysctls(name, Age::Standing);
        // The ports of a deleted bridge were cut off, even if another takes its name.
        let bridge = there.bridge.as_ref();
        let bridge = bridge.filter(|bridge| !self.doomed.contains_key(bridge));
        let moved = wished.bridge.as_ref() != bridge;
        // A port that leaves its bridge loses its settings, and what is no port has none.
        let setting = |wished: bool, there: bool| {
            wished_unless(there && !moved, wished).filter(|_| self.has_bridge(name))
        };
        let change = LinkChange {
            up: wished_unless(there.up, wished.up),
            mtu_bytes: wished_unless(there.mtu_bytes, wished.mtu_bytes),
            bridge: moved.then(|| wished.bridge.clone()),
            hairpin: setting(wished.hairpin, there.hairpin),
            isolated: setting(wished.isolated, there.isolated),
            ..LinkChange::default()
        };
        self.set_link(None, name, change);
        self.hold_back(name, wished, Some(there));
    }

    /// Makes a card that is plugged in a port of its bridge. One that somebody else made a port stays his.
    fn join_uplink(&mut self, name: &IfName, wished: &UplinkState) {
        let Some(there) = self.observed.host.uplinks.get(name) else {
            return;
        };
        let holder = there.holder.as_ref();
        let holder = holder.filter(|holder| !self.doomed.contains_key(holder));
        if holder.is_some() && holder != wished.holder.as_ref() {
            return;
        }
        let change = LinkChange {
            bridge: holder.is_none().then(|| wished.holder.clone()),
            up: wished_unless(there.up, wished.up),
            ..LinkChange::default()
        };
        self.set_link(None, name, change);
    }

    fn has_bridge(&self, veth: &IfName) -> bool {
        let wished = self.desired.host.veths.get(veth);
        wished.is_some_and(|wished| wished.bridge.is_some())
    }

    /// Brings a link from how it is (second) to how it shall be (first).
    fn bring_link(
        &mut self,
        netns: Option<NetnsId>,
        name: &IfName,
        (wished, there): (&InterfaceState, &InterfaceState),
    ) {
        let goes_down = there.up && !wished.up;
        let change = LinkChange {
            up: goes_down.then_some(false),
            mtu_bytes: wished_unless(there.mtu_bytes, wished.mtu_bytes),
            mac: wished_unless(there.mac, wished.mac),
            ..LinkChange::default()
        };
        self.set_link(netns, name, change);
        for address in &wished.addresses {
            // The kernel forgets the IPv6 addresses of a link that goes down.
            let kept = address.is_ipv4() || !goes_down;
            if !(kept && there.addresses.contains(address)) {
                self.ops.push(Op::AddAddress {
                    netns,
                    interface: name.clone(),
                    address: *address,
                });
            }
        }
        if wished.up && !there.up {
            self.set_link(netns, name, up(true));
        }
    }

    /// Changes a link of the host or of a sandbox, if there is anything to change.
    fn set_link(&mut self, netns: Option<NetnsId>, name: &IfName, change: LinkChange) {
        if change == LinkChange::default() {
            return;
        }
        let name = name.clone();
        self.ops.push(match netns {
            None => Op::SetLink { name, change },
            Some(netns) => Op::SetInterface {
                netns,
                name,
                change,
            },
        });
    }
}

/// Whether a link stood before these steps or is made by them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    Standing,
    Fresh,
}

fn is_about(key: &Sysctl, interface: &IfName) -> bool {
    key.path().split('/').nth(2) == Some(interface.as_str())
}

/// The parameters of one interface.
fn about<'b>(
    all: &'b BTreeMap<Sysctl, String>,
    interface: &IfName,
) -> impl Iterator<Item = (&'b Sysctl, &'b String)> {
    all.iter().filter(|(key, _)| is_about(key, interface))
}

/// `wished`, if that is not what is there.
fn wished_unless<T: PartialEq>(there: T, wished: T) -> Option<T> {
    (wished != there).then_some(wished)
}

fn up(up: bool) -> LinkChange {
    LinkChange {
        up: Some(up),
        ..LinkChange::default()
    }
}

/// What a bridge has in common with every link.
fn shape(bridge: &BridgeState) -> InterfaceState {
    InterfaceState {
        mac: bridge.mac,
        mtu_bytes: bridge.mtu_bytes,
        up: bridge.up,
        addresses: bridge.addresses.clone(),
    }
}

/// A link just made as wished: still down, without addresses.
fn as_created(wished: &InterfaceState) -> InterfaceState {
    InterfaceState {
        up: false,
        addresses: std::collections::BTreeSet::new(),
        ..wished.clone()
    }
}
