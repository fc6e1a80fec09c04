//! The native interface as programs use it: the client crate, and the description that the daemon serves.

use netns_tests::host::SOCKET;
use netns_tests::lab::HOST;
use netns_tests::{Lab, OrFail, eventually, programs};
use serde_json::Value;

#[test]
fn client_a_runtime_hands_a_process_over_in_a_few_lines() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "app"]).ok();
    lab.h1.idle("neighbour", "app", &[]);
    lab.h1
        .write("/run/lab/www/index.html", "hello from a guest\n");
    let server = [
        "unshare",
        "-n",
        "busybox",
        "httpd",
        "-f",
        "-p",
        "80",
        "-h",
        "/run/lab/www",
    ];
    let server = lab.h1.spawn(&server, &[], "/run/lab/server.log");
    let pid = server.pid.to_string();
    eventually("a namespace of its own", || {
        let listening = lab.h1.exec(&["nsenter", "-t", &pid, "-n", "ss", "-Htln"]);
        let links = lab.h1.exec(&["nsenter", "-t", &pid, "-n", "ip", "link"]);
        let own = links.is_ok() && !links.stdout.contains("eth0");
        (own && listening.stdout.contains(":80")).then_some(())
    });
    let example = programs::built("examples/join").display().to_string();
    let join = |words: &[&str]| {
        let daemon = format!("NETD_HOST={SOCKET}");
        let mut argv = vec!["env", &daemon, &example];
        argv.extend(words);
        lab.h1.exec(&argv)
    };
    let _ = join(&[&pid, "nowhere"]).fails(1).names(&["nowhere"]);
    let said = join(&[&pid, "app"]).ok();
    let address = lab.h1.address_of("guest", "app");
    assert_eq!(said.text(), format!("guest {address}/16"));
    let outside = lab.outside.get(&format!("http://{HOST}:8080/")).ok();
    assert_eq!(outside.text(), "hello from a guest");
    let ask = netns_tests::oracle::curl("http://guest/");
    assert_eq!(
        lab.h1.in_container("neighbour", &ask).ok().text(),
        "hello from a guest"
    );
    lab.h1.signal("KILL", server.pid);
    eventually("all of it to go with the process", || {
        let gone = !lab.h1.net(&["ps", "-a"]).ok().stdout.contains("guest");
        let ports = lab.h1.exec(&["ss", "-Htln", "sport = :8080"]).ok().stdout;
        (gone && ports.is_empty()).then_some(())
    });
}

/// Every path of the description is served, by the methods that it names, and by none that it does not.
#[test]
fn client_the_description_of_the_interface_is_true() {
    let lab = Lab::new();
    let ask = |method: &str, path: &str| {
        let url = format!("http://netd{path}");
        let argv = [
            "curl",
            "-sS",
            "-X",
            method,
            "--max-time",
            "2",
            "--unix-socket",
            SOCKET,
            &url,
            "-w",
            "\n%{http_code}",
        ];
        let said = lab.h1.exec(&argv).stdout;
        let (body, status) = said.trim_end().rsplit_once('\n').or_fail("a status");
        (body.to_owned(), status.to_owned())
    };
    let (body, status) = ask("GET", "/netd/v1/openapi.json");
    assert_eq!(status, "200", "{body}");
    let description: Value = serde_json::from_str(&body).or_fail("read the description");
    let paths = description["paths"].as_object().or_fail("paths");
    assert!(paths.len() > 20, "{}", paths.len());
    for (path, item) in paths {
        let real: Vec<&str> = path
            .split('/')
            .map(|part| if part.starts_with('{') { "none" } else { part })
            .collect();
        let real = real.join("/");
        for method in ["GET", "POST", "PATCH", "DELETE", "PUT"] {
            // It answers for as long as the daemon runs.
            if real.ends_with("/events") {
                continue;
            }
            let (body, status) = ask(method, &real);
            let named = !item[method.to_lowercase()].is_null();
            assert_eq!(status != "405", named, "{method} {real}: {status} {body}");
            assert!(!body.contains("no_such_path"), "{method} {real}: {body}");
        }
    }
}
