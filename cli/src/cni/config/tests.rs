//! What a configuration may say, and what is refused.

use serde_json::json;

use super::super::failure::Code;
use super::*;

fn read(plugin: Value) -> Result<Config, Failure> {
    let mut object = json!({ "cniVersion": "1.0.0", "name": "app", "type": "netd-cni" });
    for (key, value) in plugin.as_object().unwrap() {
        object[key] = value.clone();
    }
    let input = Input::parse(object.to_string().as_bytes())?;
    Config::read(&input, &Arguments::default())
}

fn described(plugin: Value) -> NetworkRequest {
    match read(plugin).unwrap().network {
        WantedNetwork::Described(request) => *request,
        other => panic!("{other:?} is no description"),
    }
}

#[test]
fn a_network_is_named_or_described() {
    let named = read(json!({ "network": "web" })).unwrap();
    assert_eq!(named.network, WantedNetwork::Existing("web".to_owned()));
    let network = described(json!({
        "ipam": { "subnet": "10.9.0.0/24", "gateway": "10.9.0.254", "ipRange": "10.9.0.128/25" },
        "options": { "com.docker.network.driver.mtu": "1400" }, "internal": true, "labels": { "a": "b" },
    }));
    assert_eq!(network.name.as_str(), "app");
    let pool = &network.pools[0];
    assert_eq!(pool.subnet, Some("10.9.0.0/24".parse().unwrap()));
    assert_eq!(pool.range, Some("10.9.0.128/25".parse().unwrap()));
    assert_eq!(pool.gateway, Some("10.9.0.254".parse().unwrap()));
    assert!(network.internal && network.labels["a"] == "b");
    assert_eq!(network.options["com.docker.network.driver.mtu"], "1400");
    assert!(described(json!({ "ipam": {} })).pools.is_empty());
}

#[test]
fn host_locals_words_are_understood() {
    let network = described(json!({ "ipam": { "ranges": [
        [{ "subnet": "10.9.0.0/24", "rangeStart": "10.9.0.64", "rangeEnd": "10.9.0.127" }],
        [{ "subnet": "fd00:9::/64" }],
    ] } }));
    assert_eq!(
        network.pools[0].range,
        Some("10.9.0.64/26".parse().unwrap())
    );
    assert_eq!(
        network.pools[1].subnet,
        Some("fd00:9::/64".parse().unwrap())
    );
    let config = read(json!({ "ipam": { "subnet": "10.9.0.0/24", "routes": [
        { "dst": "0.0.0.0/0" }, { "dst": "10.0.0.0/8" }, { "dst": "192.0.2.0/24", "gw": "10.9.0.7" },
    ] } }));
    let shown: Vec<_> = config
        .unwrap()
        .routes
        .iter()
        .map(|route| route.gateway)
        .collect();
    assert_eq!(shown, [None, Some("10.9.0.7".parse().unwrap())]);
}

#[test]
fn capabilities_go_before_args() {
    let config = read(json!({
        "network": "web",
        "args": { "cni": { "ips": ["10.9.0.7"], "labels": [{ "key": "team", "value": "red" }] }, "other": 1 },
        "runtimeConfig": {
            "ips": ["10.9.0.5/24", "fd00::5"], "mac": "02:42:0a:09:00:05",
            "portMappings": [
                { "hostPort": 8080, "containerPort": 80 },
                { "hostPort": 53, "containerPort": 5353, "protocol": "UDP", "hostIP": "127.0.0.1" },
            ],
            "dns": { "servers": ["192.0.2.53"], "searches": ["corp.example"], "options": ["rotate"] },
            "aliases": { "app": ["www"], "other": ["x"] },
            "bandwidth": { "ingressRate": 8_000_000, "ingressBurst": 800_000, "egressRate": 1_000_000, "egressBurst": 0 },
        },
    }));
    let config = config.unwrap();
    assert_eq!(
        config.ips,
        ["10.9.0.5", "fd00::5"].map(|ip| ip.parse::<IpAddr>().unwrap())
    );
    let ports: Vec<_> = config
        .ports
        .iter()
        .map(|port| (port.protocol.as_str(), port.host_ip))
        .collect();
    assert_eq!(
        ports,
        [("tcp", None), ("udp", Some("127.0.0.1".parse().unwrap()))]
    );
    assert_eq!(config.rates.to_string(), "in 8mbit, out 1mbit");
    let burst = |rate: Option<netd_api::Rate>| rate.unwrap().burst_bytes();
    assert_eq!(burst(config.rates.inward), 100_000, "bits in, bytes out");
    assert_eq!(burst(config.rates.outward), 16 * 1024, "netd's own");
    assert_eq!(config.aliases, ["www".parse().unwrap()]);
    assert_eq!(config.labels["team"], "red");
    assert_eq!(config.dns.settings().search, ["corp.example"]);
}

#[test]
fn pods_have_their_names_where_there_are_any() {
    let arguments = Arguments {
        pod: Some("web-0".to_owned()),
        pod_namespace: Some("prod".to_owned()),
        ..Arguments::default()
    };
    let aliases = |network: &str| {
        let text =
            json!({ "cniVersion": "1.0.0", "name": "app", "type": "netd-cni", "network": network });
        let input = Input::parse(text.to_string().as_bytes()).unwrap();
        Config::read(&input, &arguments).unwrap().aliases
    };
    assert_eq!(
        aliases("app"),
        ["web-0".parse().unwrap(), "web-0.prod".parse().unwrap()]
    );
    assert!(aliases("bridge").is_empty());
}

#[test]
fn what_is_not_understood_is_refused_by_its_key() {
    for (plugin, code, named) in [
        (json!({}), Code::Config, "which network"),
        (
            json!({ "network": "web", "ipam": {} }),
            Code::Config,
            "ipam",
        ),
        (
            json!({ "network": "web", "options": {} }),
            Code::Config,
            "options",
        ),
        (json!({ "network": "" }), Code::Config, "network"),
        (json!({ "network": 7 }), Code::Config, "network"),
        (json!({ "ipam": 7 }), Code::Config, "ipam"),
        (
            json!({ "ipam": { "type": "dhcp" } }),
            Code::Unsupported,
            "ipam.type = \"dhcp\"",
        ),
        (
            json!({ "ipam": { "type": "../../bin/sh" } }),
            Code::Unsupported,
            "ipam.type",
        ),
        (
            json!({ "ipam": { "dataDir": "/x" } }),
            Code::Unsupported,
            "ipam.dataDir = \"/x\"",
        ),
        (
            json!({ "ipam": { "subnet": "10.9.0.1/24" } }),
            Code::Config,
            "10.9.0.1/24",
        ),
        (
            json!({ "ipam": { "subnet": "10.9.0.0/24", "rangeStart": "10.9.0.5" } }),
            Code::Config,
            "ipRange",
        ),
        (
            json!({ "ipam": { "routes": [{ "dst": "10.0.0.0/8", "mtu": 1 }] } }),
            Code::Unsupported,
            "mtu",
        ),
        (json!({ "ipam": { "routes": [{}] } }), Code::Config, "dst"),
        (
            json!({ "ipam": {}, "options": { "a": 1 } }),
            Code::Config,
            "options",
        ),
        (
            json!({ "ipam": {}, "bridge": "cni0" }),
            Code::Unsupported,
            "bridge.name",
        ),
        (
            json!({ "ipam": {}, "mtu": 1400 }),
            Code::Unsupported,
            "driver.mtu",
        ),
        (
            json!({ "ipam": {}, "netwrok": "x" }),
            Code::Unsupported,
            "netwrok = \"x\"",
        ),
        (
            json!({ "network": "a", "runtimeConfig": { "x": 1 } }),
            Code::Unsupported,
            "runtimeConfig.x",
        ),
        (
            json!({ "network": "a", "runtimeConfig": { "mac": "ff:ff:ff:ff:ff:ff" } }),
            Code::Config,
            "mac",
        ),
        (
            json!({ "network": "a", "runtimeConfig": { "ips": ["10.9.0.5/40"] } }),
            Code::Config,
            "10.9.0.5/40",
        ),
        (
            json!({ "network": "a", "runtimeConfig": { "aliases": ["a/b"] } }),
            Code::Config,
            "a/b",
        ),
        (
            json!({ "network": "a", "dns": { "nameservers": ["x"] } }),
            Code::Config,
            "dns",
        ),
        (
            json!({ "network": "a", "bandwidth": { "egressRate": 1000 } }),
            Code::Unsupported,
            "bandwidth",
        ),
        (
            json!({ "network": "a", "runtimeConfig": { "bandwidth": { "egressRate": 999 } } }),
            Code::Config,
            "egress of {\"egressRate\":999}: a rate of 999 bits per second cannot be kept",
        ),
        (
            json!({ "network": "a", "runtimeConfig": { "bandwidth": { "ingressBurst": 8000 } } }),
            Code::Config,
            "a burst of 1000 bytes without a rate",
        ),
        (
            json!({ "network": "a", "runtimeConfig": { "bandwidth": { "ingressRate": 8000, "ingressBurst": 34_359_738_368_u64 } } }),
            Code::Config,
            "too large",
        ),
        (
            json!({ "network": "a", "runtimeConfig": { "bandwidth": { "ingressRate": -1 } } }),
            Code::Config,
            "bandwidth",
        ),
        (
            json!({ "network": "a", "runtimeConfig": { "bandwidth": { "rate": 1 } } }),
            Code::Unsupported,
            "bandwidth.rate",
        ),
        (
            json!({ "network": "a", "runtimeConfig": { "portMappings": [{ "hostPort": 0, "containerPort": 80 }] } }),
            Code::Config,
            "hostPort",
        ),
        (
            json!({ "network": "a", "runtimeConfig": { "portMappings": [{ "hostPort": 80, "containerPort": 65616 }] } }),
            Code::Config,
            "containerPort",
        ),
    ] {
        let failure = read(plugin.clone()).unwrap_err();
        assert_eq!(failure.code, code, "{plugin}: {}", failure.message);
        assert!(
            failure.message.contains(named),
            "{plugin}: {}",
            failure.message
        );
    }
}
