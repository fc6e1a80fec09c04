//! IPv6: who reaches whom, and who does not.

use netns_tests::eventually;

use crate::ipv6::{HOST, OUTSIDE, address_of, fetch, lab};

#[test]
fn s03_ipv6_leaves_by_the_hosts_address_and_enters_by_published_ports_only() {
    let lab = lab();
    let _ = lab
        .h1
        .net(&["create", "--subnet", "fd00:3::/64", "app"])
        .ok();
    lab.h1
        .web("web", 80, &["--network", "app", "-p", "8080:80"]);
    let tell = "SYSTEM:echo $SOCAT_PEERADDR";
    let listen = "TCP6-LISTEN:7000,fork,reuseaddr";
    let _server = lab
        .outside
        .spawn(&["socat", listen, tell], &[], "/run/lab/peer.log");
    lab.outside.machine_listens("-t", 7000);
    let to = format!("TCP6:[{OUTSIDE}]:7000");
    let seen = lab.h1.in_container("web", &["socat", "-u", &to, "-"]).ok();
    assert_eq!(seen.text(), "[2001:0db8:0005:0000:0000:0000:0000:0001]");
    let _ = lab
        .outside
        .exec(&["ip", "-6", "route", "add", "fd00:3::/64", "via", HOST])
        .ok();
    let direct = format!("http://[{}]/", address_of(&lab, "web", "app"));
    assert!(
        !lab.outside.get(&direct).is_ok(),
        "past its published ports"
    );
    assert_eq!(lab.h1.get(&direct).ok().text(), "web");
    assert_eq!(
        lab.outside
            .get(&format!("http://[{HOST}]:8080/"))
            .ok()
            .text(),
        "web"
    );
}

#[test]
fn s21_a_port_is_published_on_both_families() {
    let lab = lab();
    let _ = lab.h1.net(&["create", "--ipv6", "app"]).ok();
    let _ = lab.h1.net(&["create", "--ipv6", "other"]).ok();
    lab.h1.web(
        "web",
        80,
        &["--network", "app", "-p", "8080:80", "-p", "80"],
    );
    lab.h1.idle("near", "app", &[]);
    lab.h1.idle("far", "other", &[]);
    let ports = lab.h1.net(&["port", "web"]).ok();
    assert_eq!(
        ports.text().lines().collect::<Vec<_>>(),
        [
            "80/tcp -> 0.0.0.0:8080",
            "80/tcp -> 0.0.0.0:32768",
            "80/tcp -> [::]:8080",
            "80/tcp -> [::]:32768",
        ]
    );
    for port in ["8080", "32768"] {
        let url = format!("http://[{HOST}]:{port}/");
        assert_eq!(lab.outside.get(&url).ok().text(), "web");
        assert_eq!(lab.h1.get(&url).ok().text(), "web", "from the host");
        for container in ["near", "far", "web"] {
            assert_eq!(
                fetch(&lab, container, &url).ok().text(),
                "web",
                "{container}"
            );
        }
    }
    let taken = [
        "run",
        "--network",
        "other",
        "-p",
        &format!("[{HOST}]:8080:80"),
        "--",
        "true",
    ];
    let _ = lab.h1.net(&taken).fails(125).names(&["8080", "web"]);
    let _ = lab.h1.net(&["unpublish", "web", "-p", "8080:80"]).ok();
    assert!(!lab.outside.get(&format!("http://[{HOST}]:8080/")).is_ok());
    let ports = lab.h1.net(&["port", "web"]).ok();
    assert!(!ports.stdout.contains("8080"), "{ports}");
}

#[test]
fn s13_two_bridges_with_ipv6_do_not_talk_until_they_may() {
    let lab = lab();
    for (name, subnet) in [("red", "fd00:a::/64"), ("blue", "fd00:b::/64")] {
        let _ = lab.h1.net(&["create", "--subnet", subnet, name]).ok();
        lab.h1.web(&format!("web-{name}"), 80, &["--network", name]);
    }
    let url = format!("http://[{}]/", address_of(&lab, "web-blue", "blue"));
    assert!(!fetch(&lab, "web-red", &url).is_ok());
    // A foreign address does not get through either.
    let forged = "ip -6 address add fd00:b::99/128 dev eth0 nodad && ping -6 -c1 -W1 -I fd00:b::99 fd00:b::2";
    assert!(
        !lab.h1
            .in_container("web-red", &["sh", "-c", forged])
            .is_ok()
    );
    let away = "ip -6 address del fd00:b::99/128 dev eth0";
    let _ = lab.h1.in_container("web-red", &["sh", "-c", away]).ok();
    let _ = lab.h1.net(&["allow", "red", "blue"]).ok();
    assert_eq!(fetch(&lab, "web-red", &url).ok().text(), "web-blue");
    let _ = lab.h1.net(&["deny", "red", "blue"]).ok();
    assert!(!fetch(&lab, "web-red", &url).is_ok());
}

#[test]
fn an_internal_network_is_closed_to_ipv6_too() {
    let lab = lab();
    let _ = lab
        .h1
        .net(&["create", "--internal", "--subnet", "fd00:1::/64", "closed"])
        .ok();
    lab.h1
        .web("web", 80, &["--network", "closed", "-p", "8080:80"]);
    lab.h1.idle("near", "closed", &[]);
    assert_eq!(fetch(&lab, "near", "http://web/").ok().text(), "web");
    let _ = lab
        .outside
        .exec(&["ip", "-6", "route", "add", "fd00:1::/64", "via", HOST])
        .ok();
    let direct = format!("http://[{}]/", address_of(&lab, "web", "closed"));
    assert!(!lab.outside.get(&direct).is_ok());
    assert!(!lab.outside.get(&format!("http://[{HOST}]:8080/")).is_ok());
    let out = lab
        .h1
        .in_container("near", &["ping", "-6", "-c1", "-W1", OUTSIDE]);
    assert!(!out.is_ok());
}

#[test]
fn s10_without_icc_neighbours_do_not_talk_over_ipv6_but_published_ports_work() {
    let lab = lab();
    let icc = "com.docker.network.bridge.enable_icc=false";
    let _ = lab.h1.net(&["create", "--ipv6", "-o", icc, "quiet"]).ok();
    lab.h1
        .web("web", 80, &["--network", "quiet", "-p", "8080:80"]);
    lab.h1.idle("near", "quiet", &[]);
    let direct = format!("http://[{}]/", address_of(&lab, "web", "quiet"));
    assert!(!fetch(&lab, "near", &direct).is_ok());
    let published = format!("http://[{HOST}]:8080/");
    assert_eq!(fetch(&lab, "near", &published).ok().text(), "web");
    assert_eq!(lab.outside.get(&published).ok().text(), "web");
}

#[test]
fn the_host_forwards_ipv6_only_once_a_network_has_it_and_heeds_its_routers_still() {
    let lab = lab();
    let read = |key: &str| {
        lab.h1
            .exec(&["cat", &format!("/proc/sys/net/ipv6/conf/{key}")])
            .ok()
            .text()
            .to_owned()
    };
    let _ = lab.h1.net(&["create", "plain"]).ok();
    assert_eq!(
        (read("all/forwarding"), read("eth0/accept_ra")),
        ("0".into(), "1".into())
    );
    let _ = lab.h1.net(&["create", "--ipv6", "six"]).ok();
    assert_eq!(
        (read("all/forwarding"), read("eth0/accept_ra")),
        ("1".into(), "2".into())
    );
    // What is no container's is not forwarded for all that.
    let third = lab.machine("third", "198.18.0.3/24");
    let _ = third
        .exec(&[
            "ip",
            "-6",
            "address",
            "add",
            "2001:db8:6::3/64",
            "dev",
            "eth0",
            "nodad",
        ])
        .ok();
    let _ = lab
        .h1
        .exec(&[
            "ip",
            "-6",
            "address",
            "add",
            "2001:db8:6::1/64",
            "dev",
            "eth0",
            "nodad",
        ])
        .ok();
    let _ = third
        .exec(&[
            "ip",
            "-6",
            "route",
            "add",
            "2001:db8:5::/64",
            "via",
            "2001:db8:6::1",
        ])
        .ok();
    let _ = lab
        .outside
        .exec(&["ip", "-6", "route", "add", "2001:db8:6::/64", "via", HOST])
        .ok();
    assert!(!third.exec(&["ping", "-6", "-c1", "-W1", OUTSIDE]).is_ok());
    assert!(
        third
            .exec(&["ping", "-6", "-c1", "-W2", "2001:db8:6::1"])
            .is_ok()
    );
}

#[test]
fn rules_of_ipv6_come_back_when_somebody_flushes_them() {
    let lab = lab();
    let _ = lab.h1.net(&["create", "--ipv6", "app"]).ok();
    lab.h1
        .web("web", 80, &["--network", "app", "-p", "8080:80"]);
    let url = format!("http://[{HOST}]:8080/");
    assert_eq!(lab.outside.get(&url).ok().text(), "web");
    let _ = lab.h1.sh("nft flush ruleset").ok();
    eventually("the published port leads inside again", || {
        lab.outside.get(&url).is_ok().then_some(())
    });
}

#[test]
fn the_host_itself_reaches_a_published_port_by_its_own_loopback_address() {
    let lab = lab();
    let _ = lab.h1.net(&["create", "--ipv6", "app"]).ok();
    lab.h1.web(
        "web",
        80,
        &["--network", "app", "-p", "8080:80", "-p", "[::1]:8081:80"],
    );
    for url in [
        "http://127.0.0.1:8080/",
        "http://[::1]:8080/",
        "http://[::1]:8081/",
    ] {
        assert_eq!(lab.h1.get(url).ok().text(), "web", "{url}");
    }
    lab.h1.restart();
    assert_eq!(lab.h1.get("http://[::1]:8080/").ok().text(), "web");
    assert!(!lab.outside.get(&format!("http://[{HOST}]:8081/")).is_ok());
    let _ = lab.h1.net(&["unpublish", "web", "-p", "8080:80"]).ok();
    assert!(!lab.h1.get("http://[::1]:8080/").is_ok());
    let _ = lab.h1.net(&["stop", "web"]).ok();
    assert!(!lab.h1.get("http://[::1]:8081/").is_ok());
}
