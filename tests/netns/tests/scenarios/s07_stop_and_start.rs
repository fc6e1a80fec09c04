//! S7: what a container keeps when it stops and starts.

use netns_tests::{Lab, eventually};

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
