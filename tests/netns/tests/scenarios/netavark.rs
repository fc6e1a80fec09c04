//! Podman's network program as Podman calls it: what each verb does, with real packets.

mod create;

use netns_tests::lab::HOST;
use netns_tests::podman::{id, merge, network, refused, request};
use netns_tests::{Lab, eventually};
use serde_json::{Value, json};

/// A laboratory with a namespace for each container.
fn lab(containers: &[&str]) -> Lab {
    let lab = Lab::new();
    containers.iter().for_each(|name| lab.h1.new_netns(name));
    lab
}

fn app() -> Value {
    network("app", "10.89.0.0/24", &json!({}))
}

/// A container on a network under an address that Podman chose.
fn at(container: &str, network: &Value, address: &str) -> Value {
    request(container, network, &json!({ "static_ips": [address] }))
}

fn link_inside(lab: &Lab, netns: &str, interface: &str) -> Value {
    let ran = lab
        .h1
        .in_netns(netns, &["ip", "-j", "address", "show", "dev", interface]);
    ran.ok().json()[0].clone()
}

fn names(lab: &Lab) -> String {
    let ran = lab.h1.net(&["ls", "--format", "{{.Name}}"]).ok();
    ran.text().replace('\n', " ")
}

fn pings(lab: &Lab, from: &str, to: &str) -> bool {
    let ran = lab.h1.in_netns(from, &["ping", "-c1", "-W2", to]);
    ran.is_ok()
}

fn digs(lab: &Lab, from: &str, name: &str) -> String {
    let ran = lab
        .h1
        .in_netns(from, &["dig", "+short", "@127.0.0.11", name]);
    ran.ok().text().to_owned()
}

#[test]
fn netavark_setup_and_teardown_of_one_container_leave_nothing() {
    let lab = lab(&["web"]);
    let (links, rules) = (lab.h1.link_names(), lab.h1.all_rules());
    let mut web = at("web", &app(), "10.89.0.2");
    merge(
        &mut web["networks"]["app"],
        &json!({ "static_mac": "02:00:00:00:00:07", "aliases": ["www", &id("web")[..12]] }),
    );
    let done = lab.h1.netavark_setup("web", &web).ok();
    let expected = json!({ "app": {
        "dns_search_domains": [],
        "dns_server_ips": ["127.0.0.11"],
        "interfaces": { "eth0": {
            "mac_address": "02:00:00:00:00:07",
            "subnets": [{ "ipnet": "10.89.0.2/24", "gateway": "10.89.0.1" }],
        } },
    } });
    assert_eq!(done.json(), expected, "{done}");
    let seen = link_inside(&lab, "web", "eth0");
    assert_eq!(seen["address"], "02:00:00:00:00:07");
    assert_eq!(seen["addr_info"][0]["local"], "10.89.0.2");
    let routes = lab.h1.in_netns("web", &["ip", "route"]).ok().stdout;
    assert!(routes.contains("default via 10.89.0.1"), "{routes}");
    assert!(lab.h1.link("podman1").is_some());
    assert_eq!(digs(&lab, "web", "www"), "10.89.0.2");
    assert!(pings(&lab, "web", "198.18.0.2"));
    // Asked again, the same.
    assert_eq!(lab.h1.netavark_setup("web", &web).ok().json(), expected);
    for _ in 0..3 {
        assert_eq!(lab.h1.netavark_teardown("web", &web).ok().stdout, "");
    }
    // The network goes with its last container: Podman says nothing when its own definition goes.
    assert_eq!(names(&lab), "bridge host none");
    eventually("the rules of before", || {
        (lab.h1.all_rules() == rules).then_some(())
    });
    lab.h1.comes_back_to(&links);
}

#[test]
fn netavark_containers_find_each_other_and_those_of_net_run() {
    let lab = lab(&["web", "db"]);
    let _ = lab
        .h1
        .netavark_setup("web", &at("web", &app(), "10.89.0.2"))
        .ok();
    let _ = lab
        .h1
        .netavark_setup("db", &at("db", &app(), "10.89.0.3"))
        .ok();
    // Others get addresses of the part that Podman begins last with.
    lab.h1.idle("tool", "app", &[]);
    let address = lab.h1.address_of("tool", "app");
    assert!(
        address.starts_with("10.89.0.1") && address.len() > 9,
        "{address}"
    );
    assert_eq!(digs(&lab, "web", "db"), "10.89.0.3");
    assert_eq!(digs(&lab, "web", &id("db")[..12]), "10.89.0.3");
    assert_eq!(digs(&lab, "db", "tool"), address);
    assert!(pings(&lab, "db", &address));
    let ran = lab.h1.in_container("tool", &["ping", "-c1", "-W2", "web"]);
    let _ = ran.ok();
    // An address that somebody has is refused, with his name; nothing is left of the attempt.
    lab.h1.new_netns("late");
    let late = at("late", &app(), &address);
    let said = refused(&lab.h1.netavark_setup("late", &late));
    assert!(said.contains("tool") && said.contains(&address), "{said}");
    assert!(said.contains("--ip-range"), "{said}");
    // The last of Podman's goes, the network stays for the other.
    let _ = lab
        .h1
        .netavark_teardown("web", &at("web", &app(), "10.89.0.2"))
        .ok();
    let _ = lab
        .h1
        .netavark_teardown("db", &at("db", &app(), "10.89.0.3"))
        .ok();
    assert_eq!(names(&lab), "app bridge host none");
    assert_eq!(lab.h1.address_of("tool", "app"), address);
}

#[test]
fn netavark_published_ports_are_reached_and_move_with_the_networks() {
    let lab = lab(&["web"]);
    let back = network(
        "back",
        "10.90.0.0/24",
        &json!({ "network_interface": "podman2" }),
    );
    let mut front = at("web", &app(), "10.89.0.2");
    let ports = json!([
        { "host_ip": "", "container_port": 80, "host_port": 8080, "range": 2, "protocol": "tcp,udp" },
    ]);
    front["port_mappings"] = ports.clone();
    let mut second = request(
        "web",
        &back,
        &json!({ "static_ips": ["10.90.0.2"], "interface_name": "eth1" }),
    );
    second["port_mappings"] = ports;
    let _ = lab.h1.netavark_setup("web", &front).ok();
    lab.h1.write("/run/lab/www/index.html", "by podman");
    for port in ["80", "81"] {
        let serve = ["ip", "netns", "exec", "web", "busybox", "httpd", "-p", port];
        let serve = [&serve[..], &["-h", "/run/lab/www"]].concat();
        let _ = lab.h1.exec(&serve).ok();
    }
    let reached = |port: u16| {
        let url = format!("http://{HOST}:{port}/");
        lab.outside.get(&url).text() == "by podman"
    };
    eventually("both ports", || {
        (reached(8080) && reached(8081)).then_some(())
    });
    let shown = lab.h1.net(&["port", "web"]).ok();
    assert_eq!(shown.text().lines().count(), 4, "{shown}");
    // Podman says all ports with each network: they stay where they are.
    let _ = lab.h1.netavark_setup("web", &second).ok();
    assert_eq!(
        link_inside(&lab, "web", "eth1")["addr_info"][0]["local"],
        "10.90.0.2"
    );
    assert!(reached(8080));
    // When that network goes, they go on by the other.
    let _ = lab.h1.netavark_teardown("web", &front).ok();
    eventually("the port by the other network", || {
        reached(8081).then_some(())
    });
    let _ = lab.h1.netavark_teardown("web", &second).ok();
    assert!(!reached(8080));
    assert_eq!(names(&lab), "bridge host none");
    assert_eq!(lab.h1.net(&["ps", "-aq"]).ok().text(), "");
}

#[test]
fn netavark_several_networks_are_all_there_or_none() {
    let lab = lab(&["web", "other"]);
    let back = network(
        "back",
        "10.90.0.0/24",
        &json!({ "network_interface": "podman2", "internal": true }),
    );
    let mut both = at("web", &app(), "10.89.0.2");
    // As a list, which newer versions send.
    both["networks"] = json!([
        { "name": "back", "interface_name": "eth1", "static_ips": ["10.90.0.2"] },
        { "name": "app", "interface_name": "eth0", "static_ips": ["10.89.0.2"] },
    ]);
    both["network_info"]["back"] = back.clone();
    both["port_mappings"] = json!([{ "host_ip": "", "container_port": 80, "host_port": 8080, "range": 1, "protocol": "tcp" }]);
    let _ = lab
        .h1
        .netavark_setup("other", &at("other", &back, "10.90.0.2"))
        .ok();
    let said = refused(&lab.h1.netavark_setup("web", &both));
    assert!(
        said.contains("network back") && said.contains("other"),
        "{said}"
    );
    eventually("only lo to be left", || {
        let links = lab.h1.in_netns("web", &["ip", "-o", "link"]).ok();
        (links.text().lines().count() == 1).then_some(())
    });
    assert_eq!(names(&lab), "back bridge host none");
    assert_eq!(lab.h1.net(&["ps", "-aq"]).ok().text().lines().count(), 1);
    let _ = lab
        .h1
        .netavark_teardown("other", &at("other", &back, "10.90.0.2"))
        .ok();
    let done = lab.h1.netavark_setup("web", &both).ok().json();
    assert_eq!(done.as_object().unwrap().len(), 2);
    let shown = lab.h1.net(&["port", "web"]).ok();
    assert!(shown.stdout.contains("8080"), "{shown}");
    let _ = lab.h1.netavark_teardown("web", &both).ok();
    assert_eq!(names(&lab), "bridge host none");
}

#[test]
fn netavark_a_network_that_is_there_already_is_joined_if_it_fits() {
    let lab = lab(&["web", "db"]);
    let create = [
        "create",
        "--subnet",
        "10.89.0.0/24",
        "--ip-range",
        "10.89.0.128/25",
        "--gateway",
        "10.89.0.1",
        "app",
    ];
    let _ = lab.h1.net(&create).ok();
    let web = at("web", &app(), "10.89.0.2");
    let _ = lab.h1.netavark_setup("web", &web).ok();
    assert!(lab.h1.link("podman1").is_none());
    assert_eq!(lab.h1.address_of("web", "app"), "10.89.0.2");
    let _ = lab.h1.netavark_teardown("web", &web).ok();
    assert_eq!(names(&lab), "app bridge host none");
    for further in [
        json!({ "subnets": [{ "subnet": "10.91.0.0/24", "gateway": "10.91.0.1" }] }),
        json!({ "subnets": [{ "subnet": "10.89.0.0/24", "gateway": "10.89.0.9" }] }),
        json!({ "internal": true }),
        json!({ "options": { "mtu": "1300" } }),
    ] {
        let other = network("app", "10.89.0.0/24", &further);
        let other = request("web", &other, &json!({}));
        let said = refused(&lab.h1.netavark_setup("web", &other));
        assert!(
            said.contains("app") && said.contains("org.netd.network"),
            "{said}"
        );
    }
    // Named by a label, it is netd's with its addresses, and Podman gives none.
    let further = json!({
        "labels": { "org.netd.network": "app" }, "ipam_options": { "driver": "none" }, "subnets": [], "dns_enabled": false,
    });
    let named = request("db", &network("mine", "10.99.0.0/24", &further), &json!({}));
    let done = lab.h1.netavark_setup("db", &named).ok().json();
    let ipnet = &done["mine"]["interfaces"]["eth0"]["subnets"][0]["ipnet"];
    assert_eq!(*ipnet, format!("{}/24", lab.h1.address_of("db", "app")));
    assert_eq!(done["mine"]["dns_server_ips"], json!(["127.0.0.11"]));
    let _ = lab.h1.netavark_teardown("db", &named).ok();
    assert_eq!(names(&lab), "app bridge host none");
}

#[test]
fn netavark_a_definition_that_changed_replaces_what_nobody_uses() {
    let lab = lab(&["web", "db"]);
    let _ = lab
        .h1
        .netavark_setup("web", &at("web", &app(), "10.89.0.2"))
        .ok();
    let new = network("app", "10.92.0.0/24", &json!({}));
    let said = refused(&lab.h1.netavark_setup("db", &at("db", &new, "10.92.0.2")));
    assert!(
        said.contains("10.89.0.0/24") && said.contains("10.92.0.0/24"),
        "{said}"
    );
    // Its namespace ended, and no teardown came.
    let _ = lab.h1.exec(&["ip", "netns", "delete", "web"]).ok();
    eventually("the end of web", || {
        lab.h1
            .net(&["ps", "-aq"])
            .ok()
            .text()
            .is_empty()
            .then_some(())
    });
    assert_eq!(names(&lab), "app bridge host none");
    let _ = lab
        .h1
        .netavark_setup("db", &at("db", &new, "10.92.0.2"))
        .ok();
    assert_eq!(lab.h1.address_of("db", "app"), "10.92.0.2");
    // Late, and for what is no more.
    let _ = lab
        .h1
        .netavark_teardown("web", &at("web", &app(), "10.89.0.2"))
        .ok();
    assert_eq!(lab.h1.address_of("db", "app"), "10.92.0.2");
}

#[test]
fn netavark_update_gives_a_network_other_resolvers() {
    let lab = lab(&["web"]);
    let servers = |lab: &Lab| lab.h1.inspect("app")["DnsServers"].clone();
    let update = |list: &str| {
        lab.h1
            .netavark(&["update", "app", "--network-dns-servers", list], b"")
    };
    // Nobody is on it: Podman has written them down, and says them when somebody comes.
    let _ = update("192.0.2.53").ok();
    let app = network(
        "app",
        "10.89.0.0/24",
        &json!({ "network_dns_servers": ["192.0.2.53"] }),
    );
    let _ = lab
        .h1
        .netavark_setup("web", &at("web", &app, "10.89.0.2"))
        .ok();
    assert_eq!(servers(&lab), json!(["192.0.2.53"]));
    let _ = update("192.0.2.54,192.0.2.55").ok();
    assert_eq!(servers(&lab), json!(["192.0.2.54", "192.0.2.55"]));
    let _ = update("").ok();
    assert_eq!(servers(&lab), Value::Null);
    let _ = lab.h1.net(&["create", "theirs"]).ok();
    let ran = lab.h1.netavark(
        &["update", "theirs", "--network-dns-servers", "192.0.2.53"],
        b"",
    );
    assert!(refused(&ran).contains("net update"));
}

#[test]
fn netavark_without_a_daemon_says_so_and_teardown_ends_what_is_gone() {
    let lab = lab(&["web", "late"]);
    let web = at("web", &app(), "10.89.0.2");
    let _ = lab.h1.netavark_setup("web", &web).ok();
    lab.h1.kill();
    let said = refused(
        &lab.h1
            .netavark_setup("late", &at("late", &app(), "10.89.0.3")),
    );
    assert!(said.contains("is it running"), "{said}");
    // Its namespace is there, so something is left that the daemon alone can remove.
    assert!(refused(&lab.h1.netavark_teardown("web", &web)).contains("is it running"));
    let ran = lab.h1.netavark_teardown("never", &web).ok();
    assert!(ran.stderr.contains("gives back"), "{ran}");
    lab.h1.start();
    assert_eq!(lab.h1.address_of("web", "app"), "10.89.0.2");
    let _ = lab.h1.netavark_teardown("web", &web).ok();
    assert_eq!(names(&lab), "bridge host none");
}
