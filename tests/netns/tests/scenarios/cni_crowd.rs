//! Many calls of the CNI plugin at once, and a daemon that is killed among them.

use std::collections::BTreeSet;

use netns_tests::cni::{configuration, eth0, program};
use netns_tests::host::SOCKET;
use netns_tests::{Lab, eventually};
use serde_json::{Value, json};

const MANY: usize = 50;

/// Calls the plugin for containers c1 to c50 at once, each with the same configuration; what each said is in
/// /run/lab/out/NUMBER, and a line for each that failed comes back.
fn all_at_once(lab: &Lab, command: &str, config: &Value) -> String {
    in_turns(lab, (command, config), "")
}

/// The same, but c1 to c10 come first, and `then` is done as soon as the others are under way.
fn in_turns(lab: &Lab, (command, config): (&str, &Value), then: &str) -> String {
    lab.h1.write("/run/lab/config.json", &config.to_string());
    let first = if then.is_empty() { 0 } else { 10 };
    let script = format!(
        "one() {{ CNI_CONTAINERID=c$1 CNI_NETNS=/run/netns/c$1 \"$PLUGIN\" </run/lab/config.json >/run/lab/out/$1 \
             || echo failed c$1 $(cat /run/lab/out/$1); }}; \
         mkdir -p /run/lab/out; for n in $(seq {first}); do one $n; done; \
         for n in $(seq {} {MANY}); do one $n & done; {then}\nwait",
        first + 1
    );
    let plugin = program("netd-cni");
    let environment = [
        ("PLUGIN", plugin.as_str()),
        ("CNI_COMMAND", command),
        ("CNI_IFNAME", "eth0"),
        ("NETD_HOST", SOCKET),
    ];
    let ran = lab
        .h1
        .exec_with(&["sh", "-c", &script], &environment, b"")
        .ok();
    ran.text().to_owned()
}

fn namespaces(lab: &Lab) {
    let _ = lab
        .h1
        .sh(&format!(
            "for n in $(seq {MANY}); do ip netns add c$n; done"
        ))
        .ok();
}

#[test]
fn cni_fifty_at_once_describe_the_network_and_it_is_made_once() {
    let lab = Lab::new();
    namespaces(&lab);
    let rules = lab.h1.all_rules();
    let links = lab.h1.link_names();
    let config = configuration(
        "1.1.0",
        "app",
        &json!({ "ipam": { "subnet": "10.9.0.0/24" } }),
    );
    assert_eq!(all_at_once(&lab, "ADD", &config), "");
    let list = lab.h1.net(&["ls"]).ok();
    assert_eq!(list.stdout.matches(" app ").count(), 1, "{list}");
    let results = (1..=MANY).map(|n| lab.h1.read(&format!("/run/lab/out/{n}")));
    let results: Vec<Value> = results
        .map(|text| serde_json::from_str(&text).unwrap())
        .collect();
    let addresses: BTreeSet<_> = results
        .iter()
        .map(|result| result["ips"][0]["address"].to_string())
        .collect();
    assert_eq!(addresses.len(), MANY);
    let pings = "for n in $(seq 2 50); do a=$(ip -n c$n -4 -o address show dev eth0 | sed 's/.*inet \\([0-9.]*\\).*/\\1/'); \
                 ip netns exec c1 ping -c1 -W3 $a >/dev/null || echo lost $a; done";
    assert_eq!(lab.h1.sh(pings).ok().text(), "");
    // Once more, all of them: nothing changes.
    assert_eq!(all_at_once(&lab, "ADD", &config), "");
    let again = (1..=MANY).map(|n| lab.h1.read(&format!("/run/lab/out/{n}")));
    let again: Vec<Value> = again
        .map(|text| serde_json::from_str(&text).unwrap())
        .collect();
    assert_eq!(again, results);
    assert_eq!(all_at_once(&lab, "DEL", &config), "");
    let _ = lab.h1.net(&["rm", "app"]).ok();
    eventually("the rules of before", || {
        (lab.h1.all_rules() == rules).then_some(())
    });
    lab.h1.comes_back_to(&links);
}

#[test]
fn cni_a_daemon_killed_among_the_calls_keeps_its_word() {
    let lab = Lab::new();
    namespaces(&lab);
    let config = configuration(
        "1.1.0",
        "app",
        &json!({ "ipam": { "subnet": "10.9.0.0/24" } }),
    );
    let pid = lab.h1.daemon_pid();
    // The daemon dies in the midst of them: ten have their answer, and the last one has only begun.
    let failed = in_turns(&lab, ("ADD", &config), &format!("kill -KILL {pid}"));
    let failed: BTreeSet<&str> = failed
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .collect();
    eventually("the daemon's end", || (!lab.h1.daemon_runs()).then_some(()));
    lab.h1.start();
    // Who was told that it is there has it; who was not may add it again.
    for n in 1..=MANY {
        let name = format!("c{n}");
        let mut known = config.clone();
        if !failed.contains(name.as_str()) {
            let text = lab.h1.read(&format!("/run/lab/out/{n}"));
            known["prevResult"] = serde_json::from_str(&text).unwrap();
            let _ = lab.h1.cni("CHECK", eth0(&name), &known).ok();
        }
    }
    assert!(
        !failed.is_empty() && failed.len() <= MANY - 10,
        "the daemon was not killed among the calls: {failed:?}"
    );
    assert_eq!(all_at_once(&lab, "ADD", &config), "");
    let view = lab.h1.inspect("app");
    assert_eq!(view["Containers"].as_object().unwrap().len(), MANY);
    assert_eq!(all_at_once(&lab, "DEL", &config), "");
    assert_eq!(lab.h1.inspect("app")["Containers"], json!({}));
    assert_eq!(lab.h1.status()["problems"], json!([]));
}

#[test]
fn cni_the_same_call_many_times_at_once_is_made_once() {
    let lab = Lab::new();
    lab.h1.new_netns("one");
    let config = configuration(
        "1.1.0",
        "app",
        &json!({ "ipam": { "subnet": "10.9.0.0/24" } }),
    );
    lab.h1.write("/run/lab/config.json", &config.to_string());
    let script = "for n in $(seq 20); do \"$PLUGIN\" </run/lab/config.json >/run/lab/out.$n || echo failed $(cat /run/lab/out.$n) & done; wait";
    let plugin = program("netd-cni");
    let call = |command: &str| {
        let environment = [
            ("PLUGIN", plugin.as_str()),
            ("CNI_COMMAND", command),
            ("CNI_CONTAINERID", "one"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_NETNS", "/run/netns/one"),
        ];
        lab.h1
            .exec_with(&["sh", "-c", script], &environment, b"")
            .ok()
            .text()
            .to_owned()
    };
    assert_eq!(call("ADD"), "");
    let first = lab.h1.read("/run/lab/out.1");
    assert!((2..=20).all(|n| lab.h1.read(&format!("/run/lab/out.{n}")) == first));
    let view = lab.h1.inspect("app");
    assert_eq!(view["Containers"].as_object().unwrap().len(), 1);
    assert_eq!(call("DEL"), "");
    assert_eq!(lab.h1.inspect("app")["Containers"], json!({}));
}
