//! What the hooks refuse, each with a sentence that names it, and nothing half-made behind it.

use netns_tests::oci::{Bundle, Runtime};
use netns_tests::{Background, Lab, eventually};
use serde_json::{Value, json};

use crate::hooks::{known, lab};

/// A process in namespaces of its own, as a runtime has it at createRuntime.
fn guest(lab: &Lab) -> Background {
    let line = ["unshare", "-n", "-m", "sleep", "infinity"];
    let guest = lab.h1.spawn(&line, &[], "/run/lab/guest.log");
    let own = lab.h1.exec(&["readlink", "/proc/1/ns/net"]).ok();
    let its = format!("/proc/{}/ns/net", guest.pid);
    eventually("its namespaces", || {
        let there = lab.h1.exec(&["readlink", &its]).ok();
        (there.text() != own.text()).then_some(())
    });
    guest
}

/// A state at createRuntime.
fn state(pid: u32, bundle: &str) -> Value {
    json!({ "ociVersion": "1.0.2", "id": "web", "status": "creating", "pid": pid, "bundle": bundle })
}

/// createRuntime refuses, says all of this, and leaves nothing.
#[track_caller]
fn refused(lab: &Lab, input: &str, needles: &[&str]) {
    let ran = lab.h1.hook("createRuntime", input.as_bytes());
    assert!(!ran.stderr.contains("panicked"), "{ran}");
    let _ = ran.fails(1).names(needles);
    assert_eq!(known(lab), [""; 0]);
    let all = lab
        .h1
        .exec(&["ip", "-o", "link", "show", "type", "veth"])
        .ok();
    // The laboratory's own is the host's card.
    let ours = all.text().lines().filter(|line| line.contains(": veth"));
    assert_eq!(ours.count(), 0, "{all}");
}

#[test]
fn hooks_input_that_is_no_state_is_refused() {
    let lab = lab();
    let guest = guest(&lab);
    let folder = lab
        .h1
        .bundle("web", &Bundle::idle(&json!({ "org.netd.network": "app" })));
    let good = state(guest.pid, &folder);
    for (input, named) in [
        ("", "stdin"),
        ("{", "stdin"),
        ("[]", "stdin"),
        ("{}", "ociVersion"),
        ("\u{0}\u{1}", "stdin"),
    ] {
        refused(&lab, input, &["OCI runtime specification", named]);
    }
    for (field, value, named) in [
        ("ociVersion", json!("2.0.0"), "2.0.0"),
        ("ociVersion", json!(1), "1"),
        ("id", json!("../../etc"), "../../etc"),
        ("pid", json!(-7), "-7"),
        ("pid", json!(0), "no process 0"),
        ("pid", json!(4_000_000), "no process 4000000"),
        (
            "bundle",
            json!("/no/such/bundle"),
            "/no/such/bundle/config.json",
        ),
        ("bundle", json!("bundles/web"), "absolute"),
        ("status", json!("running"), "hooks.createRuntime"),
        ("status", json!("gone"), "gone"),
        ("annotations", json!([]), "map"),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        refused(&lab, &bad.to_string(), &["netd-hook:", named]);
    }
    refused(&lab, &" ".repeat((1 << 20) + 1), &["1048576 bytes"]);
    let mut stopped = good.clone();
    for (status, named) in [
        ("running", "hooks.poststop"),
        ("creating", "hooks.poststop"),
    ] {
        stopped["status"] = status.into();
        let ran = lab.h1.hook("poststop", stopped.to_string().as_bytes());
        let _ = ran.fails(1).names(&[named]);
    }
    for verb in ["poststart", "createruntime"] {
        let _ = lab.h1.hook(verb, b"").fails(2).names(&[verb]);
    }
}

#[test]
fn hooks_annotations_that_cannot_be_are_refused_by_their_key() {
    let lab = lab();
    let guest = guest(&lab);
    let folder = lab.h1.bundle("web", &Bundle::idle(&json!({})));
    lab.h1
        .idle("holder", "app", &["--ip", "10.9.0.9", "-p", "8080:80"]);
    let _ = lab
        .h1
        .net(&["create", "--internal", "--subnet", "10.8.0.0/24", "back"])
        .ok();
    for (annotations, needles) in [
        (
            json!({ "com.example.a": "b" }),
            &["org.netd.network is missing", "netd-hook example"][..],
        ),
        (
            json!({ "org.netd.netwrok": "app" }),
            &["org.netd.netwrok", "did you mean org.netd.network?"],
        ),
        (
            json!({ "org.netd.network": "app", "org.netd.prots": "80" }),
            &["org.netd.prots", "did you mean org.netd.ports?"],
        ),
        (
            json!({ "org.netd.network": "app", "org.netd.ip.abc": "10.9.0.7" }),
            &["abc", "did you mean org.netd.ip.app?"],
        ),
        (
            json!({ "org.netd.network": "nowhere" }),
            &["nowhere", "net ls"],
        ),
        (json!({ "org.netd.network": "host" }), &["host"]),
        (json!({ "org.netd.network": "none" }), &["none"]),
        (
            json!({ "org.netd.network": "app", "org.netd.ip": "10.9.0.9" }),
            &["10.9.0.9", "holder"],
        ),
        (
            json!({ "org.netd.network": "app", "org.netd.ip": "10.7.0.9" }),
            &["10.7.0.9"],
        ),
        (
            json!({ "org.netd.network": "app", "org.netd.ports": "8080:80" }),
            &["8080", "holder"],
        ),
        (
            json!({ "org.netd.network": "app", "org.netd.ports": "0:80" }),
            &["org.netd.ports"],
        ),
        (
            json!({ "org.netd.network": "app", "org.netd.name": "holder" }),
            &["holder"],
        ),
        (
            json!({ "org.netd.network": "app", "org.netd.dns-search": "a/b" }),
            &["a/b"],
        ),
        // The first network was joined already, and is left again.
        (json!({ "org.netd.network": "app,nowhere" }), &["nowhere"]),
        (
            json!({ "org.netd.network": "app,back", "org.netd.ip.back": "10.8.1.1" }),
            &["10.8.1.1"],
        ),
    ] {
        let mut state = state(guest.pid, &folder);
        state["annotations"] = annotations;
        let ran = lab.h1.hook("createRuntime", state.to_string().as_bytes());
        let _ = ran.fails(1).names(needles).names(&["container web"]);
        assert_eq!(known(&lab), ["holder"]);
        let pid = guest.pid.to_string();
        // What was connected first is deleted within a second.
        eventually("only lo to be left inside", || {
            let line = ["nsenter", "-t", &pid, "-n", "ip", "-o", "link"];
            let inside = lab.h1.exec(&line).ok();
            (inside.text().lines().count() == 1).then_some(())
        });
    }
}

#[test]
fn hooks_a_container_without_namespaces_of_its_own_is_refused() {
    let lab = lab();
    for runtime in Runtime::BOTH {
        for (kind, needle) in [
            ("network", "no network namespace"),
            ("mount", "no mount namespace"),
        ] {
            let mut bundle = Bundle::idle(&json!({ "org.netd.network": "app" }));
            let list = bundle.config["linux"]["namespaces"].as_array_mut();
            list.unwrap().retain(|one| one["type"] != kind);
            let ran = lab.h1.oci_run(runtime, "web", &bundle);
            assert!(!ran.is_ok(), "{ran}");
            // What the runtime itself cannot do without a mount namespace, it says first.
            if runtime == Runtime::Crun || kind == "network" {
                let _ = ran.names(&[needle]);
            }
            assert_eq!(known(&lab), [""; 0]);
        }
    }
}

#[test]
fn hooks_a_refusal_stops_the_start_and_is_shown_by_the_runtime() {
    let lab = lab();
    let links = lab.h1.link_names();
    for runtime in Runtime::BOTH {
        let write = ["sh", "-c", "echo started > /dev/started; cat /dev/started"];
        let bundle = Bundle::new(&write, &json!({ "org.netd.network": "nowhere" }));
        let ran = lab.h1.oci_run(runtime, "web", &bundle);
        assert!(!ran.is_ok() && !ran.stdout.contains("started"), "{ran}");
        let _ = ran.names(&["netd-hook: container web", "nowhere"]);
        assert_eq!(known(&lab), [""; 0]);
        lab.h1.comes_back_to(&links);
    }
}
