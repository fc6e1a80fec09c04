//! IPv6, alone and beside IPv4: addresses, names and lives. Who reaches whom is in `ipv6_reach`. The scenarios that it
//! changes bear their number.

use netns_tests::oracle::{addresses, curl};
use netns_tests::{HostOptions, Lab, OrFail, Ran};

/// Addresses of the block for documentation (RFC 3849), on the wire between host and outside.
pub(crate) const HOST: &str = "2001:db8:5::1";
pub(crate) const OUTSIDE: &str = "2001:db8:5::2";

/// The wire between host and outside has IPv6 as well.
pub(crate) fn lab() -> Lab {
    with_ipv6(Lab::new())
}

pub(crate) fn with_ipv6(lab: Lab) -> Lab {
    for (machine, address) in [(&*lab.h1, HOST), (&lab.outside, OUTSIDE)] {
        let address = format!("{address}/64");
        let argv = ["ip", "address", "add", &address, "dev", "eth0", "nodad"];
        let _ = machine.exec(&argv).ok();
    }
    lab
}

/// The IPv6 address of a container on a network, without its prefix.
pub(crate) fn address_of(lab: &Lab, container: &str, network: &str) -> String {
    let view = lab.h1.inspect(network);
    let members = view["Containers"].as_object().or_fail("members");
    let of_name = members.values().find(|one| one["Name"] == container);
    let address = of_name.or_fail("the container")["IPv6Address"]
        .as_str()
        .or_fail("an address");
    address.split('/').next().unwrap_or_default().to_owned()
}

pub(crate) fn fetch(lab: &Lab, container: &str, url: &str) -> Ran {
    lab.h1.in_container(container, &curl(url))
}

/// Global addresses of an interface inside a container.
pub(crate) fn inside(lab: &Lab, container: &str, interface: &str) -> Vec<String> {
    let argv = ["ip", "-j", "-6", "address", "show", "dev", interface];
    let links = lab.h1.in_container(container, &argv).ok().json();
    links
        .as_array()
        .or_fail("links")
        .iter()
        .flat_map(|link| addresses(link, "inet6"))
        .collect()
}

#[test]
fn s16_a_network_of_both_families_gives_an_address_of_each() {
    let lab = lab();
    let flags = [
        "--subnet=172.28.0.0/16",
        "--subnet=fd00:28::/64",
        "--ip-range=fd00:28::5:0/112",
        "--gateway=fd00:28::9",
    ];
    let mut argv = vec!["create"];
    argv.extend(flags);
    argv.push("both");
    let id = lab.h1.net(&argv).ok().text().to_owned();
    let view = lab.h1.inspect("both");
    assert_eq!(view["EnableIPv6"], true);
    assert_eq!(view["IPAM"]["Config"][1]["Gateway"], "fd00:28::9");
    assert_eq!(view["IPAM"]["Config"][1]["IPRange"], "fd00:28::5:0/112");
    let bridge = lab.h1.link(&format!("br-{}", &id[..12])).unwrap();
    assert_eq!(addresses(&bridge, "inet6"), ["fd00:28::9/64"]);
    lab.h1.idle("a", "both", &[]);
    let address = address_of(&lab, "a", "both");
    assert!(address.starts_with("fd00:28::5:"), "{address}");
    assert_eq!(inside(&lab, "a", "eth0"), [format!("{address}/64")]);
    // At once: nobody else can have the address, so it is never tentative.
    let shown = lab
        .h1
        .in_container("a", &["ip", "-6", "address", "show", "scope", "global"]);
    assert!(!shown.ok().stdout.contains("tentative"));
    let route = lab
        .h1
        .in_container("a", &["ip", "-6", "route", "show", "default"]);
    assert!(route.ok().text().starts_with("default via fd00:28::9"));
    let _ = lab
        .h1
        .in_container("a", &["ping", "-6", "-c1", "-W2", "fd00:28::9"])
        .ok();
}

#[test]
fn s16_ipv6_without_a_subnet_takes_the_daemons_own_unique_local_ones() {
    let lab = lab();
    let subnets = ["one", "two"].map(|name| {
        let _ = lab.h1.net(&["create", "--ipv6", name]).ok();
        let config = lab.h1.inspect(name)["IPAM"]["Config"].clone();
        assert!(config[0]["Subnet"].as_str().unwrap().starts_with("172."));
        config[1]["Subnet"].as_str().unwrap().to_owned()
    });
    assert_ne!(subnets[0], subnets[1]);
    for subnet in &subnets {
        assert!(
            subnet.starts_with("fd") && subnet.ends_with("/64"),
            "{subnet}"
        );
    }
    let ran = lab.h1.net(&["create", "--subnet", &subnets[0], "three"]);
    let _ = ran.fails(1).names(&[&subnets[0], "network one"]);
}

#[test]
fn s17_an_ipv6_address_is_chosen_and_its_holder_named() {
    let lab = lab();
    let _ = lab
        .h1
        .net(&["create", "--subnet", "fd00:17::/64", "six"])
        .ok();
    lab.h1.idle("a", "six", &["--ip6", "fd00:17::69"]);
    assert_eq!(address_of(&lab, "a", "six"), "fd00:17::69");
    let asked = [
        "run",
        "--network",
        "six",
        "--ip6",
        "fd00:17::69",
        "--",
        "true",
    ];
    let _ = lab.h1.net(&asked).fails(125).names(&["fd00:17::69", "a"]);
    let _ = lab.h1.net(&["create", "plain"]).ok();
    for (network, address, reason) in [
        ("plain", "fd00:17::70", "no subnet of that family"),
        ("six", "fd00:18::1", "fd00:18::1"),
        ("six", "fd00:17::1", "fd00:17::1"),
    ] {
        let asked = ["run", "--network", network, "--ip6", address, "--", "true"];
        let _ = lab.h1.net(&asked).fails(125).names(&[reason]);
    }
    let _ = lab.h1.net(&["create", "--ipv6", "chosen"]).ok();
    let asked = [
        "run",
        "--network",
        "chosen",
        "--ip6",
        "fd00:17::70",
        "--",
        "true",
    ];
    let _ = lab.h1.net(&asked).fails(125).names(&["--subnet"]);
}

#[test]
fn a_network_may_have_ipv6_alone() {
    let lab = lab();
    let _ = lab
        .h1
        .net(&["create", "--ipv4=false", "--ipv6", "six"])
        .ok();
    lab.h1
        .web("web", 80, &["--network", "six", "-p", "8080:80"]);
    lab.h1.idle("b", "six", &[]);
    let shown = lab
        .h1
        .in_container("web", &["ip", "-4", "address", "show", "dev", "eth0"]);
    assert_eq!(shown.ok().text(), "");
    assert_eq!(fetch(&lab, "b", "http://web/").ok().text(), "web");
    let a = lab
        .h1
        .in_container("b", &["dig", "+tries=1", "web", "A"])
        .ok();
    assert!(
        a.stdout.contains("NOERROR") && a.stdout.contains("ANSWER: 0"),
        "{a}"
    );
    let ports = lab.h1.net(&["port", "web"]).ok();
    assert_eq!(ports.text(), "80/tcp -> [::]:8080");
    let url = format!("http://[{HOST}]:8080/");
    assert_eq!(lab.outside.get(&url).ok().text(), "web");
    let _ = lab
        .h1
        .net(&["publish", "web", "-p", "127.0.0.1:81:80"])
        .fails(1)
        .names(&["127.0.0.1", "no IPv4 address"]);
}

#[test]
fn s20_names_lead_to_ipv6_addresses_and_back() {
    let lab = lab();
    let _ = lab.h1.net(&["create", "--ipv6", "app"]).ok();
    lab.h1.idle("one", "app", &["--network-alias", "uno"]);
    lab.h1.idle("two", "app", &[]);
    let address = address_of(&lab, "one", "app");
    for name in ["one", "uno", "one.app"] {
        let ran = lab.h1.in_container("two", &["dig", "+short", name, "AAAA"]);
        assert_eq!(ran.ok().text(), address, "{name}");
    }
    let ran = lab
        .h1
        .in_container("two", &["dig", "+short", "-x", &address]);
    assert_eq!(ran.ok().text(), "one.app.");
    let _ = lab
        .h1
        .in_container("two", &["ping", "-6", "-c1", "-W2", "one"])
        .ok();
    let hosts = lab.h1.in_container("one", &["cat", "/etc/hosts"]).ok();
    assert!(
        hosts.stdout.lines().any(|line| line.starts_with(&address)),
        "{hosts}"
    );
}

#[test]
fn ipv6_is_off_where_no_network_has_it_interface_by_interface() {
    let lab = lab();
    let _ = lab.h1.net(&["create", "plain"]).ok();
    let _ = lab.h1.net(&["create", "--ipv6", "six"]).ok();
    lab.h1.idle("a", "plain", &[]);
    let all = |container: &str| {
        let argv = ["ip", "-6", "-o", "address", "show"];
        lab.h1.in_container(container, &argv).ok().stdout
    };
    let before = all("a");
    assert!(
        !before.contains("eth0"),
        "not even a link-local one (CVE-2024-32473): {before}"
    );
    let _ = lab.h1.net(&["connect", "six", "a"]).ok();
    assert_eq!(inside(&lab, "a", "eth1").len(), 1);
    assert!(!all("a").contains("eth0"));
    let _ = lab.h1.net(&["disconnect", "six", "a"]).ok();
    assert!(!all("a").contains("eth"));
}

#[test]
fn a_restart_and_a_crash_change_nothing_of_ipv6() {
    let lab = lab();
    let _ = lab.h1.net(&["create", "--ipv6", "app"]).ok();
    lab.h1
        .web("web", 80, &["--network", "app", "-p", "8080:80"]);
    let address = address_of(&lab, "web", "app");
    let url = format!("http://[{HOST}]:8080/");
    for end in ["restart", "kill -9"] {
        match end {
            "restart" => lab.h1.restart(),
            _ => {
                lab.h1.kill();
                lab.h1.start();
            }
        }
        assert_eq!(lab.h1.status()["reconciles"]["repairs"], 0, "{end}");
        assert_eq!(address_of(&lab, "web", "app"), address);
        assert_eq!(lab.outside.get(&url).ok().text(), "web", "{end}");
    }
    lab.h1.idle("next", "app", &[]);
    assert_ne!(address_of(&lab, "next", "app"), address);
}

#[test]
fn what_was_given_comes_back_when_a_container_leaves() {
    let lab = lab();
    // Four addresses: the first is the routers', one is the bridge's, and the last is not given out.
    let _ = lab
        .h1
        .net(&["create", "--subnet", "fd00:4::/126", "--ipv4=false", "tiny"])
        .ok();
    lab.h1.idle("only", "tiny", &[]);
    let second = ["run", "--network", "tiny", "--", "true"];
    let _ = lab.h1.net(&second).fails(125).names(&["fd00:4::/126"]);
    let _ = lab.h1.net(&["disconnect", "tiny", "only"]).ok();
    let left = lab
        .h1
        .in_container("only", &["ip", "-6", "route", "show", "default"]);
    assert_eq!(left.ok().text(), "");
    let _ = lab.h1.net(&second).ok();
}

#[test]
fn s08_the_default_network_has_ipv6_when_the_configuration_says_so() {
    let lab = with_ipv6(Lab::with(HostOptions {
        config: r#"{"ipv6": true, "bip6": "fd00:8::1/64", "fixed-cidr-v6": "fd00:8::8:0/112"}"#
            .to_owned(),
        flags: Vec::new(),
    }));
    lab.h1.web("web", 80, &["-p", "8080:80"]);
    let address = address_of(&lab, "web", "bridge");
    assert!(address.starts_with("fd00:8::8:"), "{address}");
    assert_eq!(
        addresses(&lab.h1.link("docker0").unwrap(), "inet6"),
        ["fd00:8::1/64"]
    );
    assert_eq!(
        lab.outside
            .get(&format!("http://[{HOST}]:8080/"))
            .ok()
            .text(),
        "web"
    );
    let _ = lab.h1.net(&["stop", "web"]).ok();
    lab.h1.restart();
    assert_eq!(
        addresses(&lab.h1.link("docker0").unwrap(), "inet6"),
        ["fd00:8::1/64"]
    );
}

#[test]
fn what_cannot_be_of_ipv6_is_refused_with_a_reason() {
    let lab = lab();
    for (flags, code, words) in [
        (&["--subnet", "fd00:1::1/64"][..], 2, "host bits"),
        (&["--subnet", "fe80::/64"], 1, "link-local"),
        (&["--subnet", "ff00::/64"], 1, "multicast"),
        (&["--subnet", "::ffff:0:0/112"], 1, "IPv4 in disguise"),
        (&["--subnet", "fd00::/127"], 1, "/126"),
        (
            &["--subnet", "fd00::/64", "--gateway", "fd01::1"],
            2,
            "fd01::1",
        ),
        (
            &["--subnet", "fd00:1::/64", "--subnet", "fd00:2::/64"],
            1,
            "one subnet of each family",
        ),
        (
            &["--subnet", "fd00:1::/64", "--ipv6=false"],
            1,
            "--ipv6=false",
        ),
        (
            &["--subnet", "10.1.0.0/16", "--ipv4=false"],
            1,
            "--ipv4=false",
        ),
        (&["--ipv4=false"], 1, "no addresses to give"),
        (
            &["--ipv6", "-o", "com.docker.network.driver.mtu=1279"],
            1,
            "1280",
        ),
    ] {
        let mut argv = vec!["create"];
        argv.extend(flags);
        argv.push("odd");
        let _ = lab.h1.net(&argv).fails(code).names(&[words]);
    }
    assert_eq!(lab.h1.net(&["ls", "-q"]).ok().text().lines().count(), 3);
}
