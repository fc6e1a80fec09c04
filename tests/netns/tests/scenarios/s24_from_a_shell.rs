//! S24 and S25: netd from a person's shell.

use netns_tests::host::SOCKET;
use netns_tests::{HostOptions, Lab, eventually, programs};

/// A group number that Debian gives to nobody.
const NETD_GROUP: &str = "64999";

#[test]
fn s24_members_of_the_group_need_no_root() {
    let lab = Lab::without_daemon(HostOptions::default());
    let groups = lab.h1.read("/run/lab/group");
    lab.h1
        .write("/run/lab/group", &format!("{groups}netd:x:{NETD_GROUP}:\n"));
    lab.h1.start();
    let facts = lab.h1.exec(&["stat", "-c", "%a %U %g", SOCKET]).ok();
    assert_eq!(facts.text(), format!("660 root {NETD_GROUP}"));
    let net = programs::built("net").display().to_string();
    let net_as = |group: &str| {
        let who = [
            "setpriv",
            "--reuid",
            "65534",
            "--regid",
            group,
            "--clear-groups",
            "--",
            &net,
            "-H",
            SOCKET,
            "ls",
        ];
        lab.h1.exec(&who)
    };
    assert!(net_as(NETD_GROUP).ok().stdout.contains("bridge"));
    let refused = net_as("65534").fails(3);
    let _ = refused.names(&[SOCKET, "permission", "group"]);
}

#[test]
fn s24_without_that_group_the_socket_is_roots() {
    let lab = Lab::new();
    let facts = lab.h1.exec(&["stat", "-c", "%a %U", SOCKET]).ok();
    assert_eq!(facts.text(), "660 root");
}

#[test]
fn s24_a_daemon_that_does_not_run_is_a_clear_error() {
    let lab = Lab::without_daemon(HostOptions::default());
    let _ = lab
        .h1
        .net(&["ls"])
        .fails(3)
        .names(&[SOCKET, "running", "start"]);
    lab.h1.start();
    lab.h1.kill();
    // The socket's file is still there, nobody behind it.
    let _ = lab.h1.net(&["ls"]).fails(3).names(&[SOCKET]);
    lab.h1.start();
    let _ = lab.h1.net(&["ls"]).ok();
}

#[test]
fn s24_the_daemon_is_chosen_by_variable_or_flag() {
    let lab = Lab::new();
    let net = programs::built("net").display().to_string();
    let _ = lab
        .h1
        .exec_with(
            &[&net, "version"],
            &[("NETD_HOST", "/run/absent.sock")],
            b"",
        )
        .fails(3)
        .names(&["/run/absent.sock"]);
    let url = format!("unix://{SOCKET}");
    let _ = lab
        .h1
        .exec_with(&[&net, "ls"], &[("NETD_HOST", &url)], b"")
        .ok();
    let _ = lab
        .h1
        .exec_with(
            &[&net, "-H", SOCKET, "ls"],
            &[("NETD_HOST", "/run/absent.sock")],
            b"",
        )
        .ok();
}

#[test]
fn s24_sigterm_ends_the_daemon_cleanly_and_leaves_the_dataplane() {
    let lab = Lab::new();
    lab.h1.web("c", 80, &["-p", "8080:80"]);
    let rules = lab.h1.all_rules();
    let links = lab.h1.link_names();
    assert_eq!(lab.h1.terminate(), 0);
    assert!(!lab.h1.path(SOCKET).exists());
    assert_eq!(lab.h1.all_rules(), rules);
    assert_eq!(lab.h1.link_names(), links);
    assert_eq!(lab.outside.get("http://198.18.0.1:8080/").ok().text(), "c");
}

#[test]
fn s25_connections_are_counted_without_a_tool_inside() {
    let lab = Lab::new();
    lab.h1.run_detached(
        &["--name", "c", "-p", "7000:7000"],
        &["socat", "TCP-LISTEN:7000,fork", "EXEC:cat"],
    );
    lab.h1.listening("c", "-t", "7000");
    let _clients: Vec<_> = (0..3)
        .map(|_| {
            lab.outside.spawn(
                &["socat", "TCP:198.18.0.1:7000", "EXEC:sleep 60"],
                &[],
                "/run/lab/clients.log",
            )
        })
        .collect();
    eventually("three connections", || {
        let ran = lab
            .h1
            .in_container("c", &["ss", "-H", "-tn", "state", "established"])
            .ok();
        (ran.stdout.lines().count() == 3).then_some(())
    });
}

#[test]
fn s25_exec_passes_input_output_and_exit_status_through() {
    let lab = Lab::new();
    lab.h1.idle("c", "bridge", &[]);
    assert_eq!(lab.h1.in_container("c", &["sh", "-c", "exit 42"]).code, 42);
    assert_eq!(
        lab.h1.in_container("c", &["sh", "-c", "kill -9 $$"]).code,
        137
    );
    assert_eq!(lab.h1.in_container("c", &["no-such-program"]).code, 127);
    assert_eq!(
        lab.h1
            .net(&["run", "--rm", "--", "sh", "-c", "exit 7"])
            .code,
        7
    );
    assert_eq!(
        lab.h1.net(&["run", "--rm", "--", "no-such-program"]).code,
        127
    );
    assert_ne!(lab.h1.in_container("absent", &["true"]).code, 0);
    let net = programs::built("net").display().to_string();
    let line = [net.as_str(), "-H", SOCKET, "exec", "c", "--", "rev"];
    assert_eq!(lab.h1.exec_with(&line, &[], b"daer\n").ok().text(), "read");
}

#[test]
fn programs_get_json_templates_and_events() {
    let lab = Lab::new();
    let net = programs::built("net").display().to_string();
    let listener = [net.as_str(), "-H", SOCKET, "events", "--json"];
    let _listener = lab.h1.spawn(&listener, &[], "/run/lab/events");
    let mut number = 0;
    eventually("the listener to hear", || {
        number += 1;
        let _ = lab.h1.net(&["create", &format!("n{number}")]).ok();
        (!lab.h1.read("/run/lab/events").is_empty()).then_some(())
    });
    let _ = lab.h1.net(&["create", "--label", "team=red", "app"]).ok();
    lab.h1.idle("c", "app", &[]);
    let heard = |kind: &str, action: &str, name: &str| {
        let text = lab.h1.read("/run/lab/events");
        let mut lines = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.any(|one| one["kind"] == kind && one["action"] == action && one["name"] == name)
    };
    eventually("both events", || {
        (heard("network", "create", "app") && heard("container", "start", "c")).then_some(())
    });
    let all = lab.h1.net(&["ls", "--json"]).ok().json();
    assert!(
        all.as_array()
            .unwrap()
            .iter()
            .any(|one| one["Name"] == "app")
    );
    let lines = lab
        .h1
        .net(&["ls", "--format", "{{.Name}}/{{.Driver}}"])
        .ok();
    assert!(
        lines.stdout.lines().any(|line| line == "app/bridge"),
        "{lines}"
    );
    let label = lab
        .h1
        .net(&["inspect", "--format", "{{index .Labels \"team\"}}", "app"])
        .ok();
    assert_eq!(label.text(), "red");
    let version = lab.h1.net(&["version", "--json"]).ok().json();
    assert!(!version["client"].is_null(), "{version}");
    assert!(
        lab.h1
            .net(&["completions", "bash"])
            .ok()
            .stdout
            .contains("complete")
    );
}

#[test]
fn s24_what_ended_is_remembered_by_its_name_only_and_forgotten_on_request() {
    let lab = Lab::new();
    lab.h1.net(&["run", "--", "true"]).ok();
    assert_eq!(lab.h1.net(&["ps", "-a", "-q"]).ok().text(), "");
    lab.h1.net(&["run", "--name", "job", "--", "true"]).ok();
    let ended = lab
        .h1
        .net(&["ps", "-f", "status=exited", "--format", "{{.Names}}"])
        .ok();
    assert_eq!(ended.text(), "job");
    let told = lab.h1.net(&["prune", "-f", "--containers"]).ok();
    assert_eq!(told.stdout, "Deleted Containers:\njob\n");
    assert_eq!(lab.h1.net(&["ps", "-a", "-q"]).ok().text(), "");
}
