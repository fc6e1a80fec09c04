//! Requests of Docker's interface, compared one by one with what real engines answer; and what no client sends.

use netns_tests::host::SOCKET;
use netns_tests::raw_http::Answer;
use netns_tests::{Lab, OrFail};

/// The requests with what they get.
const TABLE: &str = include_str!("../tables/docker_requests.txt");

fn send(lab: &Lab, bytes: &[u8]) -> Answer {
    lab.h1.raw_http(SOCKET, bytes)
}

fn ask(lab: &Lab, method: &str, path: &str, body: &str) -> Answer {
    let kind = match body {
        "" => "",
        _ => "Content-Type: application/json\r\n",
    };
    ask_with(lab, (method, path), kind, body)
}

fn ask_with(lab: &Lab, (method, path): (&str, &str), headers: &str, body: &str) -> Answer {
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    );
    send(lab, text.as_bytes())
}

/// A path with the id of each network whose name stands in braces.
fn with_ids(lab: &Lab, path: &str) -> String {
    match path
        .split_once('{')
        .and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    {
        Some((before, (name, after))) => {
            let id = lab.h1.inspect(name)["Id"].as_str().or_fail("id").to_owned();
            format!("{before}{}{after}", &id[..12])
        }
        None => path.to_owned(),
    }
}

#[test]
fn each_request_gets_the_status_and_the_sentence_of_docker() {
    let lab = Lab::new();
    let mut wrong = Vec::new();
    let mut asked = 0;
    for line in TABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if let Some(line) = line.strip_prefix("$ ") {
            let words: Vec<&str> = line.split_whitespace().collect();
            let _ = lab.h1.net(&words).ok();
            continue;
        }
        let (request, text) = line.split_once(" => ").unwrap_or((line, ""));
        let mut words = request.splitn(4, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (status, method, path, body) = (word(), word(), word(), word());
        let answer = ask(&lab, method, &with_ids(&lab, path), body);
        asked += 1;
        if answer.status.to_string() != status || !answer.body.contains(text) {
            wrong.push(format!(
                "{line}\n     got {} {}",
                answer.status, answer.body
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {asked} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(asked > 100, "{asked}");
    assert_eq!(lab.h1.status()["problems"], serde_json::json!([]));
}

#[test]
fn every_version_is_answered_as_it_was_then() {
    let lab = Lab::new();
    for version in ["1.12", "1.21", "1.24", "1.30", "1.41", "1.44", "1.51"] {
        let answer = ask(&lab, "GET", &format!("/v{version}/networks"), "");
        assert_eq!(answer.status, 200, "{version}: {}", answer.body);
        let answer = ask(&lab, "GET", &format!("/v{version}/networks/absent"), "");
        let is_plain = ["1.12", "1.21"].contains(&version);
        let wanted = match is_plain {
            true => "network absent not found\n",
            false => r#"{"message":"network absent not found"}"#,
        };
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (404, wanted),
            "{version}"
        );
        assert_eq!(
            answer.head.contains("text/plain"),
            is_plain,
            "{}",
            answer.head
        );
    }
    for (version, says) in [
        (
            "1.11",
            "client version 1.11 is too old. Minimum supported API version is 1.12, please upgrade your client to a newer version",
        ),
        (
            "1.99",
            "client version 1.99 is too new. Maximum supported API version is 1.51",
        ),
        ("2.0", "client version 2.0 is too new"),
    ] {
        let answer = ask(&lab, "GET", &format!("/v{version}/_ping"), "");
        assert!(
            answer.status == 400 && answer.body.contains(says),
            "{}",
            answer.body
        );
    }
    // Members were listed with their network once.
    lab.h1.idle("web", "bridge", &[]);
    assert!(
        ask(&lab, "GET", "/v1.24/networks", "")
            .body
            .contains("\"Name\":\"web\"")
    );
    assert!(
        !ask(&lab, "GET", "/v1.41/networks", "")
            .body
            .contains("\"Name\":\"web\"")
    );
}

#[test]
fn a_ping_says_which_versions_there_are() {
    let lab = Lab::new();
    for (method, path, body) in [
        ("GET", "/_ping", "OK"),
        ("HEAD", "/_ping", ""),
        ("GET", "/v1.24/_ping", "OK"),
    ] {
        let answer = ask(&lab, method, path, "");
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, body),
            "{method} {path}"
        );
        for header in [
            "api-version: 1.51",
            "ostype: linux",
            "docker-experimental: false",
        ] {
            assert!(answer.head.contains(header), "{header}: {}", answer.head);
        }
    }
    let answer = ask(&lab, "GET", "/version", "");
    let said: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        (&said["ApiVersion"], &said["MinAPIVersion"]),
        (&"1.51".into(), &"1.12".into())
    );
    // The native interface is where it was, and refuses in its own form.
    let answer = ask(&lab, "GET", "/netd/v2/networks", "");
    assert!(
        answer.status == 404 && answer.body.contains("\"code\":\"no_such_path\""),
        "{}",
        answer.body
    );
    assert_eq!(ask(&lab, "GET", "/netd/v1/version", "").status, 200);
}

#[test]
fn what_no_client_sends_is_refused_and_leaves_nothing() {
    let lab = Lab::new();
    let rules = lab.h1.all_rules();
    let links = lab.h1.link_names();
    for path in [
        "/",
        "//networks",
        "/networks//",
        "/networks/../networks/bridge",
        "/networks/%2e%2e",
        "/networks/..%2f..%2fetc%2fpasswd",
        "/networks/%00",
        "/v1.41",
        "/v1.41networks",
        "/v/networks",
        "/v1.x/networks",
        "/vv1.41/networks",
        "/netd",
        "/containers/..%2f/json",
        "/images/json",
    ] {
        let answer = ask(&lab, "GET", path, "");
        assert_eq!(answer.status, 404, "{path}: {}", answer.body);
        assert!(
            answer.body.starts_with("{\"message\":"),
            "{path}: {}",
            answer.body
        );
    }
    assert_eq!(ask(&lab, "GET", "/networks/%ff", "").status, 400);
    for (method, path) in [
        ("PUT", "/networks"),
        ("DELETE", "/_ping"),
        ("POST", "/events"),
    ] {
        let answer = ask(&lab, method, path, "");
        assert!(
            answer.status == 404 && answer.body.contains("page not found"),
            "{path}"
        );
    }
    let body = r#"{"Name": "app"}"#;
    for kind in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: \u{ff}\r\n",
    ] {
        let answer = ask_with(&lab, ("POST", "/networks/create"), kind, body);
        let says = "must be 'application/json'";
        assert!(
            answer.status == 400 && answer.body.contains(says),
            "{kind}: {}",
            answer.body
        );
    }
    let charset = "Content-Type: application/json; charset=utf-8\r\n";
    let answer = ask_with(&lab, ("POST", "/networks/create"), charset, "");
    assert!(
        answer.status == 400 && answer.body.contains("invalid JSON"),
        "{}",
        answer.body
    );
    let deep = format!("{{\"Name\": \"app\", \"Labels\": {}", "[".repeat(100_000));
    assert_eq!(ask(&lab, "POST", "/networks/create", &deep).status, 400);
    let large = format!(
        "{{\"Name\": \"app\", \"Labels\": {{\"a\": \"{}\"}}}}",
        "x".repeat(9 << 20)
    );
    let answer = ask(&lab, "POST", "/networks/create", &large);
    assert!(
        answer.status == 413 && answer.body.contains("more than"),
        "{}",
        answer.body
    );
    let pattern = "(((a{999}){999}){999})"
        .replace('{', "%7B")
        .replace('}', "%7D");
    let answer = ask(
        &lab,
        "GET",
        &format!("/networks?filters=%7B%22name%22%3A%5B%22{pattern}%22%5D%7D"),
        "",
    );
    assert_eq!((answer.status, answer.body.as_str()), (200, "[]"));
    assert!(lab.h1.daemon_runs());
    assert_eq!(lab.h1.net(&["ls", "-q"]).ok().stdout.lines().count(), 3);
    assert_eq!(lab.h1.all_rules(), rules);
    assert_eq!(lab.h1.link_names(), links);
    assert_eq!(lab.h1.status()["problems"], serde_json::json!([]));
}

#[test]
fn a_connection_that_is_refused_leaves_the_container_as_it_was() {
    let lab = Lab::new();
    let _ = lab
        .h1
        .net(&["create", "--subnet", "10.7.0.0/24", "app"])
        .ok();
    lab.h1.idle("web", "bridge", &[]);
    let inside = || {
        lab.h1
            .in_container("web", &["ip", "-o", "address"])
            .ok()
            .stdout
    };
    let before = inside();
    for config in [
        r#"{"IPAMConfig": {"IPv4Address": "10.7.0.1"}}"#,
        r#"{"IPAMConfig": {"IPv4Address": "10.8.0.1"}}"#,
        r#"{"IPAMConfig": {"IPv4Address": "0x0a070009"}}"#,
        r#"{"Aliases": ["a b"]}"#,
        r#"{"MacAddress": "ff:ff:ff:ff:ff:ff"}"#,
        r#"{"DriverOpts": {"com.docker.network.endpoint.nosuch": "1"}}"#,
        r#"{"DriverOpts": {"com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.nosuch=1"}}"#,
        r#"{"IPAMConfig": {"LinkLocalIPs": ["10.7.0.9"]}}"#,
    ] {
        let body = format!(r#"{{"Container": "web", "EndpointConfig": {config}}}"#);
        let answer = ask(&lab, "POST", "/networks/app/connect", &body);
        assert!(
            (400..500).contains(&answer.status),
            "{config}: {} {}",
            answer.status,
            answer.body
        );
        assert_eq!(inside(), before, "{config}");
    }
    assert_eq!(lab.h1.inspect("app")["Containers"], serde_json::json!({}));
    let _ = lab.h1.docker(&["network", "connect", "app", "web"]).ok();
    assert!(inside().contains("inet 10.7.0."));
}
