//! What no well-behaved runtime sends to the CNI plugin: each gets the protocol's own error, and nothing is half-made.

use netns_tests::cni::{Place, configuration, eth0, program, refused};
use netns_tests::{Lab, eventually};
use serde_json::{Value, json};

const GOOD: [(&str, &str); 4] = [
    ("CNI_COMMAND", "ADD"),
    ("CNI_CONTAINERID", "web"),
    ("CNI_NETNS", "/run/netns/web"),
    ("CNI_IFNAME", "eth0"),
];

fn lab() -> Lab {
    let lab = Lab::new();
    lab.h1.new_netns("web");
    lab
}

fn good() -> Value {
    configuration(
        "1.1.0",
        "app",
        &json!({ "ipam": { "subnet": "10.9.0.0/24" } }),
    )
}

/// Calls the plugin with these bytes, and variables instead of the good ones (empty for none); gives its sentence.
#[track_caller]
fn refuses(lab: &Lab, (input, other): (&[u8], &[(&str, &str)]), code: u32) -> String {
    let mut environment = GOOD.to_vec();
    environment.extend(other);
    let ran = lab
        .h1
        .exec_with(&[&program("netd-cni")], &environment, input);
    refused(&ran, code)
}

/// Nothing is there but what was there at the start: no network, no container, no interface.
#[track_caller]
pub(super) fn nothing_was_made(lab: &Lab) {
    let names = lab.h1.net(&["ls", "--format", "{{.Name}}"]).ok();
    assert_eq!(names.text(), "bridge\nhost\nnone");
    assert_eq!(lab.h1.net(&["ps", "-aq"]).ok().text(), "");
    let links = lab.h1.in_netns("web", &["ip", "-o", "link"]).ok();
    assert_eq!(links.text().lines().count(), 1, "{links}");
    assert!(lab.h1.daemon_runs());
    assert_eq!(lab.h1.status()["problems"], json!([]));
}

#[test]
fn cni_bad_environments_are_refused_by_code_4() {
    let lab = lab();
    let input = good().to_string();
    let long = "x".repeat(256);
    for (name, values) in [
        ("CNI_COMMAND", &["", "add", "ADD ", "../ADD"][..]),
        (
            "CNI_CONTAINERID",
            &["", "../web", "/etc/passwd", "-web", "a b", &long, "a\nb"],
        ),
        (
            "CNI_IFNAME",
            &[
                "",
                ".",
                "..",
                "lo",
                "eth0/../x",
                "a:b",
                "sixteen-bytes-16",
                "a b",
            ],
        ),
        (
            "CNI_NETNS",
            &[
                "",
                "web",
                "/run/netns/../netns/web",
                "/run/netns/gone",
                "/etc/passwd",
                "/",
                "/dev/null",
                "/proc/self/ns/mnt",
                "/proc/self/ns/net",
            ],
        ),
        (
            "CNI_ARGS",
            &["X=1", "IP", "IP=x", "MAC=1", ";;=", "IP=10.9.0.5/99"],
        ),
    ] {
        for value in values {
            let said = refuses(&lab, (input.as_bytes(), &[(name, value)]), 4);
            assert!(!said.is_empty());
        }
    }
    let all = GOOD.map(|(name, _)| (name, ""));
    assert!(
        refuses(&lab, (input.as_bytes(), &all[1..]), 4)
            .contains("CNI_CONTAINERID, CNI_IFNAME, CNI_NETNS")
    );
    nothing_was_made(&lab);
    let lenient = [("CNI_ARGS", "IgnoreUnknown=true;X=1;IP=10.9.0.5")];
    let mut environment = GOOD.to_vec();
    environment.extend(lenient);
    let ran = lab
        .h1
        .exec_with(&[&program("netd-cni")], &environment, input.as_bytes())
        .ok();
    assert_eq!(ran.json()["ips"][0]["address"], "10.9.0.5/24");
}

#[test]
fn cni_input_that_is_no_configuration_is_refused_by_code_6() {
    let lab = lab();
    let deep = "[".repeat(100_000);
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(2 << 20));
    let huge = " ".repeat(20 << 20);
    let cut = good().to_string();
    for input in [
        &b""[..],
        b"null",
        b"7",
        b"[]",
        b"\"x\"",
        b"{",
        b"{\"name\":}",
        b"\xff\xfe{}",
        b"\0",
        cut.as_bytes().split_last().map(|(_, rest)| rest).unwrap(),
        deep.as_bytes(),
        large.as_bytes(),
        huge.as_bytes(),
    ] {
        for command in ["ADD", "DEL", "CHECK", "GC", "STATUS"] {
            let _ = refuses(&lab, (input, &[("CNI_COMMAND", command)]), 6);
        }
    }
    let doubled = format!("{}{}", good(), good());
    let _ = refuses(&lab, (doubled.as_bytes(), &[]), 6);
    nothing_was_made(&lab);
}

#[test]
fn cni_versions_that_are_not_spoken_are_refused_by_code_1() {
    let lab = lab();
    for version in [
        json!("0.1.0"),
        json!("0.2.0"),
        json!("2.0.0"),
        json!("1.1"),
        json!(""),
        Value::Null,
    ] {
        let mut config = good();
        config["cniVersion"] = version;
        let said = refuses(&lab, (config.to_string().as_bytes(), &[]), 1);
        assert!(said.contains("1.1.0"), "{said}");
    }
    for command in ["GC", "STATUS"] {
        let config = configuration("1.0.0", "app", &json!({ "ipam": {} }));
        let _ = refuses(
            &lab,
            (config.to_string().as_bytes(), &[("CNI_COMMAND", command)]),
            1,
        );
    }
    nothing_was_made(&lab);
}

#[test]
fn cni_paths_in_any_field_are_refused() {
    let lab = lab();
    let path = "../../../../etc/passwd";
    for (pointer, code) in [
        ("/name", 7),
        ("/type", 7),
        ("/socket", 7),
        ("/network", 7),
        ("/ipam/type", 2),
        ("/ipam/subnet", 7),
        ("/ipam/dataDir", 2),
        ("/options/com.docker.network.bridge.name", 7),
        ("/runtimeConfig/aliases/0", 7),
        ("/runtimeConfig/mac", 7),
        ("/runtimeConfig/ips/0", 7),
        ("/runtimeConfig/dns/searches/0", 7),
        ("/cniVersion", 1),
        ("/prevResult/cniVersion", 1),
    ] {
        let mut config = good();
        if pointer == "/network" {
            config.as_object_mut().unwrap().remove("ipam");
        }
        put(&mut config, pointer, path.into());
        let said = refuses(&lab, (config.to_string().as_bytes(), &[]), code);
        assert!(!said.is_empty());
    }
    nothing_was_made(&lab);
}

/// Puts a value at a path of keys and indexes, making what is missing on the way.
fn put(config: &mut Value, pointer: &str, value: Value) {
    let mut place = config;
    for part in pointer.split('/').skip(1) {
        place = match part.parse::<usize>() {
            Ok(_) => {
                *place = json!([null]);
                &mut place[0]
            }
            Err(_) => &mut place[part],
        };
    }
    *place = value;
}

#[test]
fn cni_what_cannot_be_is_refused_with_its_name_and_leaves_nothing() {
    let lab = lab();
    let described = |further: Value| configuration("1.1.0", "app", &further);
    let subnet = |text: &str| described(json!({ "ipam": { "subnet": text } }));
    for (config, code, named) in [
        (described(json!({ "network": "nowhere" })), 7, "nowhere"),
        (described(json!({ "network": "host" })), 7, "host"),
        (described(json!({ "network": "none" })), 7, "none"),
        (described(json!({})), 7, "ipam"),
        (
            configuration("1.1.0", "bridge", &json!({ "ipam": {} })),
            7,
            "bridge",
        ),
        (
            configuration("1.1.0", "default", &json!({ "ipam": {} })),
            7,
            "default",
        ),
        (subnet("198.18.0.0/24"), 7, "198.18.0.0/24"),
        (subnet("10.9.0.1/24"), 7, "10.9.0.1/24"),
        (
            described(json!({ "ipam": { "subnet": "10.9.0.0/24", "gateway": "10.8.0.1" } })),
            7,
            "10.8.0.1",
        ),
        (
            described(json!({ "ipam": {}, "options": { "com.docker.network.driver.mtu": "x" } })),
            7,
            "mtu",
        ),
        (
            described(json!({ "ipam": {}, "options": { "unknown": "x" } })),
            7,
            "unknown",
        ),
        (
            described(json!({ "ipam": {}, "bandwidth": { "ingressRate": 1 } })),
            2,
            "bandwidth",
        ),
        (
            described(
                json!({ "ipam": {}, "runtimeConfig": { "bandwidth": { "ingressRate": 1 } } }),
            ),
            7,
            "bandwidth",
        ),
        (
            described(json!({ "ipam": {}, "surprise": 1 })),
            2,
            "surprise = 1",
        ),
    ] {
        let input = config.to_string();
        let said = refuses(&lab, (input.as_bytes(), &[]), code);
        assert!(said.contains(named), "{config}: {said}");
        // Whatever it was: DEL is content, before any ADD and after one that failed.
        let _ = lab.h1.cni("DEL", eth0("web"), &config).ok();
        nothing_was_made(&lab);
    }
    for bad in [
        json!(7),
        json!({ "ips": 7 }),
        json!({ "ips": [{ "address": "x" }] }),
        json!({ "interfaces": [null] }),
    ] {
        let mut config = good();
        config["prevResult"] = bad;
        let _ = refuses(&lab, (config.to_string().as_bytes(), &[]), 6);
    }
    let _ = refuses(
        &lab,
        (good().to_string().as_bytes(), &[("CNI_COMMAND", "CHECK")]),
        7,
    );
    nothing_was_made(&lab);
}

#[test]
fn cni_a_refused_add_leaves_the_others_and_the_network_as_they_were() {
    let lab = lab();
    lab.h1.new_netns("late");
    let _ = lab.h1.cni("ADD", eth0("web"), &good()).ok();
    let rules = lab.h1.all_rules();
    let mut wishes = vec![(
        configuration(
            "1.1.0",
            "app",
            &json!({ "ipam": { "subnet": "10.7.0.0/24" } }),
        ),
        7,
    )];
    for (wish, code) in [
        (json!({ "ips": ["10.9.0.2"] }), 101),
        (json!({ "ips": ["10.9.0.1"] }), 101),
        (json!({ "ips": ["10.8.0.2"] }), 7),
        (json!({ "ips": ["10.9.0.5", "10.9.0.6"] }), 7),
        (
            json!({ "portMappings": [{ "hostPort": 80, "containerPort": 80, "hostIP": "192.0.2.1" }] }),
            7,
        ),
        (
            json!({ "portMappings": [{ "hostPort": 80, "containerPort": 80 }, { "hostPort": 80, "containerPort": 81 }] }),
            7,
        ),
    ] {
        let mut config = good();
        config["runtimeConfig"] = wish;
        wishes.push((config, code));
    }
    for (config, code) in wishes {
        let said = refused(&lab.h1.cni("ADD", eth0("late"), &config), code);
        assert!(!said.is_empty());
    }
    // One id for two namespaces, one namespace for two ids.
    let stolen = Place {
        netns: "late",
        ..eth0("web")
    };
    let _ = refused(&lab.h1.cni("ADD", stolen, &good()), 103);
    let twice = Place {
        netns: "web",
        ..eth0("late")
    };
    let _ = refused(&lab.h1.cni("ADD", twice, &good()), 103);
    // A container that somebody else made is none of the plugin's, whatever its name.
    lab.h1.idle("mine", "app", &[]);
    let _ = refused(
        &lab.h1.cni(
            "ADD",
            Place {
                netns: "late",
                ..eth0("mine")
            },
            &good(),
        ),
        103,
    );
    let _ = lab.h1.cni("DEL", eth0("mine"), &good()).ok();
    let _ = lab
        .h1
        .in_container("mine", &["ping", "-c1", "-W2", "10.9.0.2"])
        .ok();
    assert_eq!(lab.h1.all_rules(), rules);
    eventually("nothing in the refused namespace", || {
        let links = lab.h1.in_netns("late", &["ip", "-o", "link"]).ok();
        (links.text().lines().count() == 1).then_some(())
    });
    let view = lab.h1.inspect("app");
    assert_eq!(view["Containers"].as_object().unwrap().len(), 2);
}
