//! S2 and S3: the default network, its addresses, its way out and the only way in.

use netns_tests::lab::{HOST, OUTSIDE};
use netns_tests::oracle::{addresses, curl};
use netns_tests::{Lab, eventually};
use serde_json::Value;

fn eth0_of(lab: &Lab, container: &str) -> Value {
    let list = lab
        .h1
        .in_container(
            container,
            &["ip", "-j", "-d", "address", "show", "dev", "eth0"],
        )
        .ok()
        .json();
    list[0].clone()
}

#[test]
fn s02_docker0_is_there_and_down_without_containers() {
    let lab = Lab::new();
    assert_eq!(lab.h1.ipv4_of("docker0"), ["172.17.0.1/16"]);
    let bridge = lab.h1.link("docker0").unwrap();
    assert_eq!(bridge["linkinfo"]["info_kind"], "bridge");
    assert_eq!(bridge["operstate"], "DOWN");
    let flags = bridge["flags"].as_array().unwrap();
    assert!(flags.contains(&"NO-CARRIER".into()), "{flags:?}");
    lab.h1.idle("c1", "bridge", &[]);
    eventually("docker0 to be up", || {
        (lab.h1.link("docker0")?["operstate"] == "UP").then_some(())
    });
    let _ = lab.h1.net(&["stop", "c1"]).ok();
    eventually("docker0 to be down again", || {
        (lab.h1.link("docker0")?["operstate"] == "DOWN").then_some(())
    });
}

#[test]
fn s02_containers_get_the_next_addresses_and_macs_made_of_them() {
    let lab = Lab::new();
    lab.h1
        .run_detached(&["--name", "c1"], &["sleep", "infinity"]);
    lab.h1
        .run_detached(&["--name", "c2"], &["sleep", "infinity"]);
    for (name, address, mac) in [
        ("c1", "172.17.0.2/16", "02:42:ac:11:00:02"),
        ("c2", "172.17.0.3/16", "02:42:ac:11:00:03"),
    ] {
        let eth0 = eth0_of(&lab, name);
        assert_eq!(addresses(&eth0, "inet"), [address]);
        assert_eq!(addresses(&eth0, "inet6"), [""; 0]);
        assert_eq!(eth0["address"], mac);
        assert_eq!(eth0["operstate"], "UP");
        let partner = eth0["link_index"].as_i64().unwrap();
        let links = lab.h1.ip(&["link", "show"]);
        let outside = links.iter().find(|one| one["ifindex"] == partner).unwrap();
        let outside_name = outside["ifname"].as_str().unwrap();
        let digits = outside_name.strip_prefix("veth").unwrap();
        assert!(
            digits.len() == 7 && digits.bytes().all(|b| b.is_ascii_hexdigit()),
            "{outside_name}"
        );
        assert_eq!(outside["master"], "docker0");
        assert_eq!(outside["link_index"], eth0["ifindex"]);
        let route = lab
            .h1
            .in_container(name, &["ip", "route", "show", "default"])
            .ok();
        assert!(
            route.text().starts_with("default via 172.17.0.1 dev eth0"),
            "{route}"
        );
    }
    let _ = lab
        .h1
        .in_container("c1", &["ping", "-c1", "-W2", "172.17.0.3"])
        .ok();
}

#[test]
fn s03_a_container_reaches_outside_as_the_host() {
    let lab = Lab::new();
    assert_eq!(
        lab.h1.sh("cat /proc/sys/net/ipv4/ip_forward").ok().text(),
        "1"
    );
    lab.h1.idle("c1", "bridge", &[]);
    let _who = lab.outside.spawn(
        &[
            "socat",
            "TCP-LISTEN:7000,fork,reuseaddr",
            "SYSTEM:echo $SOCAT_PEERADDR",
        ],
        &[],
        "/run/lab/who.log",
    );
    lab.outside.machine_listens("-t", 7000);
    let target = format!("TCP:{OUTSIDE}:7000");
    let seen = lab
        .h1
        .in_container("c1", &["socat", "-T2", &target, "-"])
        .ok();
    assert_eq!(seen.text(), HOST);
}

#[test]
fn s03_only_a_published_port_leads_inside() {
    let lab = Lab::new();
    lab.h1.web("web", 80, &["-p", "8080:80"]);
    let url = format!("http://{HOST}:8080/");
    assert_eq!(lab.outside.get(&url).ok().text(), "web");
    assert!(!lab.outside.get(&format!("http://{HOST}:80/")).is_ok());
    // A neighbour that knows the way to the container's network does not get in either.
    let _ = lab
        .outside
        .exec(&["ip", "route", "add", "172.17.0.0/16", "via", HOST])
        .ok();
    assert!(
        !lab.outside
            .exec(&["ping", "-c1", "-W1", "172.17.0.2"])
            .is_ok()
    );
    let _ = lab.outside.exec(&curl("http://172.17.0.2:81/")).fails(28);
}
