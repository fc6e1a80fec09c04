//! S4 and S5: the host's namespace, and an empty one.

use netns_tests::Lab;
use netns_tests::lab::HOST;

#[test]
fn s04_host_mode_shows_the_hosts_interfaces_as_they_are() {
    let lab = Lab::new();
    lab.h1.idle("h", "host", &[]);
    let inside = lab
        .h1
        .in_container("h", &["ip", "-o", "address"])
        .ok()
        .stdout;
    assert_eq!(inside, lab.h1.exec(&["ip", "-o", "address"]).ok().stdout);
    let own = lab.h1.exec(&["readlink", "/proc/self/ns/net"]).ok().stdout;
    let seen = lab
        .h1
        .in_container("h", &["readlink", "/proc/self/ns/net"])
        .ok()
        .stdout;
    assert_eq!(own, seen);
}

#[test]
fn s04_two_containers_in_host_mode_must_use_different_ports() {
    let lab = Lab::new();
    lab.h1.web("one", 8080, &["--network", "host"]);
    assert_eq!(
        lab.outside.get(&format!("http://{HOST}:8080/")).ok().text(),
        "one"
    );
    let second = lab.h1.net(&[
        "run",
        "--rm",
        "--network",
        "host",
        "--",
        "busybox",
        "httpd",
        "-f",
        "-p",
        "8080",
    ]);
    assert!(!second.is_ok(), "{second}");
    lab.h1.web("two", 8081, &["--network", "host"]);
    assert_eq!(
        lab.outside.get(&format!("http://{HOST}:8081/")).ok().text(),
        "two"
    );
}

#[test]
fn s05_none_mode_has_only_lo_until_someone_configures_it() {
    let lab = Lab::new();
    lab.h1.idle("n", "none", &[]);
    let links = lab.h1.in_container("n", &["ip", "-o", "link"]).ok().stdout;
    assert_eq!(links.lines().count(), 1, "{links}");
    assert!(
        links.contains("lo:") && links.contains("LOOPBACK,UP"),
        "{links}"
    );
    let routes = lab.h1.in_container("n", &["ip", "route"]).ok();
    assert_eq!(routes.text(), "");
    assert!(
        !lab.h1
            .in_container("n", &["ping", "-c1", "-W1", HOST])
            .is_ok()
    );
    // By hand: a pair between the host and the container.
    let inode = lab
        .h1
        .in_container("n", &["readlink", "/proc/self/ns/net"])
        .ok();
    let inode = inode.text();
    let finder = format!(
        "for p in /proc/[0-9]*; do [ \"$(readlink $p/ns/net)\" = '{inode}' ] && echo ${{p#/proc/}} && break; done"
    );
    let target = lab.h1.sh(&finder).ok().text().to_owned();
    let line = format!(
        "ip link add hand0 type veth peer name eth0 netns {target} && ip addr add 10.77.0.1/24 dev hand0 && ip link set hand0 up \
         && nsenter -t {target} -n sh -c 'ip addr add 10.77.0.2/24 dev eth0 && ip link set eth0 up'"
    );
    let _ = lab.h1.sh(&line).ok();
    let _ = lab
        .h1
        .in_container("n", &["ping", "-c1", "-W2", "10.77.0.1"])
        .ok();
}
