//! S18: `net inspect` prints what `docker network inspect` prints.

use netns_tests::Lab;
use serde_json::json;

#[test]
fn s18_inspect_has_the_fields_of_docker() {
    let lab = Lab::new();
    lab.h1.idle("c1", "bridge", &[]);
    let view = lab.h1.inspect("bridge");
    let object = view.as_object().unwrap();
    let mut keys: Vec<_> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    let mut wanted = [
        "Name",
        "Id",
        "Created",
        "Scope",
        "Driver",
        "EnableIPv6",
        "IPAM",
        "Internal",
        "Attachable",
        "Ingress",
        "ConfigFrom",
        "ConfigOnly",
        "Containers",
        "Options",
        "Labels",
    ];
    wanted.sort_unstable();
    assert_eq!(keys, wanted);
    assert_eq!(view["Name"], "bridge");
    let id = view["Id"].as_str().unwrap();
    assert!(
        id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()),
        "{id}"
    );
    assert_eq!(view["Scope"], "local");
    assert_eq!(view["Driver"], "bridge");
    for key in [
        "EnableIPv6",
        "Internal",
        "Attachable",
        "Ingress",
        "ConfigOnly",
    ] {
        assert_eq!(view[key], false, "{key}");
    }
    assert_eq!(view["ConfigFrom"], json!({"Network": ""}));
    assert_eq!(view["IPAM"]["Driver"], "default");
    assert_eq!(view["IPAM"]["Config"][0]["Subnet"], "172.17.0.0/16");
    assert_eq!(view["Options"]["com.docker.network.bridge.name"], "docker0");
    let containers = view["Containers"].as_object().unwrap();
    assert_eq!(containers.len(), 1);
    let (container, facts) = containers.iter().next().unwrap();
    assert_eq!(container.len(), 64);
    assert_eq!(facts["EndpointID"].as_str().unwrap().len(), 64);
    assert_eq!(facts["Name"], "c1");
    assert_eq!(facts["MacAddress"], "02:42:ac:11:00:02");
    assert_eq!(facts["IPv4Address"], "172.17.0.2/16");
    assert_eq!(facts["IPv6Address"], "");
}

#[test]
fn s18_the_order_of_the_fields_is_dockers() {
    let lab = Lab::new();
    let text = lab.h1.net(&["inspect", "bridge"]).ok().stdout;
    let places: Vec<_> = [
        "Name",
        "Id",
        "Created",
        "Scope",
        "Driver",
        "IPAM",
        "Containers",
        "Labels",
    ]
    .iter()
    .map(|key| text.find(&format!("\"{key}\":")))
    .collect();
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted(),
        "{text}"
    );
}

#[test]
fn s18_a_network_of_ones_own_shows_what_was_asked_for() {
    let lab = Lab::new();
    let made = [
        "create",
        "--subnet",
        "172.28.0.0/16",
        "--ip-range",
        "172.28.5.0/24",
        "--gateway",
        "172.28.5.254",
        "--internal",
        "--label",
        "team=red",
        "-o",
        "com.docker.network.driver.mtu=1400",
        "usernet",
    ];
    let _ = lab.h1.net(&made).ok();
    let view = lab.h1.inspect("usernet");
    let pool =
        json!([{"Subnet": "172.28.0.0/16", "IPRange": "172.28.5.0/24", "Gateway": "172.28.5.254"}]);
    assert_eq!(
        view["IPAM"],
        json!({"Driver": "default", "Options": {}, "Config": pool})
    );
    assert_eq!(view["Internal"], true);
    assert_eq!(view["Labels"], json!({"team": "red"}));
    assert_eq!(
        view["Options"],
        json!({"com.docker.network.driver.mtu": "1400"})
    );
    lab.h1.idle("c", "usernet", &[]);
    let mtu = lab
        .h1
        .in_container("c", &["cat", "/sys/class/net/eth0/mtu"]);
    let link = lab
        .h1
        .in_container("c", &["ip", "-o", "link", "show", "eth0"])
        .ok();
    assert!(link.stdout.contains("mtu 1400"), "{link} {mtu}");
}

#[test]
fn s18_bridge_link_shows_the_ports() {
    let lab = Lab::new();
    lab.h1.idle("c1", "bridge", &[]);
    lab.h1.idle("c2", "bridge", &[]);
    let ports = lab.h1.exec(&["bridge", "link", "show"]).ok();
    let docker0 = ports
        .stdout
        .lines()
        .filter(|line| line.contains("master docker0"))
        .count();
    assert_eq!(docker0, 2, "{ports}");
}

#[test]
fn s18_a_network_is_found_by_name_id_and_the_ids_beginning() {
    let lab = Lab::new();
    let id = lab.h1.net(&["create", "app"]).ok().text().to_owned();
    for word in ["app", &id, &id[..12], &id[..6]] {
        assert_eq!(lab.h1.inspect(word)["Name"], "app", "{word}");
    }
    let _ = lab
        .h1
        .net(&["inspect", "absent"])
        .fails(1)
        .names(&["absent"]);
}
