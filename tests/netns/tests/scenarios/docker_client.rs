//! Docker's own command line, unpatched, makes, shows, fills and removes networks of netd.

use netns_tests::Lab;
use serde_json::json;

/// Lines of a table without its head.
fn rows(table: &str) -> Vec<Vec<&str>> {
    let lines = table.lines().skip(1);
    lines
        .map(|line| line.split_whitespace().collect())
        .collect()
}

#[test]
fn docker_network_ls_shows_what_net_ls_shows() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "--label", "team=red", "app"]).ok();
    let listed = lab.h1.docker(&["network", "ls"]).ok();
    let own = lab.h1.net(&["ls"]).ok();
    assert_eq!(rows(&listed.stdout), rows(&own.stdout), "{listed}");
    for (filter, names) in [
        ("driver=bridge", "app bridge"),
        ("driver=null", "none"),
        ("type=custom", "app"),
        ("type=builtin", "bridge host none"),
        ("name=^a.p$", "app"),
        ("label=team", "app"),
        ("label=team=blue", ""),
        ("scope=local", "app bridge host none"),
        ("scope=swarm", ""),
        ("dangling=true", "app"),
    ] {
        let ran = lab
            .h1
            .docker(&["network", "ls", "--format", "{{.Name}}", "-f", filter]);
        let ran = ran.ok();
        let found: Vec<&str> = ran.stdout.split_whitespace().collect();
        assert_eq!(found.join(" "), names, "{filter}");
    }
    let _ = lab
        .h1
        .docker(&["network", "ls", "-f", "dangling=perhaps"])
        .fails(1)
        .names(&["invalid filter 'dangling=[perhaps]'"]);
}

#[test]
fn docker_network_create_inspect_and_rm() {
    let lab = Lab::new();
    let line = "network create --subnet 172.28.0.0/16 --ip-range 172.28.5.0/24 --gateway 172.28.5.254 --label team=red \
                --internal -o com.docker.network.driver.mtu=1400 br0";
    let line: Vec<&str> = line.split_whitespace().collect();
    let id = lab.h1.docker(&line).ok().text().to_owned();
    assert_eq!(id.len(), 64, "{id}");
    let shown = lab.h1.docker(&["network", "inspect", "br0"]).ok().json();
    let own = lab.h1.inspect("br0");
    for key in [
        "Name",
        "Id",
        "Scope",
        "Driver",
        "IPAM",
        "Internal",
        "Options",
        "Labels",
        "Created",
        "EnableIPv6",
        "Containers",
        "ConfigFrom",
        "ConfigOnly",
        "Attachable",
        "Ingress",
    ] {
        assert_eq!(shown[0][key], own[key], "{key}");
    }
    assert_eq!(shown[0]["Labels"], json!({"team": "red"}));
    for word in ["br0", &id, &id[..12]] {
        let format = "{{(index .IPAM.Config 0).Subnet}} {{.Driver}}";
        let ran = lab
            .h1
            .docker(&["network", "inspect", "-f", format, word])
            .ok();
        assert_eq!(ran.text(), "172.28.0.0/16 bridge", "{word}");
    }
    let _ = lab
        .h1
        .docker(&["network", "inspect", "absent"])
        .fails(1)
        .names(&["absent"]);
    assert_eq!(lab.h1.docker(&["network", "rm", "br0"]).ok().text(), "br0");
    let _ = lab
        .h1
        .docker(&["network", "rm", "br0"])
        .fails(1)
        .names(&["br0"]);
    assert_eq!(lab.h1.net(&["ls", "-q"]).ok().stdout.lines().count(), 3);
}

#[test]
fn docker_network_connect_carries_packets_and_disconnect_ends_them() {
    let lab = Lab::new();
    let _ = lab
        .h1
        .docker(&["network", "create", "--subnet", "172.30.0.0/24", "app"])
        .ok();
    lab.h1.idle("web", "bridge", &[]);
    lab.h1.idle("db", "app", &[]);
    let reach = |seconds| {
        let ping = ["ping", "-c", "1", "-W", seconds, "172.30.0.9"];
        lab.h1.in_container("web", &ping)
    };
    let _ = lab.h1.net(&["disconnect", "app", "db"]).ok();
    let connect = [
        "network",
        "connect",
        "--ip",
        "172.30.0.9",
        "--alias",
        "store",
        "app",
        "db",
    ];
    let _ = lab.h1.docker(&connect).ok();
    assert!(!reach("1").is_ok(), "web is not on the network yet");
    let _ = lab.h1.docker(&["network", "connect", "app", "web"]).ok();
    // A busy machine may take more than a second until the bridge passes a first question for the address.
    let _ = reach("5").ok();
    let named = ["ping", "-c", "1", "-W", "5", "store"];
    let _ = lab.h1.in_container("web", &named).ok();
    let format = "{{range .Containers}}{{.Name}} {{.IPv4Address}}\n{{end}}";
    let ran = lab
        .h1
        .docker(&["network", "inspect", "-f", format, "app"])
        .ok();
    assert!(
        ran.stdout.contains("db 172.30.0.9/24") && ran.stdout.contains("web "),
        "{ran}"
    );
    let _ = lab.h1.docker(&["network", "rm", "app"]).fails(1).names(&[
        "has active endpoints",
        "\"web\"",
        "\"db\"",
    ]);
    let _ = lab.h1.docker(&["network", "disconnect", "app", "web"]).ok();
    assert!(!reach("1").is_ok(), "web has left");
    let _ = lab
        .h1
        .docker(&["network", "disconnect", "app", "web"])
        .fails(1)
        .names(&["web is not connected to network app"]);
    let _ = lab
        .h1
        .docker(&["network", "disconnect", "-f", "app", "db"])
        .ok();
    let _ = lab.h1.docker(&["network", "rm", "app"]).ok();
}

#[test]
fn a_client_of_any_year_makes_fills_and_removes_a_network() {
    let lab = Lab::new();
    lab.h1.idle("web", "bridge", &[]);
    for version in ["1.21", "1.24", "1.30", "1.41"] {
        let docker = |args: &[&str]| lab.h1.docker_as(version, args).ok();
        let id = docker(&["network", "create", "--subnet", "10.9.0.0/24", "app"]);
        let _ = docker(&["network", "connect", "--ip", "10.9.0.9", "app", "web"]);
        let inside = ["ip", "-o", "-4", "address"];
        let inside = lab.h1.in_container("web", &inside).ok();
        assert!(inside.stdout.contains("10.9.0.9/24"), "{version}: {inside}");
        let format = "{{.Id}} {{range .Containers}}{{.IPv4Address}}{{end}}";
        let shown = docker(&["network", "inspect", "-f", format, "app"]);
        assert_eq!(
            shown.text(),
            format!("{} 10.9.0.9/24", id.text()),
            "{version}"
        );
        let _ = docker(&["network", "disconnect", "app", "web"]);
        let _ = docker(&["network", "rm", "app"]);
        assert_eq!(docker(&["network", "ls", "-q"]).stdout.lines().count(), 3);
    }
}

#[test]
fn docker_network_prune_removes_what_is_not_used_and_fits() {
    let lab = Lab::new();
    for (name, label) in [("old", "keep=no"), ("new", "keep=yes"), ("used", "keep=no")] {
        let _ = lab
            .h1
            .docker(&["network", "create", "--label", label, name])
            .ok();
    }
    lab.h1.idle("c", "used", &[]);
    let ran = lab
        .h1
        .docker(&["network", "prune", "-f", "--filter", "label=keep=no"])
        .ok();
    assert!(
        ran.stdout.contains("old") && !ran.stdout.contains("new"),
        "{ran}"
    );
    let ran = lab
        .h1
        .docker(&["network", "prune", "-f", "--filter", "until=1h"])
        .ok();
    assert!(!ran.stdout.contains("new"), "{ran}");
    let ran = lab
        .h1
        .docker(&["network", "prune", "-f", "--filter", "label!=keep"])
        .ok();
    assert!(!ran.stdout.contains("new"), "{ran}");
    let ran = lab.h1.docker(&["network", "prune", "-f"]).ok();
    assert!(
        ran.stdout.contains("new") && !ran.stdout.contains("used"),
        "{ran}"
    );
    assert_eq!(
        lab.h1
            .docker(&["network", "ls", "-q"])
            .ok()
            .stdout
            .lines()
            .count(),
        4
    );
}

#[test]
fn docker_version_and_info_say_who_answers() {
    let lab = Lab::new();
    let format = "{{.Server.Version}} {{.Server.APIVersion}} {{.Server.MinAPIVersion}}";
    let ran = lab.h1.docker(&["version", "--format", format]).ok();
    let parts: Vec<&str> = ran.stdout.split_whitespace().collect();
    assert!(parts.len() == 3 && parts[2] == "1.12", "{ran}");
    assert_eq!(
        lab.h1
            .docker(&["info", "--format", "{{.ServerVersion}}"])
            .ok()
            .text(),
        parts[0]
    );
    let ran = lab.h1.docker(&["info"]).ok();
    assert!(ran.stdout.contains("Network: bridge host null"), "{ran}");
    for (version, says) in [("1.11", "too old"), ("1.99", "too new")] {
        let ran = lab.h1.docker_as(version, &["info"]).fails(1);
        let sentence = format!("daemon: client version {version} is {says}");
        // The client of 20.10 prints it among its results.
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains(&sentence), "{ran}");
    }
    for version in ["1.21", "1.24", "1.30", "1.41"] {
        let ran = lab.h1.docker_as(version, &["network", "ls", "-q"]).ok();
        assert_eq!(ran.stdout.lines().count(), 3, "{version}: {ran}");
    }
}
