//! As many as there can be: of containers on a bridge, of ports on a container.

use netd::engine::Wish;
use netd_api::ErrorCode;

use crate::bench::{Bench, publishing};
use crate::whole::check;

/// Ports of a bridge (`BR_MAX_PORTS`, net/bridge/br_private.h).
const PORTS_OF_A_BRIDGE: usize = 1023;

#[test]
fn a_full_bridge_refuses_the_next_and_comes_back_whole() {
    let mut bench = Bench::new();
    bench.create("n", "10.1.0.0/16").unwrap();
    bench.disk.hasten(true);
    for number in 0..PORTS_OF_A_BRIDGE {
        bench
            .run(&format!("c{number}"), "n", Wish::default())
            .unwrap();
    }
    bench.disk.hasten(false);
    let refused = bench.run("more", "n", Wish::default()).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::BridgeFull);
    assert!(refused.sentence().contains("1023"), "{refused}");
    bench.restart();
    let status = bench.wait(bench.engine().status()).unwrap();
    assert_eq!(status.endpoints, PORTS_OF_A_BRIDGE);
    assert_eq!((status.reconciles.runs, status.reconciles.repairs), (1, 0));
    check(&bench, "full");
}

#[test]
fn one_container_publishes_all_ports_there_are() {
    let mut bench = Bench::new();
    bench
        .run("all", "bridge", publishing(&["1-65535:1-65535/udp"]))
        .unwrap();
    let refused = bench.run("one", "bridge", publishing(&["53/udp"]));
    assert_eq!(refused.unwrap_err().code(), ErrorCode::PortTaken);
    bench.restart();
    let status = bench.wait(bench.engine().status()).unwrap();
    assert_eq!((status.ports, status.problems), (65_535, Vec::new()));
    check(&bench, "all ports");
}
