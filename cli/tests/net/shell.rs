//! What surrounds the verbs: completion in a real shell, advice on typing errors, manual pages.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{self, Daemon, refuse, stderr, stdout};

/// A person does not notice less.
const QUICK: Duration = Duration::from_secs(2);

fn daemon() -> Daemon {
    Daemon::with_files(|files| {
        move |line: &str, _: &Value| match line {
            "GET /networks" => {
                let network = |name: &str| {
                    json!({
                        "Name": name, "Id": "a1".repeat(32), "Created": "2026-11-20T12:00:00Z", "Scope": "local",
                        "Driver": "bridge", "EnableIPv6": false,
                        "IPAM": {"Driver": "default", "Options": null, "Config": []}, "Internal": false,
                        "Attachable": false, "Ingress": false, "ConfigFrom": {"Network": ""}, "ConfigOnly": false,
                        "Containers": {}, "Options": {}, "Labels": {},
                    })
                };
                (
                    200,
                    json!([network("bridge"), network("lab"), network("land")]),
                )
            }
            "GET /containers" => (200, json!([support::container("web", &files)])),
            line => refuse(404, "no_such_path", line),
        }
    })
}

/// What bash offers at the end of `line`.
fn offered(daemon: &Daemon, line: &str) -> Vec<String> {
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_net"));
    let path = format!("{}:/usr/bin:/bin", binary.parent().unwrap().display());
    // Splits the line and calls the function as readline does (bash(1), Programmable Completion).
    let script = r#"
        source <(net completions bash) || exit 1
        read -ra COMP_WORDS <<< "$1"
        [[ $1 == *' ' ]] && COMP_WORDS+=('')
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_TYPE=9
        function=$(complete -p net | sed 's/.*-F \([^ ]*\).*/\1/')
        "$function" net "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let output = Command::new("bash")
        .args(["--norc", "-c", script, "bash", line])
        .env("PATH", path)
        .env("NETD_HOST", daemon.socket())
        .output()
        .unwrap();
    assert_eq!(stderr(&output), "", "{line}");
    let lines = stdout(&output);
    let lines = lines
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

#[test]
fn bash_completes_verbs_flags_and_names() {
    let daemon = daemon();
    assert_eq!(offered(&daemon, "net unp"), ["unpublish"]);
    assert_eq!(offered(&daemon, "net ls --no"), ["--no-trunc"]);
    assert_eq!(offered(&daemon, "net rm la"), ["lab", "land"]);
    assert_eq!(
        offered(&daemon, "net rm lab b"),
        [""; 0],
        "bridge cannot be removed"
    );
    assert_eq!(offered(&daemon, "net stop w"), ["web"]);
    assert_eq!(offered(&daemon, "net connect lab w"), ["web"]);
    assert_eq!(offered(&daemon, "net connect b"), ["bridge"]);
    assert_eq!(offered(&daemon, "net run --network co"), ["container:web"]);
    assert_eq!(offered(&daemon, "net inspect l"), ["lab", "land"]);
    let verbs = offered(&daemon, "net ");
    assert!(verbs.contains(&"create".to_owned()), "{verbs:?}");
    assert!(!verbs.contains(&"man".to_owned()), "{verbs:?}");
    let other = support::accepting();
    let line = format!("net -H {} rm la", daemon.socket().display());
    assert_eq!(offered(&other, &line), ["lab", "land"]);
}

#[test]
fn without_a_daemon_completion_is_silent_and_quick() {
    let daemon = daemon();
    daemon.vanish();
    let begin = Instant::now();
    assert_eq!(offered(&daemon, "net rm la"), [""; 0]);
    assert_eq!(offered(&daemon, "net cre"), ["create"]);
    let hanging = std::os::unix::net::UnixListener::bind(daemon.socket()).unwrap();
    assert_eq!(offered(&daemon, "net stop w"), [""; 0]);
    drop(hanging);
    assert!(begin.elapsed() < QUICK, "{:?}", begin.elapsed());
}

#[test]
fn each_shell_gets_a_script_that_asks_net() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(&daemon().run(&["completions", shell]));
        assert!(script.contains("NET_COMPLETE"), "{shell}: {script}");
    }
}

#[test]
fn a_word_that_is_no_verb_gets_the_right_one() {
    let daemon = daemon();
    for (line, advice) in [
        ("lss", "'ls'"),
        ("crate lab", "'create'"),
        ("inspcet lab", "'inspect'"),
        ("conect lab web", "'connect'"),
        ("network ls -q", "without the word network: 'net ls -q'"),
        ("network", "'net ls'"),
        ("logs web", "--log FILE"),
        ("container ls", "'net ps'"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let output = daemon.run(&words);
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(stderr(&output).contains(advice), "{}", stderr(&output));
    }
    let list = daemon.run(&["list", "-q"]);
    assert_eq!(list.status.code(), Some(0), "{}", stderr(&list));
    assert_eq!(daemon.run(&["remove", "x"]).status.code(), Some(1));
    let help = stdout(&daemon.run(&["--help"]));
    assert!(
        !help.contains("remove") && !help.contains("  man"),
        "{help}"
    );
}

#[test]
fn create_takes_what_docker_takes_and_suggests_the_rest() {
    let daemon = Daemon::new(|_, _| (201, json!({"id": "ab".repeat(32), "warnings": []})));
    let line = [
        "create",
        "--driver",
        "bridge",
        "--scope",
        "local",
        "--ipam-driver",
        "default",
        "--attachable",
        "lab",
    ];
    assert_eq!(daemon.run(&line).status.code(), Some(0));
    assert_eq!(daemon.bodies("POST /networks")[0]["attachable"], true);
    for (line, advice) in [
        (
            ["create", "--scope", "swarm", "x"],
            "possible values: local",
        ),
        (["create", "--atachable", "x", "y"], "'--attachable'"),
        (["create", "--gatewy", "10.0.0.1", "x"], "'--gateway'"),
    ] {
        let refused = daemon.run(&line);
        assert_eq!(refused.status.code(), Some(2));
        assert!(stderr(&refused).contains(advice), "{}", stderr(&refused));
    }
    assert_eq!(
        daemon.bodies("POST /networks"),
        [daemon.bodies("POST /networks")[0].clone()]
    );
}

#[test]
fn every_verb_has_a_manual_page() {
    let daemon = Daemon::new(|_, _| (500, Value::Null));
    let pages = daemon.directory.path().join("man");
    let wrote = daemon.run(&["man", "--dir", pages.to_str().unwrap()]);
    assert_eq!(wrote.status.code(), Some(0), "{}", stderr(&wrote));
    let mut names: Vec<String> = std::fs::read_dir(&pages)
        .unwrap()
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.contains(&"net.1".to_owned()) && !names.contains(&"net-man.1".to_owned()));
    for verb in ["create", "ls", "run", "allow", "completions"] {
        assert!(names.contains(&format!("net-{verb}.1")), "{names:?}");
    }
    let page = std::fs::read_to_string(pages.join("net-ls.1")).unwrap();
    assert!(page.contains(".SH EXAMPLES\n.nf\n  net ls\n"), "{page}");
    assert!(page.contains(r"\fB\-\-filter\fR"), "{page}");
    assert!(page.contains("\\fBnet ls\\fR"), "{page}");
}

#[test]
fn a_flag_that_run_has_not_is_no_program_and_is_like_another_only_if_it_resembles_it() {
    let daemon = daemon();
    for (flag, said) in [
        (
            "--netwrok=app",
            "no flag --netwrok; did you mean --network?",
        ),
        ("--memory=1g", "no flag --memory. What belongs"),
        ("-it", "no flag -it. What belongs"),
    ] {
        let output = daemon.run(&["run", flag, "--", "true"]);
        assert_eq!(output.status.code(), Some(2), "{flag}");
        let text = stderr(&output);
        assert!(text.contains(said), "{flag}: {text}");
    }
    assert_eq!(daemon.bodies("POST /containers"), [] as [Value; 0]);
}
