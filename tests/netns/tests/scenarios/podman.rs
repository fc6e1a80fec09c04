//! Podman itself, unmodified, with netd in place of netavark.

use netns_tests::lab::{HOST, OUTSIDE};
use netns_tests::podman::{NETWORKS, Podman};
use netns_tests::{Lab, eventually};
use serde_json::Value;

fn names(lab: &Lab) -> String {
    let ran = lab.h1.net(&["ls", "--format", "{{.Name}}"]).ok();
    ran.text().replace('\n', " ")
}

/// Nothing is left but what was there at the start.
#[track_caller]
fn nothing_is_left(lab: &Lab) {
    assert_eq!(names(lab), "bridge host none");
    assert_eq!(lab.h1.net(&["ps", "-aq"]).ok().text(), "");
    assert_eq!(lab.h1.exec(&["ls", "/run/netns"]).ok().text(), "");
    assert_eq!(lab.h1.status()["problems"], serde_json::json!([]));
}

/// The page of the containers, from the machine outside.
fn is_served(lab: &Lab, port: u16) -> bool {
    let url = format!("http://{HOST}:{port}/index.html");
    lab.outside.get(&url).text() == "by podman"
}

fn pings(podman: &Podman<'_>, from: &str, to: &str) -> bool {
    let ran = podman.exec(from, &["ping", "-c1", "-W2", to]);
    ran.is_ok()
}

#[test]
fn podman_containers_have_names_ports_and_addresses_and_leave_nothing() {
    let lab = Lab::new();
    let podman = Podman::on(&lab.h1);
    let (links, rules) = (lab.h1.link_names(), lab.h1.all_rules());
    let _ = podman
        .run(&["network", "create", "--subnet", "10.89.7.0/24", "app"])
        .ok();
    podman.serve(
        "web",
        &[
            "--network",
            "app",
            "-p",
            "8080:80",
            "-p",
            "127.0.0.1:8081:80/tcp",
        ],
    );
    let flags = [
        "--network",
        "app",
        "--network-alias",
        "sql",
        "--ip",
        "10.89.7.77",
        "--mac-address",
        "02:00:00:00:00:77",
    ];
    let _ = podman.start(("db", &flags), &["sleep", "300"]).ok();
    for name in ["web", &podman.inspect("web", "{{.Id}}")[..12]] {
        assert!(pings(&podman, "db", name), "{name}");
    }
    for name in ["db", "sql", "10.89.7.77"] {
        assert!(pings(&podman, "web", name), "{name}");
    }
    assert!(pings(&podman, "web", OUTSIDE));
    eventually("the page from outside", || {
        is_served(&lab, 8080).then_some(())
    });
    assert!(lab.h1.get("http://127.0.0.1:8081/index.html").is_ok());
    assert!(!is_served(&lab, 8081));
    let shown = podman.inspect("db", "{{json .NetworkSettings.Networks.app}}");
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["IPAddress"], "10.89.7.77");
    assert_eq!(shown["Gateway"], "10.89.7.1");
    assert_eq!(shown["MacAddress"], "02:00:00:00:00:77");
    // netd has them under their names.
    assert_eq!(lab.h1.address_of("db", "app"), "10.89.7.77");
    let ports = lab.h1.net(&["port", "web"]).ok();
    assert!(ports.stdout.contains("0.0.0.0:8080"), "{ports}");
    let _ = podman.run(&["rm", "-f", "-t", "0", "web", "db"]).ok();
    assert!(!is_served(&lab, 8080));
    let _ = podman.run(&["network", "rm", "app"]).ok();
    nothing_is_left(&lab);
    eventually("the rules of before", || {
        (lab.h1.all_rules() == rules).then_some(())
    });
    lab.h1.comes_back_to(&links);
}

#[test]
fn podman_and_net_run_share_a_network() {
    let lab = Lab::new();
    let podman = Podman::on(&lab.h1);
    let _ = podman.run(&["network", "create", "app"]).ok();
    podman.serve("web", &["--network", "app"]);
    lab.h1.idle("tool", "app", &[]);
    let _ = lab
        .h1
        .in_container("tool", &["ping", "-c1", "-W2", "web"])
        .ok();
    assert!(pings(&podman, "web", "tool"));
    // One whose name somebody of netd has is refused by Podman in netd's words, and leaves nothing.
    let ran = podman.start(("tool", &["--network", "app"]), &["sleep", "300"]);
    let _ = ran.fails(126).names(&["tool is running already"]);
    let _ = podman.run(&["rm", "-f", "-t", "0", "tool", "web"]).ok();
    assert_eq!(lab.h1.exec(&["ls", "/run/netns"]).ok().text(), "");
    let _ = lab.h1.net(&["stop", "-t", "0", "tool"]).ok();
    // A network of netd, with its addresses: Podman gives none.
    let _ = lab
        .h1
        .net(&["create", "--subnet", "10.77.0.0/24", "theirs"])
        .ok();
    lab.h1.idle("other", "theirs", &[]);
    let create = [
        "network",
        "create",
        "--ipam-driver",
        "none",
        "--label",
        "org.netd.network=theirs",
        "mine",
    ];
    let _ = podman.run(&create).ok();
    podman.serve("guest", &["--network", "mine", "-p", "8080:80"]);
    assert!(lab.h1.address_of("guest", "theirs").starts_with("10.77.0."));
    assert!(pings(&podman, "guest", "other"));
    let _ = lab
        .h1
        .in_container("other", &["ping", "-c1", "-W2", "guest"])
        .ok();
    eventually("the page from outside", || {
        is_served(&lab, 8080).then_some(())
    });
    let _ = podman.run(&["rm", "-f", "-t", "0", "guest"]).ok();
    assert_eq!(
        lab.h1.inspect("theirs")["Containers"]
            .as_object()
            .map(serde_json::Map::len),
        Some(1)
    );
}

#[test]
fn podman_connects_and_disconnects_what_runs() {
    let lab = Lab::new();
    let podman = Podman::on(&lab.h1);
    for network in ["app", "back", "more"] {
        let _ = podman.run(&["network", "create", network]).ok();
    }
    podman.serve("web", &["--network", "app", "-p", "8080:80"]);
    podman.serve("db", &["--network", "back"]);
    podman.serve("one", &["--network", "app,more"]);
    assert!(!podman.knows("web", "db"));
    let _ = podman
        .run(&["network", "connect", "--alias", "www", "back", "web"])
        .ok();
    assert!(pings(&podman, "web", "db") && pings(&podman, "db", "www"));
    assert!(pings(&podman, "web", "one") && is_served(&lab, 8080));
    // Names stay when a further network goes; ports go on by another when their network goes.
    let _ = podman.run(&["network", "connect", "more", "web"]).ok();
    let _ = podman.run(&["network", "disconnect", "more", "web"]).ok();
    assert!(pings(&podman, "web", "db") && pings(&podman, "web", "one"));
    let resolv = podman.exec("web", &["cat", "/etc/resolv.conf"]).ok().stdout;
    assert_eq!(resolv.matches("127.0.0.11").count(), 1, "{resolv}");
    assert_eq!(resolv.matches("127.0.1.11").count(), 1, "{resolv}");
    let _ = podman.run(&["network", "disconnect", "app", "web"]).ok();
    assert!(podman.knows("web", "db") && !podman.knows("web", "one"));
    // Podman takes out of resolv.conf what it was told for that network; the other resolver stays.
    assert!(pings(&podman, "web", "db"));
    eventually("the page by the other network", || {
        is_served(&lab, 8080).then_some(())
    });
    let _ = podman.run(&["network", "connect", "more", "web"]).ok();
    assert!(pings(&podman, "web", "one") && pings(&podman, "web", "db"));
    let _ = podman.run(&["network", "disconnect", "more", "web"]).ok();
    let _ = podman.run(&["restart", "-t", "0", "web"]).ok();
    assert!(pings(&podman, "web", "db") && pings(&podman, "db", "web"));
    // Podman does all of it once more.
    let _ = podman.run(&["network", "reload", "--all"]).ok();
    assert!(pings(&podman, "web", "db"));
    let _ = podman
        .run(&["rm", "-f", "-t", "0", "web", "db", "one"])
        .ok();
    nothing_is_left(&lab);
}

#[test]
fn podman_pods_share_a_network_and_its_ports() {
    let lab = Lab::new();
    let podman = Podman::on(&lab.h1);
    let _ = podman.run(&["network", "create", "app"]).ok();
    let create = [
        "pod",
        "create",
        "--name",
        "shop",
        "--network",
        "app",
        "-p",
        "8080:80",
    ];
    let _ = podman.run(&create).ok();
    podman.serve("web", &["--pod", "shop"]);
    let _ = podman
        .start(("side", &["--pod", "shop"]), &["sleep", "300"])
        .ok();
    podman.serve("far", &["--network", "app"]);
    eventually("the page from outside", || {
        is_served(&lab, 8080).then_some(())
    });
    let wget = ["wget", "-qO-", "http://127.0.0.1/index.html"];
    assert_eq!(podman.exec("side", &wget).ok().text(), "by podman");
    assert!(pings(&podman, "far", "shop") && pings(&podman, "side", "far"));
    let _ = podman.run(&["pod", "rm", "-f", "-t", "0", "shop"]).ok();
    let _ = podman.run(&["rm", "-f", "-t", "0", "far"]).ok();
    nothing_is_left(&lab);
}

#[test]
fn podman_kinds_of_networks() {
    let lab = Lab::new();
    let podman = Podman::on(&lab.h1);
    let create = |flags: &[&str]| {
        let mut args = vec!["network", "create"];
        args.extend(flags);
        podman.run(&args)
    };
    let _ = create(&["--internal", "closed"]).ok();
    let _ = create(&["--internal", "--disable-dns", "mute"]).ok();
    let _ = create(&["--ipv6", "-o", "mtu=1400", "-o", "isolate=true", "dual"]).ok();
    for name in ["closed", "mute", "dual"] {
        let other = format!("{name}-2");
        podman.serve(name, &["--network", name]);
        podman.serve(&other, &["--network", name]);
        let address = lab.h1.address_of(&other, name);
        assert!(pings(&podman, name, &address));
        // Without names in Podman's definition the container asks others than netd.
        let resolv = podman.exec(name, &["cat", "/etc/resolv.conf"]).ok().stdout;
        assert_eq!(resolv.contains("127.0.0.11"), name != "mute", "{resolv}");
        assert!(name == "mute" || pings(&podman, name, &other), "{name}");
        assert_eq!(pings(&podman, name, OUTSIDE), name == "dual", "{name}");
    }
    let link = podman
        .exec("dual", &["ip", "addr", "show", "eth0"])
        .ok()
        .stdout;
    assert!(
        link.contains("mtu 1400") && link.contains("inet6 fd"),
        "{link}"
    );
    // IPv6 alone.
    let _ = create(&["--subnet", "fd00:7::/64", "six"]).ok();
    podman.serve("six", &["--network", "six"]);
    podman.serve("six-2", &["--network", "six", "--ip6", "fd00:7::77"]);
    let link = podman
        .exec("six", &["ip", "addr", "show", "eth0"])
        .ok()
        .stdout;
    assert!(link.contains("fd00:7::2/64"), "{link}");
    assert!(pings(&podman, "six", "six-2") && pings(&podman, "six", "fd00:7::77"));
    // The default network has no names, as with netavark, and the host's resolvers.
    podman.serve("plain", &[]);
    let resolv = podman
        .exec("plain", &["cat", "/etc/resolv.conf"])
        .ok()
        .stdout;
    assert!(!resolv.contains("127.0.0.11"), "{resolv}");
    assert!(lab.h1.link("podman0").is_some() && pings(&podman, "plain", OUTSIDE));
    let _ = podman.run(&["rm", "-f", "-t", "0", "-a"]).ok();
    nothing_is_left(&lab);
}

#[test]
fn podman_shows_what_netd_refuses() {
    let lab = Lab::new();
    let podman = Podman::on(&lab.h1);
    let refused = |name: &str, flags: &[&str], words: &[&str]| {
        let ran = podman.start((name, flags), &["sleep", "300"]);
        let _ = ran.fails(126).names(words);
        let _ = podman.run(&["rm", "-f", name]).ok();
    };
    let _ = podman
        .run(&["network", "create", "--subnet", "10.89.7.0/24", "app"])
        .ok();
    podman.serve("web", &["--network", "app", "-p", "8080:80"]);
    lab.h1.idle("tool", "app", &["--ip", "10.89.7.9"]);
    refused(
        "a",
        &["--network", "app", "-p", "8080:80"],
        &["8080", "web"],
    );
    refused(
        "b",
        &["--network", "app", "--ip", "10.89.7.9"],
        &["10.89.7.9", "tool", "--ip-range"],
    );
    // What netavark would have done by itself.
    let parent = lab.h1.link_names().into_iter().find(|name| name != "lo");
    let parent = format!("parent={}", parent.unwrap_or_default());
    let create = [
        "network",
        "create",
        "-d",
        "macvlan",
        "-o",
        &parent,
        "--subnet",
        "10.66.0.0/24",
        "flat",
    ];
    if podman.run(&create).is_ok() {
        refused("c", &["--network", "flat"], &["flat", "macvlan"]);
    }
    lab.h1.write(&format!("{NETWORKS}/vlan.json"), VLAN);
    refused("d", &["--network", "vlan"], &["vlan", "net uplink"]);
    lab.h1.kill();
    refused("e", &["--network", "app"], &["is it running"]);
    lab.h1.start();
    assert!(pings(&podman, "web", "tool"));
}

/// A network that Podman accepts and netd does not have.
const VLAN: &str = r#"{
    "name": "vlan", "id": "0101010101010101010101010101010101010101010101010101010101010101", "driver": "bridge",
    "network_interface": "podman9", "created": "2026-01-01T00:00:00Z", "ipv6_enabled": false, "internal": false,
    "dns_enabled": true, "subnets": [{ "subnet": "10.67.0.0/24", "gateway": "10.67.0.1" }],
    "options": { "vlan": "7" }, "ipam_options": { "driver": "host-local" }
}"#;
