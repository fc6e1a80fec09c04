//! One container of a Docker engine on a network: the pair's outer end. Its inner end is made on the host, under a name that
//! the engine is told; the engine moves it into the container's namespace, and gives it its name, addresses and routes.
//!
//! Must not know where the inner end is: whether it waits on the host or was moved, the plan is the same.

use netd_model::desired::{KernelState, NetnsId, NewVeth, VethState};
use netd_model::{InstanceId, Op};

use crate::bridge;
use crate::plan::PlanError;
use crate::sandbox::{Attachment, wired};

/// What a container wants of the host. A plan has no steps to make a pair: one whose inner end went with its namespace
/// is not to come back, and a new one is [`pair_to_hand_over`].
///
/// # Errors
/// [`PlanError`] when the records do not fit together.
pub fn plan_outside(
    attachments: &[Attachment<'_>],
    instance: InstanceId,
) -> Result<KernelState, PlanError> {
    let mut plan = KernelState::default();
    for (attachment, spec) in wired(attachments)? {
        let wire = bridge::plan_endpoint(&attachment, spec, NOWHERE, instance)?;
        // What an observer says of an end that is on the host, or in a namespace that is none of netd's.
        let outside = VethState {
            peer: None,
            peer_name: None,
            ..wire.outside
        };
        plan.host.veths.insert(wire.interface.outside, outside);
        plan.host.ifbs.extend(wire.ifb);
    }
    Ok(plan)
}

/// The step that makes the pair of an endpoint, with its inner end in the namespace `host`, the daemon's own.
///
/// # Errors
/// [`PlanError`] when the records do not fit together.
pub fn pair_to_hand_over(
    attachment: Attachment<'_>,
    host: NetnsId,
    instance: InstanceId,
) -> Result<Option<Op>, PlanError> {
    let Some((attachment, spec)) = wired(&[attachment])?.pop() else {
        return Ok(None);
    };
    let wire = bridge::plan_endpoint(&attachment, spec, host, instance)?;
    let parts = wire.outside.mark.zip(wire.outside.bridge);
    Ok(parts.map(|(mark, bridge)| {
        Op::CreateVeth(Box::new(NewVeth {
            outside: wire.interface.outside,
            mark,
            bridge,
            hairpin: wire.outside.hairpin,
            isolated: wire.outside.isolated,
            mtu_bytes: wire.outside.mtu_bytes,
            netns: host,
            inside: wire.interface.inside,
            mac: wire.interface.mac,
        }))
    }))
}

/// Stands for the namespace of the inner end where nobody asks for it.
const NOWHERE: NetnsId = NetnsId { dev: 0, inode: 0 };

#[cfg(test)]
mod tests {
    use netd_model::diff::diff;

    use super::*;
    use crate::testing::{INSTANCE, endpoint, network};

    #[test]
    fn the_pair_is_made_once_and_never_by_a_plan() {
        let network = network("a", 1, &["10.0.0.0/24"]);
        let endpoint = endpoint(&network, 7);
        let attachment = Attachment {
            network: &network,
            endpoint: &endpoint,
        };
        let plan = plan_outside(&[attachment], INSTANCE).unwrap();
        assert!(plan.sandboxes.is_empty());
        assert_eq!(diff(&plan, &KernelState::default(), INSTANCE), []);
        let ops = diff(&KernelState::default(), &plan, INSTANCE);
        assert!(matches!(&ops[..], [Op::DeleteLink { .. }]), "{ops:?}");
        let host = NetnsId { dev: 4, inode: 1 };
        let made = pair_to_hand_over(attachment, host, INSTANCE).unwrap();
        let Some(Op::CreateVeth(pair)) = made else {
            panic!("{made:?}");
        };
        let interface = endpoint.interface.clone().unwrap();
        assert_eq!((pair.netns, &pair.inside), (host, &interface.inside));
        assert_eq!(
            (&pair.outside, pair.mac),
            (&interface.outside, interface.mac)
        );
        assert!(plan.host.veths.contains_key(&pair.outside));
    }
}
