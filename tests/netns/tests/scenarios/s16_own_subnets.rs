//! S16 and S17: subnets, ranges, gateways and addresses that the user chooses.

use netns_tests::Lab;

#[test]
fn s16_a_network_with_range_and_gateway() {
    let lab = Lab::new();
    let id = lab
        .h1
        .net(&[
            "create",
            "--driver=bridge",
            "--subnet=172.28.0.0/16",
            "--ip-range=172.28.5.0/24",
            "--gateway=172.28.5.254",
            "br0",
        ])
        .ok()
        .text()
        .to_owned();
    assert!(
        id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()),
        "{id}"
    );
    let bridge = format!("br-{}", &id[..12]);
    assert_eq!(lab.h1.ipv4_of(&bridge), ["172.28.5.254/16"]);
    for name in ["a", "b", "c"] {
        lab.h1.idle(name, "br0", &[]);
        let address = lab.h1.address_of(name, "br0");
        assert!(address.starts_with("172.28.5."), "{address}");
        let route = lab
            .h1
            .in_container(name, &["ip", "route", "show", "default"])
            .ok();
        assert!(
            route.text().starts_with("default via 172.28.5.254"),
            "{route}"
        );
    }
    let peer = lab.h1.address_of("b", "br0");
    let _ = lab
        .h1
        .in_container("a", &["ping", "-c1", "-W2", &peer])
        .ok();
}

#[test]
fn s16_the_driver_is_bridge_unless_said_otherwise() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "plain"]).ok();
    let _ = lab.h1.net(&["create", "-d", "bridge", "said"]).ok();
    assert_eq!(lab.h1.inspect("plain")["Driver"], "bridge");
    assert_eq!(lab.h1.inspect("said")["Driver"], "bridge");
    assert_eq!(
        lab.h1.inspect("plain")["IPAM"]["Config"][0]["Subnet"],
        "172.18.0.0/16"
    );
    assert_eq!(
        lab.h1.inspect("said")["IPAM"]["Config"][0]["Subnet"],
        "172.19.0.0/16"
    );
    let _ = lab
        .h1
        .net(&["create", "-d", "marsh", "odd"])
        .fails(1)
        .names(&["marsh"]);
}

#[test]
fn s17_a_chosen_subnet_and_a_chosen_address() {
    let lab = Lab::new();
    let _ = lab
        .h1
        .net(&["create", "--subnet", "192.0.2.0/24", "my-net"])
        .ok();
    let line = [
        "run",
        "--network",
        "my-net",
        "--ip",
        "192.0.2.69",
        "--",
        "ip",
        "-4",
        "addr",
    ];
    let shown = lab.h1.net(&line).ok();
    assert!(shown.stdout.contains("inet 192.0.2.69/24"), "{shown}");
    assert!(shown.stdout.contains("eth0@if"), "{shown}");
    lab.h1.idle("fixed", "my-net", &["--ip", "192.0.2.70"]);
    let second = [
        "run",
        "--network",
        "my-net",
        "--ip",
        "192.0.2.70",
        "--",
        "true",
    ];
    let _ = lab
        .h1
        .net(&second)
        .fails(125)
        .names(&["192.0.2.70", "fixed"]);
    let outside = [
        "run",
        "--network",
        "my-net",
        "--ip",
        "198.51.100.1",
        "--",
        "true",
    ];
    let _ = lab
        .h1
        .net(&outside)
        .fails(125)
        .names(&["198.51.100.1", "192.0.2.0/24"]);
    let gateway = [
        "run",
        "--network",
        "my-net",
        "--ip",
        "192.0.2.1",
        "--",
        "true",
    ];
    let _ = lab
        .h1
        .net(&gateway)
        .fails(125)
        .names(&["192.0.2.1", "gateway"]);
}

#[test]
fn s17_auxiliary_addresses_are_never_given_out() {
    let lab = Lab::new();
    let _ = lab
        .h1
        .net(&[
            "create",
            "--subnet",
            "192.0.2.0/29",
            "--aux-address",
            "router=192.0.2.2",
            "small",
        ])
        .ok();
    // Of eight addresses, the network, the gateway, the router and the broadcast address are not to be had.
    for name in ["a", "b", "c", "d"] {
        lab.h1.idle(name, "small", &[]);
        assert_ne!(lab.h1.address_of(name, "small"), "192.0.2.2");
    }
    let full = lab
        .h1
        .net(&["run", "--network", "small", "--", "true"])
        .fails(125);
    let _ = full.names(&["small", "192.0.2.0/29"]);
    let _ = lab.h1.net(&["stop", "a"]).ok();
    lab.h1.idle("e", "small", &[]);
}

#[test]
fn a_subnet_that_something_has_already_is_refused_with_its_holder() {
    let lab = Lab::new();
    let overlap = ["create", "--subnet", "198.18.0.0/16", "x"];
    let _ = lab
        .h1
        .net(&overlap)
        .fails(1)
        .names(&["198.18.0.0/24", "eth0"]);
    let _ = lab
        .h1
        .net(&["create", "--subnet", "10.5.0.0/16", "first"])
        .ok();
    let overlap = ["create", "--subnet", "10.5.128.0/24", "x"];
    let _ = lab
        .h1
        .net(&overlap)
        .fails(1)
        .names(&["10.5.0.0/16", "first"]);
    let bits = ["create", "--subnet", "10.6.0.1/16", "x"];
    let said = lab.h1.net(&bits);
    assert!(
        said.code != 0 && said.stderr.contains("10.6.0.0/16"),
        "{said}"
    );
    let gateway = [
        "create",
        "--subnet",
        "10.6.0.0/16",
        "--gateway",
        "10.7.0.1",
        "x",
    ];
    assert!(!lab.h1.net(&gateway).names(&["10.7.0.1"]).is_ok());
    let range = [
        "create",
        "--subnet",
        "10.6.0.0/16",
        "--ip-range",
        "10.7.0.0/24",
        "x",
    ];
    assert!(!lab.h1.net(&range).names(&["10.7.0.0/24"]).is_ok());
    assert_eq!(lab.h1.net(&["ls"]).ok().stdout.lines().count(), 5);
}
