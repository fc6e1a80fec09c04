//! Limits: made before anything can pass them, put back when somebody takes them, gone with their endpoint.

use netd_model::EndpointId;
use netd_model::desired::{Bucket, IfbState, KernelState, Mark};
use netd_model::diff::diff;

use super::{ME, empty_sandbox, name, veth_of, wish, words};

/// A wish whose container has limits both ways.
fn limited() -> KernelState {
    let mut state = wish();
    let ifb = IfbState {
        mark: Some(Mark::ifb(ME, EndpointId::from_bytes([7; 32]))),
        bucket: Some(bucket(1_000)),
        up: true,
    };
    state.host.ifbs.insert(name("ifb0"), ifb);
    let veth = veth_of(&mut state);
    (veth.bucket, veth.through) = (Some(bucket(2_000)), Some(name("ifb0")));
    state
}

fn bucket(bytes_per_second: u64) -> Bucket {
    Bucket {
        bytes_per_second,
        burst_bytes: 4_000,
        queue_bytes: 8_000,
    }
}

#[test]
fn limits_stand_before_anything_can_pass_them() {
    assert_eq!(diff(&limited(), &limited(), ME), []);
    let steps = words(&diff(&limited(), &empty_sandbox(), ME));
    let at = |word: &str| steps.iter().position(|step| step == word).unwrap();
    let order = [
        "ifb ifb0",
        "bucket ifb0",
        "veth veth0",
        "bucket veth0",
        "veth0 through ifb0",
        "set inside eth0",
    ];
    assert!(order.map(at).is_sorted(), "{steps:?}");
    // Both are made in one piece besides what an unlimited one takes.
    assert_eq!(
        steps.len(),
        words(&diff(&wish(), &empty_sandbox(), ME)).len() + 4
    );
}

#[test]
fn what_was_taken_from_a_limit_is_put_back() {
    let steps = |change: &dyn Fn(&mut KernelState)| {
        let mut there = limited();
        change(&mut there);
        words(&diff(&limited(), &there, ME))
    };
    assert_eq!(
        steps(&|there| veth_of(there).bucket = None),
        ["bucket veth0"]
    );
    assert_eq!(
        steps(&|there| veth_of(there).bucket = Some(bucket(9_000))),
        ["bucket veth0"]
    );
    assert_eq!(
        steps(&|there| veth_of(there).through = None),
        ["veth0 through ifb0"]
    );
    assert_eq!(
        steps(&|there| there.host.ifbs.clear()),
        ["ifb ifb0", "bucket ifb0", "veth0 through ifb0"],
        "what led to the former one leads nowhere"
    );
    let down = |there: &mut KernelState| {
        there.host.ifbs.get_mut(&name("ifb0")).unwrap().up = false;
    };
    assert_eq!(steps(&down), ["set ifb0"]);
}

#[test]
fn an_ifb_goes_with_its_pair_and_what_others_made_of_an_unlimited_one_stays() {
    let mut nothing = limited();
    nothing.host.veths.clear();
    nothing.host.ifbs.clear();
    assert_eq!(
        words(&diff(&nothing, &limited(), ME)),
        ["delete veth0", "delete ifb0"]
    );
    let mut there = wish();
    veth_of(&mut there).bucket = Some(bucket(9_000));
    veth_of(&mut there).through = Some(name("ifb7"));
    let stranger = IfbState {
        mark: None,
        bucket: None,
        up: true,
    };
    there.host.ifbs.insert(name("ifb7"), stranger);
    assert_eq!(diff(&wish(), &there, ME), []);
}
