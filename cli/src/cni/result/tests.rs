//! The form of results, and whether they are what was given.

use serde_json::json;

use super::*;

fn attached() -> Attached {
    let attachment = json!({
        "network_id": "0".repeat(64), "network": "app", "endpoint_id": "0".repeat(64),
        "interface": "eth0", "host_interface": "veth1234567", "mac": "02:42:0a:09:00:02",
        "addresses": ["10.9.0.2/24"], "gateways": ["10.9.0.1"], "aliases": [], "ports": [],
    });
    serde_json::from_value(json!({
        "attachment": attachment, "nameservers": ["127.0.0.11"], "mtu_bytes": 1500, "default_gateways": ["10.9.0.1"],
    }))
    .unwrap()
}

fn add(previous: Value, version: Version) -> Result<Value, Failure> {
    let dns = Dns {
        nameservers: vec!["192.0.2.53".parse().unwrap()],
        search: vec!["corp.example".to_owned()],
        ..Dns::default()
    };
    let beside = Beside {
        netns: Path::new("/run/netns/a"),
        routes: &[ContainerRoute {
            destination: "10.0.0.0/8".parse().unwrap(),
            gateway: None,
        }],
        dns: &dns,
    };
    let object = json!({ "prevResult": previous });
    let previous = super::previous(&object, version)?;
    Ok(added(&attached(), &beside, previous, version))
}

#[test]
fn each_version_has_its_shape() {
    for version in Version::ALL {
        let mut expected = json!({
            "cniVersion": version.as_str(),
            "interfaces": [
                { "name": "veth1234567" },
                { "name": "eth0", "mac": "02:42:0a:09:00:02", "sandbox": "/run/netns/a" },
            ],
            "ips": [{ "address": "10.9.0.2/24", "interface": 1, "gateway": "10.9.0.1" }],
            "routes": [
                { "dst": "0.0.0.0/0", "gw": "10.9.0.1" },
                { "dst": "10.0.0.0/8", "gw": "10.9.0.1" },
            ],
            "dns": { "nameservers": ["127.0.0.11"], "search": ["corp.example"] },
        });
        if version < Version::V1_0_0 {
            expected["ips"][0]["version"] = "4".into();
        }
        if version == Version::V1_1_0 {
            expected["interfaces"][0]["mtu"] = 1500.into();
            expected["interfaces"][1]["mtu"] = 1500.into();
        }
        assert_eq!(add(Value::Null, version).unwrap(), expected);
    }
}

#[test]
fn earlier_plugins_come_first_and_in_the_version_that_was_asked_for() {
    let previous = json!({
        "cniVersion": "1.1.0",
        "interfaces": [{ "name": "lo", "mac": "00:00:00:00:00:00", "sandbox": "/run/netns/a", "mtu": 65536 }],
        "ips": [{ "address": "127.0.0.1/8", "interface": 0 }, { "address": "::1/128", "interface": 0 }],
        "dns": { "domain": "lan" },
    });
    let result = add(previous, Version::V0_4_0).unwrap();
    assert_eq!(result["cniVersion"], "0.4.0");
    let names: Vec<_> = result["interfaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].clone())
        .collect();
    assert_eq!(names, ["lo", "veth1234567", "eth0"]);
    assert!(result["interfaces"][0]["mtu"].is_null());
    let ips = result["ips"].as_array().unwrap().iter();
    let ips: Vec<_> = ips
        .map(|ip| (ip["version"].clone(), ip["interface"].clone()))
        .collect();
    assert_eq!(
        ips,
        [
            ("4".into(), 0.into()),
            ("6".into(), 0.into()),
            ("4".into(), 2.into())
        ]
    );
    assert_eq!(result["dns"]["domain"], "lan");
    assert_eq!(result["dns"]["nameservers"], json!(["127.0.0.11"]));
}

#[test]
fn what_is_no_result_is_refused() {
    for (bad, code) in [
        (json!(7), Code::Decode),
        (json!([]), Code::Decode),
        (json!({ "cniVersion": "9.9.9" }), Code::Version),
        (json!({ "cniVersion": 1 }), Code::Decode),
        (json!({ "interfaces": {} }), Code::Decode),
        (json!({ "interfaces": [7] }), Code::Decode),
        (json!({ "ips": [{}] }), Code::Decode),
        (
            json!({ "ips": [{ "address": "10.9.0.2/99" }] }),
            Code::Decode,
        ),
        (
            json!({ "ips": [{ "address": "10.9.0.2/24", "interface": 0 }] }),
            Code::Decode,
        ),
        (
            json!({ "ips": [{ "address": "10.9.0.2/24", "interface": -1 }] }),
            Code::Decode,
        ),
        (json!({ "dns": [] }), Code::Decode),
    ] {
        let failure = add(bad.clone(), Version::V1_0_0).unwrap_err();
        assert_eq!(failure.code, code, "{bad}: {}", failure.message);
    }
}

#[test]
fn a_result_without_what_was_given_fails_the_check() {
    let attached = attached();
    let good = add(Value::Null, Version::V1_0_0).unwrap();
    assert_eq!(expects(&good, &attached), Ok(()));
    for path in [
        "/interfaces/1/name",
        "/interfaces/1/sandbox",
        "/ips/0/address",
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(path).unwrap() = "".into();
        assert_eq!(
            expects(&bad, &attached).unwrap_err().code,
            Code::Drifted,
            "{path}"
        );
    }
    // A later plugin may add to it.
    let mut more = good;
    more["routes"] = json!([]);
    assert_eq!(expects(&more, &attached), Ok(()));
}
