//! S15: which of a container's networks leads outside.

use netns_tests::wait::eventually;
use netns_tests::{Lab, OrFail};

/// A container on `m`, and networks around that in the order of names.
fn scene() -> Lab {
    let lab = Lab::new();
    for name in ["a", "m", "z"] {
        let _ = lab.h1.net(&["create", name]).ok();
    }
    lab.h1.idle("c", "m", &[]);
    lab
}

/// The network whose gateway the default route leads to.
fn default_route(lab: &Lab) -> String {
    let routes = lab
        .h1
        .in_container("c", &["ip", "-4", "route", "show", "default"]);
    let routes = routes.ok().stdout;
    assert_eq!(routes.lines().count(), 1, "one default route: {routes}");
    let gateway = routes.split_whitespace().nth(2).or_fail("gateway");
    let leads = |name: &&str| lab.h1.inspect(name)["IPAM"]["Config"][0]["Gateway"] == gateway;
    let name = ["a", "m", "z", "bridge"].into_iter().find(leads);
    // Whichever it is, it leads outside.
    let _ = lab
        .h1
        .in_container("c", &["ping", "-c1", "-W2", "198.18.0.2"])
        .ok();
    name.or_fail(&format!("network of {gateway}")).to_owned()
}

fn net(lab: &Lab, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let _ = lab.h1.net(&words).ok();
}

#[test]
fn s15_the_default_route_is_chosen_by_name_among_equals() {
    let lab = scene();
    assert_eq!(default_route(&lab), "m");
    net(&lab, "connect z c");
    assert_eq!(default_route(&lab), "m");
    net(&lab, "connect a c");
    assert_eq!(default_route(&lab), "a");
    net(&lab, "disconnect a c");
    assert_eq!(default_route(&lab), "m");
    net(&lab, "disconnect m c");
    assert_eq!(default_route(&lab), "z");
    net(&lab, "connect m c");
    assert_eq!(default_route(&lab), "m");
}

#[test]
fn s15_a_higher_priority_carries_the_default_route_until_it_is_gone() {
    let lab = scene();
    net(&lab, "connect --gw-priority 10 z c");
    assert_eq!(default_route(&lab), "z");
    // Equal priorities are decided by name again, lower ones by nothing.
    net(&lab, "connect --gw-priority 10 a c");
    assert_eq!(default_route(&lab), "a");
    net(&lab, "disconnect a c");
    assert_eq!(default_route(&lab), "z");
    net(&lab, "connect --gw-priority -1 a c");
    assert_eq!(default_route(&lab), "z");
    net(&lab, "disconnect z c");
    assert_eq!(default_route(&lab), "m");
    net(&lab, "disconnect m c");
    assert_eq!(default_route(&lab), "a");
    // A restart knows it all still.
    net(&lab, "connect --gw-priority 10 z c");
    lab.h1.kill();
    lab.h1.start();
    assert_eq!(default_route(&lab), "z");
    assert_eq!(lab.h1.status()["reconciles"]["repairs"], 0);
}

/// The kernel takes its time to delete a link. That the next daemon finishes it is no repair.
#[test]
fn s15_a_daemon_killed_right_after_a_disconnect_leaves_nothing_to_repair() {
    let lab = scene();
    net(&lab, "connect z c");
    let pairs = || {
        let listed = lab.h1.exec(&["ip", "-o", "link", "show", "type", "veth"]);
        listed.ok().stdout.lines().count()
    };
    let before = pairs();
    net(&lab, "disconnect z c");
    lab.h1.kill();
    lab.h1.start();
    eventually("the pair is gone", || (pairs() + 1 == before).then_some(()));
    assert_eq!(lab.h1.status()["reconciles"]["repairs"], 0);
}

#[test]
fn s15_an_internal_network_never_carries_the_default_route() {
    let lab = scene();
    net(&lab, "create --internal closed");
    net(&lab, "connect --gw-priority 99 closed c");
    assert_eq!(default_route(&lab), "m");
    net(&lab, "disconnect m c");
    let routes = lab
        .h1
        .in_container("c", &["ip", "-4", "route", "show", "default"]);
    assert_eq!(routes.ok().text(), "");
}

#[test]
fn s15_who_is_on_both_networks_reaches_both_and_leads_nobody_across() {
    let lab = scene();
    lab.h1.idle("left", "m", &[]);
    lab.h1.idle("right", "z", &[]);
    net(&lab, "connect z c");
    let right = lab.h1.address_of("right", "z");
    let ping = |from: &str, to: &str| {
        let argv = ["ping", "-c1", "-W1", to];
        lab.h1.in_container(from, &argv).is_ok()
    };
    assert!(ping("c", "left") && ping("c", "right"));
    assert!(!ping("left", &right));
    // Not even by way of the one in the middle, which does not forward.
    let via = lab.h1.address_of("c", "m");
    let route = ["ip", "route", "add", &format!("{right}/32"), "via", &via];
    let _ = lab.h1.in_container("left", &route).ok();
    assert!(!ping("left", &right));
}
