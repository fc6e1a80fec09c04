//! Flows: those that must go on, and those that the kernel remembers although their server is gone.

use netns_tests::lab::HOST;
use netns_tests::{HostOptions, Lab, eventually};

/// Starts a client outside that sends a line every 50 ms over one TCP connection to a published port, and keeps what
/// comes back in /run/lab/flow.
fn endless_flow(lab: &Lab) -> netns_tests::Background {
    lab.h1.run_detached(
        &["--name", "echo", "-p", "7000:7000"],
        &["socat", "TCP-LISTEN:7000,fork,reuseaddr", "EXEC:cat"],
    );
    lab.h1.listening("echo", "-t", "7000");
    let talk = "n=0; while :; do n=$((n+1)); echo $n; sleep 0.05; done";
    let line = format!("({talk}) | socat -t5 - TCP:{HOST}:7000 > /run/lab/flow");
    lab.outside
        .spawn(&["sh", "-c", &line], &[], "/run/lab/client.log")
}

fn count(lab: &Lab) -> usize {
    lab.outside.read("/run/lab/flow").lines().count()
}

fn goes_on(lab: &Lab) {
    let seen = count(lab);
    eventually("the flow to go on", || {
        (count(lab) > seen + 5).then_some(())
    });
}

#[test]
fn a_restart_of_the_daemon_keeps_a_flow() {
    let lab = Lab::new();
    let mut client = endless_flow(&lab);
    eventually("the flow to begin", || (count(&lab) > 5).then_some(()));
    lab.h1.restart();
    goes_on(&lab);
    lab.h1.kill();
    goes_on(&lab);
    lab.h1.start();
    goes_on(&lab);
    assert!(client.is_running());
}

#[test]
fn a_udp_client_resumes_after_its_server_was_replaced() {
    let lab = Lab::new();
    let ask = || lab.outside.udp_ask(&format!("{HOST}:6000"), 40000, "hello");
    lab.h1.udp_echo("one", 5000, &["-p", "6000:5000/udp"]);
    assert_eq!(ask(), "one hello");
    // A second address, so that an old translation leads nowhere.
    let _ = lab.h1.net(&["stop", "one"]).ok();
    lab.h1.idle("between", "bridge", &[]);
    let _ = ask();
    lab.h1.udp_echo("two", 5000, &["-p", "6000:5000/udp"]);
    let start = std::time::Instant::now();
    eventually("the new server's answer", || {
        (ask() == "two hello").then_some(())
    });
    assert!(start.elapsed() < std::time::Duration::from_secs(2));
}

#[test]
fn a_udp_client_that_was_there_before_the_server_gets_through() {
    let lab = Lab::new();
    let ask = || lab.outside.udp_ask(&format!("{HOST}:6000"), 40001, "hello");
    // The kernel notes this as a flow to the host itself.
    assert_eq!(ask(), "");
    lab.h1.udp_echo("late", 5000, &["-p", "6000:5000/udp"]);
    eventually("the server's answer", || {
        (ask() == "late hello").then_some(())
    });
}

#[test]
fn a_withdrawn_udp_port_no_longer_answers() {
    let lab = Lab::with(HostOptions::default());
    lab.h1.udp_echo("one", 5000, &["-p", "6000:5000/udp"]);
    let ask = || lab.outside.udp_ask(&format!("{HOST}:6000"), 40002, "hello");
    assert_eq!(ask(), "one hello");
    let _ = lab
        .h1
        .net(&["unpublish", "one", "-p", "6000:5000/udp"])
        .ok();
    assert_eq!(ask(), "");
}
