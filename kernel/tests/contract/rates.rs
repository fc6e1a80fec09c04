//! Promises about limits: as they were set, put back when somebody takes them, gone with what they are of.

use netd_kernel::KernelEvent;
use netd_model::desired::{Bucket, KernelState, VethState};

use super::Machine;
use super::machine::{await_event, eventually, listen, new_sandbox};
use super::wish::*;

/// A network whose containers are limited both ways.
fn limited() -> Net {
    Net {
        limit: Some(1_000_000),
        ..Net::new(1)
    }
}

fn veth_of<'a>(state: &'a mut KernelState, net: &Net) -> &'a mut VethState {
    state.host.veths.get_mut(&outside(net, 0)).unwrap()
}

pub fn limits_are_observed_where_they_are_asked_about(machine: &mut dyn Machine) {
    let (_, sandbox) = new_sandbox(machine);
    let net = limited();
    let wished = one_container(&net, sandbox.netns);
    bring(machine, &wished);
    let kernel = machine.kernel();
    assert_eq!(kernel.observe(&wished).unwrap(), wished);
    let mut unasked = wished.clone();
    let veth = veth_of(&mut unasked, &net);
    (veth.bucket, veth.through) = (None, None);
    unasked.host.ifbs.clear();
    let mut seen = kernel.observe(&unasked).unwrap();
    let veth = veth_of(&mut seen, &net);
    assert_eq!((veth.bucket, &veth.through), (None, &None));
    // What bears a mark is seen whoever asks, for it has to go when nobody wishes for it.
    let ifb = seen.host.ifbs[&ifb(&net, 0)];
    assert_eq!((ifb.mark, ifb.bucket), (Some(ifb_mark(&net, 0)), None));
}

pub fn what_was_taken_from_a_limit_is_told_of_and_put_back(machine: &mut dyn Machine) {
    let (_, sandbox) = new_sandbox(machine);
    let net = limited();
    let wished = one_container(&net, sandbox.netns);
    bring(machine, &wished);
    let (veth, ifb) = (outside(&net, 0), ifb(&net, 0));
    let rates = KernelEvent::RatesChanged;
    type Take<'a> = &'a dyn Fn(&mut dyn Machine);
    let takes: [(Take<'_>, KernelEvent); 4] = [
        (&|machine| machine.remove_bucket(&veth), rates.clone()),
        (&|machine| machine.remove_redirection(&veth), rates.clone()),
        (&|machine| machine.remove_bucket(&ifb), rates),
        (
            &|machine| machine.remove_link(&ifb),
            KernelEvent::LinkChanged(ifb.clone()),
        ),
    ];
    for (take, told) in takes {
        let events = listen(machine);
        take(machine);
        await_event(&events, &told);
        assert_ne!(steps(machine, &wished), [], "after {told:?}");
        bring(machine, &wished);
    }
}

pub fn an_ifb_goes_with_its_pair_and_no_stranger_s_does(machine: &mut dyn Machine) {
    let (pid, sandbox) = new_sandbox(machine);
    let net = limited();
    let wished = one_container(&net, sandbox.netns);
    bring(machine, &wished);
    let mut without = nothing([sandbox.netns]);
    add_bridge(&mut without, &net);
    bring(machine, &without);
    let bridge_alone = |machine: &dyn Machine| machine.links() == [net.bridge()].into();
    eventually("the pair is gone with its ifb", || bridge_alone(machine));
    // With its namespace the pair goes by itself, and the ifb does not.
    bring(machine, &wished);
    machine.kernel().release(sandbox.netns);
    machine.end_process(pid);
    let alone = |machine: &dyn Machine| machine.links() == [net.bridge(), ifb(&net, 0)].into();
    eventually("the pair is gone", || alone(machine));
    without.sandboxes.clear();
    bring(machine, &without);
    eventually("the ifb is gone", || bridge_alone(machine));
}

pub fn every_rate_and_burst_is_observed_as_it_was_set(machine: &mut dyn Machine) {
    let (_, sandbox) = new_sandbox(machine);
    let net = limited();
    let mut wished = one_container(&net, sandbox.netns);
    bring(machine, &wished);
    let rates = [
        125,
        126,
        9_999,
        1_234_567,
        125_000_000,
        4_294_967_295,
        4_294_967_296,
        125_000_000_000_000,
    ];
    for bytes_per_second in rates {
        for burst_bytes in [1_514, 20_001, 4_000_000, u32::MAX] {
            let bucket = Bucket {
                bytes_per_second,
                burst_bytes,
                queue_bytes: burst_bytes.saturating_add(7),
            };
            veth_of(&mut wished, &net).bucket = Some(bucket);
            let ops = steps(machine, &wished);
            assert_eq!(ops.len(), 1, "{bucket:?}: {ops:?}");
            machine.kernel().apply(&ops).unwrap();
            assert_eq!(steps(machine, &wished), [], "{bucket:?}");
        }
    }
}

pub fn limits_stay_when_the_daemon_is_another(machine: &mut dyn Machine) {
    let (_, sandbox) = new_sandbox(machine);
    let wished = one_container(&limited(), sandbox.netns);
    bring(machine, &wished);
    machine.restart();
    machine.kernel().readopt(&sandbox).unwrap();
    assert_eq!(steps(machine, &wished), []);
}
