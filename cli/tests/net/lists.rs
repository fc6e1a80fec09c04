//! What the lists show, leave out, and how they look on a terminal; and what is pruned.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{self, Daemon, refuse, stderr, stdout};

fn network(name: &str, id: &str, labels: &Value) -> Value {
    json!({
        "Name": name, "Id": id.repeat(32), "Created": "2026-11-20T12:00:00Z", "Scope": "local", "Driver": "bridge",
        "EnableIPv6": false, "IPAM": {"Driver": "default", "Options": null, "Config": []}, "Internal": false,
        "Attachable": false, "Ingress": false, "ConfigFrom": {"Network": ""}, "ConfigOnly": false, "Containers": {},
        "Options": {}, "Labels": labels,
    })
}

/// Networks `bridge`, `blue`, `red` and `busy`; the containers `web`, which runs, and `old`, which ended.
fn daemon() -> Daemon {
    Daemon::with_files(|files| {
        move |line: &str, _: &Value| match line {
            "GET /networks" => (
                200,
                json!([
                    network("bridge", "c8", &json!({})),
                    network("red", "a1", &json!({"ci": "1", "team": "red"})),
                    network("blue", "b2", &json!({"ci": "2"})),
                    network("busy", "d4", &json!({"ci": "3"})),
                ]),
            ),
            "GET /containers" => {
                let mut web = support::container("web", &files);
                web["command"] = json!(["busybox", "httpd", "-f", "-p", "80", "-h", "/run/www"]);
                web["labels"] = json!({"team": "red"});
                let mut old = support::container("old", &files);
                old["state"] = json!("exited");
                old["ended"] = json!("2026-11-20T12:00:00Z");
                old["exit_code"] = json!(3);
                (200, json!([web, old]))
            }
            "POST /containers/prune" => (
                200,
                json!({"containers": ["old"], "failures": ["odd: it is stuck"]}),
            ),
            line if line == format!("DELETE /networks/{}", "d4".repeat(32)) => {
                refuse(409, "network_in_use", "network busy is in use by web")
            }
            line if line.starts_with("DELETE /networks/") => (204, Value::Null),
            line => refuse(404, "no_such_path", line),
        }
    })
}

fn names(daemon: &Daemon, arguments: &str) -> Vec<String> {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let output = daemon.run(&words);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    stdout(&output).lines().map(str::to_owned).collect()
}

#[test]
fn ls_leaves_what_fits_the_filters() {
    let daemon = daemon();
    let ls = |filters: &str| names(&daemon, &format!("ls --format {{{{.Name}}}} {filters}"));
    assert_eq!(ls("-f type=custom"), ["blue", "busy", "red"]);
    assert_eq!(ls("--filter label=ci=1 -f driver=bridge"), ["red"]);
    assert_eq!(ls("-f name=blue -f name=busy"), ["blue", "busy"]);
    let wrong = daemon.run(&["ls", "-f", "drivr=bridge"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        stderr(&wrong).contains("unknown key \"drivr\", did you mean \"driver\"?"),
        "{}",
        stderr(&wrong)
    );
}

#[test]
fn ps_leaves_what_fits_the_filters_and_prints_templates() {
    let daemon = daemon();
    let ps = |words: &str| names(&daemon, &format!("ps --format {{{{.Names}}}} {words}"));
    assert_eq!(ps(""), ["web"]);
    assert_eq!(ps("-a"), ["old", "web"]);
    assert_eq!(ps("-f status=exited"), ["old"], "as in Docker, without -a");
    assert_eq!(ps("-a -f label=team=red"), ["web"]);
    let table = stdout(&daemon.run(&["ps", "--format", r"table {{.Names}}\t{{.State}}"]));
    assert_eq!(table, "NAMES     STATE\nweb       running\n");
    let object: Value =
        serde_json::from_str(&stdout(&daemon.run(&["ps", "--format", "{{json .}}"]))).unwrap();
    assert_eq!(object["Labels"], "team=red");
    assert_eq!(object["ID"], "f9f9f9f9f9f9");
    let whole = daemon.run(&[
        "ls",
        "--no-trunc",
        "--format",
        "{{.ID}} {{.Labels}}",
        "-f",
        "name=red",
    ]);
    assert_eq!(
        stdout(&whole),
        format!("{} ci=1,team=red\n", "a1".repeat(32))
    );
}

#[test]
fn prune_takes_what_fits_and_passes_over_what_came_into_use() {
    let daemon = daemon();
    let output = daemon.run(&[
        "prune",
        "-f",
        "--filter",
        "label=ci",
        "--filter",
        "label!=ci=2",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), "Deleted Networks:\nred\n");
    let asked = daemon.requests();
    let removed = asked
        .iter()
        .filter(|asked| asked.line.starts_with("DELETE"));
    assert_eq!(removed.count(), 2, "not the built-in one, and not blue");
    let output = daemon.run(&["prune", "-f", "--filter", "until=2000-01-01T00:00:00Z"]);
    assert_eq!((stdout(&output), stderr(&output)), Default::default());
}

#[test]
fn prune_forgets_containers_that_ended() {
    let daemon = daemon();
    let output = daemon.run(&["prune", "-f", "--containers"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "Deleted Containers:\nold\n");
    assert_eq!(stderr(&output), "net: odd: it is stuck\n");
    let both = daemon.run(&["prune", "--containers", "--filter", "label=x"]);
    assert_eq!(both.status.code(), Some(2));
}

/// What `net` prints on a terminal of that many columns.
fn on_a_terminal(daemon: &Daemon, line: &str, columns: &str, variables: &[(&str, &str)]) -> String {
    let line = format!("{} {line}", env!("CARGO_BIN_EXE_net"));
    let output = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env("NETD_HOST", daemon.socket())
        .env("TERM", "xterm")
        .env("COLUMNS", columns)
        .env_remove("NO_COLOR")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    stdout(&output).replace('\r', "")
}

#[test]
fn what_takes_long_is_told_on_a_terminal() {
    let slow = |line: &str, _: &Value| {
        if line.starts_with("DELETE /networks/slow") {
            // Longer than what is passed over in silence.
            std::thread::sleep(std::time::Duration::from_millis(1500));
        }
        (204, Value::Null)
    };
    let daemon = Daemon::new(slow);
    let shown = on_a_terminal(&daemon, "rm quick slow", "80", &[]);
    assert!(shown.contains("removing slow, 1"), "{shown:?}");
    assert!(!shown.contains("removing quick"), "{shown:?}");
    // What it says goes away; what was done stays.
    assert!(shown.trim_end().ends_with("slow"), "{shown:?}");
    assert_eq!(stderr(&daemon.run(&["rm", "slow"])), "");
}

#[test]
fn a_terminal_gets_what_fits_it_and_colours() {
    let daemon = daemon();
    let plain = [("NO_COLOR", "1")];
    let narrow = on_a_terminal(&daemon, "ps -a", "75", &plain);
    assert!(
        narrow.lines().all(|line| line.chars().count() <= 75)
            && narrow.contains("Exited (3) ")
            && narrow.contains(" ago")
            && !narrow.contains("COMMAND"),
        "{narrow}"
    );
    let narrower = on_a_terminal(&daemon, "ps -a", "40", &plain);
    assert!(
        narrower.lines().all(|line| line.chars().count() <= 40) && narrower.contains('…'),
        "{narrower}"
    );
    let whole = on_a_terminal(&daemon, "ps -a --no-trunc", "75", &plain);
    assert!(whole.contains("-h /run/www\""), "{whole}");
    assert!(!whole.contains('\u{1b}'), "{whole}");
    let coloured = on_a_terminal(&daemon, "ps -a", "200", &[]);
    assert!(
        coloured.contains("\u{1b}[32mUp ") && coloured.contains("\u{1b}[31mExited (3)"),
        "{coloured}"
    );
    let lines: Vec<&str> = coloured.lines().collect();
    // The colour takes no place: commands stand below their title.
    let at = lines[0].find("COMMAND").unwrap();
    let bare = lines[2].replace("\u{1b}[32m", "").replace("\u{1b}[0m", "");
    assert_eq!(bare.find("\"busybox"), Some(at), "{coloured}");
    let refused = on_a_terminal(&daemon, "inspect nope", "80", &[]);
    assert!(refused.contains("\u{1b}[31mnet:\u{1b}[0m"), "{refused}");
    assert!(!stdout(&daemon.run(&["ps", "-a"])).contains('\u{1b}'));
}

#[test]
fn inspect_prefers_a_name_to_the_beginning_of_another_id() {
    let daemon = Daemon::with_files(|files| {
        move |line: &str, _: &Value| match line.rsplit_once('/') {
            // The id of network blue begins with the name of a container.
            Some(("GET /networks", "b2")) => (200, network("blue", "b2", &json!({}))),
            Some(("GET /networks", "db")) => refuse(409, "ambiguous", "db fits several"),
            Some(("GET /networks", _)) => refuse(404, "network_not_found", "no network"),
            Some(("GET /containers", name @ ("b2" | "db"))) => {
                (200, support::container(name, &files))
            }
            Some(("GET /containers", "c1")) => (200, support::container("web", &files)),
            Some(("GET /containers", _)) => refuse(404, "container_not_found", "no container"),
            _ => refuse(404, "no_such_path", line),
        }
    });
    let names = |word: &str| {
        let output = daemon.run(&["inspect", word]);
        let found: Value = serde_json::from_str(&stdout(&output)).unwrap();
        found[0]["name"].as_str().map(str::to_owned)
    };
    assert_eq!(names("b2").as_deref(), Some("b2"));
    assert_eq!(names("db").as_deref(), Some("db"));
    assert_eq!(names("c1").as_deref(), Some("web"), "by its id");
    let nobody = daemon.run(&["inspect", "nobody"]);
    assert_eq!(stderr(&nobody), "net: no network\n");
}
