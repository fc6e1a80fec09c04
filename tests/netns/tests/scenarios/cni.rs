//! The CNI plugin as runtimes call it: what each command does, with real packets.

use netns_tests::cni::{Place, configuration, eth0, program, refused};
use netns_tests::lab::HOST;
use netns_tests::{Lab, eventually};
use serde_json::{Value, json};

/// A described network of the newest version.
fn app() -> Value {
    configuration(
        "1.1.0",
        "app",
        &json!({ "ipam": { "subnet": "10.9.0.0/24" } }),
    )
}

/// A laboratory with a namespace for each container.
fn lab(containers: &[&str]) -> Lab {
    let lab = Lab::new();
    containers.iter().for_each(|name| lab.h1.new_netns(name));
    lab
}

/// What `ip -j` says of an interface inside.
fn inside(lab: &Lab, netns: &str, interface: &str) -> Value {
    let ran = lab
        .h1
        .in_netns(netns, &["ip", "-j", "address", "show", "dev", interface]);
    ran.ok().json()[0].clone()
}

/// The names of the containers on a network.
fn members(lab: &Lab, network: &str) -> Vec<String> {
    let view = lab.h1.inspect(network);
    let containers = view["Containers"].as_object().into_iter().flatten();
    let mut names: Vec<_> = containers
        .filter_map(|(_, one)| one["Name"].as_str().map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// Waits until a namespace has only its loopback interface.
fn only_loopback(lab: &Lab, netns: &str) {
    eventually("only lo to be left", || {
        let links = lab.h1.in_netns(netns, &["ip", "-o", "link"]).ok();
        (links.text().lines().count() == 1).then_some(())
    });
}

#[test]
fn cni_each_version_has_its_own_result() {
    let lab = lab(&["web"]);
    let links = lab.h1.link_names();
    for version in ["0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        let ipam = json!({ "subnet": "10.9.0.0/24", "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "10.0.0.0/8" }] });
        let mut config = configuration(version, "app", &json!({ "ipam": ipam }));
        let added = lab.h1.cni("ADD", eth0("web"), &config).ok();
        let result = added.json();
        let seen = inside(&lab, "web", "eth0");
        let host = result["interfaces"][0]["name"].as_str().unwrap();
        let veth = lab.h1.link(host).unwrap();
        assert_eq!(veth["ifindex"], seen["link_index"]);
        let address = seen["addr_info"][0]["local"].as_str().unwrap();
        let mut expected = json!({
            "cniVersion": version,
            "interfaces": [
                { "name": host },
                { "name": "eth0", "mac": seen["address"], "sandbox": "/run/netns/web" },
            ],
            "ips": [{ "address": format!("{address}/24"), "gateway": "10.9.0.1", "interface": 1 }],
            "routes": [{ "dst": "0.0.0.0/0", "gw": "10.9.0.1" }, { "dst": "10.0.0.0/8", "gw": "10.9.0.1" }],
            "dns": { "nameservers": ["127.0.0.11"] },
        });
        if version.starts_with('0') {
            expected["ips"][0]["version"] = "4".into();
        }
        if version == "1.1.0" {
            expected["interfaces"][0]["mtu"] = 1500.into();
            expected["interfaces"][1]["mtu"] = 1500.into();
        }
        assert_eq!(result, expected, "{added}");
        let routes = lab.h1.in_netns("web", &["ip", "route"]).ok().stdout;
        for route in ["default via 10.9.0.1", "10.0.0.0/8 via 10.9.0.1"] {
            assert!(routes.contains(route), "{routes}");
        }
        // Asked again, the same.
        assert_eq!(lab.h1.cni("ADD", eth0("web"), &config).ok().json(), result);
        config["prevResult"] = result;
        let check = lab.h1.cni("CHECK", eth0("web"), &config);
        match version {
            "0.3.1" => assert!(refused(&check, 1).contains("0.4.0")),
            _ => assert_eq!(check.ok().text(), ""),
        }
        for _ in 0..3 {
            assert_eq!(lab.h1.cni("DEL", eth0("web"), &config).ok().text(), "");
        }
        assert_eq!(members(&lab, "app"), [""; 0]);
        only_loopback(&lab, "web");
    }
    let _ = lab.h1.net(&["rm", "app"]).ok();
    lab.h1.comes_back_to(&links);
}

#[test]
fn cni_version_names_what_is_spoken() {
    let lab = lab(&[]);
    let ask = |input: &str| {
        let ran = lab.h1.exec_with(
            &[&program("netd-cni")],
            &[("CNI_COMMAND", "VERSION")],
            input.as_bytes(),
        );
        ran.ok().json()
    };
    let supported = json!(["0.3.1", "0.4.0", "1.0.0", "1.1.0"]);
    for (input, version) in [
        ("", "1.1.0"),
        (r#"{"cniVersion":"0.4.0"}"#, "0.4.0"),
        (r#"{"cniVersion":"9.0.0"}"#, "1.1.0"),
    ] {
        assert_eq!(
            ask(input),
            json!({ "cniVersion": version, "supportedVersions": supported })
        );
    }
}

#[test]
fn cni_containers_reach_each_other_by_name_and_the_world_by_masquerade() {
    let lab = lab(&["web", "db"]);
    let _ = lab.h1.cni("ADD", eth0("web"), &app()).ok();
    let pod =
        "IgnoreUnknown=1;K8S_POD_NAMESPACE=prod;K8S_POD_NAME=db-0;K8S_POD_INFRA_CONTAINER_ID=0f";
    let mut config = app();
    config["runtimeConfig"] =
        json!({ "aliases": ["sql"], "ips": ["10.9.0.77/24"], "mac": "02:00:00:00:00:77" });
    config["capabilities"] = json!({ "aliases": true, "ips": true, "mac": true });
    let result = lab
        .h1
        .cni_with("ADD", eth0("db"), (&config, pod))
        .ok()
        .json();
    assert_eq!(result["ips"][0]["address"], "10.9.0.77/24");
    assert_eq!(result["interfaces"][1]["mac"], "02:00:00:00:00:77");
    assert_eq!(inside(&lab, "db", "eth0")["address"], "02:00:00:00:00:77");
    for name in ["db", "sql", "db-0", "db-0.prod"] {
        let ran = lab
            .h1
            .in_netns("web", &["dig", "+short", "@127.0.0.11", name])
            .ok();
        assert_eq!(ran.text(), "10.9.0.77", "{name}");
    }
    for (from, to) in [
        ("web", "10.9.0.77"),
        ("db", "10.9.0.2"),
        ("db", "198.18.0.2"),
    ] {
        let _ = lab.h1.in_netns(from, &["ping", "-c1", "-W2", to]).ok();
    }
    // What is on it is netd's like any other.
    assert_eq!(members(&lab, "app"), ["db", "web"]);
    lab.h1.idle("tool", "app", &[]);
    let _ = lab
        .h1
        .in_container("tool", &["ping", "-c1", "-W2", "10.9.0.77"])
        .ok();
}

#[test]
fn cni_a_published_port_is_reached_from_the_outside_until_del() {
    let lab = lab(&["web", "other"]);
    let mut config = app();
    config["runtimeConfig"] = json!({ "portMappings": [
        { "hostPort": 8080, "containerPort": 80, "protocol": "tcp" },
        { "hostPort": 8081, "containerPort": 80, "hostIP": "127.0.0.1" },
    ] });
    let rules = {
        let _ = lab.h1.cni("ADD", eth0("other"), &app()).ok();
        lab.h1.all_rules()
    };
    let _ = lab.h1.cni("ADD", eth0("web"), &config).ok();
    lab.h1.write("/run/lab/www/index.html", "by cni");
    let serve = [
        "ip",
        "netns",
        "exec",
        "web",
        "busybox",
        "httpd",
        "-f",
        "-p",
        "80",
        "-h",
        "/run/lab/www",
    ];
    let _server = lab.h1.spawn(&serve, &[], "/run/lab/httpd.log");
    let url = format!("http://{HOST}:8080/");
    eventually("the page from outside", || {
        (lab.outside.get(&url).text() == "by cni").then_some(())
    });
    assert_eq!(lab.h1.get("http://127.0.0.1:8081/").ok().text(), "by cni");
    assert!(!lab.outside.get(&format!("http://{HOST}:8081/")).is_ok());
    // Who else wants it hears who has it.
    lab.h1.new_netns("late");
    let ran = lab.h1.cni("ADD", eth0("late"), &config);
    let said = refused(&ran, 102);
    assert!(said.contains("8080") && said.contains("web"), "{said}");
    assert_eq!(members(&lab, "app"), ["other", "web"]);
    let _ = lab.h1.cni("DEL", eth0("late"), &config).ok();
    let _ = lab.h1.cni("DEL", eth0("web"), &config).ok();
    assert!(!lab.outside.get(&url).is_ok());
    eventually("the rules of before", || {
        (lab.h1.all_rules() == rules).then_some(())
    });
}

#[test]
fn cni_one_container_joins_several_networks_under_several_names() {
    let lab = lab(&["pod"]);
    let _ = lab
        .h1
        .net(&["create", "--subnet", "10.8.0.0/24", "existing"])
        .ok();
    let second = configuration("1.1.0", "more", &json!({ "network": "existing" }));
    // As a sandbox of Kubernetes is called; netd knows it by the same id.
    let id = "0f".repeat(32);
    let pod = Place {
        container: &id,
        ..eth0("pod")
    };
    let net1 = Place {
        interface: "net1",
        ..pod
    };
    let _ = lab.h1.cni("ADD", pod, &app()).ok();
    let result = lab.h1.cni("ADD", net1, &second).ok().json();
    assert_eq!(result["interfaces"][1]["name"], "net1");
    assert_eq!(members(&lab, "existing"), [&id[..12]]);
    // The key is all of it: another interface, or another configuration, is another place.
    let eth1 = Place {
        interface: "eth1",
        ..pod
    };
    assert!(refused(&lab.h1.cni("ADD", net1, &app()), 7).contains("net1 already"));
    let _ = lab.h1.cni("DEL", eth1, &app()).ok();
    let _ = lab.h1.cni("DEL", pod, &second).ok();
    assert_eq!(
        (members(&lab, "app").len(), members(&lab, "existing").len()),
        (1, 1)
    );
    let _ = lab.h1.cni("DEL", pod, &app()).ok();
    assert_eq!(inside(&lab, "pod", "net1")["ifname"], "net1");
    let _ = lab.h1.cni("DEL", net1, &second).ok();
    assert_eq!(members(&lab, "existing"), [""; 0]);
    assert_eq!(lab.h1.net(&["ps", "-aq"]).ok().text(), "");
}

#[test]
fn cni_gc_removes_what_is_forgotten_of_this_network_only() {
    let lab = lab(&["a", "b", "c", "d"]);
    for name in ["a", "b", "c"] {
        let _ = lab.h1.cni("ADD", eth0(name), &app()).ok();
    }
    let other = configuration("1.1.0", "other", &json!({ "ipam": {} }));
    let _ = lab.h1.cni("ADD", eth0("d"), &other).ok();
    lab.h1.idle("by-hand", "app", &[]);
    let mut config = app();
    let nowhere = Place {
        container: "",
        ..eth0("")
    };
    // Without a list of what stays nothing goes.
    for missing in [
        Value::Null,
        json!(7),
        json!([{}]),
        json!([{ "containerID": 1, "ifname": "eth0" }]),
    ] {
        config["cni.dev/valid-attachments"] = missing;
        let _ = refused(&lab.h1.cni("GC", nowhere, &config), 7);
    }
    config["cni.dev/valid-attachments"] = json!([
        { "containerID": "b", "ifname": "eth0" }, { "containerID": "c", "ifname": "eth1" }, { "containerID": "../x", "ifname": "y" },
    ]);
    assert_eq!(lab.h1.cni("GC", nowhere, &config).ok().text(), "");
    assert_eq!(members(&lab, "app"), ["b", "by-hand"]);
    assert_eq!(members(&lab, "other"), ["d"]);
    only_loopback(&lab, "a");
    let _ = lab.h1.cni("GC", nowhere, &config).ok();
}

#[test]
fn cni_without_a_daemon_says_so_and_del_ends_what_is_gone() {
    let lab = lab(&["web", "late"]);
    let status = |config: &Value| lab.h1.cni("STATUS", eth0("web"), config);
    assert_eq!(status(&app()).ok().text(), "");
    let unknown = configuration("1.1.0", "x", &json!({ "network": "nowhere" }));
    assert!(refused(&status(&unknown), 50).contains("nowhere"));
    let added = lab.h1.cni("ADD", eth0("web"), &app()).ok().json();
    lab.h1.kill();
    assert!(refused(&status(&app()), 50).contains("is it running"));
    let _ = refused(&lab.h1.cni("ADD", eth0("late"), &app()), 11);
    let mut known = app();
    known["prevResult"] = added;
    let _ = refused(&lab.h1.cni("CHECK", eth0("web"), &known), 11);
    // Its namespace is there, so something is left that the daemon alone can remove.
    let _ = refused(&lab.h1.cni("DEL", eth0("web"), &known), 11);
    let gone = Place {
        netns: "never",
        ..eth0("late")
    };
    let _ = lab.h1.cni("DEL", gone, &app()).ok();
    lab.h1.start();
    assert_eq!(status(&app()).ok().text(), "");
    // It survived the death of the daemon, and goes as if nothing had been.
    assert_eq!(members(&lab, "app"), ["web"]);
    let _ = lab.h1.cni("CHECK", eth0("web"), &known).ok();
    let _ = lab.h1.cni("DEL", eth0("web"), &known).ok();
    assert_eq!(members(&lab, "app"), [""; 0]);
    only_loopback(&lab, "web");
}

#[test]
fn cni_check_mends_what_can_be_and_tells_of_the_rest() {
    let lab = lab(&["web"]);
    let mut config = app();
    config["prevResult"] = lab.h1.cni("ADD", eth0("web"), &config).ok().json();
    let check = || lab.h1.cni("CHECK", eth0("web"), &config);
    let _ = lab
        .h1
        .in_netns("web", &["ip", "address", "flush", "dev", "eth0"])
        .ok();
    let _ = check().ok();
    assert_eq!(
        inside(&lab, "web", "eth0")["addr_info"][0]["local"],
        "10.9.0.2"
    );
    // Another's interface stands where netd's was: that is not deleted for it.
    let pid = lab.h1.daemon_pid();
    lab.h1.signal("STOP", pid);
    let steal = "ip link delete eth0 && ip link add eth0 type veth peer name eth9";
    let _ = lab.h1.in_netns("web", &["sh", "-c", steal]).ok();
    lab.h1.signal("CONT", pid);
    let said = refused(&check(), 104);
    assert!(said.contains("web"), "{said}");
    let mut stranger = config.clone();
    stranger["prevResult"]["ips"][0]["address"] = "10.9.0.9/24".into();
    assert!(refused(&lab.h1.cni("CHECK", eth0("web"), &stranger), 104).contains("web"));
    let _ = lab.h1.cni("DEL", eth0("web"), &config).ok();
    let said = refused(&check(), 3);
    assert!(said.contains("never added"), "{said}");
}

#[test]
fn cni_a_namespace_that_ends_gives_all_back_without_del() {
    let lab = lab(&["web"]);
    let mut config = app();
    config["runtimeConfig"] =
        json!({ "ips": ["10.9.0.9"], "portMappings": [{ "hostPort": 8080, "containerPort": 80 }] });
    let _ = lab.h1.cni("ADD", eth0("web"), &config).ok();
    let _ = lab.h1.exec(&["ip", "netns", "delete", "web"]).ok();
    eventually("its end to be noticed", || {
        members(&lab, "app").is_empty().then_some(())
    });
    lab.h1.new_netns("web");
    let _ = lab.h1.cni("ADD", eth0("web"), &config).ok();
    let _ = lab.h1.exec(&["ip", "netns", "delete", "web"]).ok();
    for _ in 0..2 {
        let _ = lab.h1.cni("DEL", eth0("web"), &config).ok();
    }
    assert_eq!(members(&lab, "app"), [""; 0]);
}
