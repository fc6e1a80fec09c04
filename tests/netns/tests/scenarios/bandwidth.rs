//! Limits of traffic, with real bytes: as fast as they say and no faster, whoever takes what away, and gone with the container.
//!
//! What is asserted of a limited direction is that a number of bytes takes its time, which no load can shorten. That the other
//! one is faster is tried until it is, since load can only lengthen it.

use std::time::{Duration, Instant};

use netns_tests::cni::{configuration, eth0, refused};
use netns_tests::{Lab, OrFail, eventually, within};
use serde_json::{Value, json};

/// What is transferred: so many bytes at one megabyte a second, less what may come at once, take almost two seconds.
const BYTES: usize = 2_000_000;
const RATE: &str = "8mbit";
const BURST: &str = "64kb";
const AT_LEAST: Duration = Duration::from_millis(1900);
/// Four times what they take.
const AT_MOST: Duration = Duration::from_secs(8);
/// For a few tries.
const PATIENCE: Duration = Duration::from_secs(60);

/// A container that serves the bytes, with these flags besides. Gives its address.
fn serving(lab: &Lab, name: &str, flags: &[&str]) -> String {
    let file = format!("/run/lab/www-{name}/bytes");
    lab.h1.write(&file, &"x".repeat(BYTES));
    lab.h1
        .web(name, 80, &[&["--network", "lab"], flags].concat());
    lab.h1.address_of(name, "lab")
}

/// How long it takes a container, or the host if that has no name, to get the bytes from an address.
fn transfer(lab: &Lab, to: &str, from: &str) -> Duration {
    let get = format!("busybox wget -q -O - http://{from}/bytes | wc -c");
    let start = Instant::now();
    let got = match to {
        "" => lab.h1.sh(&get),
        container => lab.h1.in_container(container, &["sh", "-c", &get]),
    };
    let took = start.elapsed();
    assert_eq!(got.ok().text().trim(), BYTES.to_string());
    took
}

/// The bytes take as long as the limit has it, and arrive.
#[track_caller]
fn is_limited(lab: &Lab, to: &str, from: &str) {
    within(
        PATIENCE,
        "a transfer at no less than a quarter of the limit",
        || {
            let took = transfer(lab, to, from);
            assert!(took >= AT_LEAST, "{BYTES} bytes came in {took:?}");
            (took <= AT_MOST).then_some(())
        },
    );
}

/// The bytes come far faster than any limit here allows.
#[track_caller]
fn is_unlimited(lab: &Lab, to: &str, from: &str) {
    within(PATIENCE, "a transfer that nothing holds back", || {
        (transfer(lab, to, from) < AT_LEAST / 2).then_some(())
    });
}

/// What tc says of the queues of the host's links, and of the filters of what comes in, numbers of packets left out.
fn queues(lab: &Lab) -> String {
    // What is being deleted has a name of its own until then, and may be gone before it is asked about.
    let filters =
        "for d in $(ls /sys/class/net | grep -v ^nd); do tc filter show dev $d ingress || :; done";
    let queues = "tc qdisc show | grep -v 'dev nd'";
    lab.h1
        .sh(&format!("{queues}; {filters} 2>&1"))
        .ok()
        .text()
        .to_owned()
}

fn ifbs(lab: &Lab) -> usize {
    let listed = lab
        .h1
        .exec(&["ip", "-o", "link", "show", "type", "ifb"])
        .ok();
    listed.text().lines().count()
}

fn pair_of(lab: &Lab, container: &str) -> String {
    let view = lab.h1.net(&["inspect", container]).ok().json()[0].clone();
    let outside = view["networks"][0]["host_interface"].as_str();
    outside.or_fail("host interface").to_owned()
}

#[test]
fn bandwidth_each_direction_is_limited_by_itself() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "lab"]).ok();
    let free = serving(&lab, "free", &[]);
    let inward = ["--rate-in", RATE, "--burst-in", BURST];
    let outward = ["--rate-out", RATE, "--burst-out", BURST];
    let into = serving(&lab, "into", &inward);
    assert_eq!(ifbs(&lab), 0, "one that receives needs no device");
    is_limited(&lab, "into", &free);
    is_unlimited(&lab, "free", &into);
    let out = serving(&lab, "out", &outward);
    assert_eq!(ifbs(&lab), 1);
    is_limited(&lab, "free", &out);
    is_unlimited(&lab, "out", &free);
    let both = serving(&lab, "both", &[inward, outward].concat());
    is_limited(&lab, "both", &free);
    is_limited(&lab, "free", &both);
    is_unlimited(&lab, "free", &free);
    // All of it is outside: who may do anything inside lifts nothing.
    let inside = [
        "tc", "qdisc", "replace", "dev", "eth0", "root", "pfifo", "limit", "1000",
    ];
    let _ = lab.h1.in_container("both", &inside).ok();
    is_limited(&lab, "free", &both);
    let view = lab.h1.net(&["inspect", "both"]).ok().json()[0]["networks"][0]["rates"].clone();
    let said = json!({ "bits_per_second": 8_000_000, "burst_bytes": 65_536 });
    assert_eq!(view, json!({ "in": said, "out": said }));
    for name in ["into", "out", "both"] {
        let _ = lab.h1.net(&["stop", "-t", "0", name]).ok();
    }
    eventually("no device to be left", || (ifbs(&lab) == 0).then_some(()));
}

#[test]
fn bandwidth_stays_when_the_daemon_dies_and_comes_back_when_somebody_takes_it() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "lab"]).ok();
    let free = serving(&lab, "free", &[]);
    let limits = [
        "--rate-in",
        RATE,
        "--burst-in",
        BURST,
        "--rate-out",
        RATE,
        "--burst-out",
        BURST,
    ];
    let slow = serving(&lab, "slow", &limits);
    let before = queues(&lab);
    lab.h1.kill();
    is_limited(&lab, "", &slow);
    assert_eq!(queues(&lab), before);
    lab.h1.start();
    assert_eq!(queues(&lab), before, "nothing doubled, nothing made anew");
    let repairs = || lab.h1.status()["reconciles"]["repairs"].clone();
    assert_eq!(repairs(), 0);
    let outside = pair_of(&lab, "slow");
    let ifb = outside.replace("veth", "ifb");
    for take in [
        format!("tc qdisc del dev {outside} root"),
        format!("tc qdisc del dev {outside} ingress"),
        format!("tc filter del dev {outside} ingress"),
        format!("tc qdisc change dev {ifb} root tbf rate 800mbit burst 64kb limit 1mb"),
        format!("ip link set {ifb} down"),
        format!("ip link del {ifb}"),
    ] {
        let healed = repairs();
        let _ = lab.h1.sh(&take).ok();
        eventually(&format!("a repair after {take}"), || {
            (repairs() != healed).then_some(())
        });
        is_limited(&lab, "slow", &free);
        is_limited(&lab, "free", &slow);
        assert_eq!(ifbs(&lab), 1, "after {take}");
    }
    // A container that dies while nobody looks leaves nothing either.
    let view = lab.h1.net(&["inspect", "slow"]).ok().json()[0].clone();
    let pid = view["pid"].as_u64().or_fail("process");
    lab.h1.kill();
    let _ = lab.h1.sh(&format!("kill -9 {pid}")).ok();
    lab.h1.start();
    eventually("no device to be left", || (ifbs(&lab) == 0).then_some(()));
}

/// A configuration with these limits, counted in bits as runtimes do.
fn limited(ingress: u64, egress: u64) -> Value {
    let limits = json!({
        "ingressRate": ingress, "ingressBurst": 524_288, "egressRate": egress, "egressBurst": 524_288,
    });
    configuration(
        "1.1.0",
        "app",
        &json!({
            "ipam": { "subnet": "10.9.0.0/24" },
            "capabilities": { "bandwidth": true },
            "runtimeConfig": { "bandwidth": limits },
        }),
    )
}

#[test]
fn bandwidth_of_cni_comes_with_add_and_goes_with_del() {
    let lab = Lab::new();
    lab.h1.new_netns("web");
    let before = queues(&lab);
    let config = limited(8_000_000, 16_000_000);
    let added = lab.h1.cni("ADD", eth0("web"), &config).ok().json();
    let queue = |link: &str| -> Value {
        let list = ["tc", "-s", "-j", "qdisc", "show", "dev", link, "root"];
        lab.h1.exec(&list).ok().json()[0].clone()
    };
    let outside = added["interfaces"].as_array().or_fail("interfaces").iter();
    let mut names = outside.filter_map(|one| one["name"].as_str());
    let outside = names.rfind(|name| name.starts_with("veth")).or_fail("pair");
    let (inward, outward) = (queue(outside), queue(&outside.replace("veth", "ifb")));
    for (queue, rate) in [(&inward, 1_000_000), (&outward, 2_000_000)] {
        assert_eq!(queue["kind"], "tbf", "{queue}");
        assert_eq!(queue["options"]["rate"], rate, "{queue}");
        let burst = queue["options"]["burst"].as_u64().or_fail("burst");
        assert!((65_500..=65_600).contains(&burst), "{queue}");
    }
    // Packets pass both of them.
    let _ = lab
        .h1
        .in_netns("web", &["ping", "-c", "3", "-i", "0.2", "10.9.0.1"])
        .ok();
    for link in [outside.to_owned(), outside.replace("veth", "ifb")] {
        let packets = queue(&link)["packets"].as_u64().or_fail("packets");
        assert!(packets >= 3, "{link} passed {packets}");
    }

    let mut check = config.clone();
    check["prevResult"] = added.clone();
    let _ = lab.h1.cni("CHECK", eth0("web"), &check).ok();
    let mut other = limited(8_000_000, 32_000_000);
    let again = lab.h1.cni("ADD", eth0("web"), &config).ok().json();
    assert_eq!(again, added);
    let said = refused(&lab.h1.cni("ADD", eth0("web"), &other), 103);
    assert!(said.contains("already"), "{said}");
    other["prevResult"] = added;
    let said = refused(&lab.h1.cni("CHECK", eth0("web"), &other), 7);
    assert!(said.contains("in 8mbit, out 16mbit"), "{said}");

    let _ = lab.h1.cni("DEL", eth0("web"), &config).ok();
    eventually("nothing to be left", || (ifbs(&lab) == 0).then_some(()));
    let _ = lab.h1.net(&["rm", "app"]).ok();
    eventually("the same queues as before", || {
        (queues(&lab) == before).then_some(())
    });
}

#[test]
fn bandwidth_that_cannot_be_is_refused_with_what_can() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "lab"]).ok();
    lab.h1.run_detached(&["--name", "web"], &["sleep", "1000"]);
    let connect = |flags: &[&str]| {
        let all = [&["connect"], flags, &["lab", "web"]].concat();
        lab.h1.net(&all)
    };
    for (flags, code, said) in [
        (&["--rate-in", "10mb"][..], 2, "such as 10mbit"),
        (&["--rate-in", "999"], 2, "1kbit to 1000tbit"),
        (&["--burst-in", "64kb"], 2, "--rate-in"),
        (
            &["--rate-out", "1mbit", "--burst-out", "4gb"],
            2,
            "4294967295",
        ),
        (
            &["--rate-out", "1mbit", "--burst-out", "1513b"],
            1,
            "give 1514 at least",
        ),
    ] {
        let ran = connect(flags);
        assert_eq!(ran.code, code, "{ran}");
        assert!(ran.stderr.contains(said), "{ran}");
    }
    assert_eq!(ifbs(&lab), 0);
    // A rate of 0 is none, as for runtimes.
    let _ = connect(&["--rate-in", "0", "--rate-out", "1mbit"]).ok();
    assert_eq!(ifbs(&lab), 1);
    let _ = lab.h1.net(&["disconnect", "lab", "web"]).ok();
    eventually("nothing to be left", || (ifbs(&lab) == 0).then_some(()));
}
