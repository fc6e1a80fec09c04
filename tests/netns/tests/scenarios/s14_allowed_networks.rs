//! S14: what Docker's users do by editing DOCKER-ISOLATION-STAGE-2 is a command: two networks may talk.

use std::time::Duration;

use netns_tests::firewall::FLUSH;
use netns_tests::host::SOCKET;
use netns_tests::{Lab, eventually, stands_still, within};

/// A host with the networks `front`, `back` and `other`, and on each a container named after it that tells every
/// caller on port 7000 its address.
fn three_networks() -> Lab {
    let lab = Lab::new();
    for name in ["front", "back", "other"] {
        let _ = lab.h1.net(&["create", name]).ok();
        let tell = "SYSTEM:echo $SOCAT_PEERADDR";
        let container = format!("on-{name}");
        lab.h1.run_detached(
            &["--name", &container, "--network", name],
            &["socat", "TCP-LISTEN:7000,fork,reuseaddr", tell],
        );
        lab.h1.listening(&container, "-t", "7000");
    }
    lab
}

fn address(lab: &Lab, network: &str) -> String {
    lab.h1.address_of(&format!("on-{network}"), network)
}

/// The address under which the container on `from` is seen by the one on `to`; `None` if it does not get there.
fn seen_as(lab: &Lab, from: &str, to: &str) -> Option<String> {
    let target = format!("TCP:{}:7000,connect-timeout=1", address(lab, to));
    let ask = ["socat", "-T2", &target, "-"];
    let ran = lab.h1.in_container(&format!("on-{from}"), &ask);
    ran.is_ok().then(|| ran.text().to_owned())
}

#[track_caller]
fn talk(lab: &Lab) {
    for (from, to) in [("front", "back"), ("back", "front")] {
        assert_eq!(seen_as(lab, from, to), Some(address(lab, from)), "{from}");
    }
}

#[track_caller]
fn are_apart(lab: &Lab, pairs: &[(&str, &str)]) {
    for (from, to) in pairs {
        assert_eq!(seen_as(lab, from, to), None, "{from} to {to}");
    }
}

const PAIR: [(&str, &str); 2] = [("front", "back"), ("back", "front")];
const OTHERS: [(&str, &str); 3] = [("front", "other"), ("other", "back"), ("back", "other")];

#[test]
fn s14_two_networks_talk_when_allowed_and_no_others() {
    let lab = three_networks();
    let before = lab.h1.all_rules();
    are_apart(&lab, &PAIR);
    assert_eq!(lab.h1.net(&["allow", "front", "back"]).ok().text(), "");
    talk(&lab);
    are_apart(&lab, &OTHERS);
    for (network, with) in PAIR {
        let view = lab.h1.inspect(network);
        assert_eq!(view["AllowedNetworks"], serde_json::json!([with]));
    }
    assert!(lab.h1.inspect("other").get("AllowedNetworks").is_none());
    let _ = lab.h1.net(&["allow", "back", "front"]).ok();
    let _ = lab.h1.net(&["deny", "back", "front"]).ok();
    are_apart(&lab, &PAIR);
    assert!(lab.h1.inspect("front").get("AllowedNetworks").is_none());
    let _ = lab.h1.net(&["deny", "front", "back"]).ok();
    assert_eq!(lab.h1.all_rules(), before);
}

#[test]
fn s14_it_survives_a_kill_and_a_flush_and_goes_with_its_network() {
    let lab = three_networks();
    let before = lab.h1.all_rules();
    let _ = lab.h1.net(&["allow", "front", "back"]).ok();
    let _ = lab.h1.net(&["allow", "other", "bridge"]).ok();
    let rules = || {
        let mut rules = lab.h1.all_rules();
        // What the user emptied of his own chain stays empty.
        rules.retain(|rule| rule != "-A DOCKER-USER -j RETURN");
        rules
    };
    let wanted = rules();
    lab.h1.kill();
    lab.h1.start();
    assert_eq!(rules(), wanted);
    talk(&lab);
    let _ = lab.h1.sh(FLUSH).ok();
    within(Duration::from_secs(2), "the rules to be back", || {
        (rules() == wanted).then_some(())
    });
    talk(&lab);
    // The same while nobody looks.
    lab.h1.kill();
    let _ = lab.h1.sh(FLUSH).ok();
    lab.h1.start();
    assert_eq!(rules(), wanted);
    talk(&lab);
    are_apart(&lab, &OTHERS);
    let _ = lab.h1.net(&["stop", "on-back"]).ok();
    let _ = lab.h1.net(&["rm", "back"]).ok();
    assert!(lab.h1.inspect("front").get("AllowedNetworks").is_none());
    let _ = lab.h1.net(&["deny", "bridge", "other"]).ok();
    let left = lab.h1.all_rules();
    let of_back = |rule: &&String| !before.contains(rule);
    let surplus: Vec<_> = left.iter().filter(of_back).collect();
    assert!(surplus.is_empty(), "{surplus:#?}");
}

/// For how long a flow that says something every 50 ms is silent before it counts as ended.
pub(crate) const TEN_BEATS: Duration = Duration::from_millis(500);

#[test]
fn s14_deny_ends_a_flow_that_is_under_way() {
    let lab = three_networks();
    let _ = lab.h1.net(&["allow", "front", "back"]).ok();
    lab.h1.run_detached(
        &["--name", "echo", "--network", "back"],
        &["socat", "TCP-LISTEN:7001,fork,reuseaddr", "EXEC:cat"],
    );
    lab.h1.listening("echo", "-t", "7001");
    let talk = "n=0; while :; do n=$((n+1)); echo $n; sleep 0.05; done";
    let echo = lab.h1.address_of("echo", "back");
    let line = format!("({talk}) | socat -t5 - TCP:{echo}:7001 > /run/lab/flow");
    lab.h1.run_detached(
        &["--name", "client", "--network", "front"],
        &["sh", "-c", &line],
    );
    let count = || lab.h1.read("/run/lab/flow").lines().count();
    let goes_on = |seen| {
        eventually("the flow to go on", || (count() > seen + 5).then_some(()));
    };
    goes_on(0);
    let _ = lab.h1.net(&["deny", "front", "back"]).ok();
    stands_still("the flow to stand still", TEN_BEATS, count);
    let _ = lab.h1.net(&["allow", "front", "back"]).ok();
    goes_on(count());
}

#[test]
fn s14_what_cannot_be_allowed_says_why() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "front"]).ok();
    let _ = lab.h1.net(&["create", "--internal", "closed"]).ok();
    let before = lab.h1.all_rules();
    for (other, part) in [
        ("front", "they are one network"),
        ("host", "host is no bridge network"),
        ("none", "none is no bridge network"),
        ("closed", "closed is internal"),
        ("nowhere", "network nowhere not found"),
    ] {
        let ran = lab.h1.net(&["allow", "front", other]).fails(1);
        assert!(ran.stderr.contains(part), "{ran}");
    }
    let _ = lab.h1.net(&["allow", "front"]).fails(2);
    let url = "http://netd/netd/v1/networks/front/allow";
    for body in [
        "{}",
        "[\"bridge\"]",
        "{\"network\": 1}",
        "{\"network\": \"bridge\", \"x\": 1}",
    ] {
        let post = ["curl", "-sS", "--unix-socket", SOCKET, "-d", body, url];
        let answer = lab.h1.exec(&post).ok().json();
        assert_eq!(answer["code"], "invalid_request", "{body}: {answer}");
    }
    assert_eq!(lab.h1.all_rules(), before);
}
