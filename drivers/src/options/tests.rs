//! What is read of Docker's keys, what is refused, and what is shown.

use super::*;
use netd_model::GatewayMode;

fn parse(given: &[(&str, &str)]) -> Result<BridgeOptions, OptionError> {
    let given = given.iter();
    let given = given.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    parse_bridge_options(&given.collect(), BridgeDefaults::default())
}

#[test]
fn every_key_of_docker_s_is_read() {
    let options = parse(&[
        (NAME, "br-web"),
        (ICC, "false"),
        (MASQUERADE, "0"),
        (HOST_BINDING, "127.0.0.1"),
        (MTU, "1400"),
        (MODE_V4, "routed"),
        (MODE_V6, "nat-unprotected"),
        (INHIBIT, "true"),
        (TRUSTED, "eth1:wg0"),
        (PREFIX, "net"),
        (HOST_V4, "192.0.2.1"),
        (HOST_V6, "2001:db8::1"),
    ])
    .unwrap();
    let expected = BridgeOptions {
        bridge: Some("br-web".parse().unwrap()),
        mtu_bytes: Some(1400),
        icc: false,
        masquerade: false,
        host_binding: "127.0.0.1".parse().unwrap(),
        reach: Reach {
            mode_v4: GatewayMode::Routed,
            mode_v6: GatewayMode::NatUnprotected,
            trusted: ["eth1", "wg0"].map(|name| name.parse().unwrap()).into(),
            leaves_as: ["192.0.2.1", "2001:db8::1"]
                .map(|ip| ip.parse().unwrap())
                .into(),
        },
        has_ipv4_address: false,
        interface_prefix: InterfacePrefix::new("net").unwrap(),
    };
    assert_eq!(options, expected);
    let spec = options.into_spec(NetworkId::from_bytes([1; 32])).unwrap();
    assert_eq!(spec.bridge.as_str(), "br-web");
    assert!(spec.owned && !spec.is_default);
}

#[test]
fn what_is_not_given_comes_from_the_daemon() {
    let defaults = BridgeDefaults {
        mtu_bytes: Some(1450),
        icc: false,
        masquerade: false,
        host_binding: "10.0.0.1".parse().unwrap(),
    };
    let options = parse_bridge_options(&BTreeMap::new(), defaults).unwrap();
    let spec = options
        .into_spec(NetworkId::from_bytes([0xab; 32]))
        .unwrap();
    assert_eq!(spec.bridge.as_str(), "br-abababababab");
    assert_eq!(
        (spec.mtu_bytes, spec.icc, spec.masquerade),
        (Some(1450), false, false)
    );
    assert_eq!(spec.host_binding, defaults.host_binding);
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    let cases = [
        ("mtu", MTU),
        ("com.docker.network.mtu", MTU),
        ("com.docker.network.driver.mut", MTU),
        ("icc", ICC),
        ("com.docker.network.bridge.enable-icc", ICC),
        ("masquerade", MASQUERADE),
        ("com.docker.network.bridge.enable_ip_masq", MASQUERADE),
        ("com.docker.network.bridge.host_binding", HOST_BINDING),
        ("name", NAME),
        ("com.docker.network.bridge.nmae", NAME),
        ("gateway_mode_ipv4", MODE_V4),
        ("com.docker.network.bridge.trusted_interfaces", TRUSTED),
        ("com.docker.network.container_interface_prefix", PREFIX),
        ("host_ipv6", HOST_V6),
    ];
    for (key, nearest) in cases {
        let expected = OptionError::UnknownKey {
            key: key.to_owned(),
            nearest,
        };
        assert_eq!(parse(&[(key, "1")]), Err(expected));
    }
    let error = parse(&[("", "1")]).unwrap_err();
    assert!(matches!(error, OptionError::UnknownKey { .. }));
}

#[test]
fn a_bad_value_is_told_with_its_key_and_what_would_fit() {
    let cases = [
        (NAME, "a name with spaces"),
        (NAME, ""),
        (ICC, "yes"),
        (MASQUERADE, ""),
        (HOST_BINDING, "localhost"),
        (HOST_BINDING, "::1"),
        (MTU, "67"),
        (MTU, "65536"),
        (MTU, "+1500"),
        (MTU, "-1"),
        (MTU, ""),
        (MODE_V4, "bridge"),
        (INHIBIT, "maybe"),
        (TRUSTED, "eth1::wg0"),
        (TRUSTED, "a b"),
        (PREFIX, ""),
        (PREFIX, "far-too-long-a-prefix"),
        (HOST_V4, "::1"),
        (HOST_V4, "0.0.0.0"),
        (HOST_V6, "192.0.2.1"),
    ];
    for (key, value) in cases {
        let error = parse(&[(key, value)]).unwrap_err();
        assert!(
            matches!(error, OptionError::BadValue { .. }),
            "{key}={value}"
        );
    }
    assert_eq!(
        parse(&[(MTU, "67")]).unwrap_err().to_string(),
        "option com.docker.network.driver.mtu=\"67\" is wrong; give a number of bytes from 68 to 65535"
    );
    assert_eq!(parse(&[(MTU, "68")]).unwrap().mtu_bytes, Some(68));
    assert_eq!(parse(&[(MTU, "65535")]).unwrap().mtu_bytes, Some(65535));
}

#[test]
fn the_default_bridge_is_not_for_users_to_mark() {
    let error = parse(&[(DEFAULT_BRIDGE, "true")]).unwrap_err();
    assert_eq!(
        error,
        OptionError::OnlyShown {
            key: DEFAULT_BRIDGE
        }
    );
}

/// As a real engine showed them (Docker 20.10.24, `docker network inspect bridge`).
#[test]
fn the_default_bridge_shows_its_options_as_docker_does() {
    let options = parse(&[(NAME, "docker0")]).unwrap();
    let mut spec = options.into_spec(NetworkId::from_bytes([1; 32])).unwrap();
    spec.is_default = true;
    let shown = shown_options(&spec);
    let shown: Vec<_> = shown
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            ("com.docker.network.bridge.default_bridge", "true"),
            ("com.docker.network.bridge.enable_icc", "true"),
            ("com.docker.network.bridge.enable_ip_masquerade", "true"),
            ("com.docker.network.bridge.host_binding_ipv4", "0.0.0.0"),
            ("com.docker.network.bridge.name", "docker0"),
            ("com.docker.network.driver.mtu", "1500"),
        ]
    );
}
