//! `net update`: a network changes under its containers, seen by real packets.

use netns_tests::host::SOCKET;
use netns_tests::lab::{HOST, OUTSIDE};
use netns_tests::oracle::{curl, dig_line};
use netns_tests::serve::OUTSIDE_ZONE;
use netns_tests::{Lab, eventually};

/// A host with the network `app`, 10.40.0.0/24.
fn lab() -> Lab {
    let lab = Lab::new();
    let _ = lab
        .h1
        .net(&["create", "--subnet", "10.40.0.0/24", "app"])
        .ok();
    lab
}

fn update(lab: &Lab, flags: &[&str]) {
    let mut args = vec!["update"];
    args.extend(flags);
    args.push("app");
    assert_eq!(lab.h1.net(&args).ok().text(), "app");
}

/// True if an ICMP packet of `bytes` in all passes whole from a container to its gateway.
fn passes_whole(lab: &Lab, container: &str, bytes: u32) -> bool {
    // 20 bytes of IPv4 header (RFC 791) and 8 of ICMP (RFC 792).
    let payload = (bytes - 28).to_string();
    let line = [
        "ping",
        "-c1",
        "-W2",
        "-M",
        "do",
        "-s",
        &payload,
        "10.40.0.1",
    ];
    lab.h1.in_container(container, &line).is_ok()
}

/// Starts a client outside that sends a line every 50 ms to a published port of the network.
fn endless_flow(lab: &Lab) -> netns_tests::Background {
    lab.h1.run_detached(
        &["--name", "echo", "--network", "app", "-p", "7000:7000"],
        &["socat", "TCP-LISTEN:7000,fork,reuseaddr", "EXEC:cat"],
    );
    lab.h1.listening("echo", "-t", "7000");
    let talk = "n=0; while :; do n=$((n+1)); echo $n; sleep 0.05; done";
    let line = format!("({talk}) | socat -t5 - TCP:{HOST}:7000 > /run/lab/flow");
    lab.outside
        .spawn(&["sh", "-c", &line], &[], "/run/lab/client.log")
}

fn goes_on(lab: &Lab) {
    let count = || lab.outside.read("/run/lab/flow").lines().count();
    let seen = count();
    eventually("the flow to go on", || (count() > seen + 5).then_some(()));
}

#[test]
fn an_mtu_changes_on_every_end_under_a_flow() {
    let lab = lab();
    let mut client = endless_flow(&lab);
    let address = lab.h1.address_of("echo", "app");
    goes_on(&lab);
    assert!(passes_whole(&lab, "echo", 1500));
    update(&lab, &["--mtu", "1400"]);
    assert!(passes_whole(&lab, "echo", 1400));
    assert!(!passes_whole(&lab, "echo", 1401));
    goes_on(&lab);
    let bridge = format!(
        "br-{}",
        &lab.h1.inspect("app")["Id"].as_str().unwrap()[..12]
    );
    assert_eq!(lab.h1.link(&bridge).unwrap()["mtu"], 1400);
    // One who comes later has it, too, and so has everybody after a crash.
    lab.h1.idle("late", "app", &[]);
    assert!(!passes_whole(&lab, "late", 1401));
    lab.h1.kill();
    lab.h1.start();
    assert!(!passes_whole(&lab, "echo", 1401));
    assert_eq!(
        lab.h1.inspect("app")["Options"]["com.docker.network.driver.mtu"],
        "1400"
    );
    update(&lab, &["-o", "com.docker.network.driver.mtu=1500"]);
    assert!(passes_whole(&lab, "echo", 1500));
    goes_on(&lab);
    assert!(client.is_running());
    assert_eq!(lab.h1.address_of("echo", "app"), address);
}

#[test]
fn a_network_is_closed_and_opened_again() {
    let lab = lab();
    lab.h1
        .web("web", 80, &["--network", "app", "-p", "8080:80"]);
    lab.h1.idle("peer", "app", &[]);
    let _page = lab.outside.web_server(80, "outside");
    let (published, away) = (format!("http://{HOST}:8080/"), format!("http://{OUTSIDE}/"));
    let reach = || {
        [
            lab.outside.get(&published).is_ok(),
            lab.h1.in_container("web", &curl(&away)).is_ok(),
            lab.h1.in_container("peer", &curl("http://web/")).is_ok(),
        ]
    };
    let route = || {
        let line = ["ip", "route", "show", "default"];
        lab.h1.in_container("web", &line).ok().text().to_owned()
    };
    assert_eq!(reach(), [true, true, true]);
    let before = route();
    update(&lab, &["--internal"]);
    assert_eq!(reach(), [false, false, true]);
    assert_eq!(route(), "");
    assert_eq!(lab.h1.inspect("app")["Internal"], true);
    assert_eq!(lab.h1.net(&["port", "web"]).ok().text(), "");
    lab.h1.kill();
    lab.h1.start();
    assert_eq!(reach(), [false, false, true]);
    update(&lab, &["--internal=false"]);
    assert_eq!(reach(), [true, true, true]);
    assert_eq!(route(), before);
}

#[test]
fn neighbours_are_parted_and_the_host_lends_its_address_no_more() {
    let lab = lab();
    lab.h1.web("web", 80, &["--network", "app"]);
    lab.h1.idle("peer", "app", &[]);
    let _page = lab.outside.web_server(80, "outside");
    let away = format!("http://{OUTSIDE}/");
    let web = format!("http://{}/", lab.h1.address_of("web", "app"));
    let fetch = |url: &str| lab.h1.in_container("peer", &curl(url)).is_ok();
    assert!(fetch(&web) && fetch(&away));
    update(&lab, &["--icc=false"]);
    assert!(!fetch(&web) && fetch(&away));
    // The machine outside knows no way back to the containers' own addresses.
    update(&lab, &["--icc", "--masquerade=false"]);
    assert!(fetch(&web) && !fetch(&away));
    update(&lab, &["--masquerade"]);
    assert!(fetch(&web) && fetch(&away));
}

#[test]
fn s20_containers_ask_the_resolvers_of_their_network() {
    let lab = lab();
    let second = lab.machine("second", "198.18.0.3/24");
    let (_first, _other) = (lab.outside.resolver(), second.resolver());
    lab.h1.idle("c", "app", &[]);
    lab.h1.idle("own", "app", &["--dns", OUTSIDE]);
    let asked = |container: &str, label: &str| {
        let name = format!("{label}.{OUTSIDE_ZONE}");
        let _ = lab.h1.in_container(container, &dig_line(&[&name])).ok();
        [&lab.outside, &second].map(|m| m.read("/run/lab/questions").contains(label))
    };
    assert_eq!(asked("c", "one"), [true, false]);
    update(&lab, &["--dns", "198.18.0.3"]);
    assert_eq!(asked("c", "two"), [false, true]);
    assert_eq!(asked("own", "three"), [true, false]);
    assert_eq!(lab.h1.inspect("app")["DnsServers"][0], "198.18.0.3");
    lab.h1.restart();
    assert_eq!(asked("c", "four"), [false, true]);
    update(&lab, &["--dns-drop", "198.18.0.3"]);
    assert_eq!(asked("c", "five"), [true, false]);
    let create = ["create", "--dns", "198.18.0.3", "other"];
    let _ = lab.h1.net(&create).ok();
    lab.h1.idle("o", "other", &[]);
    assert_eq!(asked("o", "six"), [false, true]);
}

#[test]
fn labels_come_and_go_and_every_change_is_an_event() {
    let lab = lab();
    let program = netns_tests::programs::built("net").display().to_string();
    let line = [program.as_str(), "-H", SOCKET, "events", "--json"];
    let _listener = lab.h1.spawn(&line, &[], "/run/lab/events");
    let labels = || lab.h1.inspect("app")["Labels"].to_string();
    update(&lab, &["--label", "team=red", "--label-add", "x=y"]);
    assert_eq!(labels(), r#"{"team":"red","x":"y"}"#);
    update(&lab, &["--label-rm", "x", "--label", "team=blue"]);
    assert_eq!(labels(), r#"{"team":"blue"}"#);
    eventually("an event of an update", || {
        update(&lab, &["--label-rm", "team"]);
        update(&lab, &["--label", "team=green"]);
        let told = lab.h1.read("/run/lab/events");
        let update = told.lines().find(|line| line.contains("\"update\""))?;
        update.contains("labels").then_some(())
    });
    let body = r#"{"labels": {"by": "http"}}"#;
    let line = [
        "curl",
        "-sS",
        "--unix-socket",
        SOCKET,
        "-X",
        "PATCH",
        "-d",
        body,
        "http://netd/netd/v1/networks/app",
    ];
    assert_eq!(lab.h1.exec(&line).ok().json()["Labels"]["by"], "http");
}

#[test]
fn s19_what_cannot_change_is_refused_with_what_to_do() {
    let lab = lab();
    let before = lab.h1.inspect("app");
    for (line, code, words) in [
        (
            "-d macvlan app",
            1,
            &["driver cannot change", "net create -d macvlan"][..],
        ),
        (
            "--subnet 10.41.0.0/24 app",
            1,
            &["cannot change", "10.40.0.0/24", "net connect"],
        ),
        ("--gateway 10.40.0.9 app", 1, &["gateway", "net create"]),
        (
            "-o com.docker.network.bridge.name=br-x app",
            1,
            &["cannot change", "br-x"],
        ),
        (
            "-o icc=false app",
            1,
            &["com.docker.network.bridge.enable_icc"],
        ),
        ("--mtu 12 app", 1, &["68 to 65535"]),
        ("--mtu 1400 host", 1, &["host is a built-in network"]),
        ("--label a=b none", 1, &["none is a built-in network"]),
        (
            "--mtu 1400 --icc=false bridge",
            1,
            &["set icc and mtu in daemon.json"],
        ),
        ("--mtu 1400 nothing", 1, &["network nothing not found"]),
        ("app", 2, &["nothing to change"]),
        ("--internal=perhaps app", 2, &["true or false"]),
    ] {
        let mut args = vec!["update"];
        args.extend(line.split_whitespace());
        let _ = lab.h1.net(&args).fails(code).names(words);
    }
    assert_eq!(lab.h1.inspect("app"), before);
}
