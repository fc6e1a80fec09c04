//! Requests that no well-behaved client sends: each gets a clear error, the daemon lives, nothing half-made remains.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use netns_tests::host::SOCKET;
use netns_tests::{Lab, OrFail};

/// Sends raw bytes and gives what came back until the daemon hung up.
fn raw(lab: &Lab, bytes: &[u8]) -> String {
    let mut stream = connect(lab, bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends raw bytes and then says that nothing more will come.
fn raw_and_away(lab: &Lab, bytes: &[u8]) {
    let mut stream = connect(lab, bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}

fn connect(lab: &Lab, bytes: &[u8]) -> UnixStream {
    let mut stream = UnixStream::connect(lab.h1.path(SOCKET)).or_fail("connect to netd");
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).or_fail("set a timeout");
    stream.set_write_timeout(patience).or_fail("set a timeout");
    // A daemon that has read enough may hang up in the midst of it.
    let _ = stream.write_all(bytes);
    stream
}

fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /netd/v1{path} HTTP/1.1\r\nHost: netd\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Status code and body of an answer.
fn parts(answer: &str) -> (u32, String) {
    let status = answer
        .split_whitespace()
        .nth(1)
        .and_then(|code| code.parse().ok());
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    (status.unwrap_or(0), body.to_owned())
}

fn refused(lab: &Lab, path: &str, body: &str) -> String {
    let (status, text) = parts(&raw(lab, &post(path, body)));
    assert!(
        (400..500).contains(&status),
        "{status} {text} for {path} {body:.80}"
    );
    assert!(
        text.contains("\"code\"") && text.contains("\"message\""),
        "{text}"
    );
    text
}

fn unharmed(lab: &Lab, before: &[String]) {
    assert!(lab.h1.daemon_runs());
    assert_eq!(lab.h1.net(&["ls"]).ok().stdout.lines().count(), 4);
    assert_eq!(lab.h1.all_rules(), before);
    assert_eq!(
        lab.h1.link_names(),
        ["docker0", "eth0"].map(str::to_owned).into()
    );
    assert_eq!(lab.h1.status()["problems"], serde_json::json!([]));
}

#[test]
fn garbage_and_half_requests() {
    let lab = Lab::new();
    let rules = lab.h1.all_rules();
    for body in [
        "",
        "{",
        "[]",
        "null",
        "\"x\"",
        "{\"name\": 7}",
        "{\"nam\": \"x\"}",
        "{\"name\": \"x\", \"more\": 1}",
        "\u{0}\u{1}",
    ] {
        refused(&lab, "/networks", body);
    }
    let deep = "[".repeat(100_000);
    refused(&lab, "/networks", &deep);
    for bytes in [
        &b"\x00\xff\xfe garbage\r\n\r\n"[..],
        b"GET",
        b"POST /netd/v1/networks HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"name\":",
        b"POST /netd/v1/networks HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /netd/v1/networks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"",
    ] {
        raw_and_away(&lab, bytes);
    }
    for path in [
        "/../../etc/passwd",
        "/nothing",
        "/networks/%00",
        "/networks/..%2f..",
        "/",
    ] {
        let request =
            format!("GET /netd/v1{path} HTTP/1.1\r\nHost: netd\r\nConnection: close\r\n\r\n");
        let (status, _) = parts(&raw(&lab, request.as_bytes()));
        assert!((400..500).contains(&status), "{status} for {path}");
    }
    unharmed(&lab, &rules);
}

#[test]
fn a_body_of_ten_megabytes() {
    let lab = Lab::new();
    let rules = lab.h1.all_rules();
    let body = format!("{{\"name\": \"{}\"}}", "x".repeat(10 << 20));
    let (status, text) = parts(&raw(&lab, &post("/networks", &body)));
    assert!(status == 413 || status == 0, "{status} {text:.200}");
    unharmed(&lab, &rules);
}

#[test]
fn connections_that_say_nothing_do_not_keep_others_out() {
    let lab = Lab::new();
    let idle: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = UnixStream::connect(lab.h1.path(SOCKET)).or_fail("connect to netd");
            let _ = stream.write_all(b"POST /netd/v1/networks HTTP/1.1\r\n");
            stream
        })
        .collect();
    assert!(lab.h1.net(&["ls"]).ok().took < Duration::from_secs(2));
    drop(idle);
    let _ = lab.h1.net(&["ls"]).ok();
}

#[test]
fn names_that_are_none() {
    let lab = Lab::new();
    let rules = lab.h1.all_rules();
    let long = "x".repeat(300);
    for name in [
        "a b",
        "a/b",
        "..",
        ".",
        "",
        "container:x",
        "-x",
        "emoji🙂",
        "a\nb",
        "a\u{0}b",
        &long,
        "\u{202e}abc",
    ] {
        let body = serde_json::json!({ "name": name }).to_string();
        let text = refused(&lab, "/networks", &body);
        assert!(text.contains("name"), "{text}");
        let body =
            serde_json::json!({ "name": name, "network": "none", "netns": {"pid": 1} }).to_string();
        refused(&lab, "/containers", &body);
    }
    for name in ["a b", "a/b", "..", "🙂", &long] {
        let ran = lab.h1.net(&["create", name]);
        assert!(matches!(ran.code, 1 | 2) && !ran.stderr.is_empty(), "{ran}");
    }
    unharmed(&lab, &rules);
}

#[test]
fn namespaces_that_are_none() {
    let lab = Lab::new();
    let rules = lab.h1.all_rules();
    let own = lab.h1.daemon_pid();
    for netns in [
        serde_json::json!({"pid": 0}),
        serde_json::json!({"pid": 999_999}),
        serde_json::json!({"pid": u32::MAX}),
        serde_json::json!({"pid": own, "fd": 0}),
        serde_json::json!({"pid": own, "fd": 99_999}),
        // The host's own: that is what the network "host" is for.
        serde_json::json!({"pid": own}),
    ] {
        let body =
            serde_json::json!({"name": "x", "network": "bridge", "netns": netns}).to_string();
        let text = refused(&lab, "/containers", &body);
        assert!(text.contains("namespace"), "{text}");
    }
    let file = lab.h1.net(&["connect", "bridge", "/etc/passwd"]);
    assert!(
        !file.is_ok() && file.stderr.contains("/etc/passwd"),
        "{file}"
    );
    let _ = lab
        .h1
        .net(&["connect", "bridge", "/run/netns/absent"])
        .fails(1)
        .names(&["/run/netns/absent"]);
    let _ = lab
        .h1
        .net(&["connect", "bridge", "pid:999999"])
        .fails(1)
        .names(&["999999"]);
    let _ = lab
        .h1
        .net(&["connect", "absent", "pid:1"])
        .fails(1)
        .names(&["absent"]);
    unharmed(&lab, &rules);
}

#[test]
fn a_process_that_dies_meanwhile_leaves_nothing() {
    let lab = Lab::new();
    let rules = lab.h1.all_rules();
    let net = netns_tests::programs::built("net").display().to_string();
    let environment = [("NET", net.as_str()), ("NETD_HOST", SOCKET)];
    // Namespaces that end at about the time at which they are connected: sooner, meanwhile, later.
    let script = "for i in $(seq 40); do unshare -n sleep 0.0$((i % 8)) & p=$!; \
                  \"$NET\" connect --name gone$i bridge pid:$p >/dev/null 2>&1; wait $p; done";
    let _ = lab
        .h1
        .exec_with(&["sh", "-c", script], &environment, b"")
        .ok();
    netns_tests::eventually("everything of them to be gone", || {
        let empty = lab.h1.inspect("bridge")["Containers"]
            .as_object()?
            .is_empty();
        let links = lab.h1.link_names() == ["docker0", "eth0"].map(str::to_owned).into();
        (empty && links).then_some(())
    });
    unharmed(&lab, &rules);
}

#[test]
fn connections_that_say_nothing_keep_nobody_out() {
    let lab = Lab::new();
    let silent: Vec<_> = (0..700).map(|_| connect(&lab, b"G")).collect();
    let begin = std::time::Instant::now();
    let _ = lab.h1.net(&["ls"]).ok();
    assert!(begin.elapsed() < Duration::from_secs(5), "{begin:?}");
    drop(silent);
}

#[test]
fn who_listens_to_events_keeps_nobody_out_whether_there_or_gone() {
    let lab = Lab::new();
    for path in ["/events", "/netd/v1/events"] {
        let ask = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        let listening: Vec<_> = (0..600).map(|_| connect(&lab, ask.as_bytes())).collect();
        assert!(lab.h1.net(&["ls"]).ok().took < Duration::from_secs(5));
        // The daemon has told them nothing since.
        drop(listening);
        assert!(lab.h1.net(&["ls"]).ok().took < Duration::from_secs(5));
    }
}

#[test]
fn no_word_of_a_request_makes_a_line_in_resolv_conf() {
    let lab = Lab::new();
    for flag in ["--dns-search", "--dns-opt"] {
        let word = "a\nnameserver 192.0.2.6";
        let ran = lab
            .h1
            .net(&["run", flag, word, "--", "cat", "/etc/resolv.conf"])
            .fails(125);
        assert!(
            ran.stdout.is_empty() && ran.stderr.contains("cannot be a"),
            "{ran}"
        );
    }
    assert_eq!(lab.h1.net(&["ps", "-a", "-q"]).ok().text(), "");
}

#[test]
fn a_path_that_is_no_text_and_a_body_that_is_no_object_are_refused_in_json() {
    let lab = Lab::new();
    let answer = raw(
        &lab,
        b"GET /netd/v1/networks/%ff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    let (status, body) = parts(&answer);
    assert!(
        status == 400 && body.contains("invalid_request"),
        "{answer}"
    );
    for body in ["", "[]", "null", "[\"app\", \"bridge\"]"] {
        let said = refused(&lab, "/networks", body);
        assert!(said.contains("JSON object"), "{said}");
    }
}

#[test]
fn ports_are_not_published_where_nothing_leads_to_them() {
    let lab = Lab::new();
    let ran = lab
        .h1
        .net(&["run", "-p", "[::1]:80:80", "--", "true"])
        .fails(125);
    let _ = ran.names(&["::1", "no IPv6 address on network bridge"]);
    for mode in ["host", "none"] {
        let ran = lab
            .h1
            .net(&["run", "--network", mode, "-p", "80:80", "--", "true"])
            .ok();
        assert!(ran.stderr.contains("warning"), "{ran}");
    }
}

#[test]
fn a_namespace_is_known_by_whatever_stands_for_it() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "one"]).ok();
    let _ = lab.h1.net(&["create", "two"]).ok();
    let _ = lab
        .h1
        .sh("ip netns add blue && touch /run/netns/also && mount --bind /run/netns/blue /run/netns/also && mkfifo /run/pipe")
        .ok();
    let _ = lab.h1.net(&["connect", "one", "blue"]).ok();
    let _ = lab.h1.net(&["connect", "two", "/run/netns/also"]).ok();
    let _ = lab.h1.net(&["disconnect", "one", "also"]).ok();
    let shown = lab.h1.net(&["ps"]).ok().stdout;
    assert!(shown.contains("two") && !shown.contains("one"), "{shown}");
    for wrong in ["/run/pipe", "/etc", "/dev/null", "/etc/passwd"] {
        let ran = lab.h1.net(&["connect", "one", wrong]);
        let _ = ran.fails(1).names(&[wrong, "no network namespace"]);
    }
}

#[test]
fn a_command_s_control_characters_stay_out_of_tables() {
    let lab = Lab::new();
    let command = "sleep 100 #\u{1b}]0;x\u{7}\nNAME";
    let _ = lab
        .h1
        .run_detached(&["--name", "evil"], &["sh", "-c", command])
        .ok();
    let shown = lab.h1.net(&["ps", "--no-trunc"]).ok().stdout;
    assert_eq!(shown.lines().count(), 2, "{shown:?}");
    assert!(
        !shown.contains('\u{1b}') && shown.contains("\\u{1b}"),
        "{shown:?}"
    );
}
