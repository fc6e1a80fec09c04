//! Flags that contradict each other or the network: refused, or warned of, where Docker does, and with what to do.

use netns_tests::host::SOCKET;
use netns_tests::{Lab, Ran};

/// Networks and a container to contradict.
fn lab() -> Lab {
    let lab = Lab::new();
    for line in [
        "create --subnet 10.60.0.0/24 --gateway 10.60.0.1 own",
        "create auto",
        "create --internal closed",
    ] {
        let _ = net(&lab, line).ok();
    }
    lab.h1.idle("x", "own", &[]);
    lab
}

fn net(lab: &Lab, line: &str) -> Ran {
    lab.h1.net(&line.split_whitespace().collect::<Vec<_>>())
}

/// Takes every line and tells of each that came out otherwise: exit status, and words in the message.
fn try_all(lab: &Lab, table: &[(&str, i32, &[&str])]) {
    let mut wrong = Vec::new();
    for (line, code, words) in table {
        let ran = net(lab, line);
        let said = ran.stderr.to_lowercase();
        let missing = words
            .iter()
            .find(|word| !said.contains(&word.to_lowercase()));
        if ran.code != *code || missing.is_some() {
            wrong.push(format!("expected {code} with {words:?}:\n{ran}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn s19_what_a_new_network_cannot_be() {
    let lab = lab();
    let before = lab.h1.net(&["ls", "-q", "--no-trunc"]).ok().stdout;
    try_all(
        &lab,
        &[
            (
                "create --gateway 10.61.0.1 n",
                2,
                &["--gateway 10.61.0.1 needs a --subnet"],
            ),
            (
                "create --ip-range 10.61.0.0/25 n",
                2,
                &["--ip-range 10.61.0.0/25 needs a --subnet"],
            ),
            (
                "create --aux-address a=10.61.0.9 n",
                2,
                &["--aux-address", "needs a --subnet"],
            ),
            (
                "create --subnet 10.61.0.0/24 --gateway 10.62.0.1 n",
                2,
                &["--gateway 10.62.0.1", "10.61.0.0/24"],
            ),
            (
                "create --subnet 10.61.0.0/24 --ip-range 10.62.0.0/25 n",
                2,
                &["--ip-range 10.62.0.0/25", "10.61.0.0/24"],
            ),
            (
                "create --subnet 10.61.0.0/24 --ip-range 10.0.0.0/8 n",
                2,
                &["--ip-range 10.0.0.0/8"],
            ),
            (
                "create --subnet 10.61.0.0/24 --aux-address a=10.62.0.1 n",
                2,
                &["--aux-address a=10.62.0.1"],
            ),
            (
                "create --subnet 10.61.0.0/24 --aux-address a=10.61.0.9 --aux-address a=10.61.0.8 n",
                2,
                &["--aux-address", "a"],
            ),
            (
                "create --subnet 10.61.0.0/24 --aux-address a=10.61.0.9 --aux-address b=10.61.0.9 n",
                1,
                &["10.61.0.9"],
            ),
            (
                "create --subnet 10.61.0.0/24 --gateway 10.61.0.9 --aux-address a=10.61.0.9 n",
                1,
                &["10.61.0.9", "gateway"],
            ),
            (
                "create --subnet 10.61.0.0/24 --gateway 10.61.0.0 n",
                1,
                &["10.61.0.0"],
            ),
            (
                "create --subnet 10.61.0.0/24 --gateway 10.61.0.255 n",
                1,
                &["10.61.0.255"],
            ),
            (
                "create --subnet 10.61.0.0/24 --gateway 10.61.0.1 --gateway 10.61.0.2 n",
                2,
                &["given twice"],
            ),
            (
                "create --subnet 10.61.0.0/24 --subnet 10.62.0.0/24 n",
                1,
                &["one subnet of each family", "10.61.0.0/24", "10.62.0.0/24"],
            ),
            (
                "create --subnet 10.61.0.0/24 --subnet 10.61.0.0/25 n",
                2,
                &["overlap"],
            ),
            ("create --subnet 10.61.0.1/24 n", 2, &["10.61.0.0/24"]),
            ("create --subnet 10.60.0.0/25 n", 1, &["overlaps", "own"]),
            ("create -d host n", 1, &["driver host", "built in"]),
            ("create -d null n", 1, &["driver null", "built in"]),
            ("create -d nothing n", 1, &["unknown driver"]),
            ("create bridge", 1, &["bridge is a built-in network"]),
            ("create default", 2, &["default", "reserved"]),
            ("create own", 1, &["own exists already"]),
            ("create container:x", 2, &["container:x"]),
            ("rm host", 1, &["host is a built-in network"]),
            ("rm own", 1, &["in use by x"]),
        ],
    );
    assert_eq!(lab.h1.net(&["ls", "-q", "--no-trunc"]).ok().stdout, before);
}

#[test]
fn s19_what_a_container_cannot_have_on_its_network() {
    let lab = lab();
    try_all(
        &lab,
        &[
            (
                "run --network auto --ip 172.18.0.9 -- true",
                125,
                &["172.18.0.9", "auto", "net create --subnet"],
            ),
            (
                "run --network own --ip 10.61.0.9 -- true",
                125,
                &["10.61.0.9", "10.60.0.0/24"],
            ),
            (
                "run --network own --ip 10.60.0.1 -- true",
                125,
                &["10.60.0.1", "gateway"],
            ),
            (
                "run --network own --ip6 fd00::9 -- true",
                125,
                &["fd00::9", "own", "no subnet of that family"],
            ),
            (
                "run --ip 172.17.0.9 -- true",
                125,
                &["172.17.0.9", "default network"],
            ),
            (
                "run --network bridge --alias a -- true",
                125,
                &["no aliases", "network of your own"],
            ),
            (
                "run --network own --mac-address 01:00:5e:00:00:01 -- true",
                2,
                &["multicast"],
            ),
            (
                "run --network own --mac-address 00:00:00:00:00:00 -- true",
                2,
                &["empty"],
            ),
            (
                "run --network closed -p 8080:80 -- true",
                0,
                &["warning", "closed is internal", "nothing is published"],
            ),
            (
                "run --network nothing -- true",
                125,
                &["network nothing not found"],
            ),
            (
                "connect --ip 172.17.0.9 bridge x",
                1,
                &["172.17.0.9", "default network"],
            ),
            ("connect --alias a bridge x", 1, &["no aliases"]),
            ("connect host x", 1, &["from its start"]),
            ("connect none x", 1, &["on other networks"]),
            ("connect --ip 10.60.0.77 own x", 1, &["already"]),
            (
                "connect --ip 172.18.0.77 auto x",
                1,
                &["net create --subnet"],
            ),
            ("disconnect auto x", 1, &["not connected"]),
        ],
    );
}

#[test]
fn s04_what_the_modes_without_a_network_of_their_own_cannot_have() {
    let lab = lab();
    try_all(
        &lab,
        &[
            (
                "run --network host -p 8080:80 -- true",
                0,
                &["warning", "nothing is published"],
            ),
            (
                "run --network host -P -- true",
                0,
                &["warning", "nothing is published"],
            ),
            (
                "run --network host --ip 10.60.0.9 -- true",
                125,
                &["10.60.0.9", "host", "no addresses"],
            ),
            (
                "run --network host --mac-address 02:00:00:00:00:01 -- true",
                125,
                &["host", "MAC"],
            ),
            (
                "run --network host --alias a -- true",
                125,
                &["alias", "host"],
            ),
            (
                "run --network host --link x -- true",
                125,
                &["link", "host"],
            ),
            (
                "run --network none -p 8080:80 -- true",
                0,
                &["warning", "nothing is published"],
            ),
            (
                "run --network none --ip 10.60.0.9 -- true",
                125,
                &["10.60.0.9", "none", "no addresses"],
            ),
            (
                "run --network none --mac-address 02:00:00:00:00:01 -- true",
                0,
                &["warning", "--mac-address", "none"],
            ),
            (
                "run --network none --alias a -- true",
                125,
                &["alias", "none"],
            ),
            (
                "run --network none --link x -- true",
                0,
                &["warning", "--link", "none"],
            ),
            (
                "run --network container:x -p 8080:80 -- true",
                125,
                &["published ports", "publish on x"],
            ),
            (
                "run --network container:x -P --expose 80 -- true",
                125,
                &["ports", "x"],
            ),
            (
                "run --network container:x --ip 10.60.0.9 -- true",
                125,
                &["an address", "x"],
            ),
            (
                "run --network container:x --mac-address 02:00:00:00:00:01 -- true",
                125,
                &["an address", "x"],
            ),
            (
                "run --network container:x --alias a -- true",
                125,
                &["an alias", "x"],
            ),
            (
                "run --network container:x --link x -- true",
                125,
                &["a link", "x"],
            ),
            (
                "run --network container:x --dns 192.0.2.1 -- true",
                125,
                &["resolver settings", "x"],
            ),
            (
                "run --network container:x --hostname h -- true",
                125,
                &["a hostname", "x"],
            ),
            (
                "run --network container:gone -- true",
                125,
                &["container gone not found"],
            ),
            ("run --network container: -- true", 2, &["container:NAME"]),
            // Docker takes these, and so do we.
            ("run --network host --dns 192.0.2.1 -- true", 0, &[]),
            ("run --network host --hostname h -- true", 0, &[]),
            ("run --network none --hostname h -- true", 0, &[]),
        ],
    );
}

#[test]
fn s19_the_daemon_refuses_what_the_command_line_would_not_send() {
    let lab = lab();
    for (path, body, words) in [
        (
            "networks",
            r#"{"name": "n", "pools": [{"gateway": "10.61.0.1"}]}"#,
            "10.61.0.1",
        ),
        (
            "networks",
            r#"{"name": "n", "pools": [{"range": "10.61.0.0/25"}]}"#,
            "10.61.0.0/25",
        ),
        (
            "networks",
            r#"{"name": "n", "pools": [{"subnet": "10.61.0.0/24", "gateway": "10.62.0.1"}]}"#,
            "10.62.0.1",
        ),
        (
            "networks",
            r#"{"name": "n", "pools": [{"subnet": "10.61.0.0/24", "range": "10.62.0.0/25"}]}"#,
            "10.62.0.0/25",
        ),
        (
            "networks",
            r#"{"name": "n", "pools": [{"subnet": "10.61.0.0/24", "aux": {"a": "10.62.0.1"}}]}"#,
            "10.62.0.1",
        ),
        (
            "networks/own/connect",
            r#"{"container": "x", "mac": "01:00:5e:00:00:01"}"#,
            "multicast",
        ),
        (
            "networks/auto/connect",
            r#"{"container": "x", "ips": ["10.60.0.9"]}"#,
            "10.60.0.9",
        ),
        ("networks/own/connect", r#"{}"#, "container or netns"),
    ] {
        let url = format!("http://netd/netd/v1/{path}");
        let line = [
            "curl",
            "-sS",
            "-w",
            "\n%{http_code}",
            "--unix-socket",
            SOCKET,
            "-d",
            body,
            &url,
        ];
        let ran = lab.h1.exec(&line).ok();
        let (answer, status) = ran.text().rsplit_once('\n').unwrap();
        assert!(
            status == "400" && answer.contains(words),
            "{body}: {status} {answer}"
        );
    }
}

#[test]
fn two_containers_of_a_network_have_two_mac_addresses() {
    let lab = lab();
    let mac = "02:00:00:00:00:77";
    lab.h1.idle("a", "own", &["--mac-address", mac]);
    let same = format!("run --network own --mac-address {mac} -- true");
    let _ = net(&lab, &same).fails(125).names(&[mac, "container a"]);
    lab.h1.idle("b", "auto", &["--mac-address", mac]);
    let again = format!("connect --mac-address {mac} own b");
    let _ = net(&lab, &again).fails(1).names(&[mac, "container a"]);
}
