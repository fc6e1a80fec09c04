//! S19: removal is refused with the reason and the name of who stands in its way.

use netns_tests::Lab;

#[test]
fn s19_a_network_in_use_is_not_removed_and_its_users_are_named() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "app"]).ok();
    lab.h1.idle("worker", "app", &[]);
    let _ = lab
        .h1
        .net(&["rm", "app"])
        .fails(1)
        .names(&["app", "worker"]);
    assert_eq!(
        lab.h1.inspect("app")["Containers"]
            .as_object()
            .unwrap()
            .len(),
        1
    );
    let _ = lab.h1.net(&["stop", "worker"]).ok();
    let _ = lab.h1.net(&["rm", "app"]).ok();
    let _ = lab.h1.net(&["rm", "app"]).fails(1).names(&["app"]);
}

#[test]
fn s19_a_disconnected_container_is_no_user() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "app"]).ok();
    lab.h1.idle("worker", "app", &[]);
    let _ = lab.h1.net(&["disconnect", "app", "worker"]).ok();
    let _ = lab.h1.net(&["rm", "app"]).ok();
}

#[test]
fn a_second_network_of_the_same_name_is_refused() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "app"]).ok();
    let _ = lab.h1.net(&["create", "app"]).fails(1).names(&["app"]);
    assert_eq!(lab.h1.net(&["ls"]).ok().stdout.lines().count(), 5);
}

#[test]
fn prune_removes_what_nobody_uses() {
    let lab = Lab::new();
    for name in ["used", "idle1", "idle2"] {
        let _ = lab.h1.net(&["create", name]).ok();
    }
    lab.h1.idle("worker", "used", &[]);
    let _ = lab.h1.net(&["prune", "--force"]).ok();
    let left = lab.h1.net(&["ls"]).ok().stdout;
    assert!(
        left.contains("used") && !left.contains("idle1") && !left.contains("idle2"),
        "{left}"
    );
    assert!(left.contains(" host ") && left.contains(" none "), "{left}");
}

#[test]
fn s15_connect_adds_an_interface_and_disconnect_takes_it_away() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "net-redis"]).ok();
    lab.h1.web("redis", 6379, &["--network", "net-redis"]);
    lab.h1.idle("alpine-01", "bridge", &[]);
    lab.h1.idle("alpine-02", "bridge", &[]);
    let url = format!("http://{}:6379/", lab.h1.address_of("redis", "net-redis"));
    let fetch = |name: &str| lab.h1.in_container(name, &netns_tests::oracle::curl(&url));
    assert!(!fetch("alpine-01").is_ok());
    let _ = lab.h1.net(&["connect", "net-redis", "alpine-01"]).ok();
    let shown = lab
        .h1
        .in_container("alpine-01", &["ip", "-4", "-o", "address"])
        .ok()
        .stdout;
    assert!(
        shown.contains("eth0") && shown.contains("172.17.0."),
        "{shown}"
    );
    assert!(
        shown.contains("eth1") && shown.contains("172.18.0.3/16"),
        "{shown}"
    );
    assert_eq!(fetch("alpine-01").ok().text(), "redis");
    assert!(!fetch("alpine-02").is_ok());
    let _ = lab.h1.net(&["disconnect", "net-redis", "alpine-01"]).ok();
    let shown = lab
        .h1
        .in_container("alpine-01", &["ip", "-4", "-o", "address"])
        .ok()
        .stdout;
    assert!(!shown.contains("172.18."), "{shown}");
    assert!(!fetch("alpine-01").is_ok());
}
