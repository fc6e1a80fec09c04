//! What no Podman sends: each gets the protocol's own error, and nothing is half-made.

use netns_tests::Lab;
use netns_tests::podman::{id, merge, network, refused, request};
use serde_json::{Value, json};

use crate::cni_bad_input::nothing_was_made;

fn lab() -> Lab {
    let lab = Lab::new();
    lab.h1.new_netns("web");
    lab
}

fn app(further: &Value) -> Value {
    network("app", "10.89.0.0/24", further)
}

fn good() -> Value {
    request(
        "web",
        &app(&json!({})),
        &json!({ "static_ips": ["10.89.0.2"] }),
    )
}

#[test]
fn netavark_what_is_no_request_is_refused() {
    let lab = lab();
    let huge = vec![b' '; (1 << 20) + 1];
    let deep = "[".repeat(100_000);
    for verb in ["setup", "teardown"] {
        for (input, word) in [
            (&b""[..], "EOF"),
            (b"{", "EOF"),
            (b"null", "expected {"),
            (b"[]", "expected {"),
            (b"{}", "container_id"),
            (br#"{"container_id": 7}"#, "invalid type"),
            (br#"{"container_id": "a"}"#, "networks"),
            (br#"{"container_id": "a", "networks": 7}"#, "networks"),
            (br#"{"container_id": "a", "networks": {}}"#, "networks"),
            (
                br#"{"container_id": "a", "networks": {"app": {}}}"#,
                "interface_name",
            ),
            (b"\xff\xfe", "Podman"),
            (&huge, "1048576"),
            (deep.as_bytes(), "Podman"),
        ] {
            let ran = lab.h1.netavark(&[verb, "/run/netns/web"], input);
            let said = refused(&ran);
            assert!(said.contains(word), "{verb} {word}: {said}");
        }
    }
    nothing_was_made(&lab);
}

#[test]
fn netavark_contradictory_networks_are_refused() {
    let lab = lab();
    let change = |pointer: &str, value: Value| {
        let mut all = good();
        match pointer.rsplit_once('/') {
            Some((parent, key)) => all.pointer_mut(parent).unwrap()[key] = value,
            None => merge(&mut all, &value),
        }
        all
    };
    let net = |further: Value| change("/network_info/app", app(&further));
    for (request, word) in [
        (
            change("/network_info", json!({})),
            "network_info has no app",
        ),
        (
            change("/network_info/app/name", json!("other")),
            "its name is",
        ),
        (
            change(
                "/network_info/app/subnets",
                json!([{ "subnet": "10.89.0.7/24" }]),
            ),
            "10.89.0.7",
        ),
        (
            change("/network_info/app/subnets", json!("10.89.0.0/24")),
            "network_info, app",
        ),
        (net(json!({ "subnets": [] })), "no subnet"),
        (
            net(json!({ "subnets": [{ "subnet": "10.89.0.0/24", "gateway": "10.90.0.1" }] })),
            "10.90.0.1",
        ),
        (net(json!({ "driver": "macvlan" })), "macvlan"),
        (net(json!({ "driver": "../../bin/sh" })), "driver"),
        (net(json!({ "options": { "vlan": "5" } })), "vlan"),
        (net(json!({ "options": { "mtu": "12" } })), "12"),
        (net(json!({ "network_interface": "a/b" })), "a/b"),
        (net(json!({ "network_interface": "lo" })), "lo"),
        (net(json!({ "ipam_options": { "driver": "dhcp" } })), "dhcp"),
        (
            net(json!({ "labels": { "org.netd.network": "nowhere" } })),
            "nowhere",
        ),
        (
            net(json!({ "labels": { "org.netd.network": "host" } })),
            "host",
        ),
        (change("/networks/app/interface_name", json!("lo")), "lo"),
        (
            change(
                "/networks/app/interface_name",
                json!("a-name-that-is-too-long"),
            ),
            "interface",
        ),
        (
            change("/networks/app/static_ips", json!(["10.90.0.2"])),
            "10.90.0.2",
        ),
        (
            change("/networks/app/static_ips", json!(["10.89.0.1"])),
            "10.89.0.1",
        ),
        (
            change(
                "/networks/app/static_ips",
                json!(["10.89.0.2", "10.89.0.3"]),
            ),
            "10.89.0",
        ),
        (
            change("/networks/app/static_mac", json!("nothing")),
            "static_mac",
        ),
        (
            change("/networks/app/options", json!({ "mode": "x" })),
            "mode",
        ),
        (change("/container_id", json!("../etc")), "container_id"),
        (change("/container_id", json!("")), "container_id"),
        (
            change(
                "/port_mappings",
                json!([{ "container_port": 80, "host_port": 0 }]),
            ),
            "host_port",
        ),
        (
            change(
                "/port_mappings",
                json!([{ "container_port": 80, "host_port": 8080, "protocol": "icmp" }]),
            ),
            "icmp",
        ),
        (
            change(
                "/port_mappings",
                json!([{ "container_port": 80, "host_port": 8080, "host_ip": "x" }]),
            ),
            "host_ip",
        ),
        (
            change(
                "/port_mappings",
                json!([{ "container_port": 65535, "host_port": 8080, "range": 2 }]),
            ),
            "65535",
        ),
        (change("/dns_servers", json!(["x"])), "IP address"),
    ] {
        let said = refused(&lab.h1.netavark_setup("web", &request));
        assert!(said.contains(word), "{word}: {said}");
        nothing_was_made(&lab);
    }
    let mut two = good();
    two["networks"]["back"] = json!({ "interface_name": "eth0" });
    assert!(refused(&lab.h1.netavark_setup("web", &two)).contains("eth0"));
    two["networks"] = json!([{ "name": "app", "interface_name": "eth0" }, { "name": "app", "interface_name": "eth1" }]);
    assert!(refused(&lab.h1.netavark_setup("web", &two)).contains("eth1"));
    two["networks"] = json!({ "bridge": { "interface_name": "eth0" } });
    two["network_info"]["bridge"] = network("bridge", "172.17.0.0/16", &json!({}));
    assert!(refused(&lab.h1.netavark_setup("web", &two)).contains("bridge"));
    nothing_was_made(&lab);
}

#[test]
fn netavark_bad_namespaces_and_words_are_refused() {
    let lab = lab();
    let input = good().to_string();
    for (path, word) in [
        ("/run/netns/never", "never"),
        ("/run/netns/../netns/web", ".."),
        ("web", "absolute"),
        ("/etc/passwd", "no network namespace"),
        ("/", "no network namespace"),
        ("/proc/self/ns/mnt", "namespace"),
    ] {
        let said = refused(&lab.h1.netavark(&["setup", path], input.as_bytes()));
        assert!(said.contains(word), "{path}: {said}");
    }
    let rootless = lab.h1.netavark(
        &["--rootless", "true", "setup", "/run/netns/web"],
        input.as_bytes(),
    );
    // Podman says it once; that it is said twice here, the program refuses by itself.
    assert!(rootless.code != 0, "{rootless}");
    for words in [
        &["nothing"][..],
        &["setup"],
        &["setup", "/a", "/b"],
        &["update", "app"],
        &["update", "app", "--network-dns-servers", "x"],
    ] {
        let _ = lab.h1.netavark(words, b"").fails(2);
    }
    let file = lab
        .h1
        .netavark(&["-f", "/run/lab/never", "setup", "/run/netns/web"], b"");
    assert!(refused(&file).contains("/run/lab/never"));
    nothing_was_made(&lab);
    // From a file it is the same.
    lab.h1.write("/run/lab/request.json", &input);
    let file = ["-f", "/run/lab/request.json", "setup", "/run/netns/web"];
    let _ = lab.h1.netavark(&file, b"").ok();
    assert_eq!(lab.h1.address_of("web", "app"), "10.89.0.2");
}

#[test]
fn netavark_names_that_nobody_can_ask_for_are_left_out() {
    let lab = lab();
    let mut web = good();
    web["container_name"] = json!("a".repeat(80));
    web["networks"]["app"]["aliases"] = json!(["www", "www", "two words", &id("web")[..12]]);
    let ran = lab.h1.netavark_setup("web", &web).ok();
    assert!(ran.stderr.contains("two words"), "{ran}");
    let dig = ["dig", "+short", "@127.0.0.11", "www"];
    assert_eq!(lab.h1.in_netns("web", &dig).ok().text(), "10.89.0.2");
}

#[test]
fn netavark_version_has_the_fields_that_podman_knows() {
    let lab = lab();
    let version = lab.h1.netavark(&["version"], b"").ok().json();
    for key in [
        "version",
        "commit",
        "build_time",
        "target",
        "default_fw_driver",
    ] {
        assert!(version[key].is_string(), "{version}");
    }
    let _ = lab.h1.netavark(&["firewall-reload"], b"").ok();
}
