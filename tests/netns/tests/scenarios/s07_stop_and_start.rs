//! S7: what a container keeps when it stops and starts.

use std::time::{Duration, Instant};

use netns_tests::{Lab, OrFail, eventually};

#[test]
fn s07_a_name_follows_its_container_to_another_address() {
    let lab = Lab::new();
    let _ = lab
        .h1
        .net(&["create", "--subnet", "192.0.2.0/24", "app"])
        .ok();
    lab.h1.idle("asker", "app", &[]);
    lab.h1.idle("server", "app", &["--ip", "192.0.2.50"]);
    let resolve = || {
        let ran = lab
            .h1
            .in_container("asker", &["dig", "+short", "+tries=1", "server"])
            .ok();
        ran.text().to_owned()
    };
    assert_eq!(resolve(), "192.0.2.50");
    let _ = lab.h1.net(&["stop", "server"]).ok();
    eventually("the name to go with its container", || {
        resolve().is_empty().then_some(())
    });
    lab.h1.idle("server", "app", &["--ip", "192.0.2.60"]);
    assert_eq!(resolve(), "192.0.2.60");
    let _ = lab
        .h1
        .in_container("asker", &["ping", "-c1", "-W2", "server"])
        .ok();
}

#[test]
fn s07_a_returning_name_gets_its_last_address_if_free() {
    let lab = Lab::new();
    for name in ["a", "b"] {
        lab.h1.idle(name, "bridge", &[]);
    }
    assert_eq!(lab.h1.address_of("b", "bridge"), "172.17.0.3");
    let _ = lab.h1.net(&["stop", "b"]).ok();
    lab.h1.idle("c", "bridge", &[]);
    assert_ne!(lab.h1.address_of("c", "bridge"), "172.17.0.3");
    lab.h1.idle("b", "bridge", &[]);
    assert_eq!(lab.h1.address_of("b", "bridge"), "172.17.0.3");
}

#[test]
fn s07_a_container_whose_supervisor_is_stopped_by_a_signal_ends_at_once() {
    let lab = Lab::new();
    for patience in ["1", "20"] {
        lab.h1.idle("a", "bridge", &[]);
        let view = lab.h1.net(&["inspect", "a"]).ok().json();
        let supervisor = view[0]["pid"].as_u64().or_fail("its pid").to_string();
        let _ = lab.h1.exec(&["kill", "-STOP", &supervisor]).ok();
        let begin = Instant::now();
        let _ = lab.h1.net(&["stop", "-t", patience, "a"]).ok();
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(5), "-t {patience}: {took:?}");
        let view = lab.h1.net(&["inspect", "a"]).ok().json();
        assert_eq!(view[0]["exit_code"], 128 + 15, "it had its say: {view}");
    }
}
