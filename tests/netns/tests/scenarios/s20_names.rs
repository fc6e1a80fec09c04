//! S20: who answers to which name.

use netns_tests::oracle::{Answer, dig_line};
use netns_tests::serve::OUTSIDE_ANSWER;
use netns_tests::{HostOptions, Lab, OrFail, eventually};

/// Docker's address of the embedded resolver.
const EMBEDDED: &str = "nameserver 127.0.0.11";

fn ask(lab: &Lab, container: &str, question: &[&str]) -> Answer {
    Answer::read(&lab.h1.in_container(container, &dig_line(question)))
}

fn data(lab: &Lab, container: &str, question: &[&str]) -> Vec<String> {
    ask(lab, container, question).data
}

#[test]
fn s20_containers_of_a_network_find_each_other_by_name_alias_and_short_id() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "app"]).ok();
    lab.h1.idle("busybox1", "app", &[]);
    let flags = [
        "--name",
        "busybox2",
        "--network",
        "app",
        "--alias",
        "db",
        "--alias",
        "store",
    ];
    let id = lab
        .h1
        .run_detached(&flags, &["sleep", "infinity"])
        .text()
        .to_owned();
    let address = lab.h1.address_of("busybox2", "app");
    let _ = lab
        .h1
        .in_container("busybox1", &["ping", "-c1", "-W2", "busybox2"])
        .ok();
    for name in [
        "busybox2",
        "BusyBox2",
        "db",
        "store",
        &id[..12],
        "busybox2.app",
    ] {
        assert_eq!(
            data(&lab, "busybox1", &[name, "A"]),
            [address.as_str()],
            "{name}"
        );
        assert_eq!(
            data(&lab, "busybox1", &["+tcp", name, "A"]),
            [address.as_str()],
            "{name}"
        );
    }
    assert_eq!(data(&lab, "busybox1", &["-x", &address]), ["busybox2.app."]);
    let v6 = ask(&lab, "busybox1", &["busybox2", "AAAA"]);
    assert_eq!((v6.status.as_str(), v6.data.len()), ("NOERROR", 0));
    let file = lab
        .h1
        .in_container("busybox1", &["cat", "/etc/resolv.conf"])
        .ok();
    assert!(file.stdout.contains(EMBEDDED), "{file}");
}

#[test]
fn s20_an_alias_of_several_has_all_their_addresses() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "app"]).ok();
    for name in ["w1", "w2", "w3"] {
        lab.h1.idle(name, "app", &["--alias", "worker"]);
    }
    let mut wanted: Vec<_> = ["w1", "w2", "w3"]
        .map(|name| lab.h1.address_of(name, "app"))
        .to_vec();
    wanted.sort();
    assert_eq!(data(&lab, "w1", &["worker", "A"]), wanted);
    // Every one comes first at times.
    let mut firsts = std::collections::BTreeSet::new();
    eventually("every holder of the alias to be named first", || {
        let short = lab.h1.in_container("w1", &["dig", "+short", "worker"]).ok();
        firsts.insert(short.stdout.lines().next().unwrap_or_default().to_owned());
        (firsts.len() == 3).then_some(())
    });
    let _ = lab.h1.net(&["stop", "w2"]).ok();
    eventually("the stopped one to be gone", || {
        (data(&lab, "w1", &["worker", "A"]).len() == 2).then_some(())
    });
}

#[test]
fn s20_names_end_at_the_networks_border() {
    let lab = Lab::new();
    for network in ["left", "right"] {
        let _ = lab.h1.net(&["create", network]).ok();
    }
    lab.h1.idle("l", "left", &[]);
    lab.h1.idle("r", "right", &[]);
    assert_eq!(data(&lab, "l", &["r", "A"]), [""; 0]);
    let _ = lab
        .h1
        .net(&["connect", "--alias", "guest", "left", "r"])
        .ok();
    let address = lab.h1.address_of("r", "left");
    assert_eq!(data(&lab, "l", &["r", "A"]), [address.as_str()]);
    assert_eq!(data(&lab, "l", &["guest", "A"]), [address.as_str()]);
    assert_eq!(
        data(&lab, "r", &["l", "A"]),
        [lab.h1.address_of("l", "left")]
    );
    let _ = lab.h1.net(&["disconnect", "left", "r"]).ok();
    assert_eq!(data(&lab, "l", &["r", "A"]), [""; 0]);
}

#[test]
fn s20_other_names_are_asked_outside() {
    let lab = Lab::new();
    let _resolver = lab.outside.resolver();
    let _ = lab.h1.net(&["create", "app"]).ok();
    lab.h1.idle("c", "app", &[]);
    for transport in ["+notcp", "+tcp"] {
        let answer = data(&lab, "c", &[transport, "www.outside.test", "A"]);
        assert_eq!(answer, [OUTSIDE_ANSWER], "{transport}");
    }
    assert_eq!(ask(&lab, "c", &["absent.example", "A"]).status, "NXDOMAIN");
    // A name of the network stays inside, whatever the type.
    let _ = ask(&lab, "c", &["c", "AAAA"]);
    let _ = ask(&lab, "c", &["c", "MX"]);
    let questions = lab.outside.read("/run/lab/questions");
    assert!(
        !questions.lines().any(|line| line.starts_with("c ")),
        "{questions}"
    );
}

#[test]
fn s20_without_upstream_the_answer_is_servfail_and_comes_soon() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "app"]).ok();
    let _ = lab.h1.net(&["create", "--internal", "closed"]).ok();
    lab.h1.idle("c", "app", &[]);
    lab.h1.idle("i", "closed", &[]);
    // Nobody listens on port 53 outside: the kernel there says so at once.
    for container in ["c", "i"] {
        let ran = lab
            .h1
            .in_container(container, &dig_line(&["www.outside.test", "A"]));
        assert_eq!(Answer::read(&ran).status, "SERVFAIL", "{ran}");
        // As dig counts it: how soon the programs run is the machine's affair.
        let (_, rest) = ran.text().split_once("Query time: ").or_fail("query time");
        let took_ms: u32 = rest
            .split(' ')
            .next()
            .or_fail("number")
            .parse()
            .or_fail("ms");
        assert!(took_ms < 1000, "{ran}");
    }
}

#[test]
fn s20_an_internal_network_forwards_nothing() {
    let lab = Lab::new();
    let _resolver = lab.outside.resolver();
    let _ = lab.h1.net(&["create", "--internal", "closed"]).ok();
    lab.h1.idle("i", "closed", &[]);
    lab.h1.idle("j", "closed", &[]);
    assert_eq!(
        data(&lab, "i", &["j", "A"]),
        [lab.h1.address_of("j", "closed")]
    );
    assert_eq!(
        ask(&lab, "i", &["www.outside.test", "A"]).status,
        "SERVFAIL"
    );
    assert_eq!(lab.outside.read("/run/lab/questions"), "");
}

#[test]
fn s20_the_default_bridge_has_names_only_by_link() {
    // Room for five containers, so that an address can be made to run out.
    let lab = Lab::with(HostOptions {
        config: r#"{"bip": "172.17.0.1/29"}"#.to_owned(),
        flags: Vec::new(),
    });
    lab.h1.idle("target", "bridge", &[]);
    lab.h1.idle("stranger", "bridge", &[]);
    lab.h1.idle("linked", "bridge", &["--link", "target:db"]);
    let hosts = |name| {
        let ran = lab.h1.in_container(name, &["cat", "/etc/hosts"]);
        ran.ok().stdout
    };
    let has = |text: &str, address: &str, name: &str| {
        text.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some(address) && words.any(|word| word == name)
        })
    };
    let first = lab.h1.address_of("target", "bridge");
    assert!(has(&hosts("linked"), &first, "db") && has(&hosts("linked"), &first, "target"));
    let ping = ["ping", "-c1", "-W2", "db"];
    let _ = lab.h1.in_container("linked", &ping).ok();
    assert!(!hosts("stranger").contains("target"));
    // Others take all addresses, and the target comes back at another one. The file follows.
    let _ = lab.h1.net(&["stop", "target"]).ok();
    for name in ["f1", "f2", "f3"] {
        lab.h1.idle(name, "bridge", &[]);
    }
    let _ = lab.h1.net(&["stop", "f1"]).ok();
    lab.h1.idle("target", "bridge", &[]);
    let second = lab.h1.address_of("target", "bridge");
    assert_ne!(second, first);
    eventually("the link to follow its target", || {
        has(&hosts("linked"), &second, "db").then_some(())
    });
    assert!(!has(&hosts("linked"), &first, "db"));
    let _ = lab.h1.in_container("linked", &ping).ok();
}

/// The file that a running container has open cannot be replaced by another, so it is rewritten where it is.
#[test]
fn s20_who_reads_hosts_while_a_link_moves_never_sees_half_a_line() {
    let lab = Lab::with(HostOptions {
        // Addresses of different lengths, so that the file grows and shrinks.
        config: r#"{"bip": "172.17.0.97/27"}"#.to_owned(),
        flags: Vec::new(),
    });
    lab.h1.idle("target", "bridge", &[]);
    lab.h1.idle("linked", "bridge", &["--link", "target:db"]);
    let watch = r#"
        while [ ! -e /run/lab/hosts.stop ]; do
            cat /etc/hosts > /tmp/hosts.seen
            grep -vE '^([0-9a-f:.]+\s\S.*)?$' /tmp/hosts.seen
            [ "$(grep -c localhost /tmp/hosts.seen)" = 2 ] && tail -c1 /tmp/hosts.seen | grep -q . && echo "no end of line"
            echo read
        done
    "#;
    let net = netns_tests::programs::built("net").display().to_string();
    let argv = [&net, "exec", "linked", "--", "sh", "-c", watch];
    let environment = [("NETD_HOST", netns_tests::host::SOCKET)];
    let mut reader = lab.h1.spawn(&argv, &environment, "/run/lab/hosts.log");
    for round in 0..12 {
        // 172.17.0.99 at times, 172.17.0.1xx at others.
        let _ = lab.h1.net(&["stop", "-t", "0", "target"]).ok();
        let name = format!("filler{round}");
        lab.h1.idle(&name, "bridge", &[]);
        lab.h1.idle("target", "bridge", &[]);
    }
    lab.h1.write("/run/lab/hosts.stop", "");
    let _ = reader.ends_within(std::time::Duration::from_secs(10));
    let log = lab.h1.read("/run/lab/hosts.log");
    let odd: Vec<&str> = log.lines().filter(|line| *line != "read").collect();
    assert!(log.lines().count() > 20 && odd.is_empty(), "{odd:?}");
}

#[test]
fn s20_a_container_knows_its_own_name() {
    let lab = Lab::new();
    let id = lab
        .h1
        .run_detached(&["--name", "c1"], &["sleep", "infinity"])
        .text()
        .to_owned();
    let hosts = lab.h1.in_container("c1", &["cat", "/etc/hosts"]).ok();
    assert!(
        hosts.stdout.contains(&format!("172.17.0.2\t{}", &id[..12])),
        "{hosts}"
    );
    assert!(hosts.stdout.contains("127.0.0.1\tlocalhost"), "{hosts}");
    assert_eq!(
        lab.h1.in_container("c1", &["hostname"]).ok().text(),
        &id[..12]
    );
    let named = lab
        .h1
        .net(&[
            "run",
            "--rm",
            "-h",
            "box",
            "--",
            "sh",
            "-c",
            "hostname; cat /etc/hosts",
        ])
        .ok();
    assert!(
        named.stdout.starts_with("box\n") && named.stdout.contains("\tbox"),
        "{named}"
    );
    // The host's own files are as they were.
    assert_eq!(lab.h1.exec(&["hostname"]).ok().text(), "h1");
    assert!(!lab.h1.read("/run/lab/hosts").contains("box"));
}

#[test]
fn names_work_again_after_the_daemons_death() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "app"]).ok();
    lab.h1.idle("a", "app", &[]);
    lab.h1.idle("b", "app", &[]);
    let address = lab.h1.address_of("b", "app");
    lab.h1.kill();
    lab.h1.start();
    assert_eq!(data(&lab, "a", &["b", "A"]), [address]);
}

#[test]
fn the_resolver_takes_no_port_of_the_container() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "app"]).ok();
    lab.h1.udp_echo("dnsmasq", 53, &["--network", "app"]);
    lab.h1.idle("c", "app", &[]);
    let address = lab.h1.address_of("dnsmasq", "app");
    let target = format!("UDP:{address}:53");
    let ask = format!("echo hello | socat -t2 -T2 - {target}");
    let echo = lab.h1.in_container("c", &["sh", "-c", &ask]).ok();
    assert_eq!(echo.text(), "dnsmasq hello");
    assert_eq!(
        data(&lab, "dnsmasq", &["c", "A"]),
        [lab.h1.address_of("c", "app")]
    );
}
