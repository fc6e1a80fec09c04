//! The steps of a reconcile on links, addresses and routes: found, made, and counted. Must not know the records.

use std::collections::BTreeSet;

use netd_kernel::{ApplyError, Kernel};
use netd_model::desired::{KernelState, Mark};
use netd_model::diff::diff;
use netd_model::{IfName, InstanceId, NetnsId, Op, Subnet};

use super::EngineError;

#[derive(Debug, Default)]
pub(super) struct Done {
    /// Steps that brought back what somebody else had changed.
    pub(super) repairs: u64,
    /// Links that were cut off before, and whose end was still to come: no repairs, but work that was left.
    pub(super) finished: u64,
    /// What could not be done, each a sentence.
    pub(super) failures: Vec<String>,
    /// Links with which something could not be done.
    pub(super) failed_links: BTreeSet<IfName>,
    /// Routes that could not be withdrawn.
    pub(super) failed_routes: BTreeSet<Subnet>,
    /// Sandboxes that are wished for and gone.
    pub(super) vanished: Vec<NetnsId>,
    /// Outer ends whose inner ends were in a Docker engine's hands, and went with the container's namespace.
    pub(super) lost: Vec<IfName>,
}

impl Done {
    /// Counts `steps` that were made. A link that bears no mark which is wished for was on its way out.
    fn count(&mut self, steps: &[Op], wished: &BTreeSet<Mark>) {
        let is_end = |op: &&Op| matches!(op, Op::DeleteLink { mark, .. } if !wished.contains(mark));
        let finished = steps.iter().filter(is_end).count();
        self.finished += finished as u64;
        self.repairs += (steps.len() - finished) as u64;
    }
}

/// Takes out of the wish what cannot come back: outer ends whose inner ends a Docker engine had.
fn lost(desired: &mut KernelState, observed: &KernelState) -> Vec<IfName> {
    let there = |name: &IfName| observed.host.veths.get(name).and_then(|veth| veth.mark);
    let ends = desired.host.veths.iter();
    let lost = ends.filter(|(name, veth)| veth.peer.is_none() && there(name) != veth.mark);
    let lost: Vec<IfName> = lost.map(|(name, _)| name.clone()).collect();
    for name in &lost {
        desired.host.veths.remove(name);
    }
    lost
}

/// Finds the steps from what is observed to what is desired and makes each that can be made: what fails stops only what
/// depends on it.
pub(super) fn repair(
    kernel: &dyn Kernel,
    (mut desired, observed): (KernelState, KernelState),
    instance: InstanceId,
) -> Done {
    let mut done = Done::default();
    let wished = marks_of(&desired);
    desired.sandboxes.retain(|netns, _| {
        let there = observed.sandboxes.contains_key(netns);
        if !there {
            done.vanished.push(*netns);
        }
        there
    });
    desired.host.veths.retain(|_, veth| {
        veth.peer
            .is_none_or(|peer| desired.sandboxes.contains_key(&peer))
    });
    done.lost = lost(&mut desired, &observed);
    drop_unused_ifbs(&mut desired);
    let mut ops = diff(&desired, &observed, instance);
    while !ops.is_empty() {
        match kernel.apply(&ops) {
            Ok(()) => {
                done.count(&ops, &wished);
                break;
            }
            Err(ApplyError { index, source }) => {
                done.count(&ops[..index], &wished);
                let failed = ops[index].clone();
                done.failures.push(EngineError::Kernel(source).sentence());
                done.failed_links.extend(link_of(&failed).cloned());
                if let Op::RemoveRoute { netns: None, route } = &failed {
                    done.failed_routes.insert(route.destination);
                }
                ops = ops.split_off(index + 1);
                ops.retain(|op| !depends(op, &failed));
            }
        }
    }
    done
}

/// Takes out of the wish the ifbs that nothing goes through any more.
fn drop_unused_ifbs(desired: &mut KernelState) {
    let host = &mut desired.host;
    let used: BTreeSet<&IfName> = host
        .veths
        .values()
        .filter_map(|veth| veth.through.as_ref())
        .collect();
    host.ifbs.retain(|name, _| used.contains(name));
}

/// The marks of all links that are wished for.
fn marks_of(desired: &KernelState) -> BTreeSet<Mark> {
    let veths = desired.host.veths.values().filter_map(|veth| veth.mark);
    let bridges = desired.host.bridges.values();
    let ifbs = desired.host.ifbs.values().filter_map(|ifb| ifb.mark);
    veths
        .chain(ifbs)
        .chain(bridges.filter_map(|bridge| bridge.mark))
        .collect()
}

fn link_of(op: &Op) -> Option<&IfName> {
    match op {
        Op::CreateBridge { name, .. }
        | Op::CreateIfb { name, .. }
        | Op::SetBucket { name, .. }
        | Op::Redirect { name, .. }
        | Op::SetLink { name, .. }
        | Op::DeleteLink { name, .. } => Some(name),
        Op::CreateVeth(veth) => Some(&veth.outside),
        Op::AddAddress {
            netns: None,
            interface,
            ..
        }
        | Op::RemoveAddress {
            netns: None,
            interface,
            ..
        } => Some(interface),
        _ => None,
    }
}

fn netns_of(op: &Op) -> Option<NetnsId> {
    match op {
        Op::WriteSysctl { netns, .. }
        | Op::AddAddress { netns, .. }
        | Op::RemoveAddress { netns, .. }
        | Op::AddRoute { netns, .. }
        | Op::RemoveRoute { netns, .. } => *netns,
        Op::CreateVeth(veth) => Some(veth.netns),
        Op::SetInterface { netns, .. } | Op::RedirectDns { netns, .. } => Some(*netns),
        _ => None,
    }
}

/// True if `op` makes no sense after `failed` did not happen.
fn depends(op: &Op, failed: &Op) -> bool {
    let same_sandbox = netns_of(failed).is_some_and(|netns| netns_of(op) == Some(netns));
    let same_link = link_of(failed).is_some_and(|link| {
        link_of(op) == Some(link)
            || matches!(op, Op::CreateVeth(veth) if veth.bridge == *link)
            || matches!(op, Op::Redirect { to, .. } if to == link)
    });
    same_sandbox || same_link
}

#[cfg(test)]
mod tests {
    use netd_model::{EndpointId, InstanceId};

    use super::*;

    #[test]
    fn the_end_of_a_link_that_nobody_wishes_for_is_no_repair() {
        let instance = InstanceId::from_bytes([7; 32]);
        let [wished, unknown] =
            [1, 2].map(|number| Mark::endpoint(instance, EndpointId::from_bytes([number; 32])));
        let delete = |mark| Op::DeleteLink {
            name: IfName::new("veth0").unwrap(),
            mark,
        };
        let mut done = Done::default();
        // The first is one end of a pair that has to be made anew.
        done.count(
            &[delete(wished), delete(unknown)],
            &BTreeSet::from([wished]),
        );
        assert_eq!((done.repairs, done.finished), (1, 1));
    }
}
