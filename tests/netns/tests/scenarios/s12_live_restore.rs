//! S12: what happens to the daemon does not happen to its containers. Numbered packets on every kind of way, none lost.

use std::time::Duration;

use netns_tests::firewall::FLUSH;
use netns_tests::flow::{Flow, FlowReport, Transport, some_packets};
use netns_tests::lab::{HOST, OUTSIDE};
use netns_tests::{Background, Firewall, Lab, OrFail, eventually, programs};

/// Live-restore is how netd always works; the key of Docker's is understood.
const CONFIG: &str = r#"{"live-restore": true}"#;

/// Milliseconds between two numbers of a flow.
pub(crate) const PAUSE_MS: u64 = 10;

/// A server with published ports, one on another network, a client of both, and one outside.
pub(crate) struct Stage {
    pub(crate) lab: Lab,
    _outside: Background,
}

impl Stage {
    pub(crate) fn on(firewall: Firewall) -> Self {
        let lab = Lab::without_daemon(netns_tests::HostOptions {
            config: CONFIG.to_owned(),
            ..Default::default()
        });
        lab.h1.put_on(firewall);
        lab.h1.start();
        for network in ["app", "back"] {
            let _ = lab.h1.net(&["create", network]).ok();
        }
        let ports = ["-p", "7000:7000", "-p", "7000:7000/udp"];
        let mut flags = vec!["--network", "app"];
        flags.extend(ports);
        lab.h1.answering("server", 7000, &flags);
        lab.h1.idle("client", "app", &[]);
        lab.h1.idle("other", "back", &[]);
        let program = programs::built("lab-flow").display().to_string();
        let argv = [program.as_str(), "answer", "7001"];
        let outside = lab.outside.spawn(&argv, &[], "/run/lab/answer.log");
        lab.outside.machine_listens("-t", 7001);
        lab.outside.machine_listens("-u", 7001);
        Self {
            lab,
            _outside: outside,
        }
    }

    /// A TCP flow and a UDP flow on each way: in from outside, out by masquerade, to a neighbour by its own address, and
    /// from another network by the published port.
    pub(crate) fn flows(&self) -> Vec<Flow<'_>> {
        let lab = &self.lab;
        let published = format!("{HOST}:7000");
        let own = format!("{}:7000", lab.h1.address_of("server", "app"));
        let far = format!("{OUTSIDE}:7001");
        let mut flows = Vec::new();
        for transport in [Transport::Tcp, Transport::Udp] {
            flows.push(lab.outside.flow(transport, &published));
            flows.push(lab.h1.flow_in("client", transport, &far));
            flows.push(lab.h1.flow_in("client", transport, &own));
            flows.push(lab.h1.flow_in("other", transport, &published));
        }
        self.some_packets();
        flows
    }

    pub(crate) fn some_packets(&self) {
        some_packets(&self.lab.outside, HOST);
    }

    /// Connections that had to send anything again because it was lost. What was sent twice without need, on a suspicion
    /// (RFC 8985, tail loss probe), the other side reports as duplicate (RFC 2883).
    fn sent_again(&self) -> Vec<String> {
        let seen = |machine: &netns_tests::Machine| machine.exec(&["ss", "-Htin"]).ok().stdout;
        let inside = ["server", "client", "other"]
            .map(|name| self.lab.h1.in_container(name, &["ss", "-Htin"]).ok().stdout);
        let all = inside.join("\n") + &seen(&self.lab.outside);
        let number = |line: &str, key: &str| -> u64 {
            let word = line
                .split_whitespace()
                .find_map(|word| word.strip_prefix(key));
            let last = word.and_then(|word| word.rsplit('/').next()?.parse().ok());
            last.unwrap_or(0)
        };
        let lost = |line: &&str| number(line, "retrans:") > number(line, "dsack_dups:");
        all.lines().filter(lost).map(str::to_owned).collect()
    }

    /// Datagrams that arrived at a socket which was full (`RcvbufErrors`, proc(5)).
    fn dropped_by_sockets(&self) -> u64 {
        let inside = ["server", "client", "other"].map(|name| {
            self.lab
                .h1
                .in_container(name, &["cat", "/proc/net/snmp"])
                .ok()
                .stdout
        });
        let outside = self
            .lab
            .outside
            .exec(&["cat", "/proc/net/snmp"])
            .ok()
            .stdout;
        let dropped = |text: &String| -> u64 {
            let mut udp = text.lines().filter(|line| line.starts_with("Udp:"));
            let (Some(names), Some(counts)) = (udp.next(), udp.next()) else {
                return 0;
            };
            let mut both = names.split_whitespace().zip(counts.split_whitespace());
            let count = both.find(|(name, _)| *name == "RcvbufErrors");
            count.and_then(|(_, count)| count.parse().ok()).unwrap_or(0)
        };
        inside.iter().chain([&outside]).map(dropped).sum()
    }

    /// Nothing is lost on any way while `calamity` happens.
    fn nothing_is_lost(&self, calamity: impl FnOnce(&Lab)) {
        let flows = self.flows();
        calamity(&self.lab);
        self.some_packets();
        self.nothing_was_sent_again();
        let reports = Flow::stop_all(flows);
        let lost: u64 = reports
            .iter()
            .map(|report| report.sent - report.answered)
            .sum();
        // A process that gets no time to read drops what its socket cannot hold; the kernel counts that for itself.
        if lost == 0 || lost > self.dropped_by_sockets() {
            for report in reports {
                let _ = report.lossless();
            }
        }
    }

    /// On a busy machine much is sent twice on a suspicion, and the other side's report of it is on its way for a moment.
    fn nothing_was_sent_again(&self) {
        eventually(
            "every segment sent twice to be reported as duplicate",
            || {
                let again = self.sent_again();
                if !again.is_empty() {
                    eprintln!("sent twice so far: {again:?}");
                }
                again.is_empty().then_some(())
            },
        );
    }
}

#[test]
fn s12_no_packet_is_lost_when_the_daemon_is_killed_and_starts_again() {
    let stage = Stage::on(Firewall::OfThisRun);
    stage.nothing_is_lost(|lab| {
        for _ in 0..3 {
            lab.h1.kill();
            stage.some_packets();
            lab.h1.start();
        }
    });
}

#[test]
fn s12_no_packet_is_lost_when_the_daemon_stops_and_starts_again() {
    let stage = Stage::on(Firewall::OfThisRun);
    stage.nothing_is_lost(|lab| {
        assert_eq!(lab.h1.terminate(), 0);
        stage.some_packets();
        lab.h1.start();
    });
}

#[test]
fn s12_a_daemon_that_starts_on_what_it_left_changes_nothing() {
    let stage = Stage::on(Firewall::OfThisRun);
    let lab = &stage.lab;
    let look = || {
        let links = lab.h1.exec(&["ip", "-o", "link"]).ok().stdout;
        let inside = ["server", "client", "other"].map(|name| {
            let shown = ["ip", "-o", "address"];
            lab.h1.in_container(name, &shown).ok().stdout
        });
        let ps = lab.h1.net(&["ps", "--json"]).ok().stdout;
        (links, inside, ps, lab.h1.all_rules())
    };
    let before = look();
    for restart in [netns_tests::Host::kill, |host: &netns_tests::Host| {
        assert_eq!(host.terminate(), 0);
    }] {
        restart(&lab.h1);
        lab.h1.start();
        assert_eq!(look(), before);
        assert_eq!(lab.h1.status()["reconciles"]["repairs"], 0);
    }
}

/// From iptables to a table of netd's own and back, each time with the other's rules gone in the end.
#[test]
fn s12_no_packet_is_lost_when_the_firewall_becomes_one_of_another_kind() {
    let stage = Stage::on(Firewall::Configured);
    let user = ["-A", "DOCKER-USER", "-s", "203.0.113.9/32", "-j", "DROP"];
    let mut line = vec!["iptables"];
    line.extend(user);
    let _ = stage.lab.h1.exec(&line).ok();
    for backend in ["nftables", "iptables", "nftables"] {
        stage.nothing_is_lost(|lab| {
            let config = format!(r#"{{"firewall-backend": "{backend}"}}"#);
            lab.h1.kill();
            lab.h1.write(netns_tests::CONFIG_FILE, &config);
            lab.h1.start();
        });
        let lab = &stage.lab;
        let rules = lab.h1.all_rules();
        let docker = |rule: &&String| rule.contains("DOCKER") && !rule.contains("DOCKER-USER");
        let chains: Vec<&String> = rules.iter().filter(docker).collect();
        let tables = lab.h1.exec(&["nft", "list", "tables"]).ok().stdout;
        let own = tables.lines().any(|line| line == "table inet netd");
        assert_eq!(
            (chains.is_empty(), own),
            match backend {
                "nftables" => (true, true),
                _ => (false, false),
            },
            "{backend}: {chains:#?} {tables}"
        );
        assert!(
            rules.iter().any(|rule| *rule == user.join(" ")),
            "{rules:#?}"
        );
        let policy = rules.iter().any(|rule| rule == ":FORWARD DROP");
        assert_eq!(policy, backend == "iptables", "{rules:#?}");
        // What is closed stays closed.
        let direct = format!("{}:7000", lab.h1.address_of("server", "app"));
        let ask = format!("exec 3<>/dev/tcp/{}", direct.replace(':', "/"));
        let blocked = lab
            .h1
            .in_container("other", &["timeout", "1", "bash", "-c", &ask]);
        assert!(!blocked.is_ok(), "{backend}: {blocked}");
    }
}

/// With the last rule that asks for connections the kernel stops to track them (`nf_ct_netns_put`), and packets of a
/// translated flow arrive at the host itself, which resets it. So much is lost; the rest is as before.
#[test]
fn s12_after_a_flush_of_everything_while_no_daemon_runs_new_connections_are_as_before() {
    let stage = Stage::on(Firewall::OfThisRun);
    let lab = &stage.lab;
    let rules = netd_rules(lab);
    let flows = stage.flows();
    lab.h1.kill();
    let _ = lab.h1.sh(FLUSH).ok();
    stage.some_packets();
    lab.h1.start();
    assert_eq!(netd_rules(lab), rules);
    for report in Flow::stop_all(stage.flows()) {
        let _ = report.lossless();
    }
    for report in Flow::stop_all(flows) {
        if is_of_one_bridge(&report) && report.what.starts_with("tcp") {
            let _ = report.lossless();
        } else if report.what.starts_with("udp") {
            assert_eq!(report.latest, report.sent, "it goes on: {report:?}");
        }
    }
}

/// All rules but those of `DOCKER-USER`, which are the user's: whoever empties that chain has it empty.
fn netd_rules(lab: &Lab) -> Vec<String> {
    let mut rules = lab.h1.all_rules();
    rules.retain(|rule| !rule.starts_with("-A DOCKER-USER"));
    rules
}

/// Two containers on one bridge need no translation to talk.
fn is_of_one_bridge(report: &FlowReport) -> bool {
    report.what.contains("exec client") && !report.what.contains(OUTSIDE)
}

/// The resolver is in the daemon: while that is away a name is refused at once, which programs take as a failure to try
/// again; only the one that was under way is waited for. With it, names are back.
#[test]
fn s12_names_are_refused_at_once_while_no_daemon_runs_and_are_back_with_it() {
    let stage = Stage::on(Firewall::OfThisRun);
    let lab = &stage.lab;
    let dig = ["dig", "+short", "+tries=1", "+time=2", "server"];
    let ask = || lab.h1.in_container("client", &dig);
    let address = lab.h1.address_of("server", "app");
    assert_eq!(ask().ok().text(), address);
    // `net exec` asks the daemon; what was entered before does not.
    let script = r#"
        while [ ! -e /run/lab/names.stop ]; do
            start=$(date +%s%N)
            said=$(dig +short +tries=1 +time=2 server 2>/dev/null | head -n1)
            echo "$(( ($(date +%s%N) - start) / 1000000 )) ${said:-nothing}"
        done
    "#;
    let net = programs::built("net").display().to_string();
    let argv = [&net, "exec", "client", "--", "sh", "-c", script];
    let environment = [("NETD_HOST", netns_tests::host::SOCKET)];
    let mut loop_ = lab.h1.spawn(&argv, &environment, "/run/lab/names");
    let count = |wanted: &str| {
        let text = lab.h1.read("/run/lab/names");
        text.lines().filter(|line| line.ends_with(wanted)).count()
    };
    eventually("names before", || (count(&address) > 2).then_some(()));
    lab.h1.kill();
    let before = count(&address);
    eventually("refusals", || {
        (lab.h1.read("/run/lab/names").lines().count() > before + 3).then_some(())
    });
    lab.h1.start();
    let at_ready = count(&address);
    eventually("names afterwards", || {
        (count(&address) > at_ready + 2).then_some(())
    });
    lab.h1.write("/run/lab/names.stop", "");
    let _ = loop_.ends_within(Duration::from_secs(10));
    let text = lab.h1.read("/run/lab/names");
    let times = text.lines().filter_map(|line| line.split(' ').next());
    let times: Vec<u64> = times.filter_map(|time| time.parse().ok()).collect();
    // One that the daemon had taken when it was killed is answered by nobody.
    let slow = times.iter().filter(|time| **time >= 1000).count();
    assert!(slow <= 1, "{slow} questions waited:\n{text}");
    // Once it is ready, every question is answered.
    let last = text.lines().last().or_fail("last question");
    assert!(last.ends_with(&address), "{text}");
}
