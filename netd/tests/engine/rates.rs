//! Limits of traffic: given with an attach, put back when somebody takes them, gone with what they are of.

use netd::engine::{EngineError, NewContainer, Wish};
use netd_api::{ErrorCode, WantedNetwork};
use netd_kernel::NetnsHandle;
use netd_model::desired::{Bucket, KernelState};
use netd_model::{ContainerId, IfName, NetworkId, Rate, Rates, RuntimeKey};

use crate::bench::{Bench, process, request};
use crate::steps::{limited, remove_all};
use crate::whole::check;

/// The outer end of the only pair, and the device beside it.
fn ends(bench: &Bench) -> (IfName, IfName) {
    let seen = bench.world.snapshot();
    let (veth, state) = seen.host.veths.first_key_value().expect("a pair");
    (veth.clone(), state.through.clone().expect("a limit"))
}

fn buckets(seen: &KernelState) -> Vec<Bucket> {
    let veths = seen.host.veths.values().filter_map(|veth| veth.bucket);
    let ifbs = seen.host.ifbs.values().filter_map(|ifb| ifb.bucket);
    veths.chain(ifbs).collect()
}

fn refused<T: std::fmt::Debug>(result: Result<T, EngineError>) -> String {
    let error = result.expect_err("a refusal");
    assert_eq!(error.code(), ErrorCode::NotConnectable, "{error}");
    error.sentence()
}

fn connect(
    bench: &Bench,
    (network, container): (NetworkId, ContainerId),
    rates: Rates,
) -> Result<(), EngineError> {
    let wish = Wish {
        rates,
        ..Wish::default()
    };
    let engine = bench.engine();
    bench
        .wait(engine.connect(network, container, wish))
        .map(|_| ())
}

fn inward(bits: u64, burst: Option<u64>) -> Rates {
    Rates {
        inward: Some(Rate::new(bits, burst).unwrap()),
        outward: None,
    }
}

#[test]
fn limits_stand_while_their_endpoint_does_and_another_daemon_finds_them_so() {
    let mut bench = Bench::new();
    let baseline = bench.baseline();
    bench.create("n", "10.9.0.0/24").unwrap();
    let (pid, _) = bench.run("web", "n", limited()).unwrap();
    let speeds = |bench: &Bench| -> Vec<u64> {
        let buckets = buckets(&bench.world.snapshot());
        buckets.iter().map(|one| one.bytes_per_second).collect()
    };
    assert_eq!(speeds(&bench), [1_250_000, 125_000]);
    check(&bench, "limited");
    bench.restart();
    assert_eq!(speeds(&bench), [1_250_000, 125_000]);
    check(&bench, "after a restart");
    // Its namespace takes the pair along, and the daemon the rest.
    bench.world.end_process(pid);
    bench.until("nothing is left of it", |bench| {
        let seen = bench.world.snapshot();
        seen.host.veths.is_empty() && seen.host.ifbs.is_empty()
    });
    remove_all(&bench);
    assert_eq!(bench.baseline(), baseline);
}

#[test]
fn what_others_take_from_a_limit_comes_back_by_itself() {
    let bench = Bench::new();
    bench.create("n", "10.9.0.0/24").unwrap();
    bench.run("web", "n", limited()).unwrap();
    let (veth, ifb) = ends(&bench);
    let before = bench.world.snapshot();
    let takes: [&dyn Fn(); 4] = [
        &|| bench.world.remove_bucket(&veth),
        &|| bench.world.remove_bucket(&ifb),
        &|| bench.world.remove_redirection(&veth),
        &|| bench.world.remove_link(&ifb),
    ];
    for take in takes {
        take();
        assert_ne!(bench.world.snapshot(), before);
        bench.until("the limit is there again", |bench| {
            bench.world.snapshot() == before
        });
    }
    bench.until("all is mended", |bench| {
        bench.wait(bench.engine().reconcile()).unwrap() == 0
    });
    check(&bench, "mended");
}

#[test]
fn what_somebody_limits_that_netd_does_not_is_left_alone() {
    let bench = Bench::new();
    bench.create("n", "10.9.0.0/24").unwrap();
    bench.run("web", "n", Wish::default()).unwrap();
    let seen = bench.world.snapshot();
    let (veth, _) = seen.host.veths.first_key_value().unwrap();
    let bucket = Bucket {
        bytes_per_second: 1_000,
        burst_bytes: 2_000,
        queue_bytes: 3_000,
    };
    let set = netd_model::Op::SetBucket {
        name: veth.clone(),
        bucket,
    };
    netd_kernel::Kernel::apply(&bench.world.kernel(), &[set]).unwrap();
    assert_eq!(bench.wait(bench.engine().reconcile()).unwrap(), 0);
    assert_eq!(buckets(&bench.world.snapshot()), [bucket]);
}

#[test]
fn a_wish_with_other_limits_is_refused_and_the_same_is_fulfilled() {
    let bench = Bench::new();
    let network = bench.create("n", "10.9.0.0/24").unwrap();
    let second = bench.create("second", "10.8.0.0/24").unwrap();
    let (_, web) = bench.run("web", "second", Wish::default()).unwrap();
    let pair = (network.id, web.id);
    connect(&bench, pair, inward(8_000_000, None)).unwrap();
    let before = bench.world.snapshot();
    connect(&bench, pair, inward(8_000_000, None)).unwrap();
    for other in [
        inward(8_000_000, Some(9_999)),
        inward(9_000_000, None),
        Rates::default(),
    ] {
        let error = connect(&bench, pair, other).unwrap_err();
        assert_eq!(error.code(), ErrorCode::AlreadyConnected, "{error}");
    }
    let unlimited = connect(&bench, (second.id, web.id), inward(8_000_000, None));
    assert_eq!(unlimited.unwrap_err().code(), ErrorCode::AlreadyConnected);
    assert_eq!(bench.world.snapshot(), before);
    check(&bench, "refused");
}

#[test]
fn limits_that_cannot_be_are_refused_and_leave_nothing() {
    let bench = Bench::new();
    let network = bench.create("n", "10.9.0.0/24").unwrap();
    let (_, web) = bench.run("web", "bridge", Wish::default()).unwrap();
    let before = bench.world.snapshot().host;
    let before = (before.veths, before.ifbs);
    let small = connect(&bench, (network.id, web.id), inward(8_000_000, Some(1_513)));
    assert!(
        refused(small)
            .contains("a burst of 1513 bytes lets no full frame pass: give 1514 at least")
    );
    let alone = refused(bench.run("alone", "none", limited()));
    assert!(alone.contains("leave the rates out"), "{alone}");
    let guest = NewContainer {
        netns: None,
        ..process(0, "guest", "container:web", limited())
    };
    let error = bench.wait(bench.engine().run_container(guest)).unwrap_err();
    let sentence = error.sentence();
    assert!(
        sentence.contains("a rate cannot be given to a container in the network of web"),
        "{sentence}"
    );
    let left = bench.world.snapshot().host;
    assert_eq!((left.veths, left.ifbs), before);
    check(&bench, "refused");
}

#[test]
fn a_network_whose_mtu_grows_lets_full_frames_pass_its_limits() {
    let bench = Bench::new();
    let network = bench.create("n", "10.9.0.0/24").unwrap();
    let (_, web) = bench.run("web", "bridge", Wish::default()).unwrap();
    connect(&bench, (network.id, web.id), inward(8_000_000, Some(2_000))).unwrap();
    let grow = r#"{"options": {"com.docker.network.driver.mtu": "9000"}}"#;
    let grow = serde_json::from_str(grow).unwrap();
    bench
        .wait(bench.engine().update_network(network.id, grow))
        .unwrap();
    let bursts = buckets(&bench.world.snapshot());
    assert_eq!(bursts.len(), 1);
    assert_eq!(bursts[0].burst_bytes, 9_014);
    check(&bench, "grown");
}

#[test]
fn a_runtime_s_check_is_about_limits_too() {
    let bench = Bench::new();
    let engine = bench.engine();
    let key = RuntimeKey {
        network: "cni".parse().unwrap(),
        container: "web".parse().unwrap(),
        interface: "eth0".parse().unwrap(),
    };
    let attach = |rates| {
        let pid = bench.world.spawn_process();
        let new = NewContainer {
            netns: Some(NetnsHandle::Process { pid }),
            wish: Wish {
                rates,
                ..Wish::default()
            },
            ..NewContainer::default()
        };
        let wanted = WantedNetwork::Described(Box::new(request("cni", "10.9.0.0/24")));
        bench.wait(engine.attach_for_runtime(key.clone(), wanted, new))
    };
    attach(limited().rates).unwrap();
    let (veth, _) = ends(&bench);
    let check = || bench.wait(engine.check_for_runtime(key.clone()));
    check().unwrap();
    let before = bench.world.snapshot();
    bench.world.remove_bucket(&veth);
    // One reconcile brings it back.
    check().unwrap();
    assert_eq!(bench.world.snapshot(), before);
    // If that fails, it is told.
    bench.world.remove_redirection(&veth);
    let refuse = |op: &netd_model::Op| matches!(op, netd_model::Op::Redirect { .. });
    (0..20).for_each(|_| bench.world.fail_next(refuse));
    let missing = check().unwrap_err().sentence();
    assert!(
        missing.contains(&format!("the limit of its rate by {veth} was changed")),
        "{missing}"
    );
}
