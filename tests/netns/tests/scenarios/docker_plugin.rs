//! Docker's plugin protocol without an engine: each call in its order, good and bad, and what is left after a crash.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use netns_tests::dockerd::ENGINE_SOCKET;
use netns_tests::plugin::{PLUGIN_SOCKET, with_plugin};
use netns_tests::podman::merge;
use netns_tests::{Lab, OrFail, eventually, stands_still};
use serde_json::{Value, json};

/// Goes through a table; gives the lines that went otherwise.
fn play(lab: &Lab, table: &str) -> Vec<String> {
    let lines = table.lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| wrong(lab, line)).collect()
}

fn wrong(lab: &Lab, line: &str) -> Option<String> {
    if let Some(line) = line.strip_prefix("$ ") {
        let words: Vec<&str> = line.split_whitespace().collect();
        let _ = lab.h1.net(&words).ok();
        return None;
    }
    let (call, wanted) = line.split_once(" => ").or_fail("answer in a line");
    if let Some(line) = call.strip_prefix('!') {
        let (code, line) = line.split_once(' ').or_fail("command of net");
        let code = code.parse().or_fail("read an exit status");
        let words: Vec<&str> = line.split_whitespace().collect();
        let _ = lab.h1.net(&words).fails(code).names(&[wanted]);
        return None;
    }
    let mut words = call.splitn(3, ' ');
    let mut word = || words.next().unwrap_or_default();
    let (status, method, body) = (word(), word(), word());
    let answer = lab.h1.plugin(method, &with_identities(body));
    let is_right = match serde_json::from_str::<Value>(wanted) {
        Ok(wanted) => serde_json::from_str(&answer.body).ok() == Some(wanted),
        Err(_) => answer
            .body
            .replace("\\\"", "\"")
            .contains(wanted.trim_end()),
    };
    let is_right = is_right && answer.status.to_string() == status;
    (!is_right).then(|| format!("{line}\n     got {} {}", answer.status, answer.body))
}

/// Writes identities in full.
fn with_identities(line: &str) -> String {
    let identities = [("\"NET\"", "a"), ("\"OTHER\"", "b"), ("\"END\"", "e")];
    identities
        .into_iter()
        .fold(line.to_owned(), |line, (word, digit)| {
            line.replace(word, &format!("\"{}\"", digit.repeat(64)))
        })
}

#[test]
fn networks_and_endpoints_come_and_go() {
    let lab = Lab::with(with_plugin());
    let (rules, links) = (lab.h1.all_rules(), lab.h1.link_names());
    let wrong = play(&lab, include_str!("../tables/docker_plugin_network.txt"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(lab.h1.status()["problems"], json!([]));
    eventually("all that was made is gone", || {
        (lab.h1.all_rules() == rules && lab.h1.link_names() == links).then_some(())
    });
}

/// Makes a network and an endpoint on it, as an engine does; gives the interface that it is told to take.
fn endpoint(lab: &Lab) -> String {
    for (method, body) in [
        (
            "CreateNetwork",
            r#"{"NetworkID":"NET","IPv4Data":[{"Pool":"10.5.0.0/24"}]}"#,
        ),
        (
            "CreateEndpoint",
            r#"{"NetworkID":"NET","EndpointID":"END","Interface":{"Address":"10.5.0.7/24"}}"#,
        ),
        (
            "ProgramExternalConnectivity",
            r#"{"EndpointID":"END","Options":{"com.docker.network.portmap":[{"Proto":6,"Port":80,"HostPort":8080}]}}"#,
        ),
    ] {
        let method = format!("NetworkDriver.{method}");
        let _ = lab.h1.plugin(&method, &with_identities(body)).granted();
    }
    let join = with_identities(r#"{"NetworkID":"NET","EndpointID":"END","SandboxKey":"/x"}"#);
    let told = lab.h1.plugin("NetworkDriver.Join", &join).granted();
    let name = told["InterfaceName"]["SrcName"].as_str();
    name.or_fail("interface to take").to_owned()
}

/// Does with the interface what an engine does: into a namespace, under another name, with the address.
const TAKE: &str = "ip netns add box && ip link set $1 netns box && ip -n box link set $1 name eth0 && \
    ip -n box addr add 10.5.0.7/24 dev eth0 && ip -n box link set eth0 up";

#[test]
fn an_endpoint_stands_wherever_its_interface_is_and_ends_with_it() {
    let lab = Lab::with(with_plugin());
    let interface = endpoint(&lab);
    lab.h1.idle("other", "docker-aaaaaaaaaaaa", &[]);
    let unmoved = lab
        .h1
        .sh(&format!("cat /sys/class/net/{interface}/operstate"))
        .ok();
    assert_ne!(
        unmoved.text(),
        "up",
        "nobody answers before the engine took it"
    );
    lab.h1.restart();
    assert_eq!(lab.h1.status()["reconciles"]["repairs"], json!(0));
    let _ = lab.h1.exec(&["sh", "-c", TAKE, "sh", &interface]).ok();
    let ping = ["ping", "-c1", "-W5", "10.5.0.7"];
    let _ = lab.h1.in_container("other", &ping).ok();
    lab.h1.kill();
    lab.h1.start();
    assert_eq!(lab.h1.status()["reconciles"]["repairs"], json!(0));
    let _ = lab.h1.in_container("other", &ping).ok();
    let _ = lab.h1.exec(&["ip", "netns", "del", "box"]).ok();
    eventually("address and port are free", || {
        let run = [
            "run",
            "--network",
            "docker-aaaaaaaaaaaa",
            "--ip",
            "10.5.0.7",
            "-p",
            "8080:80",
            "--",
            "true",
        ];
        lab.h1.net(&run).is_ok().then_some(())
    });
    // The engine tells late.
    for method in ["Leave", "DeleteEndpoint", "DeleteEndpoint"] {
        let body = with_identities(r#"{"NetworkID":"NET","EndpointID":"END"}"#);
        let _ = lab
            .h1
            .plugin(&format!("NetworkDriver.{method}"), &body)
            .granted();
    }
    assert_eq!(lab.h1.status()["problems"], json!([]));
}

#[test]
fn an_end_that_nobody_noticed_is_found_at_the_start() {
    let lab = Lab::with(with_plugin());
    let interface = endpoint(&lab);
    let _ = lab.h1.exec(&["sh", "-c", TAKE, "sh", &interface]).ok();
    lab.h1.kill();
    let _ = lab.h1.exec(&["ip", "netns", "del", "box"]).ok();
    eventually("the end of the interface", || {
        let links = lab.h1.link_names();
        (!links.iter().any(|link| link.starts_with("veth"))).then_some(())
    });
    lab.h1.start();
    assert_eq!(lab.h1.net(&["ps", "-q"]).ok().text(), "");
    assert_eq!(lab.h1.status()["problems"], json!([]));
    assert!(lab.h1.sh("ss -Hltn sport = :8080").ok().text().is_empty());
}

#[test]
fn pools_and_addresses_are_given_once_and_taken_back() {
    let lab = Lab::with(with_plugin());
    let wrong = play(&lab, include_str!("../tables/docker_plugin_ipam.txt"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(lab.h1.status()["problems"], json!([]));
}

#[test]
fn what_an_engine_was_given_is_its_own_after_kill_9_of_netd() {
    let lab = Lab::with(with_plugin());
    let pool = r#"{"AddressSpace":"netd","Pool":"10.5.0.0/24"}"#;
    let address = r#"{"PoolID":"netd/10.5.0.0/24","Address":"10.5.0.9"}"#;
    let gateway = r#"{"PoolID":"netd/10.5.0.0/24","Options":{"RequestAddressType":"com.docker.network.gateway"}}"#;
    let _ = lab.h1.plugin("IpamDriver.RequestPool", pool).granted();
    let given = lab
        .h1
        .plugin("IpamDriver.RequestAddress", gateway)
        .granted();
    let _ = lab
        .h1
        .plugin("IpamDriver.RequestAddress", address)
        .granted();
    lab.h1.kill();
    lab.h1.start();
    let refused = lab
        .h1
        .plugin("IpamDriver.RequestAddress", address)
        .refused();
    assert!(refused.contains("taken by Docker's engine"), "{refused}");
    let again = lab
        .h1
        .plugin("IpamDriver.RequestAddress", gateway)
        .granted();
    assert_eq!(again, given);
    let _ = lab
        .h1
        .net(&["create", "--subnet", "10.5.0.0/24", "mine"])
        .fails(1)
        .names(&["that Docker's engine asked for"]);
    let _ = lab
        .h1
        .plugin("IpamDriver.ReleaseAddress", address)
        .granted();
    let _ = lab
        .h1
        .plugin("IpamDriver.RequestAddress", address)
        .granted();
    let release = r#"{"PoolID":"netd/10.5.0.0/24"}"#;
    let _ = lab.h1.plugin("IpamDriver.ReleasePool", release).granted();
    lab.h1.restart();
    let _ = lab
        .h1
        .net(&["create", "--subnet", "10.5.0.0/24", "mine"])
        .ok();
}

#[test]
fn the_socket_is_roots_and_goes_with_the_daemon() {
    let lab = Lab::with(with_plugin());
    let shown = lab
        .h1
        .sh(&format!("stat -c '%a %U %F' {PLUGIN_SOCKET}"))
        .ok();
    assert_eq!(shown.text(), "660 root socket");
    let answer = lab.h1.plugin("Plugin.Activate", "");
    let v1_2 = "content-type: application/vnd.docker.plugins.v1.2+json";
    assert!(answer.head.contains(v1_2), "{}", answer.head);
    let plain = "POST /Plugin.Activate HTTP/1.1\r\nHost: p\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let answer = lab.h1.plugin_raw(plain.as_bytes());
    let v1_1 = "content-type: application/vnd.docker.plugins.v1.1+json";
    assert!(answer.head.contains(v1_1), "{}", answer.head);
    lab.h1.kill();
    assert!(
        lab.h1.path(PLUGIN_SOCKET).exists(),
        "kill -9 removes nothing"
    );
    lab.h1.start();
    let _ = lab.h1.plugin("Plugin.Activate", "").granted();
    assert_eq!(lab.h1.terminate(), 0);
    assert!(!lab.h1.path(PLUGIN_SOCKET).exists());
}

#[test]
fn what_is_no_request_is_refused_and_harms_nothing() {
    let lab = Lab::with(with_plugin());
    let before = lab.h1.all_rules();
    let get = "GET /Plugin.Activate HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n";
    let answer = lab.h1.plugin_raw(get.as_bytes());
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert!(answer.refused().contains("called with POST"));
    let large = format!(r#"{{"AddressSpace":"{}"}}"#, "x".repeat(9 << 20));
    let answer = lab.h1.plugin("IpamDriver.RequestPool", &large);
    assert_eq!(answer.status, 413, "{}", answer.body);
    assert!(answer.refused().contains("bytes"));
    assert_eq!(lab.h1.plugin_raw(b"\x00\x01garbage\r\n\r\n").status, 400);
    let deep = format!(
        r#"{{"AddressSpace":"netd","Options":{}"#,
        "[".repeat(100_000)
    );
    assert_eq!(lab.h1.plugin("IpamDriver.RequestPool", &deep).status, 400);
    assert!(lab.h1.daemon_runs());
    assert_eq!(lab.h1.all_rules(), before);
    assert_eq!(lab.h1.status()["problems"], json!([]));
}

#[test]
fn without_the_option_there_is_no_plugin() {
    let lab = Lab::new();
    assert!(!lab.h1.path(PLUGIN_SOCKET).exists());
}

#[test]
fn networks_made_at_once_all_answer_names_at_their_gateways() {
    let lab = Lab::with(with_plugin());
    let all_at_once = |method: &str| {
        let line = format!(
            r#"for number in $(seq 12); do
    id=$(printf %02x%062d $number 0); pool="10.5.$number"
    curl -sS --unix-socket {PLUGIN_SOCKET} http://netd/NetworkDriver.{method} \
        -d "{{\"NetworkID\":\"$id\",\"IPv4Data\":[{{\"Pool\":\"$pool.0/24\",\"Gateway\":\"$pool.1/24\"}}]}}" &
done; wait"#
        );
        let answers = lab.h1.sh(&line).ok();
        assert_eq!(answers.text(), "{}".repeat(12));
    };
    for _ in 0..5 {
        all_at_once("CreateNetwork");
        let listening = lab.h1.sh("ss -Hlun sport = :53").ok();
        for number in 1..=12 {
            let gateway = format!("10.5.{number}.1%");
            assert!(listening.stdout.contains(&gateway), "{gateway} {listening}");
        }
        all_at_once("DeleteNetwork");
    }
    let said = lab.h1.log_tail(usize::MAX);
    assert!(!said.contains("cannot ask for names"), "{said}");
}

/// systemd may hold the engine's socket, and would start an engine for whoever connects to it.
#[test]
fn nobody_connects_to_an_engine_that_has_not_come() {
    let lab = Lab::with(with_plugin());
    let engine = UnixListener::bind(lab.h1.path(ENGINE_SOCKET)).or_fail("listen as an engine");
    engine.set_nonblocking(true).or_fail("set up the socket");
    let connected = || engine.accept().ok();
    let (network, endpoint) = ("a".repeat(64), "e".repeat(64));
    let pools = json!([{ "Pool": "10.5.0.0/24", "Gateway": "10.5.0.1/24" }]);
    let call = |method: &str, further: Value| {
        let mut body = json!({ "NetworkID": network, "EndpointID": endpoint });
        merge(&mut body, &further);
        let _ = lab.h1.plugin(method, &body.to_string()).granted();
    };
    call("NetworkDriver.CreateNetwork", json!({ "IPv4Data": pools }));
    call("NetworkDriver.CreateEndpoint", json!({}));
    // An engine that stops has its containers leave; nothing is asked of it then.
    call("NetworkDriver.Leave", json!({}));
    assert!(connected().is_none());
    call("NetworkDriver.Join", json!({}));
    let answer = |status: &str| {
        let (mut stream, _) = eventually("a question", connected);
        let mut line = String::new();
        let read = BufReader::new(&stream).read_line(&mut line);
        let _ = read.or_fail("read the question");
        let answered = write!(stream, "HTTP/1.0 {status}\r\n\r\n");
        answered.or_fail("answer");
        (stream, line)
    };
    let (events, line) = answer("200 OK");
    assert!(line.starts_with("GET /events?"), "{line}");
    let (_, line) = answer("404 Not Found");
    assert!(line.starts_with("GET /networks/aaaa"), "{line}");
    // It hangs up, and is not called back, although a container joined while it was there.
    call("NetworkDriver.Join", json!({}));
    drop(events);
    let mut calls = 0;
    stands_still("no further question", Duration::from_millis(1500), || {
        calls += u32::from(connected().is_some());
        calls
    });
    assert_eq!(calls, 0);
    call("NetworkDriver.DeleteEndpoint", json!({}));
    call("NetworkDriver.DeleteNetwork", json!({}));
}
