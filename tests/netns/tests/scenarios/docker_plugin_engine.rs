//! A real Docker engine, unpatched, whose networks and addresses are netd's by its plugin protocol.

mod kills;
mod news;
mod options;

use netns_tests::dockerd::DockerLab;
use netns_tests::eventually;
use netns_tests::plugin::with_plugin;
use serde_json::json;

const CREATE: &str =
    "network create -d netd --ipam-driver netd --subnet 10.5.0.0/24 -o netd.name=app app";

fn docker(lab: &DockerLab, line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let _ = lab.docker(&words).ok();
}

/// A container of Docker's reaches another, by name or address.
#[track_caller]
fn reaches(lab: &DockerLab, container: &str, to: &str) {
    let ping = ["ping", "-c1", "-W5", to];
    let _ = lab.in_docker(container, &ping).ok();
}

/// The address that Docker shows of a container on a network.
fn shown(lab: &DockerLab, container: &str, network: &str) -> String {
    let format = format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}");
    let ran = lab.docker(&["inspect", "-f", &format, container]).ok();
    ran.text().to_owned()
}

#[test]
fn containers_of_docker_join_a_network_of_netd_beside_others() {
    let lab = DockerLab::with(with_plugin());
    docker(&lab, CREATE);
    lab.container("one", "app", &[]);
    lab.container("two", "app", &[]);
    let (a, b) = (shown(&lab, "one", "app"), shown(&lab, "two", "app"));
    assert_eq!((a.as_str(), b.as_str()), ("10.5.0.2", "10.5.0.3"));
    reaches(&lab, "one", &b);
    reaches(&lab, "two", "one");
    lab.h1.idle("other", "app", &[]);
    let other = lab.h1.address_of("other", "app");
    assert_eq!(other, "10.5.0.4");
    reaches(&lab, "one", &other);
    let _ = lab
        .h1
        .in_container("other", &["ping", "-c1", "-W5", &b])
        .ok();
    assert_eq!(lab.h1.status()["problems"], json!([]));
    docker(&lab, "rm -f one two");
    // The engine forgets its network whatever it is told; who is on it stays on it.
    docker(&lab, "network rm app");
    let _ = lab
        .h1
        .in_container("other", &["ping", "-c1", "-W5", "10.5.0.1"])
        .ok();
    let _ = lab.h1.net(&["stop", "other"]).ok();
    let _ = lab.h1.net(&["rm", "app"]).ok();
    docker(&lab, CREATE);
    docker(&lab, "network rm app");
    nothing_is_left(&lab);
}

/// No network, container, link or held subnet of the tests' networks.
fn nothing_is_left(lab: &DockerLab) {
    eventually("no link of a network", || {
        let links = lab.h1.link_names();
        let is_ours = |link: &String| {
            ["br-", "veth", "netd-"]
                .iter()
                .any(|word| link.starts_with(word))
        };
        (!links.iter().any(is_ours)).then_some(())
    });
    assert_eq!(lab.h1.net(&["ls", "-q"]).ok().stdout.lines().count(), 3);
    assert_eq!(lab.h1.net(&["ps", "-q"]).ok().text(), "");
    assert_eq!(lab.h1.status()["problems"], json!([]));
    let _ = lab
        .h1
        .net(&["create", "--subnet", "10.5.0.0/24", "probe"])
        .ok();
    let _ = lab.h1.net(&["rm", "probe"]).ok();
}

#[test]
fn an_engine_may_keep_its_own_book_of_addresses() {
    let lab = DockerLab::with(with_plugin());
    docker(
        &lab,
        "network create -d netd --subnet 10.5.0.0/24 --gateway 10.5.0.254 -o netd.name=app app",
    );
    lab.container("one", "app", &["--ip", "10.5.0.77"]);
    assert_eq!(shown(&lab, "one", "app"), "10.5.0.77");
    reaches(&lab, "one", "10.5.0.254");
    let _ = lab
        .h1
        .net(&["run", "--network", "app", "--ip", "10.5.0.77", "--", "true"])
        .fails(125)
        .names(&["taken"]);
    docker(&lab, "rm -f one");
    docker(&lab, "network rm app");
    nothing_is_left(&lab);
}

#[test]
fn an_engine_joins_a_network_that_netd_has() {
    let lab = DockerLab::with(with_plugin());
    let _ = lab
        .h1
        .net(&["create", "--subnet", "10.5.0.0/24", "shared"])
        .ok();
    lab.h1.idle("other", "shared", &[]);
    let create =
        "network create -d netd --ipam-driver netd --subnet 10.5.0.0/24 -o netd.name=shared app";
    let without = "network create -d netd --ipam-driver netd --subnet 10.5.0.0/24 app";
    let words: Vec<&str> = without.split_whitespace().collect();
    let _ = lab.docker(&words).fails(1).names(&["-o netd.name=shared"]);
    docker(&lab, create);
    lab.container("one", "app", &[]);
    assert_eq!(shown(&lab, "one", "app"), "10.5.0.3");
    reaches(&lab, "one", "10.5.0.2");
    let _ = lab
        .h1
        .net(&["rm", "shared"])
        .fails(1)
        .names(&["docker network rm"]);
    let _ = lab.h1.net(&["prune", "-f"]).ok();
    docker(&lab, "rm -f one");
    docker(&lab, "network rm app");
    let _ = lab
        .h1
        .in_container("other", &["ping", "-c1", "-W5", "10.5.0.1"])
        .ok();
    let _ = lab.h1.net(&["stop", "other"]).ok();
    let _ = lab.h1.net(&["rm", "shared"]).ok();
    nothing_is_left(&lab);
}

#[test]
fn published_ports_of_docker_are_netds() {
    let lab = DockerLab::with(with_plugin());
    docker(&lab, CREATE);
    let httpd = [
        "run",
        "-d",
        "--name",
        "web",
        "--network",
        "app",
        "-p",
        "8080:80",
        "-p",
        "127.0.0.1:8081:80",
        "tiny",
        "/bin/sh",
        "-c",
        "echo hello > /tmp/index.html; exec httpd -f -p 80 -h /tmp",
    ];
    let _ = lab.docker(&httpd).ok();
    let page = |from: &netns_tests::Machine, url: &str| from.exec(&["curl", "-s", "-m", "5", url]);
    eventually("the page from outside", || {
        let ran = page(&lab.outside, "http://198.18.0.1:8080/");
        (ran.is_ok() && ran.text() == "hello").then_some(())
    });
    for url in ["http://127.0.0.1:8080/", "http://127.0.0.1:8081/"] {
        assert_eq!(page(&lab.h1, url).ok().text(), "hello", "{url}");
    }
    assert!(!page(&lab.outside, "http://198.18.0.1:8081/").is_ok());
    // What is not published is not reached, and other networks are not either.
    assert!(!page(&lab.outside, "http://198.18.0.1:80/").is_ok());
    lab.h1.idle("other", "bridge", &[]);
    let ping = lab
        .h1
        .in_container("other", &["ping", "-c1", "-W1", "10.5.0.2"]);
    assert!(!ping.is_ok(), "{ping}");
    let taken = [
        "run",
        "--name",
        "late",
        "--network",
        "app",
        "-p",
        "8080:80",
        "tiny",
        "/bin/sleep",
        "1",
    ];
    let _ = lab.docker(&taken).fails(125).names(&["8080", "taken"]);
    let _ = lab.docker(&["rm", "-f", "late"]).ok();
    docker(&lab, "rm -f web");
    assert!(!page(&lab.outside, "http://198.18.0.1:8080/").is_ok());
    let _ = lab.h1.net(&["stop", "other"]).ok();
    let _ = lab.h1.net(&["ps", "-a"]).ok();
    docker(&lab, "network rm app");
}

#[test]
fn a_running_container_is_connected_and_disconnected() {
    let lab = DockerLab::with(with_plugin());
    docker(&lab, CREATE);
    lab.container("one", "app", &[]);
    lab.container("two", "bridge", &[]);
    docker(&lab, "network connect --ip 10.5.0.9 app two");
    reaches(&lab, "two", "10.5.0.2");
    reaches(&lab, "one", "10.5.0.9");
    docker(&lab, "network disconnect app two");
    let ping = lab.in_docker("one", &["ping", "-c1", "-W1", "10.5.0.9"]);
    assert!(!ping.is_ok(), "{ping}");
    docker(&lab, "network connect app two");
    reaches(&lab, "two", "10.5.0.2");
    docker(&lab, "restart -t 0 one");
    reaches(&lab, "two", &shown(&lab, "one", "app"));
    docker(&lab, "rm -f one two");
    docker(&lab, "network rm app");
    nothing_is_left(&lab);
}

#[test]
fn kill_9_of_a_container_and_restarts_of_netd_lose_nothing_and_leave_nothing() {
    let lab = DockerLab::with(with_plugin());
    docker(&lab, CREATE);
    lab.container("one", "app", &["-p", "8080:80"]);
    lab.container("two", "app", &[]);
    lab.h1.kill();
    reaches(&lab, "one", "10.5.0.3");
    lab.h1.start();
    assert_eq!(lab.h1.status()["reconciles"]["repairs"], json!(0));
    reaches(&lab, "one", "10.5.0.3");
    let pid = lab.docker(&["inspect", "-f", "{{.State.Pid}}", "one"]).ok();
    lab.h1.signal("KILL", pid.text().parse().unwrap_or(0));
    eventually("the end of one", || {
        let listed = lab.h1.net(&["ps", "-q"]).ok();
        (listed.stdout.lines().count() == 1).then_some(())
    });
    eventually("the port of one", || {
        let taken = lab.h1.sh("ss -Hltn sport = :8080").ok();
        taken.text().is_empty().then_some(())
    });
    lab.container("three", "app", &["-p", "8080:80"]);
    reaches(&lab, "three", "10.5.0.3");
    docker(&lab, "rm -f one two three");
    docker(&lab, "network rm app");
    nothing_is_left(&lab);
}

#[test]
fn an_interface_that_vanished_frees_its_place_without_the_engine() {
    let lab = DockerLab::with(with_plugin());
    docker(&lab, CREATE);
    lab.container("one", "app", &["-p", "8080:80"]);
    reaches(&lab, "one", "10.5.0.1");
    let link = lab
        .h1
        .link_names()
        .into_iter()
        .find(|link| link.starts_with("veth"));
    let _ = lab
        .h1
        .exec(&["ip", "link", "del", &link.unwrap_or_default()])
        .ok();
    eventually("the place and the port of one", || {
        let listed = lab.h1.net(&["ps", "-q"]).ok();
        let taken = lab.h1.sh("ss -Hltn sport = :8080").ok();
        (listed.text().is_empty() && taken.text().is_empty()).then_some(())
    });
    assert_eq!(lab.h1.status()["problems"], json!([]));
    docker(&lab, "rm -f one");
    docker(&lab, "network rm app");
    nothing_is_left(&lab);
}

#[test]
fn an_engine_that_was_killed_comes_back_to_its_networks() {
    let mut lab = DockerLab::with(with_plugin());
    docker(&lab, CREATE);
    lab.container("one", "app", &["-p", "8080:80"]);
    lab.kill_engine();
    lab.start_engine();
    eventually("nothing of the former containers", || {
        let listed = lab.h1.net(&["ps", "-q"]).ok();
        listed.text().is_empty().then_some(())
    });
    docker(&lab, "start one");
    reaches(&lab, "one", "10.5.0.1");
    lab.container("two", "app", &[]);
    reaches(&lab, "two", "one");
    docker(&lab, "rm -f one two");
    docker(&lab, "network rm app");
    nothing_is_left(&lab);
}

#[test]
fn an_engine_waits_for_a_netd_that_is_away() {
    let lab = DockerLab::with(with_plugin());
    docker(&lab, CREATE);
    lab.h1.kill();
    let client = netns_tests::docker::client().display().to_string();
    let run = "DOCKER_HOST=unix:///run/docker.sock $0 run -d --name one --network app tiny /bin/sleep 1000 >/run/lab/run.log 2>&1 &";
    let _ = lab.h1.exec(&["sh", "-c", run, &client]).ok();
    eventually("the engine asks for an address", || {
        let log = lab.engine_log();
        log.contains("Unable to connect to plugin").then_some(())
    });
    lab.h1.start();
    eventually("a running container", || {
        let ran = lab.in_docker("one", &["ping", "-c1", "-W5", "10.5.0.1"]);
        ran.is_ok().then_some(())
    });
    docker(&lab, "rm -f one");
    docker(&lab, "network rm app");
    nothing_is_left(&lab);
}

/// Asks until the answer is there: the engine is asked for a name after its container has joined.
fn resolves(ask: impl Fn() -> netns_tests::Ran, address: &str) {
    let _ = eventually(&format!("an answer with {address}"), || {
        let ran = ask();
        ran.stdout.contains(address).then_some(ran)
    });
}

#[test]
fn names_lead_from_docker_to_others_and_back() {
    let lab = DockerLab::with(with_plugin());
    docker(&lab, CREATE);
    lab.h1.idle("other", "app", &["--alias", "store"]);
    let (other, dns) = (lab.h1.address_of("other", "app"), ["--dns", "10.5.0.1"]);
    lab.container(
        "web",
        "app",
        &[&dns[..], &["--network-alias", "www", "--hostname", "box"]].concat(),
    );
    let web = shown(&lab, "web", "app");
    // The others know it by all its names, and so does `net`.
    for name in ["web", "www", "box"] {
        let ask = || lab.h1.in_container("other", &["getent", "hosts", name]);
        resolves(ask, &web);
    }
    let _ = lab
        .h1
        .in_container("other", &["ping", "-c1", "-W5", "web"])
        .ok();
    assert!(lab.h1.net(&["ps"]).ok().stdout.contains("web"));
    // It knows the others by the gateway, its own kind by the engine, and what is outside by both.
    for name in ["other", "store"] {
        reaches(&lab, "web", name);
    }
    let ran = lab.in_docker("web", &["nslookup", "other"]);
    assert!(ran.stdout.contains(&other), "{ran}");
    lab.h1.restart();
    reaches(&lab, "web", "other");
    let _ = lab
        .h1
        .in_container("other", &["ping", "-c1", "-W5", "www"])
        .ok();
    let listens = || lab.h1.sh("ss -Hlun sport = :53").ok().text().to_owned();
    assert!(
        listens().contains("10.5.0.1%"),
        "on its bridge alone: {}",
        listens()
    );
    docker(&lab, "rm -f web");
    let gone = lab.h1.in_container("other", &["getent", "hosts", "web"]);
    assert!(!gone.is_ok(), "{gone}");
    let _ = lab.h1.net(&["stop", "other"]).ok();
    docker(&lab, "network rm app");
    assert_eq!(listens(), "");
    nothing_is_left(&lab);
}

#[test]
fn a_name_that_another_has_is_shared() {
    let lab = DockerLab::with(with_plugin());
    docker(&lab, CREATE);
    lab.h1.idle("web", "app", &[]);
    lab.container("web", "app", &[]);
    let web = shown(&lab, "web", "app");
    lab.h1.idle("asker", "app", &[]);
    let both = [web, lab.h1.address_of("web", "app")];
    eventually("both addresses under one name", || {
        let ran = lab.h1.in_container("asker", &["getent", "ahostsv4", "web"]);
        both.iter()
            .all(|address| ran.stdout.contains(address.as_str()))
            .then_some(())
    });
    docker(&lab, "rm -f web");
}
