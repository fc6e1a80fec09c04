//! Networks with options, made by a real Docker engine with netd's plugin.

use netns_tests::dockerd::DockerLab;
use netns_tests::plugin::with_plugin;
use netns_tests::{Firewall, eventually};
use serde_json::json;

use super::docker;

#[test]
fn subnets_ranges_and_options_are_as_they_were_asked_for() {
    let lab = DockerLab::with(with_plugin());
    docker(
        &lab,
        "network create -d netd --ipam-driver netd --ipv6 --subnet 10.5.0.0/24 --subnet fd00:5::/64 --ip-range 10.5.0.128/25 \
         --gateway 10.5.0.254 --aux-address printer=10.5.0.129 -o com.docker.network.driver.mtu=1400 -o netd.name=app app",
    );
    let shown = lab.h1.inspect("app");
    assert_eq!(
        shown["IPAM"]["Config"][0]["IPRange"],
        json!("10.5.0.128/25")
    );
    assert_eq!(shown["IPAM"]["Config"][0]["Gateway"], json!("10.5.0.254"));
    for name in ["one", "two"] {
        lab.container(name, "app", &[]);
    }
    let addresses = lab.in_docker("two", &["ip", "addr", "show", "eth0"]).ok();
    for part in ["10.5.0.130/24", "fd00:5::3/64", "mtu 1400"] {
        assert!(addresses.stdout.contains(part), "{part}: {addresses}");
    }
    for address in ["10.5.0.254", "10.5.0.128"] {
        let _ = lab.in_docker("two", &["ping", "-c1", "-W5", address]).ok();
    }
    let six = ["ping", "-6", "-c1", "-W5", "fd00:5::2"];
    eventually("a neighbour by IPv6", || {
        lab.in_docker("two", &six).is_ok().then_some(())
    });
    lab.h1.idle("other", "app", &[]);
    let _ = lab
        .h1
        .in_container("other", &["ping", "-6", "-c1", "-W5", "fd00:5::3"])
        .ok();
    docker(&lab, "rm -f one two");
}

#[test]
fn an_internal_network_leads_nowhere_and_one_of_netds_choice_leads_out() {
    let lab = DockerLab::with(with_plugin());
    docker(
        &lab,
        "network create -d netd --ipam-driver netd --internal --subnet 10.5.0.0/24 inner",
    );
    docker(&lab, "network create -d netd --ipam-driver netd outer");
    lab.container("one", "inner", &[]);
    lab.container("two", "inner", &[]);
    lab.container("three", "outer", &[]);
    let outside = ["ping", "-c1", "-W1", "198.18.0.2"];
    let _ = lab.in_docker("one", &["ping", "-c1", "-W5", "two"]).ok();
    let refused = lab.in_docker("one", &outside);
    assert!(!refused.is_ok(), "{refused}");
    let routes = lab.in_docker("one", &["ip", "route"]).ok();
    assert!(!routes.stdout.contains("default"), "{routes}");
    let _ = lab
        .in_docker("three", &["ping", "-c1", "-W5", "198.18.0.2"])
        .ok();
    let gateways = lab.docker(&["network", "ls", "-q", "-f", "name=docker_gwbridge"]);
    assert_eq!(gateways.ok().text(), "");
    // On both, the way out is that of the one that has one.
    docker(&lab, "network connect outer one");
    let _ = lab
        .in_docker("one", &["ping", "-c1", "-W5", "198.18.0.2"])
        .ok();
    docker(&lab, "rm -f one two three");
    docker(&lab, "network rm inner outer");
    assert_eq!(lab.h1.net(&["ls", "-q"]).ok().stdout.lines().count(), 3);
}

#[test]
fn the_engines_policy_of_drop_does_not_concern_netds_containers() {
    let lab = DockerLab::with(with_plugin());
    lab.h1.put_on(Firewall::Iptables);
    lab.h1.restart();
    docker(
        &lab,
        "network create -d netd --ipam-driver netd --subnet 10.5.0.0/24 app",
    );
    // What an engine does that turns forwarding on itself.
    let _ = lab.h1.sh("iptables -P FORWARD DROP").ok();
    lab.container("one", "app", &["-p", "8080:80"]);
    let serve = [
        "sh",
        "-c",
        "echo hello > /tmp/index.html; httpd -p 80 -h /tmp",
    ];
    let _ = lab.in_docker("one", &serve).ok();
    let _ = lab
        .in_docker("one", &["ping", "-c1", "-W5", "198.18.0.2"])
        .ok();
    let page = lab
        .outside
        .exec(&["curl", "-s", "-m", "5", "http://198.18.0.1:8080/"]);
    assert_eq!(page.ok().text(), "hello");
    docker(&lab, "rm -f one");
}

#[test]
fn with_nftables_the_engines_policy_is_told_and_can_be_lifted() {
    let lab = DockerLab::with(with_plugin());
    lab.h1.put_on(Firewall::Nftables);
    lab.h1.restart();
    docker(
        &lab,
        "network create -d netd --ipam-driver netd --subnet 10.5.0.0/24 app",
    );
    let _ = lab.h1.sh("iptables -P FORWARD DROP").ok();
    lab.container("one", "app", &[]);
    eventually("a warning about the policy", || {
        let warnings = lab.h1.status()["warnings"].to_string();
        warnings.contains("FORWARD").then_some(())
    });
    let outside = ["ping", "-c1", "-W1", "198.18.0.2"];
    assert!(!lab.in_docker("one", &outside).is_ok());
    let links = lab.h1.link_names();
    let bridge = links.iter().find(|link| link.starts_with("br-"));
    for way in ["-i", "-o"] {
        let bridge = bridge.map(String::as_str).unwrap_or_default();
        let line = ["iptables", "-I", "DOCKER-USER", way, bridge, "-j", "ACCEPT"];
        let _ = lab.h1.exec(&line).ok();
    }
    let _ = lab
        .in_docker("one", &["ping", "-c1", "-W5", "198.18.0.2"])
        .ok();
    docker(&lab, "rm -f one");
}

#[test]
fn a_network_that_an_engine_will_never_remove_is_let_go_by_hand() {
    let lab = DockerLab::with(with_plugin());
    let _ = lab
        .h1
        .net(&["create", "--subnet", "10.6.0.0/24", "shared"])
        .ok();
    docker(
        &lab,
        "network create -d netd --ipam-driver netd --subnet 10.6.0.0/24 -o netd.name=shared any",
    );
    let id = lab
        .docker(&["network", "inspect", "-f", "{{.Id}}", "any"])
        .ok();
    let body = format!(r#"{{"NetworkID":"{}"}}"#, id.text());
    let socket = netns_tests::plugin::PLUGIN_SOCKET;
    let _ = lab
        .h1
        .net(&["rm", "shared"])
        .fails(1)
        .names(&["docker network rm"]);
    let curl = [
        "curl",
        "-s",
        "--unix-socket",
        socket,
        "-d",
        &body,
        "http://netd/NetworkDriver.DeleteNetwork",
    ];
    assert_eq!(lab.h1.exec(&curl).ok().text(), "{}");
    let _ = lab.h1.net(&["rm", "shared"]).ok();
}
