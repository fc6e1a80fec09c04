//! The laboratory holds what it promises, before anything is concluded from it.

use netns_tests::lab::{HOST, OUTSIDE};
use netns_tests::serve::OUTSIDE_ANSWER;
use netns_tests::{HostOptions, Lab, Machine, eventually};

#[test]
fn machines_of_a_lab_reach_each_other() {
    let lab = Lab::without_daemon(HostOptions::default());
    let _server = lab.outside.web_server(80, "outside page");
    let page = lab.h1.get(&format!("http://{OUTSIDE}/")).ok();
    assert_eq!(page.text(), "outside page");
    let third = lab.machine("third", "198.18.0.3/24");
    let _server = third.web_server(80, "third page");
    let page = lab.outside.get("http://198.18.0.3/").ok();
    assert_eq!(page.text(), "third page");
    let _ = third.exec(&["ping", "-c1", "-W2", HOST]).ok();
}

#[test]
fn the_outside_resolver_answers() {
    let lab = Lab::without_daemon(HostOptions::default());
    let _resolver = lab.outside.resolver();
    for transport in ["+notcp", "+tcp"] {
        let answer = lab.h1.dig(&[transport, "www.outside.test", "A"]);
        assert_eq!(answer.data, [OUTSIDE_ANSWER], "{answer:?}");
    }
    let answer = lab.h1.dig(&["elsewhere.test", "A"]);
    assert_eq!(answer.status, "NXDOMAIN");
    assert!(
        lab.outside
            .read("/run/lab/questions")
            .contains("elsewhere.test 1")
    );
}

#[test]
fn a_machine_takes_everything_with_it() {
    let machine = Machine::new("m");
    let pid = machine.first_pid();
    // An orphan that ignores what a shell's children usually end by.
    let line = machine
        .sh("setsid nohup sleep 1000 </dev/null >/dev/null 2>&1 & echo $!")
        .ok();
    assert!(!line.text().is_empty());
    drop(machine);
    eventually("the end of the first process", || {
        (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    });
}

#[test]
fn the_attack_on_loopback_succeeds_without_a_defence() {
    let lab = Lab::without_daemon(HostOptions::default());
    let service = [
        "socat",
        "TCP-LISTEN:9090,bind=127.0.0.1,fork,reuseaddr",
        "SYSTEM:echo secret",
    ];
    let _service = lab.h1.spawn(&service, &[], "/run/lab/service.log");
    lab.h1.machine_listens("-t", 9090);
    lab.outside.aim_loopback_at(HOST);
    assert_eq!(lab.outside.steal_from_loopback(OUTSIDE, 9090), "");
    // What a daemon turns on for published ports, without thinking further.
    let _ = lab
        .h1
        .sh("echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet")
        .ok();
    assert_eq!(lab.outside.steal_from_loopback(OUTSIDE, 9090), "secret");
}

#[test]
fn datagrams_are_echoed() {
    let lab = Lab::without_daemon(HostOptions::default());
    let echo = [
        "socat",
        "UDP-RECVFROM:5000,fork,reuseaddr",
        "SYSTEM:read -r l; echo one $l",
    ];
    let _echo = lab.h1.spawn(&echo, &[], "/run/lab/echo.log");
    lab.h1.machine_listens("-u", 5000);
    for _ in 0..2 {
        assert_eq!(
            lab.outside.udp_ask(&format!("{HOST}:5000"), 40000, "hello"),
            "one hello"
        );
    }
    assert_eq!(lab.outside.udp_ask(&format!("{HOST}:5001"), 0, "hello"), "");
}
