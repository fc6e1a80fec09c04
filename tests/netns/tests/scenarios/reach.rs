//! Who reaches whom: the table that a Docker user expects, and the holes that Docker has and netd has not.

use netns_tests::lab::{HOST, OUTSIDE};
use netns_tests::oracle::curl;
use netns_tests::{Lab, Ran};

fn fetch(lab: &Lab, container: &str, url: &str) -> Ran {
    lab.h1.in_container(container, &curl(url))
}

#[test]
fn an_unpublished_port_is_not_reached_by_a_straight_route() {
    let lab = Lab::new();
    lab.h1.web("open", 80, &["-p", "8080:80"]);
    lab.h1.web("closed", 80, &[]);
    let _ = lab
        .outside
        .exec(&["ip", "route", "add", "172.17.0.0/16", "via", HOST])
        .ok();
    for name in ["open", "closed"] {
        let url = format!("http://{}/", lab.h1.address_of(name, "bridge"));
        assert!(!lab.outside.get(&url).is_ok(), "{name}");
        assert_eq!(
            lab.h1.get(&url).ok().text(),
            name,
            "the host itself reaches it"
        );
    }
    // Even when forwarding is let through by policy.
    let _ = lab.h1.exec(&["iptables", "-P", "FORWARD", "ACCEPT"]).ok();
    let url = format!("http://{}/", lab.h1.address_of("closed", "bridge"));
    assert!(!lab.outside.get(&url).is_ok());
}

#[test]
fn hairpin_a_container_reaches_its_own_and_its_neighbours_published_port() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "app"]).ok();
    for (network, port) in [("bridge", "8080"), ("app", "8081")] {
        let server = format!("web-{network}");
        let neighbour = format!("idle-{network}");
        let publish = format!("{port}:80");
        lab.h1
            .web(&server, 80, &["--network", network, "-p", &publish]);
        lab.h1.idle(&neighbour, network, &[]);
        let url = format!("http://{HOST}:{port}/");
        assert_eq!(fetch(&lab, &server, &url).ok().text(), server);
        assert_eq!(fetch(&lab, &neighbour, &url).ok().text(), server);
    }
}

#[test]
fn another_networks_container_gets_in_by_the_published_port_only() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "app"]).ok();
    lab.h1
        .web("web", 80, &["--network", "app", "-p", "8080:80"]);
    lab.h1.idle("other", "bridge", &[]);
    assert_eq!(
        fetch(&lab, "other", &format!("http://{HOST}:8080/"))
            .ok()
            .text(),
        "web"
    );
    let url = format!("http://{}/", lab.h1.address_of("web", "app"));
    assert!(!fetch(&lab, "other", &url).is_ok());
}

#[test]
fn nothing_goes_in_or_out_of_an_internal_network() {
    let lab = Lab::new();
    let _server = lab.outside.web_server(80, "outside");
    let _ = lab.h1.net(&["create", "--internal", "closed"]).ok();
    lab.h1.web("db", 80, &["--network", "closed"]);
    lab.h1.idle("app", "closed", &[]);
    lab.h1.idle("elsewhere", "bridge", &[]);
    let address = lab.h1.address_of("db", "closed");
    let url = format!("http://{address}/");
    assert_eq!(fetch(&lab, "app", &url).ok().text(), "db");
    assert!(!fetch(&lab, "app", &format!("http://{OUTSIDE}/")).is_ok());
    assert!(!fetch(&lab, "elsewhere", &url).is_ok());
    let _ = lab
        .outside
        .exec(&["ip", "route", "add", "172.18.0.0/16", "via", HOST])
        .ok();
    assert!(!lab.outside.get(&url).is_ok());
    // Not even with a route made by hand inside.
    let _ = lab.h1.in_container(
        "app",
        &["ip", "route", "replace", "default", "via", "172.18.0.1"],
    );
    assert!(!fetch(&lab, "app", &format!("http://{OUTSIDE}/")).is_ok());
}

#[test]
fn a_container_sees_the_real_address_of_a_client_outside() {
    let lab = Lab::new();
    let who = "SYSTEM:echo $SOCAT_PEERADDR";
    lab.h1.run_detached(
        &["--name", "c", "-p", "7000:7000"],
        &["socat", "TCP-LISTEN:7000,fork,reuseaddr", who],
    );
    lab.h1.listening("c", "-t", "7000");
    let target = format!("TCP:{HOST}:7000");
    assert_eq!(
        lab.outside
            .exec(&["socat", "-T2", &target, "-"])
            .ok()
            .text(),
        OUTSIDE
    );
    let local = lab
        .h1
        .exec(&["socat", "-T2", "TCP:127.0.0.1:7000", "-"])
        .ok();
    assert_eq!(local.text(), "172.17.0.1");
}

#[test]
fn a_container_of_a_network_without_ipv6_has_none_and_heeds_no_router() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "app"]).ok();
    lab.h1.idle("c", "app", &[]);
    let v6 = lab
        .h1
        .in_container("c", &["ip", "-6", "address", "show", "dev", "eth0"])
        .ok();
    assert_eq!(v6.text(), "");
    // CVE-2020-13401: a router advertisement from a container must not lead the host astray.
    let id = lab.h1.inspect("app")["Id"].as_str().unwrap().to_owned();
    let of_bridge = |key| {
        let file = format!("/proc/sys/net/ipv6/conf/br-{}/{key}", &id[..12]);
        lab.h1.exec(&["cat", &file]).ok().text().to_owned()
    };
    assert!(of_bridge("disable_ipv6") == "1" || of_bridge("accept_ra") == "0");
}
