//! Rules of others that drop what netd lets through: found, named with what to do, and forgotten when they are gone.

use netns_tests::lab::{HOST, OUTSIDE};
use netns_tests::oracle::curl;
use netns_tests::{Firewall, Lab, OrFail, eventually};

/// A host with a published server on the default network, another network, and a server outside.
fn scene(firewall: Firewall) -> (Lab, netns_tests::Background) {
    let lab = Lab::on(firewall);
    let outside = lab.outside.web_server(7000, "outside");
    lab.h1.web("web", 80, &["-p", "8080:80"]);
    assert_eq!(passes(&lab), [true, true]);
    (lab, outside)
}

/// Whether packets get out of a container, and in to its published port.
fn passes(lab: &Lab) -> [bool; 2] {
    let out = format!("http://{OUTSIDE}:7000/");
    let inside = lab.outside.get(&format!("http://{HOST}:8080/"));
    [
        lab.h1.in_container("web", &curl(&out)).is_ok(),
        inside.is_ok(),
    ]
}

fn warnings(lab: &Lab) -> Vec<String> {
    let status = lab.h1.status();
    let all = status["warnings"].as_array().cloned().unwrap_or_default();
    all.iter()
        .filter_map(|one| one.as_str().map(str::to_owned))
        .collect()
}

#[track_caller]
fn told(lab: &Lab, parts: &[&str]) -> String {
    let one = eventually("one warning", || {
        let mut all = warnings(lab);
        let right = all.len() == 1 && parts.iter().all(|part| all[0].contains(part));
        right.then(|| all.remove(0))
    });
    let shown = lab.h1.net(&["status"]).ok().stdout;
    assert!(shown.contains(&format!("warning    {one}")), "{shown}");
    one
}

#[track_caller]
fn nothing_is_told(lab: &Lab) {
    eventually("no warning", || warnings(lab).is_empty().then_some(()));
}

/// Does what a warning says.
fn obey(lab: &Lab, warning: &str) {
    let commands = warning.split("Let them through: ").nth(1).or_fail("advice");
    let _ = lab.h1.sh(commands).ok();
}

/// As Docker with its iptables backend, ufw and many an administrator leave it.
#[test]
fn a_policy_of_iptables_that_drops_forwarded_packets_is_told_with_what_to_do() {
    let (lab, _outside) = scene(Firewall::Nftables);
    nothing_is_told(&lab);
    let _ = lab.h1.exec(&["iptables", "-P", "FORWARD", "DROP"]).ok();
    let warning = told(
        &lab,
        &[
            "table ip filter, chain FORWARD (hook forward)",
            "its policy drops",
            "iptables -I FORWARD -i docker0 -j ACCEPT",
        ],
    );
    // Once, however often it is looked for; a start tells it again.
    let _ = lab.h1.net(&["create", "--internal", "closed"]).ok();
    let log = lab.h1.log_tail(1000);
    let said = log
        .lines()
        .filter(|line| line.contains("dropped by others"))
        .count();
    assert_eq!(said, 1, "{log}");
    assert_eq!(passes(&lab), [false, false], "{warning}");
    lab.h1.restart();
    assert_eq!(warnings(&lab), [warning.as_str()]);
    obey(&lab, &warning);
    nothing_is_told(&lab);
    assert_eq!(passes(&lab), [true, true]);
    // A network that comes later is not let through yet; the others are not named.
    let _ = lab.h1.net(&["create", "app"]).ok();
    let id = lab.h1.inspect("app")["Id"].as_str().unwrap().to_owned();
    let bridge = format!("br-{}", &id[..12]);
    eventually("a warning for the new network", || {
        let all = warnings(&lab);
        (all.len() == 1 && all[0].contains(&bridge) && !all[0].contains("docker0")).then_some(())
    });
    let _ = lab.h1.exec(&["iptables", "-P", "FORWARD", "ACCEPT"]).ok();
    nothing_is_told(&lab);
    assert!(lab.h1.log_tail(1000).contains("obstacle-gone"));
}

#[test]
fn a_table_of_an_administrator_that_drops_by_policy_or_rule_is_told_with_what_to_do() {
    let (lab, _outside) = scene(Firewall::OfThisRun);
    let hook = "type filter hook forward priority 10;";
    for (rules, parts) in [
        (
            format!("chain across {{ {hook} policy drop; ct state established accept; }}"),
            ["chain across", "its policy drops"],
        ),
        (
            format!("chain across {{ {hook} counter reject with icmpx admin-prohibited; }}"),
            ["chain across", "a rule drops or rejects"],
        ),
        (
            format!("chain ending {{ log counter drop; }}; chain across {{ {hook} jump ending; }}"),
            ["chain across", "(chain ending, handle "],
        ),
    ] {
        let make = format!("nft 'table inet fw {{ {rules}; }}'");
        let _ = lab.h1.sh(&make).ok();
        let warning = told(&lab, &["table inet fw", parts[0], parts[1]]);
        assert_eq!(passes(&lab), [false, false], "{warning}");
        obey(&lab, &warning);
        nothing_is_told(&lab);
        assert_eq!(passes(&lab), [true, true], "{rules}");
        let _ = lab.h1.exec(&["nft", "delete", "table", "inet", "fw"]).ok();
        let _ = lab.h1.sh(&make).ok();
        let _ = told(&lab, &["table inet fw"]);
        let _ = lab.h1.exec(&["nft", "delete", "table", "inet", "fw"]).ok();
        nothing_is_told(&lab);
        assert_eq!(passes(&lab), [true, true], "{rules}");
    }
}

#[test]
fn what_drops_nothing_of_ours_is_not_told() {
    let (lab, _outside) = scene(Firewall::OfThisRun);
    let hook = "type filter hook forward priority 10;";
    for rules in [
        format!("chain across {{ {hook} policy accept; ip saddr 192.0.2.1 drop; }}"),
        "chain arriving { type filter hook input priority 10; policy accept; tcp dport 22 drop; }"
            .to_owned(),
        format!("flags dormant; chain across {{ {hook} policy drop; }}"),
        format!("chain across {{ {hook} policy drop; accept; }}"),
        format!(
            "chain ours {{ iifname docker0 accept; oifname \"dock*\" accept; }}; chain across {{ {hook} policy drop; jump ours; }}"
        ),
        "chain nobody { drop; }".to_owned(),
    ] {
        let _ = lab
            .h1
            .sh(&format!("nft 'table inet fw {{ {rules}; }}'"))
            .ok();
        // A warning of another table, which is looked for at the same time, is the sign that it was looked.
        let _ = lab.h1.sh("nft 'table ip sign { chain c { type filter hook forward priority 20; policy drop; }; }'").ok();
        let _ = told(&lab, &["table ip sign"]);
        let _ = lab.h1.exec(&["nft", "delete", "table", "ip", "sign"]).ok();
        nothing_is_told(&lab);
        assert_eq!(passes(&lab), [true, true], "{rules}");
        let _ = lab.h1.exec(&["nft", "delete", "table", "inet", "fw"]).ok();
    }
    // Nothing of IPv6 is here that it could drop.
    let _ = lab.h1.sh("nft 'table ip6 fw { chain c { type filter hook forward priority 20; policy drop; }; }'").ok();
    let _ = lab.h1.sh("nft 'table ip sign { chain c { type filter hook forward priority 20; policy drop; }; }'").ok();
    let _ = told(&lab, &["table ip sign"]);
    let _ = lab.h1.exec(&["nft", "delete", "table", "ip", "sign"]).ok();
    nothing_is_told(&lab);
    let _ = lab.h1.net(&["create", "--ipv6", "six"]).ok();
    eventually("a warning about IPv6", || {
        let all = warnings(&lab);
        (all.len() == 1 && all[0].contains("table ip6 fw, chain c") && !all[0].contains("docker0"))
            .then_some(())
    });
}
