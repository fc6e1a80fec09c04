//! `net run -d`: a supervisor that outlives its caller, and what becomes of the command when it is killed.

use std::fs;

use crate::support::{EXIT, accepting, eventually, is_alive, stderr, stdout};
use serde_json::json;

#[test]
fn a_detached_command_has_a_session_of_its_own_and_a_log() {
    let daemon = accepting();
    let log = daemon.directory.path().join("log");
    let script = "readlink /proc/self/fd/0; ps -o sid= -p $$; echo $PPID; echo error >&2; trap 'exit 4' TERM; \
                  echo ready; while :; do sleep 0.01; done";
    // `output` returns only when nobody holds the pipes any more.
    let output = daemon.run(&[
        "run",
        "-d",
        "--name",
        "c1",
        "--log",
        log.to_str().unwrap(),
        "--",
        "sh",
        "-c",
        script,
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), format!("{}\n", "f9".repeat(32)));
    let text = eventually("the command writes", || {
        fs::read_to_string(&log)
            .ok()
            .filter(|text| text.contains("ready"))
    });
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    assert_eq!((lines[0], lines[3]), ("/dev/null", "error"));
    let supervisor = lines[2];
    assert_eq!(lines[1], supervisor, "the supervisor leads the session");
    for fd in ["0", "1"] {
        let file = fs::read_link(format!("/proc/{supervisor}/fd/{fd}")).unwrap();
        assert_eq!(file.to_str(), Some("/dev/null"));
    }
    let pid = nix::unistd::Pid::from_raw(supervisor.parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    eventually("the code is reported", || {
        (daemon.bodies(EXIT) == [json!({"code": 4})]).then_some(())
    });
    eventually("the supervisor ends", || {
        (!is_alive(supervisor)).then_some(())
    });
}

#[test]
fn a_detached_supervisor_is_small() {
    let daemon = accepting();
    daemon.run(&["run", "-d", "--", "sleep", "1000"]);
    let supervisor = daemon.bodies("POST /containers")[0]["supervisor_pid"].to_string();
    let smaps = fs::read_to_string(format!("/proc/{supervisor}/smaps_rollup")).unwrap();
    let pss = smaps
        .lines()
        .find_map(|line| line.strip_prefix("Private_Dirty:"))
        .unwrap();
    let kib: u64 = pss.trim().trim_end_matches(" kB").parse().unwrap();
    let pid = nix::unistd::Pid::from_raw(supervisor.parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    eventually("it ends", || (!is_alive(&supervisor)).then_some(()));
    // A debug build; a release build has less.
    assert!(kib < 8192, "{kib} KiB of private memory");
}

#[test]
fn a_killed_supervisor_takes_its_command_along() {
    let daemon = accepting();
    let file = daemon.directory.path().join("pid");
    let script = format!(
        "echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000",
        file.display()
    );
    daemon.run(&["run", "-d", "--", "sh", "-c", &script]);
    let command = eventually("the command runs", || fs::read_to_string(&file).ok());
    let supervisor = daemon.bodies("POST /containers")[0]["supervisor_pid"].to_string();
    let pid = nix::unistd::Pid::from_raw(supervisor.parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    eventually("the command ends", || {
        (!is_alive(command.trim())).then_some(())
    });
}
