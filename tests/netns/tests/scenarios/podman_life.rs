//! Podman's containers that are killed, a daemon that restarts between, and Podman's other backend, CNI.

use std::time::{Duration, Instant};

use netns_tests::lab::HOST;
use netns_tests::podman::Podman;
use netns_tests::{Lab, OrFail, eventually, within};

fn is_served(lab: &Lab, port: u16) -> bool {
    let url = format!("http://{HOST}:{port}/index.html");
    lab.outside.get(&url).text() == "by podman"
}

fn pings(podman: &Podman<'_>, from: &str, to: &str) -> bool {
    podman.exec(from, &["ping", "-c1", "-W2", to]).is_ok()
}

fn pid(podman: &Podman<'_>, name: &str, template: &str) -> u32 {
    podman
        .inspect(name, template)
        .parse()
        .or_fail("read a process id")
}

fn containers(lab: &Lab) -> String {
    let ran = lab.h1.net(&["ps", "-a", "--format", "{{.Names}}"]).ok();
    ran.text().replace('\n', " ")
}

#[test]
fn podman_a_killed_container_gives_all_back_within_a_second() {
    let lab = Lab::new();
    let podman = Podman::on(&lab.h1);
    let _ = podman.run(&["network", "create", "app"]).ok();
    podman.serve("web", &["--network", "app", "-p", "8080:80"]);
    podman.serve("db", &["--network", "app"]);
    for round in 0..2 {
        let process = pid(&podman, "web", "{{.State.Pid}}");
        lab.h1.signal("KILL", process);
        let killed = Instant::now();
        within(Duration::from_secs(1), "its end to be noticed", || {
            (containers(&lab) == "db").then_some(())
        });
        assert!(killed.elapsed() < Duration::from_secs(2), "round {round}");
        assert!(!podman.knows("db", "web") && !is_served(&lab, 8080));
        // What it had is free for another at once.
        podman.serve("next", &["--network", "app", "-p", "8080:80"]);
        let _ = podman.run(&["rm", "-f", "-t", "0", "next"]).ok();
        let _ = podman.run(&["start", "web"]).ok();
        assert!(pings(&podman, "db", "web"));
        eventually("the page again", || is_served(&lab, 8080).then_some(()));
    }
    // conmon alone: the container goes on, and so does its network.
    let conmon = pid(&podman, "web", "{{.State.ConmonPid}}");
    let process = pid(&podman, "web", "{{.State.Pid}}");
    lab.h1.signal("KILL", conmon);
    assert!(pings(&podman, "db", "web") && is_served(&lab, 8080));
    // Both, so that nobody tells anybody: its namespace has a file still, which Podman alone removes.
    lab.h1.signal("KILL", process);
    eventually("the end of the process", || {
        let ran = lab.h1.exec(&["kill", "-0", &process.to_string()]);
        (!ran.is_ok()).then_some(())
    });
    let _ = podman.run(&["stop", "-t", "0", "web"]).ok();
    within(Duration::from_secs(1), "its place to be free", || {
        (containers(&lab) == "db").then_some(())
    });
    let _ = podman.run(&["rm", "web"]).ok();
    let _ = podman.run(&["rm", "-f", "-t", "0", "db"]).ok();
    assert_eq!(containers(&lab), "");
    assert_eq!(lab.h1.status()["problems"], serde_json::json!([]));
}

/// Why a namespace without any process is not taken for ended while it has a file: Podman starts a container again in it
/// when its own clean-up did not run, and asks for nothing then.
#[test]
fn podman_starts_a_container_again_in_its_namespace_if_nobody_cleaned_up() {
    let lab = Lab::new();
    let podman = Podman::on(&lab.h1);
    let _ = podman.run(&["network", "create", "app"]).ok();
    podman.serve("web", &["--network", "app", "-p", "8080:80"]);
    podman.serve("db", &["--network", "app"]);
    let address = lab.h1.address_of("web", "app");
    let sandbox = || podman.inspect("web", "{{.NetworkSettings.SandboxKey}}");
    let former = sandbox();
    let process = pid(&podman, "web", "{{.State.Pid}}");
    // conmon has Podman clean up after the container; this one does nothing.
    let _ = lab
        .h1
        .sh("mount --bind /bin/true $(command -v podman)")
        .ok();
    let conmon = lab
        .h1
        .sh(&format!("ps -o ppid= -p {process}"))
        .ok()
        .text()
        .trim()
        .to_owned();
    lab.h1.signal("KILL", process);
    eventually("the end of conmon", || {
        let ran = lab.h1.exec(&["kill", "-0", &conmon]);
        (!ran.is_ok()).then_some(())
    });
    let _ = lab.h1.sh("umount $(command -v podman)").ok();
    assert_eq!(lab.h1.address_of("web", "app"), address);
    let _ = podman.run(&["start", "web"]).ok();
    assert_eq!(sandbox(), former);
    assert!(pings(&podman, "db", "web") && pings(&podman, "web", "db"));
    eventually("the page again", || is_served(&lab, 8080).then_some(()));
    let _ = podman.run(&["rm", "-f", "-t", "0", "-a"]).ok();
    assert_eq!(containers(&lab), "");
}

#[test]
fn podman_containers_live_through_a_restart_of_netd() {
    let lab = Lab::new();
    let podman = Podman::on(&lab.h1);
    let _ = podman.run(&["network", "create", "app"]).ok();
    podman.serve("web", &["--network", "app", "-p", "8080:80"]);
    podman.serve("db", &["--network", "app"]);
    eventually("the page", || is_served(&lab, 8080).then_some(()));
    lab.h1.kill();
    assert!(is_served(&lab, 8080));
    // One that ends while nobody is there to be told: netd finds out when it starts.
    let _ = podman.run(&["rm", "-f", "-t", "0", "db"]).ok();
    lab.h1.start();
    assert!(is_served(&lab, 8080));
    eventually("its end to be noticed", || {
        (containers(&lab) == "web").then_some(())
    });
    podman.serve("new", &["--network", "app"]);
    assert!(pings(&podman, "new", "web") && pings(&podman, "web", "new"));
    lab.h1.restart();
    assert!(pings(&podman, "new", "web") && is_served(&lab, 8080));
    let _ = podman.run(&["restart", "-t", "0", "web"]).ok();
    assert!(pings(&podman, "new", "web"));
    let _ = podman.run(&["rm", "-f", "-t", "0", "-a"]).ok();
    let _ = podman.run(&["rm", "-f", "-t", "0", "-a"]).ok();
    assert_eq!(containers(&lab), "");
    let names = lab.h1.net(&["ls", "--format", "{{.Name}}"]).ok();
    assert_eq!(names.text(), "bridge\nhost\nnone");
}

#[test]
fn podman_with_its_cni_backend_has_names_ports_and_addresses() {
    let lab = Lab::new();
    let podman = Podman::with_cni(&lab.h1, &["--name", "app", "--subnet", "10.89.7.0/24"]);
    podman.serve("web", &["--network", "app", "-p", "8080:80"]);
    let flags = ["--network", "app", "--network-alias", "sql"];
    let _ = podman.start(("db", &flags), &["sleep", "300"]).ok();
    lab.h1.idle("tool", "app", &[]);
    for (from, to) in [
        ("db", "web"),
        ("web", "db"),
        ("web", "sql"),
        ("web", "tool"),
    ] {
        assert!(pings(&podman, from, to), "{from} to {to}");
    }
    let _ = lab
        .h1
        .in_container("tool", &["ping", "-c1", "-W2", "web"])
        .ok();
    eventually("the page from outside", || {
        is_served(&lab, 8080).then_some(())
    });
    let address = podman.inspect("web", "{{.NetworkSettings.Networks.app.IPAddress}}");
    assert!(address.starts_with("10.89.7."), "{address}");
    lab.h1.restart();
    assert!(pings(&podman, "db", "web"));
    let process = pid(&podman, "web", "{{.State.Pid}}");
    lab.h1.signal("KILL", process);
    within(Duration::from_secs(1), "its end to be noticed", || {
        (!is_served(&lab, 8080)).then_some(())
    });
    let _ = podman.run(&["rm", "-f", "-t", "0", "web", "db"]).ok();
    assert_eq!(containers(&lab), "tool");
    assert_eq!(lab.h1.exec(&["ls", "/run/netns"]).ok().text(), "");
}

#[test]
fn podman_restarts_a_container_in_its_namespace_and_it_keeps_its_network() {
    let lab = Lab::new();
    let podman = Podman::on(&lab.h1);
    let _ = podman.run(&["network", "create", "app"]).ok();
    let flags = ["--network", "app", "--restart", "always"];
    podman.serve("web", &flags);
    podman.serve("db", &["--network", "app"]);
    let address = lab.h1.address_of("web", "app");
    for _ in 0..3 {
        let former = pid(&podman, "web", "{{.State.Pid}}");
        lab.h1.signal("KILL", former);
        eventually("the next process", || {
            let next = pid(&podman, "web", "{{.State.Pid}}");
            (next != 0 && next != former).then_some(())
        });
        assert_eq!(lab.h1.address_of("web", "app"), address);
        assert!(pings(&podman, "db", "web") && pings(&podman, "web", "db"));
    }
    let _ = podman.run(&["rm", "-f", "-t", "0", "-a"]).ok();
    assert_eq!(containers(&lab), "");
}

#[test]
fn podman_starts_many_at_once_some_with_users_of_their_own() {
    let lab = Lab::new();
    let podman = Podman::on(&lab.h1);
    let _ = podman.run(&["network", "create", "app"]).ok();
    // The first makes the folders of the root, which users of others' could not.
    podman.serve("first", &["--network", "app"]);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let podman = &podman;
            let _ = scope.spawn(move || {
                let port = format!("{}:80", 9000 + number);
                let mut flags = vec!["--network", "app", "-p", &port];
                if number % 2 == 1 {
                    flags.extend(["--uidmap", "0:100000:5000"]);
                }
                let command = ["sleep", "300"];
                podman.start((&format!("c{number}"), &flags), &command).ok()
            });
        }
    });
    for number in 1..8 {
        assert!(pings(&podman, "c0", &format!("c{number}")), "c{number}");
    }
    assert!(pings(&podman, "c7", "c0"));
    let _ = podman.run(&["rm", "-f", "-t", "0", "-a"]).ok();
    assert_eq!(containers(&lab), "");
    let names = lab.h1.net(&["ls", "--format", "{{.Name}}"]).ok();
    assert_eq!(names.text(), "bridge\nhost\nnone");
    assert_eq!(lab.h1.exec(&["ls", "/run/netns"]).ok().text(), "");
}
