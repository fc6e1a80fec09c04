//! S21: every way to publish a port, and who gets it.

use netns_tests::lab::{HOST, OUTSIDE};
use netns_tests::oracle::curl;
use netns_tests::{Lab, Machine};

fn page(machine: &Machine, port: u16) -> Option<String> {
    let ran = machine.get(&format!("http://{HOST}:{port}/"));
    ran.is_ok().then(|| ran.text().to_owned())
}

fn ports(lab: &Lab, container: &str) -> Vec<String> {
    let text = lab.h1.net(&["port", container]).ok().stdout;
    text.lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn s21_the_forms_of_a_port() {
    let lab = Lab::new();
    let all = format!("{HOST}:8001:80");
    let any_of_one = format!("{HOST}::80");
    lab.h1.web("full", 80, &["-p", &all]);
    lab.h1.web("plain", 80, &["-p", "8002:80"]);
    lab.h1.web("same", 80, &["-p", "80:80"]);
    lab.h1.web("free", 80, &["-p", "80"]);
    lab.h1.web("free-of-one", 80, &["-p", &any_of_one]);
    assert_eq!(ports(&lab, "full"), [format!("80/tcp -> {HOST}:8001")]);
    assert_eq!(ports(&lab, "plain"), ["80/tcp -> 0.0.0.0:8002"]);
    assert_eq!(ports(&lab, "free"), ["80/tcp -> 0.0.0.0:32768"]);
    assert_eq!(
        ports(&lab, "free-of-one"),
        [format!("80/tcp -> {HOST}:32769")]
    );
    let reached = [8001, 8002, 80, 32768, 32769].map(|port| page(&lab.outside, port).unwrap());
    assert_eq!(reached, ["full", "plain", "same", "free", "free-of-one"]);
    let listed = lab.h1.net(&["ps"]).ok();
    assert!(listed.stdout.contains("0.0.0.0:32768->80/tcp"), "{listed}");
    assert!(
        listed.stdout.contains(&format!("{HOST}:8001->80/tcp")),
        "{listed}"
    );
    assert_eq!(
        lab.h1.net(&["port", "plain", "80"]).ok().text(),
        "0.0.0.0:8002"
    );
}

#[test]
fn s21_udp_and_ranges() {
    let lab = Lab::new();
    lab.h1.udp_echo("echo", 5000, &["-p", "6000:5000/udp"]);
    assert_eq!(ports(&lab, "echo"), ["5000/udp -> 0.0.0.0:6000"]);
    assert_eq!(
        lab.outside.udp_ask(&format!("{HOST}:6000"), 0, "hello"),
        "echo hello"
    );
    assert!(page(&lab.outside, 6000).is_none());
    lab.h1.web("range", 7001, &["-p", "9000-9002:7000-7002"]);
    assert_eq!(page(&lab.outside, 9001).unwrap(), "range");
    let listed = ports(&lab, "range");
    assert_eq!(listed.len(), 3, "{listed:?}");
    assert!(
        listed.contains(&"7002/tcp -> 0.0.0.0:9002".to_owned()),
        "{listed:?}"
    );
    let uneven = ["run", "-p", "9000-9002:7000-7001", "--", "true"];
    let ran = lab.h1.net(&uneven);
    assert!(!ran.is_ok() && !ran.stderr.is_empty(), "{ran}");
}

#[test]
fn s21_sctp_is_translated_like_the_others() {
    let lab = Lab::new();
    lab.h1.idle("c", "bridge", &["-p", "7000:7000/sctp"]);
    assert_eq!(ports(&lab, "c"), ["7000/sctp -> 0.0.0.0:7000"]);
    assert_eq!(lab.h1.translations(), 1);
}

#[test]
fn s21_all_exposed_ports_get_one() {
    let lab = Lab::new();
    lab.h1.web(
        "c",
        80,
        &["-P", "--expose", "80", "--expose", "5000-5001/udp"],
    );
    let listed = ports(&lab, "c");
    assert_eq!(listed.len(), 3, "{listed:?}");
    let web = listed
        .iter()
        .find(|line| line.starts_with("80/tcp"))
        .unwrap();
    let port: u16 = web.rsplit(':').next().unwrap().parse().unwrap();
    assert!(port >= 32768, "{web}");
    assert_eq!(page(&lab.outside, port).unwrap(), "c");
}

#[test]
fn s21_the_second_to_want_a_port_hears_who_has_it() {
    let lab = Lab::new();
    lab.h1.idle("first", "bridge", &["-p", "8080:80"]);
    let before = lab.h1.all_rules();
    let second = ["run", "--name", "loser", "-p", "8080:80", "--", "true"];
    let _ = lab.h1.net(&second).fails(125).names(&["8080", "first"]);
    let narrower = [
        "run",
        "--name",
        "loser",
        "-p",
        "127.0.0.1:8080:80",
        "--",
        "true",
    ];
    let _ = lab.h1.net(&narrower).fails(125).names(&["8080", "first"]);
    assert_eq!(lab.h1.all_rules(), before);
    assert!(!lab.h1.net(&["ps", "-a"]).ok().stdout.contains("loser"));
    // Another protocol is another port, and another address too.
    lab.h1.idle("udp", "bridge", &["-p", "8080:80/udp"]);
    lab.h1.idle("lo1", "bridge", &["-p", "127.0.0.1:8081:80"]);
    let other = format!("{HOST}:8081:80");
    lab.h1.idle("lo2", "bridge", &["-p", &other]);
}

#[test]
fn s21_a_process_of_the_host_that_has_the_port_is_named() {
    let lab = Lab::new();
    let server = lab.h1.web_server(8080, "the host's own");
    let wanted = ["run", "--name", "c", "-p", "8080:80", "--", "true"];
    let pid = server.pid.to_string();
    let _ = lab
        .h1
        .net(&wanted)
        .fails(125)
        .names(&["8080", "busybox", &pid]);
    assert_eq!(page(&lab.outside, 8080).unwrap(), "the host's own");
    // And the other way round: a published port is taken for processes of the host.
    lab.h1.idle("holder", "bridge", &["-p", "8082:80"]);
    let late = lab
        .h1
        .exec(&["timeout", "5", "socat", "TCP-LISTEN:8082", "-"]);
    assert!(!late.is_ok() && late.code != 124, "{late}");
    assert!(late.stderr.contains("in use"), "{late}");
}

#[test]
fn s21_a_port_bound_to_loopback_is_only_the_hosts() {
    let lab = Lab::new();
    lab.h1.web("c", 80, &["-p", "127.0.0.1:8080:80"]);
    assert_eq!(lab.h1.get("http://127.0.0.1:8080/").ok().text(), "c");
    assert!(page(&lab.outside, 8080).is_none());
    // A neighbour that sends 127.0.0.1 to our Ethernet address (CVE-2020-8558) gets neither the published port nor a
    // service of the host's own.
    let probe = "nft add table ip probe && nft add chain ip probe seen '{ type filter hook prerouting priority -500; }' \
                 && nft add rule ip probe seen iifname eth0 ip daddr 127.0.0.1 counter";
    let _ = lab.h1.sh(probe).ok();
    let service = [
        "socat",
        "TCP-LISTEN:9090,bind=127.0.0.1,fork,reuseaddr",
        "SYSTEM:echo secret",
    ];
    let _service = lab.h1.spawn(&service, &[], "/run/lab/service.log");
    lab.h1.machine_listens("-t", 9090);
    lab.outside.aim_loopback_at(HOST);
    assert_eq!(lab.outside.steal_from_loopback(OUTSIDE, 9090), "");
    let mut line = vec!["curl", "--interface", OUTSIDE];
    line.extend(&curl("http://127.0.0.1:8080/")[1..]);
    let _ = lab.outside.exec(&line).fails(28);
    let counted = lab
        .h1
        .exec(&["nft", "list", "chain", "ip", "probe", "seen"])
        .ok();
    assert!(
        !counted.stdout.contains("packets 0"),
        "the attack did not arrive: {counted}"
    );
}

#[test]
fn s21_the_host_reaches_its_published_ports_at_every_address() {
    let lab = Lab::new();
    lab.h1.web("c", 80, &["-p", "8080:80"]);
    for address in ["127.0.0.1", HOST, "172.17.0.1", "127.0.0.5"] {
        let ran = lab.h1.get(&format!("http://{address}:8080/")).ok();
        assert_eq!(ran.text(), "c", "{address}");
    }
}

#[test]
fn s21_ports_come_and_go_while_the_container_runs() {
    let lab = Lab::new();
    lab.h1.web("c", 80, &[]);
    assert!(page(&lab.outside, 8080).is_none());
    let _ = lab.h1.net(&["publish", "c", "-p", "8080:80"]).ok();
    assert_eq!(page(&lab.outside, 8080).unwrap(), "c");
    let _ = lab.h1.net(&["unpublish", "c", "-p", "8080:80"]).ok();
    assert!(page(&lab.outside, 8080).is_none());
    assert_eq!(ports(&lab, "c"), [""; 0]);
    // The port is the host's again.
    let _own = lab.h1.web_server(8080, "host");
    assert_eq!(page(&lab.outside, 8080).unwrap(), "host");
}

#[test]
fn an_address_that_is_not_the_hosts_cannot_be_published_on() {
    let lab = Lab::new();
    let wanted = ["run", "-p", "203.0.113.1:8080:80", "--", "true"];
    let _ = lab.h1.net(&wanted).fails(125).names(&["203.0.113.1"]);
}
