//! The verbs that ask: what they send, what they print, how they end.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{self, Daemon, refuse, stderr, stdout};

/// What `docker network inspect bridge` printed on a real engine, 20.10.
const DOCKER_INSPECT: &str = r#"[
    {
        "Name": "bridge",
        "Id": "c87a00e4d0bd9b404f0ae17e753cc8b6d6af8da0f146373c8655af89034a8984",
        "Created": "2026-11-20T18:09:04.509366411Z",
        "Scope": "local",
        "Driver": "bridge",
        "EnableIPv6": false,
        "IPAM": {
            "Driver": "default",
            "Options": null,
            "Config": [
                {
                    "Subnet": "172.17.0.0/16"
                }
            ]
        },
        "Internal": false,
        "Attachable": false,
        "Ingress": false,
        "ConfigFrom": {
            "Network": ""
        },
        "ConfigOnly": false,
        "Containers": {},
        "Options": {
            "com.docker.network.bridge.default_bridge": "true",
            "com.docker.network.bridge.enable_icc": "true",
            "com.docker.network.bridge.enable_ip_masquerade": "true",
            "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
            "com.docker.network.bridge.name": "docker0",
            "com.docker.network.driver.mtu": "1500"
        },
        "Labels": {}
    }
]
"#;

fn bridge() -> Value {
    let all: Value = serde_json::from_str(DOCKER_INSPECT).unwrap();
    all[0].clone()
}

fn network(name: &str, id: &str, driver: &str) -> Value {
    let mut view = bridge();
    view["Name"] = json!(name);
    view["Id"] = json!(id.repeat(32));
    view["Driver"] = json!(driver);
    view
}

/// A daemon with the networks `none`, `host` and `bridge`, and the container `c1`.
fn daemon() -> Daemon {
    Daemon::with_files(|files| {
        move |line: &str, _: &Value| {
            let networks = [
                network("none", "1f", "null"),
                network("host", "d9", "host"),
                bridge(),
            ];
            match line {
                "GET /networks" => (200, json!(networks)),
                "GET /networks/bridge" => (200, bridge()),
                "GET /containers/c1" => (200, support::container("c1", &files)),
                "GET /containers" => (200, json!([support::container("c1", &files)])),
                "POST /networks" => {
                    let id = "ab".repeat(32);
                    (201, json!({"id": id, "warnings": ["no IPv6 here"]}))
                }
                "DELETE /networks/lab" => (204, Value::Null),
                "DELETE /networks/bridge" => refuse(403, "builtin", "network bridge is built in"),
                "POST /networks/prune" => (
                    200,
                    json!({"networks": ["lab"], "failures": ["cannot remove old: it is stuck"]}),
                ),
                "GET /version" => (200, json!({"version": "9.9.9", "api": 1})),
                "GET /events" => (
                    200,
                    json!({"time": "t", "kind": "network", "action": "create", "id": "1", "name": "n", "attributes": {}}),
                ),
                line if line.starts_with("GET /networks/") => refuse(
                    404,
                    "network_not_found",
                    &format!("no network {}", &line[14..]),
                ),
                line if line.starts_with("GET /containers/") => {
                    refuse(404, "container_not_found", "no such container")
                }
                line if line.ends_with("/disconnect") => (204, Value::Null),
                "POST /networks/lab/allow" | "POST /networks/lab/deny" => (204, Value::Null),
                line if line.ends_with("/connect") => {
                    refuse(409, "address_taken", "10.0.0.9 is held by db")
                }
                line => refuse(404, "no_such_path", line),
            }
        }
    })
}

#[test]
fn ls_prints_what_docker_prints() {
    let daemon = daemon();
    let table = "\
NETWORK ID     NAME      DRIVER    SCOPE
c87a00e4d0bd   bridge    bridge    local
d9d9d9d9d9d9   host      host      local
1f1f1f1f1f1f   none      null      local
";
    assert_eq!(stdout(&daemon.run(&["ls"])), table);
    assert_eq!(
        stdout(&daemon.run(&["ls", "-q"])),
        "c87a00e4d0bd\nd9d9d9d9d9d9\n1f1f1f1f1f1f\n"
    );
    let whole = stdout(&daemon.run(&["ls", "-q", "--no-trunc"]));
    assert!(whole.lines().all(|id| id.len() == 64), "{whole}");
    let lines = stdout(&daemon.run(&["ls", "--format", "{{.Name}}={{.Driver}}"]));
    assert_eq!(lines, "bridge=bridge\nhost=host\nnone=null\n");
    let lines = stdout(&daemon.run(&["ls", "--format", r"table {{.ID}}\t{{.Name}}"]));
    assert!(
        lines.starts_with("NETWORK ID     NAME\nc87a00e4d0bd   bridge\n"),
        "{lines}"
    );
    let first = stdout(&daemon.run(&["ls", "--format", "json"]));
    let first: Value = serde_json::from_str(first.lines().next().unwrap()).unwrap();
    assert_eq!(first["Name"], "bridge");
    let wrong = daemon.run(&["ls", "--format", "{{.Nmae}}"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        stderr(&wrong).contains("there are ID, Name, Driver"),
        "{}",
        stderr(&wrong)
    );
}

#[test]
fn inspect_prints_docker_s_json_to_the_byte() {
    let daemon = daemon();
    assert_eq!(stdout(&daemon.run(&["inspect", "bridge"])), DOCKER_INSPECT);
    let format = daemon.run(&["inspect", "-f", "{{json .IPAM.Config}} {{.Name}}", "bridge"]);
    assert_eq!(stdout(&format), "[{\"Subnet\":\"172.17.0.0/16\"}] bridge\n");
}

#[test]
fn inspect_shows_containers_too_and_goes_on_past_what_is_not_there() {
    let daemon = daemon();
    let output = daemon.run(&["inspect", "nope", "c1", "bridge"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "net: no network nope\n");
    let shown: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(
        (&shown[0]["name"], &shown[1]["Name"]),
        (&json!("c1"), &json!("bridge"))
    );
}

#[test]
fn create_sends_what_was_typed_and_prints_the_id() {
    let daemon = daemon();
    let line = [
        "create",
        "--subnet",
        "172.28.0.0/16",
        "--ip-range",
        "172.28.5.0/24",
        "--gateway",
        "172.28.5.254",
        "--aux-address",
        "printer=172.28.5.9",
        "--label",
        "a=b",
        "-o",
        "x=y",
        "--internal",
        "lab",
    ];
    let output = daemon.run(&line);
    assert_eq!(stdout(&output), "ab".repeat(32) + "\n");
    assert_eq!(stderr(&output), "net: warning: no IPv6 here\n");
    let expected = json!({
        "name": "lab", "internal": true, "attachable": false, "options": {"x": "y"}, "labels": {"a": "b"},
        "pools": [{
            "subnet": "172.28.0.0/16", "range": "172.28.5.0/24", "gateway": "172.28.5.254",
            "aux": {"printer": "172.28.5.9"},
        }],
    });
    assert_eq!(daemon.bodies("POST /networks"), [expected]);
    let output = daemon.run(&["create", "--gateway", "10.0.0.1", "lab"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn rm_goes_on_after_a_refusal() {
    let daemon = daemon();
    let output = daemon.run(&["rm", "bridge", "lab"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        (stdout(&output), stderr(&output)),
        ("lab\n".into(), "net: network bridge is built in\n".into())
    );
}

#[test]
fn prune_tells_what_went_and_what_stayed() {
    let output = daemon().run(&["prune", "-f"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "Deleted Networks:\nlab\n");
    assert_eq!(stderr(&output), "net: cannot remove old: it is stuck\n");
}

#[test]
fn connect_hands_over_names_processes_and_files() {
    let daemon = daemon();
    let output = daemon.run(&["connect", "--ip", "10.0.0.9", "--alias", "db", "lab", "c1"]);
    assert_eq!(
        (output.status.code(), stderr(&output)),
        (Some(1), "net: 10.0.0.9 is held by db\n".into())
    );
    daemon.run(&["connect", "lab", "pid:4711"]);
    daemon.run(&["connect", "--name", "x", "lab", "/proc/self/ns/net"]);
    daemon.run(&["connect", "lab", "/proc/self/ns/net"]);
    let sent = daemon.bodies("POST /networks/lab/connect");
    assert_eq!(
        (&sent[0]["container"], &sent[0]["ips"]),
        (&json!("c1"), &json!(["10.0.0.9"]))
    );
    assert_eq!(sent[1]["netns"], json!({"pid": 4711}));
    assert_eq!(sent[2]["name"], "x");
    assert!(sent[2]["netns"]["fd"].as_u64().unwrap() > 2, "{}", sent[2]);
    assert_eq!(sent[3]["name"], "net");
    let output = daemon.run(&["connect", "lab", "/no/such/ns"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot open the namespace /no/such/ns"));
    let output = daemon.run(&["connect", "--name", "x", "lab", "c1"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn allow_and_deny_name_both_networks_and_say_nothing() {
    let daemon = daemon();
    for verb in ["allow", "deny"] {
        let output = daemon.run(&[verb, "lab", "bridge"]);
        assert_eq!(
            (output.status.code(), stdout(&output), stderr(&output)),
            (Some(0), String::new(), String::new())
        );
        let sent = daemon.bodies(&format!("POST /networks/lab/{verb}"));
        assert_eq!(sent, [json!({"network": "bridge"})]);
        let output = daemon.run(&[verb, "lab"]);
        assert_eq!(output.status.code(), Some(2), "{verb} needs two");
    }
}

#[test]
fn disconnect_finds_the_container_by_its_namespace() {
    let own = std::process::id();
    let daemon = Daemon::with_files(|files| {
        move |line: &str, _: &Value| match line {
            "GET /containers" => {
                let mut sharing = support::container("sharing", &files);
                sharing["id"] = json!("aa".repeat(32));
                sharing["namespace"] = json!("container:x");
                sharing["pid"] = json!(own);
                let mut holding = support::container("c1", &files);
                holding["pid"] = json!(own);
                (200, json!([sharing, holding]))
            }
            _ => (204, Value::Null),
        }
    });
    let path = format!("/proc/{own}/ns/net");
    let pid = format!("pid:{own}");
    for container in ["c1", &path, &pid, "/proc/self/ns/net"] {
        let output = daemon.run(&["disconnect", "-f", "lab", container]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{container}: {}",
            stderr(&output)
        );
    }
    let sent = daemon.bodies("POST /networks/lab/disconnect");
    assert_eq!(sent[0], json!({"container": "c1", "force": true}));
    assert!(
        sent[1..]
            .iter()
            .all(|body| body["container"] == "f9".repeat(32)),
        "{sent:?}"
    );
    let other = daemon.run(&["disconnect", "lab", "/tmp/c1"]);
    assert_eq!(other.status.code(), Some(1));
    assert!(stderr(&other).contains("knows no running container in the namespace of /tmp/c1"));
}

#[test]
fn no_daemon_is_exit_code_three_and_says_how_to_start_one() {
    let daemon = daemon();
    daemon.vanish();
    for verb in [
        &["ls"][..],
        &["rm", "a", "b"],
        &["ps"],
        &["status"],
        &["stop", "x"],
        &["inspect", "x"],
    ] {
        let output = daemon.run(verb);
        assert_eq!(output.status.code(), Some(3), "{verb:?}");
        let told = stderr(&output);
        assert!(
            told.contains("start it with `netd`") && told.lines().count() == 1,
            "{told}"
        );
        assert_eq!(stdout(&output), "");
    }
    let output = daemon.run(&["version"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stdout(&output).starts_with("client  net "));
    let output = daemon.run(&["-H", "tcp://x", "ls"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn version_names_both_sides() {
    let shown = stdout(&daemon().run(&["version"]));
    assert!(
        shown.contains("server  netd 9.9.9, speaks /netd/v1"),
        "{shown}"
    );
}

#[test]
fn events_are_lines() {
    let output = daemon().run(&["events"]);
    assert_eq!(stdout(&output), "t network create n (1)\n");
    assert_eq!(stderr(&output), "net: netd ended the stream\n");
}

#[test]
fn a_reader_that_went_away_ends_it_quietly() {
    let daemon = daemon();
    for verb in [
        &["ls"][..],
        &["inspect", "bridge"],
        &["events"],
        &["completions", "bash"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = daemon
            .net(verb)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(
            (output.status.code(), stderr(&output)),
            (Some(0), String::new()),
            "{verb:?}"
        );
    }
}

#[test]
fn nothing_is_coloured_into_a_pipe() {
    let shown = daemon().run(&["events"]);
    assert!(!shown.stdout.contains(&0x1b));
}
