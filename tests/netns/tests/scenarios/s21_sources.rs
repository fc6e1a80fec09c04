//! S21: a port that is published for some sources only, and for all others is a port where nobody listens.

use netns_tests::lab::{HOST, OUTSIDE};
use netns_tests::oracle::curl;
use netns_tests::{Lab, Machine};
use serde_json::json;

/// curl's exit status when the other side says that nobody listens (curl(1)).
const REFUSED: i32 = 7;

/// A second machine outside.
const STRANGER: &str = "198.18.0.77";

fn page(machine: &Machine, port: u16) -> Option<String> {
    let ran = machine.get(&format!("http://{HOST}:{port}/"));
    match ran.code {
        0 => Some(ran.text().to_owned()),
        code => {
            assert_eq!(code, REFUSED, "an unpublished port refuses: {ran}");
            None
        }
    }
}

fn page_in(lab: &Lab, container: &str, port: u16) -> Option<String> {
    let ran = lab
        .h1
        .in_container(container, &curl(&format!("http://{HOST}:{port}/")));
    ran.is_ok().then(|| ran.text().to_owned())
}

#[test]
fn s21_only_the_sources_that_are_named_reach_a_port_and_the_host() {
    let lab = Lab::new();
    let stranger = lab.machine("stranger", &format!("{STRANGER}/24"));
    let _ = lab.h1.net(&["create", "app"]).ok();
    let from_outside = format!("8080:80,from={OUTSIDE}");
    let flags = [
        "--network",
        "app",
        "-p",
        &from_outside,
        "-p",
        "8081:80,from=172.17.0.0/16,from=172.18.0.0/16",
    ];
    lab.h1.web("web", 80, &flags);
    lab.h1.idle("neighbour", "app", &[]);
    lab.h1.idle("other", "bridge", &[]);
    let told = |lab: &Lab| {
        let of = |port| {
            [
                page(&lab.outside, port),
                page(&stranger, port),
                page(&lab.h1, port),
                page_in(lab, "web", port),
                page_in(lab, "neighbour", port),
                page_in(lab, "other", port),
            ]
            .map(|page| page.is_some())
        };
        [of(8080), of(8081)]
    };
    let wanted = [
        [true, false, true, false, false, false],
        [false, false, true, true, true, true],
    ];
    assert_eq!(told(&lab), wanted);
    assert_eq!(lab.h1.get("http://127.0.0.1:8080/").ok().text(), "web");
    // The port is the host's own no less.
    let late = lab
        .h1
        .exec(&["timeout", "5", "socat", "TCP-LISTEN:8080,reuseaddr", "-"]);
    assert!(late.stderr.contains("in use"), "{late}");
    lab.h1.kill();
    assert_eq!(page(&lab.outside, 8080).as_deref(), Some("web"));
    lab.h1.start();
    let _ = lab.h1.sh(netns_tests::firewall::FLUSH).ok();
    netns_tests::eventually("the port to be back", || page(&lab.outside, 8080));
    assert_eq!(told(&lab), wanted);
    assert_eq!(lab.h1.status()["problems"], json!([]));
}

#[test]
fn s21_sources_are_shown_kept_and_given_up() {
    let lab = Lab::new();
    lab.h1.web("web", 80, &[]);
    let before = lab.h1.all_rules();
    let port = "8080:80,from=198.18.0.2/32,from=10.0.0.0/8";
    let printed = lab.h1.net(&["publish", "web", "-p", port]).ok();
    let line = "80/tcp -> 0.0.0.0:8080 (from 10.0.0.0/8, 198.18.0.2/32)";
    assert_eq!(printed.text(), line);
    let look = || {
        let ps = lab.h1.net(&["ps", "--no-trunc"]).ok().stdout;
        assert!(
            ps.contains("0.0.0.0:8080->80/tcp (from 10.0.0.0/8, 198.18.0.2/32)"),
            "{ps}"
        );
        assert_eq!(lab.h1.net(&["port", "web"]).ok().text(), line);
        assert_eq!(
            lab.h1.net(&["port", "web", "80"]).ok().text(),
            "0.0.0.0:8080"
        );
        let shown = lab.h1.net(&["inspect", "web"]).ok().json();
        let ports = &shown[0]["networks"][0]["ports"];
        assert_eq!(
            ports[0]["from"],
            json!(["10.0.0.0/8", "198.18.0.2/32"]),
            "{shown}"
        );
    };
    look();
    let rules = lab.h1.all_rules();
    assert_ne!(rules, before);
    // The same in another order is the same; with another list, or without, it is another.
    let same = "8080:80/tcp,from=10.0.0.0/8,from=198.18.0.2";
    let _ = lab.h1.net(&["publish", "web", "-p", same]).ok();
    assert_eq!(lab.h1.all_rules(), rules);
    for other in ["8080:80", "8080:80,from=10.0.0.0/8"] {
        let ran = lab.h1.net(&["publish", "web", "-p", other]).fails(1);
        let _ = ran.names(&[
            "0.0.0.0:8080->80/tcp (from 10.0.0.0/8, 198.18.0.2/32)",
            "unpublish",
        ]);
    }
    lab.h1.restart();
    lab.h1.kill();
    lab.h1.start();
    look();
    assert_eq!(lab.h1.all_rules(), rules);
    assert_eq!(lab.h1.status()["reconciles"]["repairs"], 0);
    let _ = lab
        .h1
        .net(&["unpublish", "web", "-p", "8080:80,from=10.0.0.0/8"])
        .fails(1);
    let _ = lab.h1.net(&["unpublish", "web", "-p", "8080:80"]).ok();
    assert_eq!(lab.h1.all_rules(), before);
    assert_eq!(page(&lab.outside, 8080), None);
    let _ = lab
        .h1
        .net(&["publish", "web", "-p", "8080:80,from=10.0.0.0/8"])
        .ok();
    assert_eq!(page(&lab.outside, 8080), None);
    let _ = lab
        .h1
        .net(&[
            "unpublish",
            "web",
            "-p",
            same.split(',').next().unwrap_or(same),
        ])
        .ok();
    let _ = lab.h1.net(&["publish", "web", "-p", "8080:80"]).ok();
    assert_eq!(page(&lab.outside, 8080).as_deref(), Some("web"));
}

#[test]
fn s21_a_client_of_udp_that_may_no_longer_ask_is_answered_no_more() {
    let lab = Lab::new();
    let publish = |from: &str| {
        let port = format!("6000:5000/udp,from={from}");
        let _ = lab.h1.net(&["publish", "echo", "-p", &port]).ok();
    };
    lab.h1.udp_echo("echo", 5000, &[]);
    let ask = || lab.outside.udp_ask(&format!("{HOST}:6000"), 4000, "hello");
    publish(OUTSIDE);
    assert_eq!(ask(), "echo hello");
    let _ = lab.h1.net(&["unpublish", "echo", "-p", "5000/udp"]).ok();
    publish("10.0.0.0/8");
    assert_eq!(ask(), "");
    let _ = lab.h1.net(&["unpublish", "echo", "-p", "5000/udp"]).ok();
    publish("198.18.0.0/24");
    assert_eq!(ask(), "echo hello");
}

#[test]
fn s21_sources_that_make_no_sense_say_why() {
    let lab = Lab::new();
    let routed = [
        "create",
        "-o",
        "com.docker.network.bridge.gateway_mode_ipv4=routed",
        "routed",
    ];
    let _ = lab.h1.net(&routed).ok();
    let before = lab.h1.all_rules();
    for (port, said) in [
        ("80:80,from=10.0.0.0/33", "is no source"),
        ("80:80,from=10.0.0.1/8", "the subnet is 10.0.0.0/8"),
        ("80:80,from=10.0.0.0/8,from=10.0.0.0/8", "given twice"),
        (
            "80:80,from=10.0.0.0/8,from=10.1.0.0/16",
            "10.1.0.0/16 lies in from=10.0.0.0/8",
        ),
        ("0.0.0.0:80:80,from=fd00::/8", "which is IPv4"),
        ("80:80,who=10.0.0.0/8", "no option of a published port"),
    ] {
        let ran = lab.h1.net(&["run", "-p", port, "--", "true"]).fails(2);
        assert!(ran.stderr.contains(said), "{ran}");
    }
    for (network, port, said) in [
        ("bridge", "80:80,from=10.0.0.0/8,from=fd00::/8", "IPv6"),
        ("routed", "80:80,from=10.0.0.0/8", "routed"),
    ] {
        let ran = lab
            .h1
            .net(&["run", "--network", network, "-p", port, "--", "true"])
            .fails(125);
        assert!(ran.stderr.contains(said), "{ran}");
    }
    assert_eq!(lab.h1.all_rules(), before);
}

#[test]
fn s21_sources_of_ipv6_are_kept_to_as_well_and_the_host_reaches_the_port_on_loopback() {
    let lab = Lab::new();
    let stranger = lab.machine("stranger", "198.18.0.77/24");
    let give = |machine: &Machine, address: &str| {
        let line = ["ip", "address", "add", address, "dev", "eth0", "nodad"];
        let _ = machine.exec(&line).ok();
    };
    give(&lab.h1, "2001:db8:1::1/64");
    give(&lab.outside, "2001:db8:1::2/64");
    give(&stranger, "2001:db8:1::77/64");
    let _ = lab.h1.net(&["create", "--ipv6", "both"]).ok();
    let flags = [
        "--network",
        "both",
        "-p",
        "8080:80,from=2001:db8:1::2",
        "-p",
        "8081:80,from=198.18.0.2",
    ];
    lab.h1.web("web", 80, &flags);
    let ports = lab.h1.net(&["port", "web"]).ok().stdout;
    assert_eq!(
        ports.lines().collect::<Vec<_>>(),
        [
            "80/tcp -> 0.0.0.0:8081 (from 198.18.0.2/32)",
            "80/tcp -> [::]:8080 (from 2001:db8:1::2/128)",
        ]
    );
    let url = "http://[2001:db8:1::1]:8080/";
    assert_eq!(lab.outside.get(url).ok().text(), "web");
    let _ = stranger.get(url).fails(REFUSED);
    assert_eq!(page(&lab.outside, 8081).as_deref(), Some("web"));
    assert_eq!(page(&stranger, 8081), None);
    assert_eq!(page(&lab.outside, 8080), None);
    for own in ["http://[::1]:8080/", url] {
        assert_eq!(lab.h1.get(own).ok().text(), "web", "{own}");
    }
}
