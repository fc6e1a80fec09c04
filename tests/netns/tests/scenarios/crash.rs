//! Deaths: of the daemon in the midst of work, of supervisors, of namespaces. Afterwards the kernel is as declared.

use std::collections::BTreeSet;
use std::time::Duration;

use netns_tests::firewall::FLUSH;
use netns_tests::host::SOCKET;
use netns_tests::{Lab, OrFail, eventually, programs, within};
use serde_json::Value;

/// Deaths in the midst of work. Each falls somewhere else, since nothing here runs to a beat.
const DEATHS: u64 = 6;

/// Creates, runs, connects, disconnects, stops and removes without end, and does not mind refusals.
const STORM: &str = r#"
i=0
while :; do
    i=$((i + 1)); n=$1-$i
    "$NET" create net-$n && "$NET" run -d --name c-$n --network net-$n -p $2$((10 + i % 80)):80 -- sleep 1000
    "$NET" connect bridge c-$n; "$NET" disconnect bridge c-$n
    [ $((i % 2)) = 0 ] && "$NET" stop -t 0 c-$n && "$NET" rm net-$n
done >/dev/null 2>&1
"#;

/// What netd's own view says must stand in the kernel; `None` while it cannot be asked.
struct Declared {
    bridges: BTreeSet<String>,
    endpoints: usize,
    ports: usize,
}

fn declared(lab: &Lab) -> Declared {
    let views = lab.h1.net(&["ls", "--json"]).ok().json();
    let views: Vec<Value> = views.as_array().or_fail("list of networks").clone();
    let bridged = || views.iter().filter(|view| view["Driver"] == "bridge");
    let name = |view: &Value| match view["Name"].as_str() {
        Some("bridge") => "docker0".to_owned(),
        _ => format!("br-{}", &view["Id"].as_str().or_fail("id")[..12]),
    };
    let count = |view: &Value| {
        view["Containers"]
            .as_object()
            .map_or(0, serde_json::Map::len)
    };
    let containers = lab.h1.net(&["ps", "--json"]).ok().json();
    let containers = containers.as_array().or_fail("list of containers").clone();
    let attachments = containers
        .iter()
        .filter_map(|one| one["networks"].as_array())
        .flatten();
    Declared {
        bridges: bridged().map(name).collect(),
        endpoints: bridged().map(count).sum(),
        ports: attachments
            .filter_map(|one| one["ports"].as_array())
            .map(Vec::len)
            .sum(),
    }
}

/// Compares the kernel with what is declared: bridges, pairs on them, translations of ports.
fn kernel_is_as_declared(lab: &Lab) {
    let wanted = declared(lab);
    let links = lab.h1.link_names();
    let bridges: BTreeSet<String> = links
        .iter()
        .filter(|name| name.starts_with("br-") || *name == "docker0")
        .cloned()
        .collect();
    assert_eq!(bridges, wanted.bridges);
    let on_bridge = lab.h1.exec(&["bridge", "link", "show"]).ok();
    assert_eq!(
        on_bridge.stdout.lines().count(),
        wanted.endpoints,
        "{on_bridge}"
    );
    eventually("cut-off pairs to be deleted", || {
        let veths = lab
            .h1
            .link_names()
            .iter()
            .filter(|name| name.starts_with("veth"))
            .count();
        (veths == wanted.endpoints).then_some(())
    });
    let rules = lab.h1.all_rules();
    assert_eq!(lab.h1.translations(), wanted.ports, "{rules:#?}");
    for bridges in [lab.h1.masquerades(), lab.h1.isolated()] {
        assert_eq!(bridges, wanted.bridges.len(), "{rules:#?}");
    }
}

#[test]
fn i6_kill_9_in_the_midst_of_work_leaves_kernel_and_record_alike() {
    let lab = Lab::new();
    let net = programs::built("net").display().to_string();
    let environment = [("NET", net.as_str()), ("NETD_HOST", SOCKET)];
    let storms = [("a", "11"), ("b", "12"), ("c", "13")].map(|(caller, port)| {
        let line = ["sh", "-c", STORM, "storm", caller, port];
        lab.h1.spawn(&line, &environment, "/run/lab/storm.log")
    });
    for death in 0..DEATHS {
        let before = lab.h1.status()["networks"].as_u64();
        eventually("work to be under way", || {
            (lab.h1.status()["networks"].as_u64() != before).then_some(())
        });
        // Not to wait for anything: to die at another instant each time.
        std::thread::sleep(Duration::from_millis(37 * death));
        lab.h1.kill();
        lab.h1.start();
    }
    // The storm ends; what it acknowledged stands.
    for storm in &storms {
        lab.h1.signal("KILL", storm.pid);
    }
    lab.h1.kill();
    lab.h1.start();
    kernel_is_as_declared(&lab);
    i2_holds(&lab);
    // Every container that is said to run can be used.
    let running = lab.h1.net(&["ps", "--json"]).ok().json();
    for one in running.as_array().or_fail("list").iter().take(10) {
        let name = one["name"].as_str().or_fail("name");
        let _ = lab
            .h1
            .in_container(name, &["ip", "route", "get", "198.18.0.2"])
            .ok();
    }
}

/// A restart on an unchanged kernel repairs nothing.
fn i2_holds(lab: &Lab) {
    // With their numbers: a link that was made anew would have another.
    // The laboratory's own interface may still look for duplicates of its link-local address (RFC 4862 section 5.4).
    let links = || {
        let shown = lab.h1.exec(&["ip", "-o", "address"]).ok().stdout;
        shown.replace(" tentative", "")
    };
    let before = (lab.h1.all_rules(), links());
    lab.h1.restart();
    let reconciles = lab.h1.status()["reconciles"].clone();
    assert!(reconciles["runs"].as_u64() >= Some(1), "{reconciles}");
    assert_eq!(
        reconciles["repairs"],
        0,
        "{reconciles}\n{}",
        lab.h1.log_tail(30)
    );
    assert_eq!((lab.h1.all_rules(), links()), before);
}

#[test]
fn i2_a_second_reconcile_has_nothing_to_do() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "app"]).ok();
    let _ = lab.h1.net(&["create", "--internal", "closed"]).ok();
    lab.h1.web(
        "web",
        80,
        &[
            "--network",
            "app",
            "-p",
            "8080:80",
            "-p",
            "127.0.0.1:8081:80/udp",
        ],
    );
    lab.h1.idle("db", "closed", &[]);
    lab.h1.idle("plain", "bridge", &[]);
    let _ = lab.h1.net(&["connect", "closed", "web"]).ok();
    i2_holds(&lab);
    i2_holds(&lab);
}

#[test]
fn i1_addresses_survive_a_crash_and_are_not_given_twice() {
    let lab = Lab::new();
    for name in ["a", "b"] {
        lab.h1.idle(name, "bridge", &[]);
    }
    lab.h1.kill();
    lab.h1.start();
    lab.h1.idle("c", "bridge", &[]);
    let all: BTreeSet<_> = ["a", "b", "c"]
        .map(|name| lab.h1.address_of(name, "bridge"))
        .into();
    assert_eq!(all.len(), 3);
}

#[test]
fn a_killed_supervisor_frees_everything_soon() {
    let lab = Lab::new();
    let rules = lab.h1.all_rules();
    let links = lab.h1.link_names();
    lab.h1.idle("c", "bridge", &["-p", "8080:80"]);
    kill_container(&lab, "c");
    within(
        Duration::from_secs(2),
        "everything of the container to be gone",
        || {
            let held = lab.h1.exec(&["ss", "-Hltn", "sport = :8080"]).ok();
            let stands = lab.h1.link_names() != links || lab.h1.all_rules() != rules;
            (held.text().is_empty() && !stands).then_some(())
        },
    );
    let _own = lab.h1.web_server(8080, "the port is free");
    assert_eq!(
        lab.h1.inspect("bridge")["Containers"]
            .as_object()
            .unwrap()
            .len(),
        0
    );
}

#[test]
fn a_container_that_died_while_the_daemon_was_down_frees_everything() {
    let lab = Lab::new();
    let rules = lab.h1.all_rules();
    let links = lab.h1.link_names();
    lab.h1.idle("c", "bridge", &["-p", "8080:80"]);
    lab.h1.kill();
    kill_container(&lab, "c");
    lab.h1.start();
    within(
        Duration::from_secs(2),
        "everything of the container to be gone",
        || (lab.h1.link_names() == links && lab.h1.all_rules() == rules).then_some(()),
    );
}

/// Kills the supervisor of `net run -d` by SIGKILL; ps(1) shows it as `net supervise NAME`.
fn kill_container(lab: &Lab, name: &str) {
    let all = lab.h1.exec(&["ps", "-eo", "pid=,args="]).ok();
    let title = format!("supervise {name}");
    let pids = all
        .stdout
        .lines()
        .filter(|line| line.trim_end().ends_with(&title));
    let pids: Vec<u32> = pids
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect();
    assert_eq!(pids.len(), 1, "supervisors of {name} in\n{all}");
    lab.h1.signal("KILL", pids[0]);
}

#[test]
fn a_namespace_made_by_hand_can_join_and_its_end_frees_everything() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "app"]).ok();
    lab.h1.web("web", 80, &["--network", "app"]);
    let links = lab.h1.link_names();
    let _ = lab.h1.exec(&["ip", "netns", "add", "blue"]).ok();
    let _ = lab.h1.net(&["connect", "app", "blue"]).ok();
    let url = format!("http://{}/", lab.h1.address_of("web", "app"));
    let mut line = vec!["ip", "netns", "exec", "blue"];
    let fetch = netns_tests::oracle::curl(&url);
    line.extend(&fetch);
    assert_eq!(lab.h1.exec(&line).ok().text(), "web");
    lab.h1.restart();
    assert_eq!(lab.h1.exec(&line).ok().text(), "web");
    let _ = lab.h1.exec(&["ip", "netns", "delete", "blue"]).ok();
    within(
        Duration::from_secs(3),
        "the namespace's link to be gone",
        || (lab.h1.link_names() == links).then_some(()),
    );
    eventually("its lease to be free", || {
        (lab.h1.inspect("app")["Containers"].as_object()?.len() == 1).then_some(())
    });
}

#[test]
fn a_flushed_rule_set_and_a_stolen_link_are_repaired() {
    let lab = Lab::new();
    lab.h1.web("web", 80, &["-p", "8080:80"]);
    // What the user emptied of his own chain stays empty; a RETURN at a chain's end says nothing anyway.
    let rules_of_netd = || {
        let mut rules = lab.h1.all_rules();
        rules.retain(|rule| rule != "-A DOCKER-USER -j RETURN");
        rules
    };
    let rules = rules_of_netd();
    let _ = lab.h1.sh(FLUSH).ok();
    within(Duration::from_secs(2), "the rules to be back", || {
        (rules_of_netd() == rules).then_some(())
    });
    let url = "http://198.18.0.1:8080/";
    assert_eq!(lab.outside.get(url).ok().text(), "web");
    let veth = lab
        .h1
        .link_names()
        .into_iter()
        .find(|name| name.starts_with("veth"))
        .unwrap();
    let _ = lab.h1.exec(&["ip", "link", "set", &veth, "nomaster"]).ok();
    within(Duration::from_secs(2), "the port to be back", || {
        (lab.h1.link(&veth)?["master"] == "docker0").then_some(())
    });
    assert_eq!(lab.outside.get(url).ok().text(), "web");
}

#[test]
fn i3_links_of_others_are_never_touched() {
    let lab = Lab::new();
    let _ = lab.h1.sh("ip link add br-0123456789ab type bridge && ip link add veth0123456 type veth peer name other0").ok();
    let _ = lab.h1.sh("ip link set veth0123456 master docker0").ok();
    let before = lab.h1.link_names();
    lab.h1.restart();
    lab.h1.kill();
    lab.h1.start();
    assert_eq!(lab.h1.link_names(), before);
    assert_eq!(lab.h1.link("veth0123456").unwrap()["master"], "docker0");
}
