//! Podman's definitions as netd takes them, and what it refuses of them.

use serde_json::{Value, json};

use super::*;

/// As Podman 4.3 writes it, with further keys.
fn network(further: Value) -> Network {
    let mut all = json!({
        "name": "app", "id": "0f".repeat(32), "driver": "bridge", "network_interface": "podman1",
        "created": "2026-01-01T00:00:00Z", "ipv6_enabled": false, "internal": false, "dns_enabled": true,
        "subnets": [{ "subnet": "10.89.0.0/24", "gateway": "10.89.0.1" }],
        "ipam_options": { "driver": "host-local" },
    });
    for (key, value) in further.as_object().unwrap() {
        all[key] = value.clone();
    }
    serde_json::from_value(all).unwrap()
}

fn described(further: Value) -> NetworkRequest {
    match Meant::read(&network(further)).unwrap().wanted {
        WantedNetwork::Described(request) => *request,
        other @ WantedNetwork::Existing(_) => panic!("{other:?}"),
    }
}

fn refused(further: Value) -> String {
    let why = Meant::read(&network(further)).unwrap_err().to_string();
    assert!(why.starts_with("network app: "), "{why}");
    why
}

#[test]
fn a_definition_becomes_a_description() {
    let request = described(json!({
        "options": { "mtu": "1400", "isolate": "true" }, "labels": { "a": "b" }, "network_dns_servers": ["192.0.2.53"],
    }));
    assert_eq!(request.name.as_str(), "app");
    let options: Vec<_> = request.options.iter().collect();
    assert_eq!(options.len(), 2);
    assert_eq!(request.options[BRIDGE], "podman1");
    assert_eq!(request.options[MTU], "1400");
    assert_eq!(request.labels["a"], "b");
    assert_eq!(request.labels[MADE], "0f".repeat(32));
    assert_eq!(
        request.pools[0].range,
        Some("10.89.0.128/25".parse().unwrap())
    );
    assert_eq!(request.pools[0].gateway, Some("10.89.0.1".parse().unwrap()));
    assert_eq!((request.ipv4, request.internal), (Some(true), false));
    assert_eq!(request.dns_servers.len(), 1);
}

#[test]
fn a_network_of_ipv6_alone_has_no_ipv4() {
    let request =
        described(json!({ "subnets": [{ "subnet": "fd00:9::/64", "gateway": "fd00:9::1" }] }));
    assert_eq!(request.ipv4, Some(false));
}

#[test]
fn a_gateway_that_podman_does_not_know_is_not_the_first_address() {
    for (subnet, gateway) in [
        ("10.89.0.0/24", "10.89.0.254"),
        ("fd00:9::/64", "fd00:9::ffff:ffff:ffff:fffe"),
    ] {
        let request = described(json!({ "internal": true, "subnets": [{ "subnet": subnet }] }));
        assert_eq!(request.pools[0].gateway, Some(gateway.parse().unwrap()));
    }
}

#[test]
fn a_label_names_a_network_of_netd() {
    let labels = json!({ "labels": { NAMED: "shared" }, "ipam_options": { "driver": "none" }, "subnets": [] });
    let meant = Meant::read(&network(labels)).unwrap();
    assert_eq!(meant.wanted, WantedNetwork::Existing("shared".to_owned()));
    assert!(meant.has_names);
}

#[test]
fn what_netd_does_not_have_is_refused_by_name() {
    for (further, word) in [
        (json!({ "driver": "macvlan" }), "macvlan"),
        (json!({ "driver": "ipvlan" }), "ipvlan"),
        (json!({ "options": { "vlan": "7" } }), "vlan"),
        (json!({ "options": { "mode": "unmanaged" } }), "unmanaged"),
        (json!({ "options": { "metric": "5" } }), "metric"),
        (
            json!({ "options": { "no_default_route": "true" } }),
            "no_default_route",
        ),
        (json!({ "options": { "newest": "x" } }), "newest"),
        (json!({ "ipam_options": { "driver": "dhcp" } }), "dhcp"),
        (json!({ "ipam_options": { "driver": "none" } }), NAMED),
        (json!({ "subnets": [] }), "subnet"),
        (
            json!({ "routes": [{ "destination": "10.0.0.0/8", "route_type": "blackhole" }] }),
            "blackhole",
        ),
        (
            json!({ "routes": [{ "destination": "10.0.0.0/8", "gateway": "10.89.0.9", "metric": 5 }] }),
            "metric",
        ),
    ] {
        let why = refused(further);
        assert!(why.contains(word), "{why}");
    }
}
