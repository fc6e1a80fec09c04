//! Filters against networks and containers as the daemon shows them.

use serde_json::json;

use super::*;

fn now() -> Timestamp {
    "2026-11-20T18:00:00Z".parse().unwrap()
}

fn network(name: &str, driver: &str, labels: &[(&str, &str)]) -> NetworkView {
    let labels: BTreeMap<_, _> = labels.iter().copied().collect();
    let containers = match name {
        "used" => json!({"f9": {
            "Name": "web", "EndpointID": "", "MacAddress": "", "IPv4Address": "", "IPv6Address": "",
        }}),
        _ => json!({}),
    };
    serde_json::from_value(json!({
        "Name": name, "Id": "ab".repeat(32), "Created": "2026-11-20T12:00:00Z", "Scope": "local", "Driver": driver,
        "EnableIPv6": false, "IPAM": {"Driver": "default", "Options": null, "Config": []}, "Internal": false,
        "Attachable": false, "Ingress": false, "ConfigFrom": {"Network": ""}, "ConfigOnly": false,
        "Containers": containers, "Options": {}, "Labels": labels,
    }))
    .unwrap()
}

/// The networks that `filters` leave, by name.
fn left(filters: &[&str]) -> Vec<String> {
    let networks = [
        network("bridge", "bridge", &[]),
        network("host", "host", &[]),
        network("used", "bridge", &[("team", "red")]),
        network("idle", "bridge", &[("team", "blue"), ("keep", "")]),
    ];
    let read = |text: &&str| parse(text, &OF_NETWORKS).or_else(|_| parse(text, &OF_PRUNE));
    let filters: Vec<Filter> = filters.iter().map(|text| read(text).unwrap()).collect();
    let left = networks
        .iter()
        .filter(|view| leave_network(&filters, view, now()));
    left.map(|view| view.name.to_string()).collect()
}

#[test]
fn networks_are_left_as_docker_leaves_them() {
    let golden: [(&[&str], &[&str]); 18] = [
        (&[], &["bridge", "host", "used", "idle"]),
        (&["driver=host"], &["host"]),
        (&["driver=host", "driver=null"], &["host"]),
        (&["name=id"], &["bridge", "idle"]),
        (&["name=idle", "name=used"], &["used", "idle"]),
        (&["name=id", "type=custom"], &["idle"]),
        (&["type=builtin"], &["bridge", "host"]),
        (&["dangling=true"], &["idle"]),
        (&["dangling=0"], &["bridge", "host", "used"]),
        (&["id=abab"], &["bridge", "host", "used", "idle"]),
        (&["scope=swarm"], &[]),
        (&["label=team"], &["used", "idle"]),
        (&["label=team=red"], &["used"]),
        (&["label=team", "label=keep"], &["idle"]),
        (&["label!=keep"], &["bridge", "host", "used"]),
        (&["label!=team=red", "type=custom"], &["idle"]),
        (&["until=5h"], &["bridge", "host", "used", "idle"]),
        (&["until=6h30m"], &[]),
    ];
    for (filters, names) in golden {
        assert_eq!(left(filters), names, "{filters:?}");
    }
    assert_eq!(left(&["until=2026-11-20T12:00:01Z"]).len(), 4);
    assert_eq!(left(&["until=1"]).len(), 0);
}

#[test]
fn containers_are_left_by_where_and_how_they_are() {
    let view: ContainerView = serde_json::from_value(json!({
        "id": "f9".repeat(32), "name": "web", "hostname": "web", "created": "2026-11-20T18:00:00Z",
        "state": "running", "ended": null, "exit_code": null, "command": [], "namespace": "private", "pid": 7,
        "netns_path": null, "files": {"hosts": "", "resolv_conf": "", "hostname": ""}, "labels": {"team": "red"},
        "networks": [{
            "network_id": "ab".repeat(32), "network": "lab", "endpoint_id": "cd".repeat(32), "interface": "eth0",
            "host_interface": null, "mac": null, "addresses": [], "gateways": [], "aliases": [], "ports": [],
        }],
    }))
    .unwrap();
    let golden = [
        ("name=we", true),
        ("name=x", false),
        ("id=f9f9", true),
        ("network=lab", true),
        ("network=la", false),
        ("network=abab", true),
        ("network=", false),
        ("status=running", true),
        ("status=exited", false),
        ("label=team=red", true),
        ("label=team=blue", false),
    ];
    for (text, expected) in golden {
        let filter = of_containers(text).unwrap();
        assert_eq!(leave_container(&[filter], &view), expected, "{text}");
    }
}

#[test]
fn nonsense_is_refused_with_the_nearest_key() {
    let golden = [
        (
            of_networks("lable=x"),
            "unknown key \"lable\", did you mean \"label\"?; the keys are dangling, driver,",
        ),
        (
            of_networks("colour=red"),
            "unknown key \"colour\"; the keys",
        ),
        (of_networks("bridge"), "expected KEY=VALUE; the keys are"),
        (
            of_networks("type=own"),
            "type cannot be \"own\": expected builtin or custom",
        ),
        (of_containers("status=paused"), "expected running or exited"),
        (
            of_containers("driver=x"),
            "the keys are id, label, name, network, status",
        ),
        (of_prune("until=soon"), "expected a span such as 24h"),
    ];
    for (refused, sentence) in golden {
        let said = refused.unwrap_err().to_string();
        assert!(said.contains(sentence), "{said}");
    }
}
