//! S6: a container in another's network namespace. The network is the daemon's: it lives as long as anybody is in it.

use std::time::Duration;

use netns_tests::flow::{Transport, some_packets};
use netns_tests::lab::HOST;
use netns_tests::oracle::curl;
use netns_tests::{Lab, OrFail, within};
use serde_json::Value;

/// How long the end of the last of them may take to be seen and done.
const FREED_WITHIN: Duration = Duration::from_secs(1);

fn address(lab: &Lab, name: &str) -> String {
    lab.h1
        .in_container(name, &["ip", "-4", "-o", "address"])
        .ok()
        .stdout
}

fn netns(lab: &Lab, name: &str) -> String {
    let link = ["readlink", "/proc/self/ns/net"];
    lab.h1.in_container(name, &link).ok().stdout
}

/// What netd says of a container.
fn view(lab: &Lab, name: &str) -> Value {
    let all = lab.h1.net(&["ps", "-a", "--json"]).ok().json();
    let all = all.as_array().or_fail("list of containers").clone();
    let found = all.into_iter().find(|one| one["name"] == name);
    found.or_fail(&format!("container {name}"))
}

/// The process that waits for a container and ends with it.
fn supervisor(lab: &Lab, name: &str) -> u32 {
    let pid = view(lab, name)["pid"].as_u64().or_fail("process id");
    u32::try_from(pid).or_fail("process id")
}

/// `web` on a network of its own with a published port, and `db` in its network, which answers numbers through a port
/// that `web` publishes for it.
fn pair(lab: &Lab) {
    let _ = lab.h1.net(&["create", "app"]).ok();
    web(lab);
    lab.h1
        .answering("db", 3306, &["--network", "container:web"]);
}

fn web(lab: &Lab) {
    let flags = ["--network", "app", "-p", "8080:80", "-p", "3306:3306"];
    lab.h1.web("web", 80, &flags);
}

/// What `web` had on its network is gone, so that the network can be removed: which it is then.
fn is_freed(lab: &Lab) -> bool {
    let links = lab.h1.link_names();
    !links.iter().any(|name| name.starts_with("veth"))
        && !lab.h1.all_rules().iter().any(|rule| rule.contains("3306"))
        && lab.h1.net(&["rm", "app"]).is_ok()
}

#[test]
fn s06_the_wordpress_case_a_database_that_only_its_web_server_reaches() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "app"]).ok();
    lab.h1
        .web("nginx", 80, &["--network", "app", "-p", "80:80"]);
    lab.h1.web("mysql", 3306, &["--network", "container:nginx"]);
    lab.h1.idle("neighbour", "app", &[]);
    lab.h1.idle("other", "bridge", &[]);
    assert_eq!(address(&lab, "nginx"), address(&lab, "mysql"));
    assert_eq!(netns(&lab, "nginx"), netns(&lab, "mysql"));
    let inside = curl("http://127.0.0.1:3306/");
    assert_eq!(lab.h1.in_container("nginx", &inside).ok().text(), "mysql");
    let page = lab.outside.get(&format!("http://{HOST}/"));
    assert_eq!(page.ok().text(), "nginx");
    // One port space.
    let taken = ["busybox", "httpd", "-f", "-p", "80"];
    let taken = lab.h1.in_container("mysql", &taken);
    assert!(!taken.is_ok() && taken.stderr.contains("in use"), "{taken}");
    // The outside and the host's own address lead nowhere, nor does a straight route.
    let own = lab.h1.address_of("nginx", "app");
    let _ = lab
        .outside
        .exec(&["ip", "route", "add", &format!("{own}/32"), "via", HOST])
        .ok();
    for url in [
        format!("http://{HOST}:3306/"),
        format!("http://{own}:3306/"),
    ] {
        assert!(!lab.outside.get(&url).is_ok(), "outside {url}");
        assert!(
            !lab.h1.in_container("other", &curl(&url)).is_ok(),
            "other {url}"
        );
    }
    assert!(!lab.h1.get("http://127.0.0.1:3306/").is_ok());
    let published = format!("http://{HOST}:3306/");
    assert!(!lab.h1.in_container("neighbour", &curl(&published)).is_ok());
}

#[test]
fn s06_a_service_for_its_companion_alone_listens_on_loopback() {
    // What shares a network with the web server reaches the address of both, as in Docker; 127.0.0.1 it does not.
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "app"]).ok();
    lab.h1.web("nginx", 80, &["--network", "app"]);
    let listen = "TCP-LISTEN:3306,bind=127.0.0.1,fork,reuseaddr";
    let flags = ["--name", "mysql", "--network", "container:nginx"];
    lab.h1
        .run_detached(&flags, &["socat", listen, "SYSTEM:echo mysql"]);
    lab.h1.listening("mysql", "-t", "3306");
    lab.h1.idle("neighbour", "app", &[]);
    let ask = |who: &str, at: &str| {
        let target = format!("TCP:{at}:3306,connect-timeout=1");
        lab.h1.in_container(who, &["socat", "-u", &target, "-"])
    };
    assert_eq!(ask("nginx", "127.0.0.1").ok().text(), "mysql");
    let own = lab.h1.address_of("nginx", "app");
    assert!(!ask("neighbour", &own).is_ok());
    let host = format!("TCP:{own}:3306,connect-timeout=1");
    assert!(!lab.h1.exec(&["socat", "-u", &host, "-"]).is_ok());
}

#[test]
fn s06_files_and_name_are_the_parents() {
    let lab = Lab::new();
    pair(&lab);
    for file in ["/etc/hosts", "/etc/resolv.conf", "/etc/hostname"] {
        let of = |name| lab.h1.in_container(name, &["cat", file]).ok().stdout;
        assert_eq!(of("web"), of("db"), "{file}");
    }
    let name = |who| lab.h1.in_container(who, &["hostname"]).ok().stdout;
    assert_eq!(name("web"), name("db"));
    let answer = lab.h1.in_container("db", &["getent", "hosts", "web"]).ok();
    assert!(answer.text().starts_with(&lab.h1.address_of("web", "app")));
}

#[test]
fn s06_a_companion_has_no_network_to_give_things_to() {
    let lab = Lab::new();
    pair(&lab);
    let run = |flags: &[&str]| {
        let mut all = vec!["run", "--rm", "--network", "container:db"];
        all.extend(flags);
        all.extend(["--", "true"]);
        lab.h1.net(&all)
    };
    for flags in [
        &["-p", "81:81"][..],
        &["--ip", "172.18.0.9"],
        &["--mac-address", "02:42:ac:12:00:09"],
        &["--alias", "x"],
        &["--hostname", "x"],
        &["--dns", "192.0.2.1"],
        &["--link", "web:x"],
    ] {
        let refused = run(flags);
        assert!(
            refused.stderr.contains("in the network of web"),
            "{refused}"
        );
    }
    let _ = run(&[]).ok();
    let _ = lab.h1.net(&["create", "more"]).ok();
    let _ = lab
        .h1
        .net(&["connect", "more", "db"])
        .fails(1)
        .names(&["shares the network of web; connect web"]);
    let _ = lab
        .h1
        .net(&["publish", "db", "-p", "81:81"])
        .fails(1)
        .names(&["publish on web"]);
    let gone = lab
        .h1
        .net(&["run", "--network", "container:nobody", "--", "true"]);
    assert!(gone.stderr.contains("not found"), "{gone}");
    let shown = lab.h1.net(&["ps"]).ok().stdout;
    let line = shown.lines().find(|line| line.contains(" db "));
    assert!(
        line.is_some_and(|line| line.contains("container:web")),
        "{shown}"
    );
}

#[test]
fn s06_a_companion_of_the_host_or_of_nothing_has_what_that_has() {
    let lab = Lab::new();
    lab.h1.idle("hosted", "host", &[]);
    lab.h1.idle("lone", "none", &[]);
    lab.h1.idle("a", "container:hosted", &[]);
    lab.h1.idle("b", "container:lone", &[]);
    let own = lab.h1.exec(&["readlink", "/proc/self/ns/net"]).ok().stdout;
    assert_eq!(netns(&lab, "a"), own);
    assert_eq!(netns(&lab, "b"), netns(&lab, "lone"));
    let links = lab.h1.in_container("b", &["ip", "-o", "link"]).ok();
    assert_eq!(links.stdout.lines().count(), 1, "{links}");
    let _ = lab.h1.net(&["stop", "-t", "0", "lone"]).ok();
    let refused = lab
        .h1
        .net(&["run", "--network", "container:lone", "--", "true"]);
    assert!(refused.stderr.contains("container:b"), "{refused}");
    // One that runs leads on to the namespace, whoever made it.
    lab.h1.idle("c", "container:b", &[]);
    assert_eq!(netns(&lab, "c"), netns(&lab, "b"));
}

/// Flows through the network of `web` to its companion, from outside and to the outside, while `calamity` happens.
fn not_cut_off(lab: &Lab, calamity: impl FnOnce()) {
    let published = format!("{HOST}:3306");
    let tcp = lab.outside.flow(Transport::Tcp, &published);
    let inside = lab.h1.flow_in("db", Transport::Tcp, "127.0.0.1:3306");
    some_packets(&lab.outside, HOST);
    calamity();
    some_packets(&lab.outside, HOST);
    let _ = tcp.stop().lossless();
    let _ = inside.stop().lossless();
}

#[test]
fn s06_a_companion_is_not_cut_off_when_its_parent_stops_and_returns() {
    let lab = Lab::new();
    pair(&lab);
    let (before, place) = (netns(&lab, "db"), address(&lab, "db"));
    not_cut_off(&lab, || {
        let _ = lab.h1.net(&["stop", "-t", "1", "web"]).ok();
        let shown = lab.h1.net(&["ps"]).ok().stdout;
        assert!(shown.contains("network kept by db"), "{shown}");
        // Its name still leads to the address, which is the companion's, too.
        let answer = lab.h1.in_container("db", &["getent", "hosts", "web"]).ok();
        assert!(place.contains(answer.text().split(' ').next().or_fail("address")));
        let _ = lab
            .h1
            .net(&["exec", "web", "--", "true"])
            .fails(125)
            .names(&["net exec db"]);
        let _ = lab
            .h1
            .net(&["rm", "app"])
            .fails(1)
            .names(&["in use by web"]);
        let elsewhere = ["run", "--name", "web", "--network", "bridge", "--", "true"];
        let _ = lab
            .h1
            .net(&elsewhere)
            .fails(125)
            .names(&["kept by db", "--network app"]);
        web(&lab);
    });
    assert_eq!(
        (netns(&lab, "web"), netns(&lab, "db")),
        (before.clone(), before)
    );
    assert_eq!(address(&lab, "web"), place);
    let page = lab.outside.get(&format!("http://{HOST}:8080/"));
    assert_eq!(page.ok().text(), "web");
}

#[test]
fn s06_a_companion_survives_kill_9_of_parent_supervisor_and_daemon_in_any_order() {
    let lab = Lab::new();
    pair(&lab);
    for order in ["wsd", "dws", "swd", "dsw"] {
        if view(&lab, "web")["ended"].is_string() {
            web(&lab);
        }
        let supervisor = supervisor(&lab, "web");
        let server = lab.h1.sh(&format!("pgrep -P {supervisor}")).ok();
        let server: u32 = server.text().parse().or_fail("process of the server");
        let place = address(&lab, "db");
        not_cut_off(&lab, || {
            let mut daemon_runs = true;
            for death in order.chars() {
                match death {
                    // Whoever is dead already took the other along.
                    'w' => _ = lab.h1.sh(&format!("kill -9 {server}")),
                    's' => _ = lab.h1.sh(&format!("kill -9 {supervisor}")),
                    _ => {
                        lab.h1.kill();
                        daemon_runs = false;
                    }
                }
            }
            if !daemon_runs {
                lab.h1.start();
            }
            within(Duration::from_secs(5), "the end of web is known", || {
                let web = view(&lab, "web");
                (web["ended"].is_string() && web["shared_with"][0] == "db").then_some(())
            });
        });
        assert_eq!(address(&lab, "db"), place, "{order}");
    }
    web(&lab);
    assert_eq!(address(&lab, "web"), address(&lab, "db"));
}

#[test]
fn s06_all_is_freed_within_a_second_of_the_last_ones_end() {
    let lab = Lab::new();
    for ways in [
        ["stop", "stop"],
        ["stop", "kill"],
        ["kill", "stop"],
        ["kill", "kill"],
    ] {
        for last in ["web", "db"] {
            let first = if last == "web" { "db" } else { "web" };
            pair(&lab);
            for (way, who) in ways.iter().zip([first, last]) {
                assert_eq!(lab.h1.address_of("web", "app"), "172.18.0.2");
                let supervisor = supervisor(&lab, who);
                if *way == "stop" {
                    let _ = lab.h1.net(&["stop", "-t", "1", who]).ok();
                } else {
                    lab.h1.signal("KILL", supervisor);
                    within(Duration::from_secs(5), "an end", || {
                        (who == last || view(&lab, who)["ended"].is_string()).then_some(())
                    });
                }
            }
            within(
                FREED_WITHIN,
                &format!("{ways:?}, {last} last: all is freed"),
                || is_freed(&lab).then_some(()),
            );
        }
    }
}

#[test]
fn s06_another_runtimes_parent_returns_without_its_companion_and_netd_says_so() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "app"]).ok();
    let start = || {
        lab.h1.spawn(
            &["unshare", "-n", "sleep", "infinity"],
            &[],
            "/run/lab/foreign.log",
        )
    };
    let mut first = start();
    let join = |pid: u32| {
        within(
            Duration::from_secs(5),
            "the foreign process is known",
            || {
                let target = format!("pid:{pid}");
                lab.h1
                    .net(&["connect", "--name", "pod", "app", &target])
                    .is_ok()
                    .then_some(())
            },
        );
    };
    join(first.pid);
    let place = lab.h1.address_of("pod", "app");
    lab.h1.idle("side", "container:pod", &[]);
    lab.h1.signal("KILL", first.pid);
    let _ = first.ends_within(Duration::from_secs(5));
    assert!(address(&lab, "side").contains(&place));
    let second = start();
    join(second.pid);
    assert_eq!(lab.h1.address_of("pod", "app"), place);
    assert_eq!(address(&lab, "side").lines().count(), 1, "only lo is left");
    let shown = lab.h1.net(&["ps"]).ok().stdout;
    assert!(shown.contains("container:pod (left behind)"), "{shown}");
    assert!(lab.h1.log_tail(40).contains("is in the former one"));
    lab.h1.signal("KILL", second.pid);
}
