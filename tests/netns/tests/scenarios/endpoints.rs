//! Options of one interface: its name, its kernel parameters, its link-local addresses.

use netns_tests::{Lab, OrFail};

const IFNAME: &str = "com.docker.network.endpoint.ifname";
const SYSCTLS: &str = "com.docker.network.endpoint.sysctls";

fn lab() -> Lab {
    let lab = Lab::new();
    let create = ["create", "--subnet", "10.70.0.0/24", "app"];
    let _ = lab.h1.net(&create).ok();
    lab
}

/// A parameter inside a container.
fn sysctl(lab: &Lab, container: &str, path: &str) -> String {
    let file = format!("/proc/sys/net/{path}");
    lab.h1
        .in_container(container, &["cat", &file])
        .ok()
        .text()
        .to_owned()
}

#[test]
fn an_interface_has_the_name_that_was_asked_for() {
    let lab = lab();
    let name = |name: &str| format!("{IFNAME}={name}");
    lab.h1.idle("c", "app", &["--driver-opt", &name("wan")]);
    let line = ["connect", "--driver-opt", &name("lan"), "bridge", "c"];
    let _ = lab.h1.net(&line).ok();
    let _ = lab.h1.net(&line).ok();
    let names = || {
        lab.h1
            .in_container("c", &["ls", "/sys/class/net"])
            .ok()
            .stdout
    };
    assert_eq!(
        names().split_whitespace().collect::<Vec<_>>(),
        ["lan", "lo", "wan"]
    );
    let ping = ["ping", "-c1", "-W2", "10.70.0.1"];
    let _ = lab.h1.in_container("c", &ping).ok();
    lab.h1.kill();
    lab.h1.start();
    assert_eq!(
        names().split_whitespace().collect::<Vec<_>>(),
        ["lan", "lo", "wan"]
    );
    // Otherwise it cannot be; under another name it would be there twice.
    let other = ["connect", "--ip", "10.70.0.9", "app", "c"];
    let _ = lab.h1.net(&other).fails(1).names(&["already"]);
    let both = [
        "connect",
        "--interface",
        "lan",
        "--driver-opt",
        &name("dmz"),
        "app",
        "c",
    ];
    let _ = lab.h1.net(&both).fails(1).names(&["lan and dmz"]);
    let _ = lab.h1.net(&["create", "third"]).ok();
    let taken = ["connect", "--driver-opt", &name("wan"), "third", "c"];
    let _ = lab
        .h1
        .net(&taken)
        .fails(1)
        .names(&["interface wan already"]);
}

#[test]
fn parameters_are_the_interface_s_own_and_come_back() {
    let lab = lab();
    let option = format!(
        "{SYSCTLS}=net.ipv4.conf.IFNAME.log_martians=1,net.ipv4.neigh.IFNAME.ucast_solicit=7"
    );
    let _ = lab.h1.net(&["create", "plain"]).ok();
    lab.h1.idle("c", "plain", &[]);
    let connect = ["connect", "--driver-opt", &option, "app", "c"];
    let _ = lab.h1.net(&connect).ok();
    let values = || {
        [
            sysctl(&lab, "c", "ipv4/conf/eth1/log_martians"),
            sysctl(&lab, "c", "ipv4/neigh/eth1/ucast_solicit"),
            sysctl(&lab, "c", "ipv4/conf/eth0/log_martians"),
        ]
    };
    assert_eq!(values(), ["1", "7", "0"]);
    let change = ["sysctl", "-qw", "net.ipv4.conf.eth1.log_martians=0"];
    let _ = lab.h1.in_container("c", &change).ok();
    lab.h1.kill();
    lab.h1.start();
    assert_eq!(values(), ["1", "7", "0"]);
    lab.h1.restart();
    assert_eq!(lab.h1.status()["reconciles"]["repairs"], 0);
    let run = ["--driver-opt", &option];
    lab.h1.idle("d", "app", &run);
    assert_eq!(sysctl(&lab, "d", "ipv4/conf/eth0/log_martians"), "1");
}

#[test]
fn s19_wrong_options_of_an_interface_are_refused() {
    let lab = lab();
    lab.h1.idle("c", "bridge", &[]);
    for (option, words) in [
        (format!("{IFNAME}=lo"), &["not lo"][..]),
        (format!("{IFNAME}=sixteen-bytes-16"), &["1 to 15"]),
        (format!("{IFNAME}=eth0"), &["interface eth0 already"]),
        (
            format!("{SYSCTLS}=net.ipv4.conf.all.forwarding=1"),
            &["IFNAME stays as it is"],
        ),
        (
            format!("{SYSCTLS}=kernel.panic=1"),
            &["IFNAME stays as it is"],
        ),
        (
            format!("{SYSCTLS}=net.ipv6.conf.IFNAME.disable_ipv6=0"),
            &["disable_ipv6"],
        ),
        (
            format!("{SYSCTLS}=net.ipv4.conf.IFNAME.no_such_key=1"),
            &["no parameter net.ipv4.conf.eth1.no_such_key"],
        ),
        (
            format!("{SYSCTLS}=net.ipv6.conf.IFNAME.no_such_key=1"),
            &["no parameter net.ipv6.conf.eth1.no_such_key"],
        ),
        (
            format!("{SYSCTLS}=net.ipv4.neigh.IFNAME.gc_interval=1"),
            &["no parameter net.ipv4.neigh.eth1.gc_interval"],
        ),
        (
            format!("{SYSCTLS}=net.ipv4.conf.IFNAME.log_martians=99999999999"),
            &[
                "does not take 99999999999",
                "net.ipv4.conf.eth1.log_martians",
            ],
        ),
        (
            "com.docker.network.endpoint.sysctl=x".to_owned(),
            &[SYSCTLS],
        ),
        ("ifname=x".to_owned(), &[IFNAME]),
    ] {
        let line = ["connect", "--driver-opt", &option, "app", "c"];
        let _ = lab.h1.net(&line).fails(1).names(words);
    }
    let members = lab.h1.inspect("app")["Containers"].clone();
    assert_eq!(members.as_object().map(serde_json::Map::len), Some(0));
    for family in ["ipv4", "ipv6"] {
        let option = format!("{SYSCTLS}=net.{family}.conf.IFNAME.no_such_key=1");
        let line = [
            "run",
            "--network",
            "app",
            "--driver-opt",
            &option,
            "--",
            "true",
        ];
        let said = lab.h1.net(&line).fails(125).names(&["no_such_key"]);
        assert!(!said.stderr.contains("step"), "{}", said.stderr);
    }
    let option = format!("{IFNAME}=x");
    for mode in ["host", "none", "container:c"] {
        let line = [
            "run",
            "--network",
            mode,
            "--driver-opt",
            &option,
            "--",
            "true",
        ];
        let _ = lab.h1.net(&line).fails(125).names(&["option"]);
    }
    let names = lab.h1.in_container("c", &["ls", "/sys/class/net"]).ok();
    assert_eq!(
        names.stdout.split_whitespace().collect::<Vec<_>>(),
        ["eth0", "lo"]
    );
}

/// Link-local addresses of an interface inside a container, with prefix, that somebody asked for: not those of a MAC.
fn link_local(lab: &Lab, container: &str, interface: &str) -> Vec<String> {
    let argv = ["ip", "-j", "address", "show", "dev", interface];
    let links = lab.h1.in_container(container, &argv).ok().json();
    let all = links[0]["addr_info"].as_array().or_fail("addresses");
    let mut found: Vec<String> = all
        .iter()
        .filter(|one| one["scope"] == "link")
        .map(|one| {
            let local = one["local"].as_str().or_fail("an address");
            format!("{local}/{}", one["prefixlen"])
        })
        .filter(|address| !address.contains("ff:fe"))
        .collect();
    found.sort();
    found
}

fn answers(lab: &Lab, from: &str, to: &str) -> bool {
    let argv = ["ping", "-c1", "-W2", "-I", "eth0", to];
    lab.h1.in_container(from, &argv).is_ok()
}

#[test]
fn link_local_addresses_are_met_by_the_neighbours() {
    let lab = Lab::new();
    let create = ["create", "--subnet=172.28.0.0/16", "--subnet=fd00:28::/64"];
    let _ = lab.h1.net(&[&create[..], &["six"]].concat()).ok();
    let flags = [
        "--link-local-ip=169.254.7.1",
        "--link-local-ip=169.254.7.2",
        "--link-local-ip=fe80::7",
    ];
    lab.h1.idle("web", "six", &flags);
    lab.h1.idle("db", "bridge", &[]);
    let asked = ["169.254.7.1/16", "169.254.7.2/16", "fe80::7/64"];
    assert_eq!(link_local(&lab, "web", "eth0"), asked);
    let _ = lab.h1.net(&["disconnect", "bridge", "db"]).ok();
    let connect = ["connect", "--link-local-ip", "169.254.7.9", "six", "db"];
    let _ = lab.h1.net(&connect).ok();
    let _ = lab.h1.net(&connect).ok();
    for (from, to) in [
        ("db", "169.254.7.1"),
        ("db", "169.254.7.2"),
        ("db", "fe80::7"),
        ("web", "169.254.7.9"),
    ] {
        assert!(answers(&lab, from, to), "{from} to {to}");
    }
    // Towards other subnets it is the network's address that is the sender.
    let route = ["ip", "-j", "route", "get", "198.51.100.9"];
    let route = lab.h1.in_container("web", &route).ok().json();
    assert_eq!(route[0]["prefsrc"], lab.h1.address_of("web", "six"));
    let broadcast = ["ip", "-j", "route", "get", "255.255.255.255"];
    let broadcast = lab.h1.in_container("web", &broadcast).ok().json();
    assert_eq!(broadcast[0]["prefsrc"], lab.h1.address_of("web", "six"));
    let view = lab.h1.net(&["inspect", "web"]).ok().stdout;
    for address in asked {
        assert!(view.contains(address), "{view}");
    }
}

#[test]
fn link_local_addresses_come_back_and_go_with_the_network() {
    let lab = Lab::new();
    let create = ["create", "--subnet=10.71.0.0/24", "--subnet=fd00:71::/64"];
    let _ = lab.h1.net(&[&create[..], &["six"]].concat()).ok();
    let flags = ["--link-local-ip=169.254.7.1", "--link-local-ip=fe80::7"];
    lab.h1.idle("web", "six", &flags);
    lab.h1.idle("db", "six", &["--link-local-ip=169.254.7.9"]);
    let asked = ["169.254.7.1/16", "fe80::7/64"];
    lab.h1.restart();
    assert_eq!(lab.h1.status()["reconciles"]["repairs"], 0);
    // One of another's stays, and the kernel's own: neighbours are asked from it. Of the same prefix it would go with ours.
    let foreign = "ip address add 169.254.8.8/32 dev eth0 scope link";
    let foreign: Vec<&str> = foreign.split(' ').collect();
    let _ = lab.h1.in_container("web", &foreign).ok();
    let remove = |address| ["ip", "address", "del", address, "dev", "eth0"];
    for address in asked {
        let _ = lab.h1.in_container("web", &remove(address)).ok();
    }
    lab.h1.kill();
    lab.h1.start();
    let mut all = link_local(&lab, "web", "eth0");
    all.retain(|address| address != "169.254.8.8/32");
    assert_eq!(all, asked);
    let _ = lab.h1.in_container("web", &remove("169.254.8.8/32")).ok();
    assert!(answers(&lab, "db", "169.254.7.1") && answers(&lab, "db", "fe80::7"));
    let of_mac = ["ip", "-6", "address", "show", "dev", "eth0"];
    let own = lab.h1.in_container("web", &of_mac).ok().stdout;
    assert!(own.contains("ff:fe"), "{own}");
    lab.h1.restart();
    assert_eq!(lab.h1.status()["reconciles"]["repairs"], 0);
    let _ = lab.h1.net(&["disconnect", "six", "web"]).ok();
    let _ = lab.h1.net(&["connect", "six", "web"]).ok();
    assert!(link_local(&lab, "web", "eth0").is_empty());
    lab.h1.idle("next", "six", &flags);
}

#[test]
fn s19_link_local_addresses_that_cannot_be_had_are_refused() {
    let lab = lab();
    let _ = lab.h1.net(&["create", "--ipv6", "six"]).ok();
    let flags = ["--link-local-ip=169.254.7.1", "--link-local-ip=fe80::7"];
    lab.h1.idle("web", "six", &flags);
    lab.h1.idle("c", "bridge", &[]);
    for (address, network, code, words) in [
        (
            "169.254.7.1",
            "six",
            1,
            &["169.254.7.1", "container web"][..],
        ),
        ("fe80::7", "six", 1, &["fe80::7", "container web"]),
        ("fe80::8", "app", 1, &["fe80::8", "no IPv6"]),
        ("10.70.0.9", "app", 2, &["10.70.0.9", "169.254.0.0/16"]),
        ("fd00::1", "six", 2, &["fd00::1", "fe80::/10"]),
        ("169.254.255.255", "app", 2, &["169.254.0.0/16 as a whole"]),
        ("x", "app", 2, &["not an IP address"]),
    ] {
        let flag = format!("--link-local-ip={address}");
        let line = ["connect", &flag, network, "c"];
        let _ = lab.h1.net(&line).fails(code).names(words);
    }
    for mode in ["host", "none", "container:c"] {
        let flag = "--link-local-ip=169.254.7.7";
        let line = ["run", "--network", mode, flag, "--", "true"];
        let _ = lab.h1.net(&line).fails(125).names(&["address"]);
    }
    let names = lab.h1.in_container("c", &["ls", "/sys/class/net"]).ok();
    let names: Vec<&str> = names.stdout.split_whitespace().collect();
    assert_eq!(names, ["eth0", "lo"]);
    // On another network it is another address.
    let other = ["connect", "--link-local-ip=169.254.7.1", "app", "c"];
    let _ = lab.h1.net(&other).ok();
}
