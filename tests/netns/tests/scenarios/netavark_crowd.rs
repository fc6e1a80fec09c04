//! Many calls of Podman's network program at once, and a daemon that is killed among them.

use std::collections::BTreeSet;

use netns_tests::host::SOCKET;
use netns_tests::podman::{PROGRAM, network, request};
use netns_tests::{Lab, eventually, programs};
use serde_json::json;

const MANY: usize = 40;

/// Calls the program for containers c1 to c40 at once; a line for each that failed comes back.
fn all_at_once(lab: &Lab, verb: &str, then: &str) -> String {
    let script = format!(
        "one() {{ \"$PROGRAM\" {verb} /run/netns/c$1 </run/lab/in/$1 >/run/lab/out/$1 || echo failed c$1 $(cat /run/lab/out/$1); }}; \
         mkdir -p /run/lab/out; for n in $(seq {MANY}); do one $n & done; {then}\nwait"
    );
    let program = programs::built(PROGRAM).display().to_string();
    let environment = [("PROGRAM", program.as_str()), ("NETD_HOST", SOCKET)];
    let ran = lab
        .h1
        .exec_with(&["sh", "-c", &script], &environment, b"")
        .ok();
    ran.text().to_owned()
}

fn lab() -> Lab {
    let lab = Lab::new();
    let app = network("app", "10.89.0.0/24", &json!({}));
    for number in 1..=MANY {
        let name = format!("c{number}");
        let address = format!("10.89.0.{}", number + 1);
        let one = request(&name, &app, &json!({ "static_ips": [address] }));
        lab.h1
            .write(&format!("/run/lab/in/{number}"), &one.to_string());
    }
    let _ = lab
        .h1
        .sh(&format!(
            "for n in $(seq {MANY}); do ip netns add c$n; done"
        ))
        .ok();
    lab
}

fn members(lab: &Lab) -> usize {
    let view = lab.h1.inspect("app");
    view["Containers"].as_object().into_iter().flatten().count()
}

#[test]
fn netavark_forty_at_once_make_the_network_once_and_take_it_along() {
    let lab = lab();
    let (links, rules) = (lab.h1.link_names(), lab.h1.all_rules());
    for _ in 0..2 {
        assert_eq!(all_at_once(&lab, "setup", ""), "");
        assert_eq!(members(&lab), MANY);
        // Once more, all of them: nothing changes.
        assert_eq!(all_at_once(&lab, "setup", ""), "");
        assert_eq!(members(&lab), MANY);
        assert_eq!(all_at_once(&lab, "teardown", ""), "");
        let names = lab.h1.net(&["ls", "--format", "{{.Name}}"]).ok();
        assert_eq!(names.text(), "bridge\nhost\nnone");
    }
    eventually("the rules of before", || {
        (lab.h1.all_rules() == rules).then_some(())
    });
    lab.h1.comes_back_to(&links);
    assert_eq!(lab.h1.status()["problems"], json!([]));
}

#[test]
fn netavark_comings_and_goings_at_once_never_miss_the_network() {
    let lab = lab();
    // Each comes and goes by itself, so the network is made and removed under the others' hands.
    let script = format!(
        "one() {{ for round in 1 2 3; do for verb in setup teardown; do \
           \"$PROGRAM\" $verb /run/netns/c$1 </run/lab/in/$1 >/run/lab/out.$1 || echo failed c$1 $verb $(cat /run/lab/out.$1); \
         done; done; }}; for n in $(seq {MANY}); do one $n & done; wait"
    );
    let program = programs::built(PROGRAM).display().to_string();
    let environment = [("PROGRAM", program.as_str()), ("NETD_HOST", SOCKET)];
    let ran = lab
        .h1
        .exec_with(&["sh", "-c", &script], &environment, b"")
        .ok();
    assert_eq!(ran.text(), "");
    let names = lab.h1.net(&["ls", "--format", "{{.Name}}"]).ok();
    assert_eq!(names.text(), "bridge\nhost\nnone");
    assert_eq!(lab.h1.status()["problems"], json!([]));
}

#[test]
fn netavark_the_same_setup_many_times_at_once_is_one() {
    let lab = lab();
    let script = "for n in $(seq 20); do \"$PROGRAM\" setup /run/netns/c1 </run/lab/in/1 >/run/lab/out.$n || echo failed $(cat /run/lab/out.$n) & done; wait";
    let program = programs::built(PROGRAM).display().to_string();
    let environment = [("PROGRAM", program.as_str()), ("NETD_HOST", SOCKET)];
    let ran = lab
        .h1
        .exec_with(&["sh", "-c", script], &environment, b"")
        .ok();
    assert_eq!(ran.text(), "");
    let first = lab.h1.read("/run/lab/out.1");
    assert!(first.contains("10.89.0.2/24"), "{first}");
    assert!((2..=20).all(|n| lab.h1.read(&format!("/run/lab/out.{n}")) == first));
    assert_eq!(members(&lab), 1);
}

#[test]
fn netavark_a_daemon_killed_among_the_calls_keeps_its_word() {
    let lab = lab();
    let pid = lab.h1.daemon_pid();
    // The daemon dies as soon as one of them has its answer.
    let kill = format!("until cat /run/lab/out/* | grep -q eth0; do :; done; kill -KILL {pid}");
    let failed = all_at_once(&lab, "setup", &kill);
    let failed: BTreeSet<&str> = failed
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .collect();
    eventually("the daemon's end", || (!lab.h1.daemon_runs()).then_some(()));
    lab.h1.start();
    // Who was told that it is there has it; who was not may ask again.
    for number in 1..=MANY {
        let name = format!("c{number}");
        if !failed.contains(name.as_str()) {
            assert_eq!(
                lab.h1.address_of(&name, "app"),
                format!("10.89.0.{}", number + 1)
            );
        }
    }
    assert_eq!(all_at_once(&lab, "setup", ""), "");
    assert_eq!(members(&lab), MANY);
    assert_eq!(all_at_once(&lab, "teardown", ""), "");
    let names = lab.h1.net(&["ls", "--format", "{{.Name}}"]).ok();
    assert_eq!(names.text(), "bridge\nhost\nnone");
    assert_eq!(lab.h1.status()["problems"], json!([]));
}
