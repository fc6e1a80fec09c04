//! The life of containers of runc and crun, whoever is killed at whatever moment: what they had goes with them.

use std::collections::BTreeSet;
use std::time::Duration;

use netns_tests::lab::HOST;
use netns_tests::oci::{Bundle, Runtime, oci_log};
use netns_tests::oracle::dig_line;
use netns_tests::{eventually, within};
use serde_json::{Value, json};

use crate::hooks::{known, lab};
use crate::remains::{Before, has_traces};

fn web() -> Value {
    json!({
        "org.netd.network": "app",
        "org.netd.ip": "10.9.0.80",
        "org.netd.aliases": "www",
        "org.netd.name": "shop",
        "org.netd.ports": "8080:80",
    })
}

#[test]
fn hooks_a_killed_container_leaves_nothing_after_a_second_without_poststop() {
    let lab = lab();
    lab.h1.idle("asker", "app", &["--ip", "10.9.0.2"]);
    let ask = |name: &str| {
        let ran = lab.h1.in_container("asker", &dig_line(&["+short", name]));
        ran.ok().text().to_owned()
    };
    let before = Before::of(&lab);
    for runtime in Runtime::BOTH {
        lab.h1.oci_detached(runtime, "web", &Bundle::idle(&web()));
        for name in ["shop", "web", "www"] {
            assert_eq!(ask(name), "10.9.0.80", "{name}");
        }
        assert_eq!(known(&lab), ["asker", "shop"]);
        assert!(has_traces(&lab, &before.links));
        let pid = lab.h1.oci_pid(runtime, "web");
        lab.h1.signal("KILL", pid);
        within(Duration::from_secs(1), "link and port to go", || {
            (!has_traces(&lab, &before.links)).then_some(())
        });
        // The record has the lease and the names.
        within(Duration::from_secs(1), "lease and names to go", || {
            (known(&lab) == before.known).then_some(())
        });
        before.is_back(&lab);
        for name in ["shop", "web", "www"] {
            assert_eq!(ask(name), "", "{name}");
        }
        // Whoever comes next has all of it, although the runtime never took the first one away.
        let records = format!("{}/web", runtime.records());
        let _ = lab.h1.exec(&["rm", "-rf", &records]).ok();
        lab.h1.oci_detached(runtime, "web", &Bundle::idle(&web()));
        assert_eq!(lab.h1.address_of("shop", "app"), "10.9.0.80");
        // Late, and the ordinary way: poststop finds nothing, or takes the rest.
        let _ = lab.h1.oci(runtime, &["delete", "--force", "web"]).ok();
        before.is_back(&lab);
    }
}

#[test]
fn hooks_a_runtime_killed_while_it_starts_a_container_leaves_nothing() {
    let lab = lab();
    let before = Before::of(&lab);
    for runtime in Runtime::BOTH {
        // Behind netd's hook stands one that takes its time.
        let bundle = Bundle::idle(&web()).then("createRuntime", &["/bin/sleep", "60"]);
        let mut begun = lab.h1.oci_begin(runtime, "web", &bundle);
        eventually("the container to be connected", || {
            assert!(begun.is_running(), "{}", lab.h1.read(&oci_log("web")));
            (known(&lab) == ["shop"]).then_some(())
        });
        lab.h1.signal("KILL", begun.pid);
        before.is_back(&lab);
        let _ = lab.h1.exec(&["rm", "-rf", runtime.records()]).ok();
    }
}

#[test]
fn hooks_a_start_that_fails_later_is_undone_by_poststop() {
    let lab = lab();
    let before = Before::of(&lab);
    for runtime in Runtime::BOTH {
        let bundle = Bundle::idle(&web()).then("createRuntime", &["/bin/false"]);
        let ran = lab.h1.oci_run(runtime, "web", &bundle);
        assert!(!ran.is_ok(), "{ran}");
        before.is_back(&lab);
        let missing = Bundle::new(&["/no/such/program"], &web());
        assert!(!lab.h1.oci_run(runtime, "web", &missing).is_ok());
        before.is_back(&lab);
    }
}

#[test]
fn hooks_killed_while_the_daemon_answers_leave_nothing() {
    let lab = lab();
    let before = Before::of(&lab);
    for runtime in Runtime::BOTH {
        let daemon = lab.h1.daemon_pid();
        lab.h1.signal("STOP", daemon);
        let mut begun = lab.h1.oci_begin(runtime, "web", &Bundle::idle(&web()));
        let hook: u32 = eventually("the hook to run", || {
            let ran = lab.h1.exec(&["pgrep", "-f", "netd-hook createRuntime"]);
            ran.text().lines().next()?.parse().ok()
        });
        lab.h1.signal("KILL", hook);
        // The runtime stops the start, and asks to have it undone: by then the daemon answers again.
        lab.h1.signal("CONT", daemon);
        assert!(begun.ends_within(Duration::from_secs(10)) != 0);
        before.is_back(&lab);
    }
}

#[test]
fn hooks_without_a_daemon_stop_the_start_and_let_the_end_pass() {
    let lab = lab();
    let before = Before::of(&lab);
    for runtime in Runtime::BOTH {
        let mut started = lab.h1.oci_start(runtime, "web", &Bundle::idle(&web()));
        lab.h1.kill();
        let ran = lab.h1.oci_run(
            runtime,
            "late",
            &Bundle::idle(&json!({ "org.netd.network": "app" })),
        );
        assert!(!ran.is_ok());
        let _ = ran.names(&["late", "start it with `netd`"]);
        // The first one goes on without it, and ends in its absence.
        let _ = lab
            .h1
            .oci_exec(runtime, "web", &["ip", "address", "show", "dev", "eth0"])
            .ok();
        let _ = lab.h1.oci(runtime, &["kill", "web", "KILL"]).ok();
        let _ = started.ends_within(Duration::from_secs(10));
        let state = json!({ "ociVersion": "1.0.2", "id": "web", "status": "stopped", "bundle": "/run/bundles/web" });
        let ended = lab.h1.hook("poststop", state.to_string().as_bytes()).ok();
        let _ = ended.names(&["container web", "start it with `netd`", "gives back all"]);
        lab.h1.start();
        before.is_back(&lab);
    }
}

#[test]
fn hooks_a_daemon_killed_and_started_again_knows_the_containers() {
    let lab = lab();
    // Debian keeps this file of each package, wherever it leaves out documents.
    let serve = [
        "busybox",
        "httpd",
        "-f",
        "-p",
        "80",
        "-h",
        "/usr/share/doc/busybox",
    ];
    let before = Before::of(&lab);
    for runtime in Runtime::BOTH {
        let mut started = lab
            .h1
            .oci_start(runtime, "web", &Bundle::new(&serve, &web()));
        lab.h1.kill();
        lab.h1.start();
        let url = format!("http://{HOST}:8080/copyright");
        eventually("the page from outside", || {
            lab.outside.get(&url).is_ok().then_some(())
        });
        assert_eq!(lab.h1.address_of("shop", "app"), "10.9.0.80");
        let _ = lab.h1.oci(runtime, &["kill", "web", "KILL"]).ok();
        let _ = started.ends_within(Duration::from_secs(10));
        before.is_back(&lab);
    }
}

#[test]
fn hooks_a_second_container_of_the_same_id_and_bundle_does_not_harm_the_first() {
    let lab = lab();
    let bundle = Bundle::idle(&web());
    for [first, second] in [
        [Runtime::Runc, Runtime::Crun],
        [Runtime::Crun, Runtime::Runc],
    ] {
        let mut started = lab.h1.oci_start(first, "web", &bundle);
        let ran = lab.h1.oci_run(second, "web", &bundle);
        assert!(!ran.is_ok());
        let _ = ran.names(&["shop"]);
        assert_eq!(lab.h1.address_of("shop", "app"), "10.9.0.80");
        let _ = lab
            .h1
            .oci_exec(first, "web", &["ip", "address", "show", "dev", "eth0"])
            .ok();
        let _ = lab.h1.oci(first, &["kill", "web", "KILL"]).ok();
        let _ = started.ends_within(Duration::from_secs(10));
        eventually("its end", || known(&lab).is_empty().then_some(()));
    }
}

#[test]
fn hooks_many_containers_start_and_end_at_once() {
    let lab = lab();
    let before = Before::of(&lab);
    let annotations = json!({ "org.netd.network": "app", "org.netd.ports": "80" });
    let names: Vec<String> = (0..8).map(|number| format!("c{number}")).collect();
    let runtime = |number: usize| Runtime::BOTH[number % 2];
    let mut begun: Vec<_> = (0..)
        .zip(&names)
        .map(|(number, name)| {
            lab.h1
                .oci_begin(runtime(number), name, &Bundle::idle(&annotations))
        })
        .collect();
    let addresses = eventually("all to be connected", || {
        let view = lab.h1.inspect("app");
        let containers = view["Containers"].as_object().into_iter().flatten();
        let address = |(_, one): (_, &Value)| Some(one["IPv4Address"].as_str()?.to_owned());
        let addresses: Vec<_> = containers.filter_map(address).collect();
        (addresses.len() == names.len()).then_some(addresses)
    });
    let different: BTreeSet<_> = addresses.iter().collect();
    assert_eq!(different.len(), names.len(), "{addresses:?}");
    for (number, name) in (0..).zip(&names) {
        eventually("it to be killed", || {
            let ran = lab.h1.oci(runtime(number), &["kill", name, "KILL"]);
            ran.is_ok().then_some(())
        });
    }
    for one in &mut begun {
        let _ = one.ends_within(Duration::from_secs(10));
    }
    before.is_back(&lab);
}

#[test]
fn hooks_a_container_is_started_again_the_moment_it_was_deleted() {
    let lab = lab();
    let before = Before::of(&lab);
    for runtime in Runtime::BOTH {
        for _ in 0..10 {
            lab.h1.oci_detached(runtime, "web", &Bundle::idle(&web()));
            let _ = lab.h1.oci(runtime, &["delete", "--force", "web"]).ok();
        }
        // Nor does it matter that nobody deletes it: the records of the runtime are thrown away behind a killed one.
        for _ in 0..10 {
            lab.h1.oci_detached(runtime, "web", &Bundle::idle(&web()));
            let pid = lab.h1.oci_pid(runtime, "web");
            let kill = format!("kill -KILL {pid}; rm -rf {}/web", runtime.records());
            let _ = lab.h1.sh(&kill).ok();
        }
        before.is_back(&lab);
    }
}
