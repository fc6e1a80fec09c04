//! `net run` and `net exec` in real namespaces, before a daemon that only pretends.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::{self, Daemon, EXIT, accepting, eventually, is_alive, refuse, stderr, stdout};
use serde_json::{Value, json};

fn namespace_of(pid: &str, kind: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{kind}"))
        .unwrap()
        .display()
        .to_string()
}

/// Starts `net run -- sh -c SCRIPT` and reads the first line that it prints.
fn start(daemon: &Daemon, script: &str) -> (Child, BufReader<std::process::ChildStdout>, String) {
    let mut command = daemon.net(&["run", "--", "sh", "-c", script]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    (child, reader, line.trim().to_owned())
}

#[test]
fn the_command_has_its_own_network_name_and_files_and_the_host_keeps_its() {
    let before = (
        fs::read("/etc/hosts").unwrap(),
        fs::read("/proc/sys/kernel/hostname").unwrap(),
    );
    let daemon = accepting();
    let script = "uname -n; cat /etc/hosts /etc/resolv.conf; ls /sys/class/net; test -e /sys/fs/cgroup && echo cgroup; \
                  readlink /proc/self/ns/net; pwd; echo $PPID";
    let output = daemon.run(&[
        "run",
        "--hostname",
        "box",
        "-p",
        "8080:80",
        "--",
        "sh",
        "-c",
        script,
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    let lines: Vec<&str> = text.lines().collect();
    let [netns, directory, supervisor] = lines[lines.len() - 3..] else {
        panic!("{text}")
    };
    assert_eq!(lines[0], "box");
    assert!(
        text.contains("10.9.8.7 netd-made-this\nnameserver 127.0.0.11\nlo\n"),
        "{text}"
    );
    assert!(text.contains("\ncgroup\n"), "{text}");
    assert_ne!(netns, namespace_of("self", "net"));
    assert_eq!(
        directory,
        std::env::current_dir().unwrap().display().to_string()
    );

    let request = &daemon.bodies("POST /containers")[0];
    assert_eq!(request["netns"]["pid"].to_string(), supervisor);
    assert_eq!(request["supervisor_pid"].to_string(), supervisor);
    assert_eq!(request["command"], json!(["sh", "-c", script]));
    assert_eq!(request["ports"][0]["host_ports"], "8080");
    assert_eq!(daemon.bodies(EXIT), [json!({"code": 0})]);
    let after = (
        fs::read("/etc/hosts").unwrap(),
        fs::read("/proc/sys/kernel/hostname").unwrap(),
    );
    assert_eq!(before, after);
}

#[test]
fn the_command_s_own_exit_code_passes_through_and_is_reported() {
    for (script, code) in [
        ("exit 7", 7),
        ("exit 255", 255),
        ("kill -9 $$", 137),
        ("kill -15 $$", 143),
    ] {
        let daemon = accepting();
        let output = daemon.run(&["run", "--", "sh", "-c", script]);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{script}: {}",
            stderr(&output)
        );
        assert_eq!(daemon.bodies(EXIT), [json!({"code": code})]);
    }
}

#[test]
fn what_is_refused_leaves_nothing_and_says_why() {
    for detach in [&["run"][..], &["run", "-d"]] {
        let daemon = Daemon::new(|_, _| refuse(409, "port_taken", "port 80 is taken by web"));
        let output = daemon.run(&[detach, &["--", "true"]].concat());
        assert_eq!(output.status.code(), Some(125));
        assert_eq!(stderr(&output), "net: port 80 is taken by web\n");
        assert_eq!(stdout(&output), "");
        assert_eq!(daemon.requests().len(), 1);

        daemon.vanish();
        let output = daemon.run(&[detach, &["--", "true"]].concat());
        assert_eq!(output.status.code(), Some(125));
        assert!(
            stderr(&output).contains("cannot reach netd at"),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn a_program_that_is_not_there_is_not_attached() {
    let daemon = accepting();
    let text = daemon.directory.path().join("text");
    fs::write(&text, "").unwrap();
    for (program, code) in [("no-such-program", 127), (text.to_str().unwrap(), 126)] {
        for detach in [&["run"][..], &["run", "-d"]] {
            let output = daemon.run(&[detach, &["--", program]].concat());
            assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        }
    }
    assert_eq!(daemon.requests().len(), 0);
}

#[test]
fn a_program_that_the_kernel_refuses_is_forgotten_again() {
    let daemon = accepting();
    let file = daemon.directory.path().join("script");
    fs::write(&file, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let output = daemon.run(&["run", "-d", "--", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(127), "{}", stderr(&output));
    let forgotten = format!("DELETE /containers/{}", "f9".repeat(32));
    eventually("the container is forgotten", || {
        (daemon.bodies(&forgotten).len() == 1).then_some(())
    });
}

#[test]
fn without_root_the_refusal_says_what_is_missing() {
    let daemon = accepting();
    let net = env!("CARGO_BIN_EXE_net");
    let copy = daemon.directory.path().join("net");
    fs::copy(net, &copy).unwrap();
    let open = |path: &std::path::Path| {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    };
    open(daemon.directory.path());
    open(&daemon.socket());
    let output = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&copy)
        .arg("-H")
        .arg(daemon.socket())
        .args(["run", "--", "true"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(
        stderr(&output).contains("CAP_SYS_ADMIN"),
        "{}",
        stderr(&output)
    );
    assert_eq!(daemon.requests().len(), 0);
}

#[test]
fn a_signal_to_the_supervisor_reaches_the_command() {
    for (name, number) in [("TERM", 15), ("INT", 2), ("HUP", 1), ("USR1", 10)] {
        let daemon = accepting();
        let script =
            format!("trap 'echo got; exit 3' {name}; echo $PPID; while :; do sleep 0.01; done");
        let (mut child, mut rest, supervisor) = start(&daemon, &script);
        let pid = nix::unistd::Pid::from_raw(supervisor.parse().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::try_from(number).unwrap()).unwrap();
        let mut text = String::new();
        rest.read_to_string(&mut text).unwrap();
        assert_eq!(
            (child.wait().unwrap().code(), text.as_str()),
            (Some(3), "got\n"),
            "{name}"
        );
    }
}

#[test]
fn what_the_command_leaves_behind_ends_with_it() {
    let daemon = accepting();
    // An orphan, one of another session, one that ignores SIGTERM, one that is stopped.
    let script = "sleep 1000 & a=$!; setsid sleep 1000 & b=$!; (trap '' TERM; exec sleep 1000) & c=$!; \
                  sleep 1000 & d=$!; (sleep 1000 & echo $!); kill -STOP $d; echo $a $b $c $d";
    let begin = Instant::now();
    let output = daemon.run(&["run", "--", "sh", "-c", script]);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    let left: Vec<&str> = text
        .split_whitespace()
        .filter(|pid| is_alive(pid))
        .collect();
    assert_eq!((text.split_whitespace().count(), left), (5, Vec::new()));
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn a_daemon_that_goes_away_does_not_end_the_container_and_gets_the_code_when_it_is_back() {
    let daemon = accepting();
    let (mut child, _rest, supervisor) = start(
        &daemon,
        "trap 'exit 5' TERM; echo $PPID; while :; do sleep 0.01; done",
    );
    daemon.vanish();
    assert!(is_alive(&supervisor));
    let pid = nix::unistd::Pid::from_raw(supervisor.parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    daemon.listen(|_, _| (204, Value::Null));
    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert_eq!(daemon.bodies(EXIT), [json!({"code": 5})]);
}

#[test]
fn host_mode_keeps_network_and_name_but_has_its_files() {
    let daemon = accepting();
    let script = "readlink /proc/self/ns/net /proc/self/ns/uts; cat /etc/hosts";
    let output = daemon.run(&["run", "--network", "host", "--", "sh", "-c", script]);
    let expected = format!(
        "{}\n{}\n",
        namespace_of("self", "net"),
        namespace_of("self", "uts")
    );
    assert!(stdout(&output).starts_with(&expected), "{output:?}");
    assert!(stdout(&output).contains("netd-made-this"));
    assert_eq!(daemon.bodies("POST /containers")[0]["netns"], Value::Null);
}

#[test]
fn container_mode_and_exec_enter_the_other_s_namespaces() {
    let daemon = accepting();
    let (mut first, _rest, netns) = start(
        &daemon,
        "trap 'exit 0' TERM; readlink /proc/self/ns/net; while :; do sleep 0.01; done",
    );
    let shown = daemon.run(&[
        "exec",
        "-e",
        "X=y",
        "c1",
        "--",
        "sh",
        "-c",
        "readlink /proc/self/ns/net; echo $X; uname -n; cat /etc/hosts; pwd; exit 9",
    ]);
    let here = std::env::current_dir().unwrap();
    let expected = format!(
        "{netns}\ny\ninner\n127.0.0.1 localhost\n10.9.8.7 netd-made-this\n{}\n",
        here.display()
    );
    assert_eq!(
        (stdout(&shown), shown.status.code()),
        (expected, Some(9)),
        "{}",
        stderr(&shown)
    );
    let missing = daemon.run(&["exec", "c1", "no-such-program"]);
    assert_eq!(missing.status.code(), Some(127));

    let second = daemon.run(&[
        "run",
        "--network",
        "container:c1",
        "--",
        "readlink",
        "/proc/self/ns/net",
    ]);
    assert_eq!(stdout(&second).trim(), netns, "{}", stderr(&second));

    let pid = nix::unistd::Pid::from_raw(i32::try_from(first.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(first.wait().unwrap().code(), Some(0));
}

#[test]
fn exec_enters_the_network_alone_of_a_container_that_is_a_path() {
    let files = tempfile::tempdir().unwrap();
    let mut holder = std::process::Command::new("unshare")
        .args([
            "-n",
            "sh",
            "-c",
            "readlink /proc/self/ns/net; exec sleep 1000",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut netns = String::new();
    BufReader::new(holder.stdout.take().unwrap())
        .read_line(&mut netns)
        .unwrap();
    let mut view = support::container("c1", files.path());
    view["netns_path"] = json!(format!("/proc/{}/ns/net", holder.id()));
    let daemon = Daemon::new(move |_, _| (200, view.clone()));
    let output = daemon.run(&[
        "exec",
        "c1",
        "sh",
        "-c",
        "readlink /proc/self/ns/net; ls /sys/class/net; cat /etc/hosts",
    ]);
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(
        stdout(&output),
        format!("{netns}lo\n127.0.0.1 localhost\n10.9.8.7 netd-made-this\n")
    );
}

#[test]
fn an_ended_container_is_not_entered() {
    let files = tempfile::tempdir().unwrap();
    let mut view = support::container("c1", files.path());
    view["ended"] = json!("2026-11-20T18:00:00Z");
    view["pid"] = json!(1);
    let daemon = Daemon::new(move |_, _| (200, view.clone()));
    let output = daemon.run(&["exec", "c1", "true"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(
        stderr(&output).contains("container c1 has ended"),
        "{}",
        stderr(&output)
    );
    let output = daemon.run(&["run", "--network", "container:c1", "true"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(
        stderr(&output).contains("container c1 does not run"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_file_that_the_host_replaces_stays_the_container_s_own() {
    let daemon = accepting();
    // An /etc that can be played with: a copy, in a mount namespace that the container's is a slave of. The host's
    // resolv.conf is a link, as systemd-resolved makes it.
    let inside = "echo ready; n=0; until [ -e $T/replaced ]; do sleep 0.01; done; \
                  until grep -q made-this /etc/hosts && grep -q 127.0.0.11 /etc/resolv.conf; do \
                  n=$((n+1)); [ $n -lt 500 ] || { cat /etc/hosts; exit 1; }; sleep 0.01; done; echo kept";
    let outside = r#"
        set -e
        mount --make-rprivate /; mount --make-rshared /
        mkdir $T/etc $T/resolve; cp -a /etc/passwd /etc/group /etc/hosts $T/etc/
        echo nameserver 192.0.2.1 > $T/resolve/stub; ln -s $T/resolve/stub $T/etc/resolv.conf
        mount --bind $T/etc /etc
        "$NET" run -- sh -c "$INSIDE" > $T/out & run=$!
        until grep -q ready $T/out; do sleep 0.01; done
        echo host > /etc/hosts.new; mv /etc/hosts.new /etc/hosts
        rm $T/resolve/stub; sleep 0.05; echo nameserver 192.0.2.2 > $T/resolve/stub
        touch $T/replaced
        wait $run || true
        cat $T/out; cat /etc/hosts; cat /etc/resolv.conf; [ ! -e /etc/hostname ] && echo no-hostname
    "#;
    let output = std::process::Command::new("unshare")
        .args(["-m", "sh", "-c", outside])
        .env("NET", env!("CARGO_BIN_EXE_net"))
        .env("NETD_HOST", daemon.socket())
        .env("T", daemon.directory.path())
        .env("INSIDE", inside)
        .output()
        .unwrap();
    assert_eq!(
        stdout(&output),
        "ready\nkept\nhost\nnameserver 192.0.2.2\nno-hostname\n",
        "{}",
        stderr(&output)
    );
}
