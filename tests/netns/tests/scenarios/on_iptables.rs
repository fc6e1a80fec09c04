//! What is about iptables itself, on hosts that are put on it whatever the rest of the run is on: Docker's chains, rule
//! for rule, and the programs that make them.
//!
//! Two rules stand besides Docker's, and nothing else: DOCKER begins with a DROP per bridge for what was not translated
//! (nobody gets past the published ports by routing), and STAGE-2 begins with a RETURN for what was (a container
//! reaches another network's published port, for which Docker needs its proxy).

use netns_tests::flow::Flow;
use netns_tests::host::SOCKET;
use netns_tests::{Firewall, HostOptions, Lab, programs};

use crate::s12_live_restore::{PAUSE_MS, Stage};
use crate::s13_two_bridges::six_containers;

fn of_chain(rules: &[String], chain: &str) -> Vec<String> {
    let start = format!("-A {chain} ");
    let own = rules.iter().filter_map(|rule| rule.strip_prefix(&start));
    own.map(str::to_owned).collect()
}

fn sorted(mut rules: Vec<String>) -> Vec<String> {
    rules.sort();
    rules
}

#[test]
fn s13_the_filter_rules_are_dockers_rule_for_rule() {
    let (lab, bridge) = six_containers(Firewall::Iptables);
    let filter = lab.h1.rules("filter");
    assert!(filter.contains(&":FORWARD DROP".to_owned()), "{filter:#?}");
    let forward = of_chain(&filter, "FORWARD");
    assert_eq!(
        forward[..2],
        ["-j DOCKER-USER", "-j DOCKER-ISOLATION-STAGE-1"]
    );
    for name in [bridge.as_str(), "docker0"] {
        let wanted = [
            format!("-o {name} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
            format!("-o {name} -j DOCKER"),
            format!("-i {name} ! -o {name} -j ACCEPT"),
            format!("-i {name} -o {name} -j ACCEPT"),
        ];
        assert!(
            forward.windows(4).any(|four| four == wanted),
            "{name}: {forward:#?}"
        );
    }
    assert_eq!(forward.len(), 10, "{forward:#?}");
    let stage1 = of_chain(&filter, "DOCKER-ISOLATION-STAGE-1");
    let stage2 = of_chain(&filter, "DOCKER-ISOLATION-STAGE-2");
    assert_eq!(stage1.last().unwrap(), "-j RETURN");
    assert_eq!(stage2.last().unwrap(), "-j RETURN");
    let both = [bridge.as_str(), "docker0"];
    let jump = |name| format!("-i {name} ! -o {name} -j DOCKER-ISOLATION-STAGE-2");
    assert_eq!(
        sorted(stage1[..2].to_vec()),
        sorted(both.map(jump).to_vec())
    );
    let drop = |name| format!("-o {name} -j DROP");
    assert_eq!(stage2[0], "-m conntrack --ctstate DNAT -j RETURN");
    assert_eq!(
        sorted(stage2[1..3].to_vec()),
        sorted(both.map(drop).to_vec())
    );
    assert_eq!((stage1.len(), stage2.len()), (3, 4), "{filter:#?}");
    assert_eq!(of_chain(&filter, "DOCKER-USER"), ["-j RETURN"]);
    let not_translated =
        |name| format!("! -i {name} -o {name} -m conntrack ! --ctstate DNAT -j DROP");
    let mut wanted = both.map(not_translated).to_vec();
    for number in 0..6 {
        let (network, name) = [("bridge", "docker0"), ("net-redis", bridge.as_str())][number / 3];
        let address = lab.h1.address_of(&format!("redis{number}"), network);
        for port in [6379, 16379] {
            wanted.push(format!(
                "-d {address}/32 ! -i {name} -o {name} -p tcp -m tcp --dport {port} -j ACCEPT"
            ));
        }
    }
    assert_eq!(sorted(of_chain(&filter, "DOCKER")), sorted(wanted));
}

#[test]
fn s13_the_nat_rules_are_dockers() {
    let (lab, bridge) = six_containers(Firewall::Iptables);
    let nat = lab.h1.rules("nat");
    let prerouting = of_chain(&nat, "PREROUTING");
    assert_eq!(prerouting, ["-m addrtype --dst-type LOCAL -j DOCKER"]);
    let postrouting = of_chain(&nat, "POSTROUTING");
    for (subnet, name) in [
        ("172.17.0.0/16", "docker0"),
        ("172.18.0.0/16", bridge.as_str()),
    ] {
        let rule = format!("-s {subnet} ! -o {name} -j MASQUERADE");
        assert!(postrouting.contains(&rule), "{postrouting:#?}");
    }
    let docker = of_chain(&nat, "DOCKER");
    let translated = docker
        .iter()
        .filter(|rule| rule.contains("-j DNAT"))
        .count();
    assert_eq!(translated, 12, "{docker:#?}");
}

#[test]
fn s21_each_published_port_is_one_rule_that_translates() {
    let lab = Lab::on(Firewall::Iptables);
    let ports = ["-p", "8080:80", "-p", "127.0.0.1:8081:81/udp"];
    lab.h1.idle(
        "c",
        "bridge",
        &[&ports[..], &["-p", "7000:7000/sctp"]].concat(),
    );
    for (port, target) in [
        ("-p tcp -m tcp --dport 8080", "172.17.0.2:80"),
        (
            "-d 127.0.0.1/32 -p udp -m udp --dport 8081",
            "172.17.0.2:81",
        ),
        ("-p sctp -m sctp --dport 7000", "172.17.0.2:7000"),
    ] {
        let rule = lab.h1.first_rule_with("nat", &format!("{port} -j DNAT"));
        assert!(
            rule.ends_with(&format!("--to-destination {target}")),
            "{rule}"
        );
    }
    assert_eq!(lab.h1.translations(), 3);
}

/// Without its rules FORWARD drops, so nothing gets by: closed rather than open. What TCP had to say arrives
/// nevertheless, and of UDP exactly what was sent meanwhile is lost.
#[test]
fn s12_a_flush_of_the_filter_while_no_daemon_runs_is_healed_by_its_start() {
    let stage = Stage::on(Firewall::Iptables);
    let lab = &stage.lab;
    let flows = stage.flows();
    lab.h1.kill();
    let _ = lab.h1.exec(&["iptables", "-F"]).ok();
    stage.some_packets();
    lab.h1.start();
    stage.some_packets();
    for report in Flow::stop_all(flows) {
        if report.what.starts_with("tcp") {
            let _ = report.lossless();
        } else {
            let lost = report.sent - report.answered;
            // As long as nothing passed there was no answer, and before and after that each was answered.
            let silent = report.longest_gap_ms / PAUSE_MS;
            assert!(lost > 0 && lost <= silent + 2, "{report:?}");
        }
    }
}

#[test]
fn without_iptables_the_daemon_names_it_and_does_not_start() {
    let lab = Lab::without_daemon(HostOptions::default());
    lab.h1.put_on(Firewall::Iptables);
    let _ = lab
        .h1
        .sh("mkdir /run/lab/none && mount --bind /run/lab/none /usr/sbin")
        .ok();
    let said = lab.h1.start_refused();
    let _ = said.names(&["iptables"]);
}

#[test]
fn a_start_that_fails_leaves_no_socket() {
    let lab = Lab::without_daemon(HostOptions::default());
    lab.h1.put_on(Firewall::Iptables);
    let _ = lab
        .h1
        .sh("mkdir /run/lab/none && mount --bind /run/lab/none /usr/sbin")
        .ok();
    let _ = lab.h1.start_refused().names(&["iptables"]);
    assert!(!lab.h1.path(SOCKET).exists());
}

#[test]
fn an_iptables_that_hangs_does_not_keep_the_daemon_from_ending() {
    let lab = Lab::on(Firewall::Iptables);
    let script = "#!/bin/sh\nexec sleep 600\n";
    lab.h1.write("/run/lab/hang", script);
    let _ = lab
        .h1
        .sh("chmod +x /run/lab/hang && mount --bind /run/lab/hang $(readlink -f /usr/sbin/iptables-restore)")
        .ok();
    let net = programs::built("net").display().to_string();
    let ask = ["timeout", "2", &net, "-H", SOCKET, "create", "app"];
    let mut asker = lab.h1.spawn(&ask, &[], "/run/lab/asker.log");
    let _ = asker.ends_within(std::time::Duration::from_secs(10));
    let begin = std::time::Instant::now();
    assert_eq!(lab.h1.terminate(), 0);
    assert!(begin.elapsed() < std::time::Duration::from_secs(15));
}
