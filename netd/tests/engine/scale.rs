//! As many as there can be: of containers on a bridge, of ports on a container.

use netd::engine::Wish;
use netd_api::ErrorCode;
use netd_kernel::fake::Fuel;

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

/// Steps of the kernel that a start takes, and questions that it asks, with that many containers.
fn start_with(containers: u16) -> (u64, u64) {
    let mut bench = Bench::new();
    bench.create("n", "10.1.0.0/16").unwrap();
    for number in 0..containers {
        let port = format!("{}:80", 8000 + number);
        bench
            .run(&format!("c{number}"), "n", publishing(&[&port]))
            .unwrap();
    }
    bench.settle();
    bench.kill();
    let fuel = Fuel::unlimited();
    bench.world.set_fuel(fuel.clone());
    bench.start().unwrap();
    let cost = (fuel.spent(), fuel.looks());
    let status = bench.wait(bench.engine().status()).unwrap();
    assert_eq!((status.reconciles.runs, status.reconciles.repairs), (1, 0));
    assert_eq!(status.ports, usize::from(containers));
    cost
}

/// Counted, since what a start takes on a machine that does other things as well says little.
#[test]
fn a_start_makes_four_steps_for_each_container_and_asks_about_none_by_itself() {
    let (few, many) = (start_with(3), start_with(43));
    // Its namespace is pinned, its ports are compared and taken, its resolver's sockets are opened.
    assert_eq!(many.0 - few.0, 40 * 4);
    // The watch may have begun to look around by itself.
    assert!(many.1 < few.1 + 5, "{} questions, then {}", few.1, many.1);
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
