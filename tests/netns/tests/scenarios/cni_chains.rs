//! The CNI plugin beside those of the CNI project: each takes the other's result.

use netns_tests::Lab;
use netns_tests::cni::{Place, configuration, eth0};
use serde_json::{Value, json};

fn chain(version: &str, kinds: &[Value]) -> Vec<Value> {
    let with_common = |further: &Value| {
        let mut all = configuration(version, "app", further);
        if further["type"] != Value::Null {
            let _ = all.as_object_mut().map(|all| all.remove("socket"));
        }
        all
    };
    kinds.iter().map(with_common).collect()
}

/// Calls the plugins one after the other as libcni does, each with the result of the one before.
fn add(lab: &Lab, place: Place<'_>, plugins: &[Value]) -> Value {
    let mut result = Value::Null;
    for plugin in plugins {
        let mut plugin = plugin.clone();
        if !result.is_null() {
            plugin["prevResult"] = result;
        }
        result = lab.h1.cni("ADD", place, &plugin).ok().json();
    }
    result
}

fn with_result(plugins: &[Value], result: &Value) -> Vec<Value> {
    let with = |plugin: &Value| {
        let mut plugin = plugin.clone();
        plugin["prevResult"] = result.clone();
        plugin
    };
    plugins.iter().map(with).collect()
}

#[test]
fn cni_in_a_chain_each_plugin_takes_the_results_of_the_others() {
    let lab = Lab::new();
    for version in ["0.3.1", "0.4.0", "1.0.0"] {
        let name = format!("c{}", version.replace('.', ""));
        lab.h1.new_netns(&name);
        let place = eth0(&name);
        let plugins = chain(
            version,
            &[
                json!({ "type": "loopback" }),
                json!({ "ipam": { "subnet": "10.9.0.0/24" } }),
                json!({ "type": "tuning", "sysctl": { "net.ipv4.conf.eth0.log_martians": "1" } }),
                json!({ "type": "bandwidth", "ingressRate": 800_000, "ingressBurst": 800_000 }),
            ],
        );
        let result = add(&lab, place, &plugins);
        let names: Vec<_> = result["interfaces"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].clone())
            .collect();
        assert_eq!(
            (&names[0], &names[2]),
            (&json!("lo"), &json!("eth0")),
            "{result}"
        );
        let ips = result["ips"].as_array().unwrap();
        let ours = ips.iter().find(|ip| ip["interface"] == 2).unwrap();
        assert!(
            ours["address"].as_str().unwrap().starts_with("10.9.0."),
            "{result}"
        );
        // What the others did stands beside what netd did, and stays.
        let read = ["cat", "/proc/sys/net/ipv4/conf/eth0/log_martians"];
        assert_eq!(lab.h1.in_netns(&name, &read).ok().text(), "1");
        let host = names[1].as_str().unwrap();
        let shaped = lab.h1.exec(&["tc", "qdisc", "show", "dev", host]).ok();
        assert!(shaped.stdout.contains("tbf"), "{shaped}");
        let known = with_result(&plugins, &result);
        if version != "0.3.1" {
            for plugin in &known[..3] {
                let _ = lab.h1.cni("CHECK", place, plugin).ok();
            }
        }
        for plugin in known.iter().rev() {
            let _ = lab.h1.cni("DEL", place, plugin).ok();
        }
        let view = lab.h1.inspect("app");
        assert_eq!(view["Containers"], json!({}), "{view}");
    }
    assert_eq!(lab.h1.status()["problems"], json!([]));
}

#[test]
fn cni_behind_a_plugin_that_took_the_interface_it_refuses_and_leaves_that_one() {
    let lab = Lab::new();
    lab.h1.new_netns("pod");
    let other = "ip link add eth0 type veth peer name eth9 && ip address add 10.5.0.2/24 dev eth0 && ip link set eth0 up";
    let _ = lab.h1.in_netns("pod", &["sh", "-c", other]).ok();
    let mut config = configuration("1.0.0", "app", &json!({ "ipam": {} }));
    config["prevResult"] = json!({
        "cniVersion": "1.0.0",
        "interfaces": [{ "name": "eth0", "sandbox": "/run/netns/pod" }],
        "ips": [{ "address": "10.5.0.2/24", "interface": 0 }],
    });
    let ran = lab.h1.cni("ADD", eth0("pod"), &config);
    let said = netns_tests::cni::refused(&ran, 7);
    assert!(said.contains("eth0"), "{said}");
    let net1 = Place {
        interface: "net1",
        ..eth0("pod")
    };
    let result = lab.h1.cni("ADD", net1, &config).ok().json();
    assert_eq!(result["ips"][0]["address"], "10.5.0.2/24");
    assert_eq!(result["ips"][1]["interface"], 2);
    let _ = lab.h1.cni("DEL", net1, &config).ok();
    let address = lab
        .h1
        .in_netns("pod", &["ip", "-o", "-4", "address", "show", "dev", "eth0"])
        .ok();
    assert!(address.stdout.contains("10.5.0.2/24"), "{address}");
}
