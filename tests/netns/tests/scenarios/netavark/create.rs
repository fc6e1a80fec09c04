//! `create`, by which newer versions of Podman have a definition completed.

use netns_tests::Lab;
use netns_tests::podman::{id, merge, refused, request};
use serde_json::{Value, json};

/// What `podman network create` of version 6 sends, with further keys of the network.
fn asked(name: &str, further: &Value) -> Value {
    let mut network = json!({
        "name": name, "id": id(name), "driver": "bridge", "internal": false, "dns_enabled": true, "ipv6_enabled": false,
    });
    merge(&mut network, further);
    json!({
        "network": network,
        "used": { "interfaces": ["lo", "podman1"], "names": { "podman": id("podman") }, "subnets": ["10.89.0.0/24", "198.18.0.1/24"] },
        "options": {
            "subnet_pools": [{ "base": "10.89.0.0/16", "size": 24 }], "default_interface_name": "podman", "check_used_subnets": true,
        },
    })
}

fn create(lab: &Lab, asked: &Value) -> Value {
    let ran = lab.h1.netavark(&["create"], asked.to_string().as_bytes());
    ran.ok().json()
}

#[test]
fn netavark_create_completes_what_podman_then_writes_down() {
    let lab = Lab::new();
    let _ = lab
        .h1
        .net(&["create", "--subnet", "10.89.1.0/24", "theirs"])
        .ok();
    let made = create(
        &lab,
        &asked("app", &json!({ "labels": { "a": "b" }, "newest": [7] })),
    );
    assert!(made["created"].as_str().unwrap().ends_with('Z'), "{made}");
    let mut rest = made.clone();
    rest.as_object_mut().unwrap().remove("created");
    let expected = json!({
        "name": "app", "id": id("app"), "driver": "bridge", "internal": false, "dns_enabled": true, "ipv6_enabled": false,
        "labels": { "a": "b" }, "newest": [7], "network_interface": "podman2", "ipam_options": { "driver": "host-local" },
        "subnets": [{ "subnet": "10.89.2.0/24", "gateway": "10.89.2.1" }],
    });
    assert_eq!(rest, expected);
    // It is what setup takes.
    lab.h1.new_netns("web");
    let web = request("web", &made, &json!({ "static_ips": ["10.89.2.2"] }));
    let _ = lab.h1.netavark_setup("web", &web).ok();
    assert!(lab.h1.link("podman2").is_some());
    // Both families, and a closed network without names, which has no gateway.
    let both = create(
        &lab,
        &asked(
            "both",
            &json!({ "ipv6_enabled": true, "network_interface": "br7" }),
        ),
    );
    assert_eq!(both["network_interface"], "br7");
    assert!(
        both["subnets"][1]["gateway"]
            .as_str()
            .unwrap()
            .starts_with("fd"),
        "{both}"
    );
    let six = json!({ "subnets": [{ "subnet": "fd00:9::7/64" }] });
    let six = create(&lab, &asked("six", &six));
    assert_eq!(
        six["subnets"],
        json!([{ "subnet": "fd00:9::/64", "gateway": "fd00:9::1" }])
    );
    assert_eq!(six["ipv6_enabled"], true);
    let mute = create(
        &lab,
        &asked("mute", &json!({ "internal": true, "dns_enabled": false })),
    );
    assert_eq!(mute["subnets"][0]["gateway"], Value::Null);
    let range = json!({ "subnets": [{ "subnet": "10.70.0.0/24", "lease_range": { "start_ip": "10.70.0.128", "end_ip": "10.70.0.200" } }] });
    let range = create(&lab, &asked("range", &range));
    assert_eq!(
        range["subnets"][0]["lease_range"],
        json!({ "start_ip": "10.70.0.128", "end_ip": "10.70.0.200" })
    );
}

#[test]
fn netavark_create_takes_the_subnet_of_a_network_that_netd_has() {
    let lab = Lab::new();
    for (name, range) in [("low", "10.60.0.0/25"), ("high", "10.61.0.128/25")] {
        let subnet = format!("{}.0/24", &range[..7]);
        let _ = lab
            .h1
            .net(&[
                "create",
                "--subnet",
                &subnet,
                "--gateway",
                &format!("{}.1", &range[..7]),
                "--ip-range",
                range,
                name,
            ])
            .ok();
        lab.h1.idle(&format!("{name}-1"), name, &[]);
    }
    let low = create(&lab, &asked("low", &json!({})));
    let range = json!({ "start_ip": "10.60.0.128", "end_ip": "10.60.0.254" });
    assert_eq!(
        low["subnets"],
        json!([{ "subnet": "10.60.0.0/24", "gateway": "10.60.0.1", "lease_range": range }])
    );
    let high = create(&lab, &asked("high", &json!({})));
    let range = json!({ "start_ip": "10.61.0.1", "end_ip": "10.61.0.127" });
    assert_eq!(high["subnets"][0]["lease_range"], range);
    // Podman's containers join it so.
    lab.h1.new_netns("web");
    let web = request("web", &low, &json!({ "static_ips": ["10.60.0.128"] }));
    let _ = lab.h1.netavark_setup("web", &web).ok();
    assert_eq!(lab.h1.address_of("web", "low"), "10.60.0.128");
    // Without addresses of its own, by the label.
    let named =
        json!({ "ipam_options": { "driver": "none" }, "labels": { "org.netd.network": "high" } });
    let named = create(&lab, &asked("mine", &named));
    assert_eq!(
        (&named["dns_enabled"], &named["subnets"]),
        (&json!(false), &Value::Null)
    );
    let _ = lab.h1.netavark_teardown("web", &web).ok();
    lab.h1.kill();
    // Without the daemon there is nothing to avoid but what Podman knows of.
    assert_eq!(
        create(&lab, &asked("app", &json!({})))["subnets"][0]["subnet"],
        "10.89.1.0/24"
    );
}

#[test]
fn netavark_create_refuses_what_no_container_could_join() {
    let lab = Lab::new();
    for (further, word) in [
        (json!({ "name": "podman" }), "network rm"),
        (json!({ "name": "" }), "empty"),
        (json!({ "name": "a/b" }), "a/b"),
        (json!({ "name": 7 }), "no name"),
        (json!({ "driver": "macvlan" }), "macvlan"),
        (json!({ "options": { "vlan": "7" } }), "vlan"),
        (json!({ "options": { "nothing": "7" } }), "nothing"),
        (json!({ "ipam_options": { "driver": "dhcp" } }), "dhcp"),
        (
            json!({ "ipam_options": { "driver": "none" } }),
            "org.netd.network",
        ),
        (
            json!({ "ipam_options": { "driver": "none" }, "subnets": [{ "subnet": "10.1.0.0/24" }] }),
            "--subnet",
        ),
        (
            json!({ "subnets": [{ "subnet": "10.89.0.128/25" }] }),
            "10.89.0.0/24",
        ),
        (
            json!({ "subnets": [{ "subnet": "10.1.0.0/24" }, { "subnet": "10.1.0.0/25" }] }),
            "overlaps",
        ),
        (
            json!({ "subnets": [{ "subnet": "10.1.0.0/24", "gateway": "10.2.0.1" }] }),
            "10.2.0.1",
        ),
        (
            json!({ "subnets": [{ "subnet": "10.1.0.0/24", "lease_range": { "start_ip": "10.2.0.1" } }] }),
            "10.2.0.1",
        ),
        (
            json!({ "subnets": [{ "subnet": "10.1.0.0/33" }] }),
            "subnets",
        ),
        (json!({ "subnets": 7 }), "subnets"),
        (
            json!({ "dns_enabled": false, "network_dns_servers": ["192.0.2.53"] }),
            "--dns",
        ),
        (json!({ "labels": 7 }), "network"),
        (json!({ "ipam_options": [] }), "ipam_options"),
        (json!({ "ipam_options": "dhcp" }), "ipam_options"),
        (json!({ "ipam_options": { "driver": 7 } }), "driver"),
    ] {
        let asked = asked("app", &further).to_string();
        let said = refused(&lab.h1.netavark(&["create"], asked.as_bytes()));
        assert!(said.contains(word), "{word}: {said}");
    }
    for input in ["", "{}", "[]", r#"{"network": 7}"#] {
        let _ = refused(&lab.h1.netavark(&["create"], input.as_bytes()));
    }
    let mut full = asked("app", &json!({}));
    full["used"]["subnets"] = json!(["10.89.0.0/16"]);
    let said = refused(&lab.h1.netavark(&["create"], full.to_string().as_bytes()));
    assert!(said.contains("--subnet"), "{said}");
}
