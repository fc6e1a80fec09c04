//! S13: two bridges do not talk. What the rules are that see to it stands in `on_iptables` and `on_nftables`.

use netns_tests::lab::HOST;
use netns_tests::oracle::curl;
use netns_tests::{Firewall, Lab};

/// Two networks with three containers each, of which every one publishes 6379 and 16379.
pub(crate) fn six_containers(firewall: Firewall) -> (Lab, String) {
    let lab = Lab::on(firewall);
    let id = lab.h1.net(&["create", "net-redis"]).ok().text().to_owned();
    let bridge = format!("br-{}", &id[..12]);
    for number in 0..6 {
        let name = format!("redis{number}");
        let network = ["bridge", "net-redis"][number / 3];
        let ports = [6379, 16379].map(|port| format!("{}:{port}", port + number));
        let flags = ["--network", network, "-p", &ports[0], "-p", &ports[1]];
        lab.h1.web(&name, 6379, &flags);
    }
    (lab, bridge)
}

#[test]
fn s13_two_bridges_do_not_talk() {
    let (lab, _) = six_containers(Firewall::OfThisRun);
    let inside = |name: &str, target: &str, network: &str| {
        let url = format!("http://{}:6379/", lab.h1.address_of(target, network));
        lab.h1.in_container(name, &curl(&url))
    };
    assert_eq!(inside("redis0", "redis1", "bridge").ok().text(), "redis1");
    assert_eq!(
        inside("redis3", "redis4", "net-redis").ok().text(),
        "redis4"
    );
    assert!(!inside("redis0", "redis3", "net-redis").is_ok());
    assert!(!inside("redis3", "redis0", "bridge").is_ok());
    // An address of the other bridge's subnet, added by hand inside, does not get through either.
    let add = ["ip", "address", "add", "172.18.0.99/16", "dev", "eth0"];
    let _ = lab.h1.in_container("redis0", &add).ok();
    assert!(!inside("redis0", "redis3", "net-redis").is_ok());
}

#[test]
fn s13_the_rules_go_with_what_they_were_for() {
    let lab = Lab::new();
    let before = lab.h1.all_rules();
    let _ = lab.h1.net(&["create", "app"]).ok();
    lab.h1.web(
        "web",
        80,
        &[
            "--network",
            "app",
            "-p",
            "8080:80",
            "-p",
            "127.0.0.1:8081:80",
        ],
    );
    assert_ne!(lab.h1.all_rules(), before);
    let _ = lab.h1.net(&["stop", "web"]).ok();
    let _ = lab.h1.net(&["rm", "app"]).ok();
    assert_eq!(lab.h1.all_rules(), before);
}

#[test]
fn rules_and_policies_of_others_are_left_alone() {
    let lab = Lab::without_daemon(netns_tests::HostOptions::default());
    let own = [
        "iptables -N MINE",
        "iptables -A MINE -s 192.0.2.1 -j DROP",
        "iptables -I FORWARD -j MINE",
        "iptables -t nat -A POSTROUTING -s 192.0.2.0/24 -j MASQUERADE",
    ];
    let _ = lab.h1.sh(&own.join(" && ")).ok();
    lab.h1.start();
    let _ = lab.h1.net(&["create", "app"]).ok();
    lab.h1
        .web("web", 80, &["--network", "app", "-p", "8080:80"]);
    assert_eq!(
        lab.outside.get(&format!("http://{HOST}:8080/")).ok().text(),
        "web"
    );
    lab.h1.restart();
    let _ = lab.h1.net(&["stop", "web"]).ok();
    let _ = lab.h1.net(&["rm", "app"]).ok();
    for (table, rule) in [
        ("filter", "-A MINE -s 192.0.2.1/32 -j DROP"),
        ("filter", "-A FORWARD -j MINE"),
        ("nat", "-A POSTROUTING -s 192.0.2.0/24 -j MASQUERADE"),
    ] {
        let rules = lab.h1.rules(table);
        assert!(rules.contains(&rule.to_owned()), "{rule} in {rules:#?}");
    }
}
