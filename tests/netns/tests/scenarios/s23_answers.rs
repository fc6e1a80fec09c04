//! S23: how routes are listed, and what is refused with which reason.

use crate::s23_routes::{SECOND, kernel_route, two_hosts};

#[test]
fn s23_routes_are_listed() {
    let both = two_hosts();
    let h1 = both.h1();
    let _ = h1.net(&["route", "add", SECOND, "via", "10.0.0.208"]).ok();
    let _ = h1.net(&["route", "add", SECOND, "via", "10.0.0.208"]).ok();
    let masquerading = [
        "route",
        "add",
        "192.168.201.0/24",
        "via",
        "10.0.0.209",
        "--network",
        "lab",
        "--network",
        "bridge",
        "--masquerade",
    ];
    let _ = h1.net(&masquerading).ok();
    let words = |ran: netns_tests::Ran| {
        let lines = ran.text().lines();
        lines
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        words(h1.net(&["route", "ls"]).ok()),
        [
            "SUBNET GATEWAY DEVICE NETWORKS MASQUERADE",
            "192.168.200.0/24 10.0.0.208 eth0 all no",
            "192.168.201.0/24 10.0.0.209 eth0 bridge,lab yes",
        ]
    );
    assert_eq!(
        words(h1.net(&["route", "ls", "-q"]).ok()),
        [SECOND, "192.168.201.0/24"]
    );
    let format = [
        "route",
        "list",
        "--format",
        "{{.Subnet}} {{.Networks}} {{.Masquerade}}",
    ];
    assert_eq!(
        words(h1.net(&format).ok()),
        [
            "192.168.200.0/24 all false",
            "192.168.201.0/24 bridge,lab true"
        ]
    );
    let json = h1.net(&["route", "ls", "--json"]).ok().json();
    assert_eq!(json[0]["networks"], serde_json::Value::Null);
    assert_eq!(json[1]["networks"], serde_json::json!(["bridge", "lab"]));
    let ran = h1.net(&["route", "rm", "10.99.0.0/16", SECOND]).fails(1);
    assert!(ran.stderr.contains("no route to 10.99.0.0/16"), "{ran}");
    assert_eq!(ran.text(), SECOND);
}

#[test]
fn s23_what_cannot_be_routed_says_why() {
    let both = two_hosts();
    let h1 = both.h1();
    let before = h1.all_rules();
    for (subnet, gateway, code, part) in [
        (
            "192.168.200.1/24",
            "10.0.0.208",
            2,
            "the subnet is 192.168.200.0/24",
        ),
        ("192.168.200.0", "10.0.0.208", 2, "is not a subnet"),
        (SECOND, "h2", 2, "invalid"),
        ("0.0.0.0/0", "10.0.0.208", 1, "the default route"),
        (SECOND, "fe80::1", 1, "the same family"),
        (SECOND, "10.9.9.9", 1, "10.0.0.204/24 on eth0"),
        (SECOND, "10.0.0.204", 1, "this host's own address"),
        (
            "10.0.0.0/16",
            "10.0.0.208",
            1,
            "10.0.0.0/24 that the host routes through eth0",
        ),
        ("172.31.1.128/25", "10.0.0.208", 1, "of network lab"),
    ] {
        let ran = h1
            .net(&["route", "add", subnet, "via", gateway])
            .fails(code);
        assert!(ran.stderr.contains(part), "{ran}");
    }
    let _ = h1.net(&["route", "add", SECOND, "10.0.0.208"]).fails(2);
    let _ = h1.net(&["route", "add", SECOND, "via", "10.0.0.208"]).ok();
    let ran = h1
        .net(&["route", "add", SECOND, "via", "10.0.0.209"])
        .fails(1);
    assert!(ran.stderr.contains("via 10.0.0.208"), "{ran}");
    let ran = h1
        .net(&["create", "--subnet", "192.168.200.0/25", "x"])
        .fails(1);
    assert!(ran.stderr.contains("another host's containers"), "{ran}");
    let _ = h1.net(&["route", "rm", SECOND]).ok();
    for (path, method, body) in [
        ("routes", "POST", "{}"),
        ("routes", "POST", r#"{"subnet": "192.168.200.0/24"}"#),
        (
            "routes",
            "POST",
            r#"{"subnet": "192.168.200.0/24", "gateway": 1}"#,
        ),
        (
            "routes",
            "POST",
            r#"{"subnet": "192.168.200.0/24", "gateway": "10.0.0.208", "x": 1}"#,
        ),
        (
            "routes",
            "POST",
            r#"{"subnet": "192.168.200.0/24", "gateway": "10.0.0.208", "networks": "lab"}"#,
        ),
        (
            "routes",
            "POST",
            r#"{"subnet": "192.168.200.9/24", "gateway": "10.0.0.208"}"#,
        ),
        ("routes", "PUT", "{}"),
        ("routes/nonsense", "DELETE", ""),
    ] {
        both.is_invalid(path, method, body);
    }
    assert_eq!(h1.all_rules(), before);
    assert_eq!(kernel_route(h1), "");
}
