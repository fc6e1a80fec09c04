//! What is left of a container of Docker's when any part of what runs it is killed.

use netns_tests::dockerd::DockerLab;
use netns_tests::plugin::with_plugin;
use netns_tests::{OrFail, eventually};

use super::{CREATE, docker, nothing_is_left, reaches, resolves, shown};
use crate::remains::{Before, gone_soon, has_traces};

/// A container with a port, whose name is known; gives its address.
fn web(lab: &DockerLab) -> String {
    lab.container("web", "app", &["-p", "8080:80"]);
    let address = shown(lab, "web", "app");
    let ask = || lab.h1.in_container("asker", &["getent", "ahostsv4", "web"]);
    resolves(ask, &address);
    address
}

/// The container's first process, and its parent, which is containerd's shim.
fn processes(lab: &DockerLab) -> (u32, u32) {
    let ran = lab.docker(&["inspect", "-f", "{{.State.Pid}}", "web"]).ok();
    let parent = lab.h1.exec(&["ps", "-o", "ppid=", "-p", ran.text()]).ok();
    let number = |text: &str| text.trim().parse().or_fail("read a process id");
    (number(ran.text()), number(parent.text()))
}

#[test]
fn docker_killed_in_any_part_leaves_nothing_of_a_container_after_a_second() {
    let mut lab = DockerLab::with(with_plugin());
    docker(&lab, CREATE);
    lab.h1.idle("asker", "app", &[]);
    let before = Before::of(&lab);
    for part in ["container", "shim"] {
        let _ = web(&lab);
        assert!(has_traces(&lab, &before.links));
        let (container, shim) = processes(&lab);
        let victim = match part {
            "container" => container,
            _ => shim,
        };
        lab.h1.signal("KILL", victim);
        gone_soon(&lab, (&before, part));
        before.is_back(&lab);
        let asked = lab.h1.in_container("asker", &["getent", "hosts", "web"]);
        assert!(!asked.is_ok(), "{asked}");
        docker(&lab, "rm -f web");
    }
    // The engine: its containers go on without it. Its file of their namespace outlives them; it takes that away when it
    // starts.
    let address = web(&lab);
    let (container, _) = processes(&lab);
    lab.kill_engine();
    let ping = ["ping", "-c1", "-W5", address.as_str()];
    let _ = lab.h1.in_container("asker", &ping).ok();
    lab.h1.signal("KILL", container);
    lab.start_engine();
    before.is_back(&lab);
    docker(&lab, "start web");
    reaches(&lab, "web", "10.5.0.1");
    docker(&lab, "rm -f web");
    let _ = lab.h1.net(&["stop", "-t", "0", "asker"]).ok();
    let _ = lab.h1.net(&["prune", "-f", "--containers"]).ok();
    eventually("no container", || {
        lab.h1
            .net(&["ps", "-aq"])
            .ok()
            .text()
            .is_empty()
            .then_some(())
    });
    docker(&lab, "network rm app");
    nothing_is_left(&lab);
}
