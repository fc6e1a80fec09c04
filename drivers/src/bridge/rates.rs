//! Limits of an endpoint's traffic, all on the outer end of its pair: what is inside, a container may change that has
//! CAP_NET_ADMIN.

use netd_model::container::Interface;
use netd_model::desired::{Bucket, IfbState, Mark};
use netd_model::{Endpoint, IfName, InstanceId};

use crate::names::ifb_name;

/// What holds back that which comes to the container: it leaves by the outer end.
pub(super) fn inward(endpoint: &Endpoint, mtu_bytes: u32) -> Option<Bucket> {
    let rate = endpoint.rates.inward?;
    Some(Bucket::of(rate, mtu_bytes))
}

/// The device that what the container sends goes through, if that is limited: it comes in by the outer end, where the
/// kernel holds nothing back.
pub(super) fn ifb(
    endpoint: &Endpoint,
    (interface, mtu_bytes): (&Interface, u32),
    instance: InstanceId,
) -> Option<(IfName, IfbState)> {
    let rate = endpoint.rates.outward?;
    let ifb = IfbState {
        mark: Some(Mark::ifb(instance, endpoint.id)),
        bucket: Some(Bucket::of(rate, mtu_bytes)),
        up: true,
    };
    Some((ifb_name(&interface.outside)?, ifb))
}

#[cfg(test)]
mod tests {
    use netd_model::desired::KernelState;
    use netd_model::{Rate, Rates};

    use crate::sandbox::{Attachment, ResolverWish, plan_sandbox};
    use crate::testing::{INSTANCE, endpoint, network, sandbox, spec};

    use super::*;

    fn plan(rates: Rates) -> KernelState {
        let mut network = network("a", 1, &["10.0.0.0/24"]);
        spec(&mut network).mtu_bytes = Some(9000);
        let mut endpoint = endpoint(&network, 7);
        endpoint.rates = rates;
        let attachment = Attachment {
            network: &network,
            endpoint: &endpoint,
        };
        plan_sandbox(&sandbox(), &[attachment], INSTANCE, ResolverWish::Off).unwrap()
    }

    #[test]
    fn each_direction_is_held_back_by_itself_at_the_outer_end() {
        let rate = |bits| Some(Rate::new(bits, Some(4000)).unwrap());
        let (inward, outward) = (rate(8_000_000), rate(800_000));
        for (inward, outward) in [
            (inward, outward),
            (inward, None),
            (None, outward),
            (None, None),
        ] {
            let plan = plan(Rates { inward, outward });
            let (name, veth) = plan.host.veths.first_key_value().unwrap();
            assert_eq!(name.as_str(), "veth7");
            let bucket = |rate| Bucket::of(rate, 9000);
            assert_eq!(veth.bucket, inward.map(bucket));
            let ifb = plan.host.ifbs.first_key_value();
            assert_eq!(veth.through.as_ref(), ifb.map(|(name, _)| name));
            assert_eq!(ifb.and_then(|(_, ifb)| ifb.bucket), outward.map(bucket));
            assert!(ifb.is_none_or(|(name, ifb)| name.as_str() == "ifb7" && ifb.up));
        }
    }

    #[test]
    fn a_full_frame_passes_although_the_burst_was_asked_for_before_the_mtu_grew() {
        let inward = Some(Rate::new(8_000_000, Some(4000)).unwrap());
        let plan = plan(Rates {
            inward,
            outward: None,
        });
        let veth = plan.host.veths.values().next().unwrap();
        assert_eq!(veth.bucket.unwrap().burst_bytes, 9014);
    }
}
