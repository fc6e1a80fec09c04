//! S8, S9, S10, S11: the daemon's options, under the names of Docker's daemon.json.

use netns_tests::lab::HOST;
use netns_tests::oracle::curl;
use netns_tests::{HostOptions, Lab};

fn lab_with(config: &str) -> Lab {
    Lab::with(HostOptions {
        config: config.to_owned(),
        flags: Vec::new(),
    })
}

#[test]
fn s08_bip_moves_docker0_and_its_pool() {
    let lab = lab_with(r#"{"bip": "192.168.100.1/24"}"#);
    assert_eq!(lab.h1.ipv4_of("docker0"), ["192.168.100.1/24"]);
    lab.h1.idle("c1", "bridge", &[]);
    assert_eq!(lab.h1.address_of("c1", "bridge"), "192.168.100.2");
}

#[test]
fn s08_the_same_names_work_as_flags() {
    let lab = Lab::with(HostOptions {
        config: String::new(),
        flags: vec!["--bip".into(), "192.168.101.1/24".into()],
    });
    assert_eq!(lab.h1.ipv4_of("docker0"), ["192.168.101.1/24"]);
}

#[test]
fn s09_a_bridge_made_by_hand_is_used_and_never_deleted() {
    let lab = Lab::without_daemon(HostOptions {
        config: r#"{"bridge": "cusbr0"}"#.to_owned(),
        flags: Vec::new(),
    });
    let _ = lab
        .h1
        .sh("ip link add cusbr0 type bridge && ip addr add 192.168.100.1/24 dev cusbr0")
        .ok();
    lab.h1.start();
    assert!(lab.h1.link("docker0").is_none());
    lab.h1.idle("c1", "bridge", &[]);
    let address = lab.h1.address_of("c1", "bridge");
    assert!(address.starts_with("192.168.100."), "{address}");
    let _ = lab
        .h1
        .in_container("c1", &["ping", "-c1", "-W2", "192.168.100.1"])
        .ok();
    let _ = lab.h1.net(&["stop", "c1"]).ok();
    lab.h1.restart();
    assert_eq!(lab.h1.ipv4_of("cusbr0"), ["192.168.100.1/24"]);
}

#[test]
fn s10_without_icc_neighbours_do_not_talk_but_published_ports_work() {
    let lab = lab_with(r#"{"icc": false}"#);
    lab.h1.web("web", 80, &["-p", "8080:80"]);
    lab.h1.idle("c2", "bridge", &[]);
    let url = format!("http://{}/", lab.h1.address_of("web", "bridge"));
    assert!(!lab.h1.in_container("c2", &curl(&url)).is_ok());
    let page = lab.outside.get(&format!("http://{HOST}:8080/")).ok();
    assert_eq!(page.text(), "web");
}

#[test]
fn s11_resolvers_of_the_daemon_of_the_container_of_the_host() {
    let lab = lab_with(r#"{"dns": ["10.0.0.200"], "dns-search": ["corp.test"]}"#);
    let file = |flags: &[&str]| {
        let mut args = vec!["run", "--rm"];
        args.extend(flags);
        args.extend(["--", "cat", "/etc/resolv.conf"]);
        lab.h1.net(&args).ok().stdout
    };
    assert!(file(&[]).contains("nameserver 10.0.0.200\n"));
    assert!(file(&[]).contains("search corp.test"));
    let own = file(&["--dns", "10.0.0.9"]);
    assert!(
        own.contains("nameserver 10.0.0.9\n") && !own.contains("10.0.0.200"),
        "{own}"
    );
    let lab = Lab::new();
    let hosts = lab
        .h1
        .net(&["run", "--rm", "--", "cat", "/etc/resolv.conf"])
        .ok();
    assert!(hosts.stdout.contains("nameserver 198.18.0.2"), "{hosts}");
}
