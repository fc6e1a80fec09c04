//! Options of a network that lives already: which of them can be other than they are.

use std::collections::BTreeMap;

use netd_model::GatewayMode;
use netd_model::network::BridgeSpec;

use super::{
    BridgeOptions, HOST_BINDING, ICC, INHIBIT, MASQUERADE, MODE_V4, MODE_V6, MTU, NAME,
    OptionError, set,
};

/// The options that `spec` has after `given` were changed. Those that are not given stay, whatever the daemon's
/// configuration says meanwhile.
///
/// # Errors
/// [`OptionError`] names the key and what would be right; [`OptionError::Fixed`] what cannot change.
pub fn change_bridge_options(
    spec: &BridgeSpec,
    given: &BTreeMap<String, String>,
) -> Result<BridgeSpec, OptionError> {
    let mut options = BridgeOptions {
        bridge: None,
        mtu_bytes: spec.mtu_bytes,
        icc: spec.icc,
        masquerade: spec.masquerade,
        host_binding: spec.host_binding,
        reach: spec.reach.clone(),
        has_ipv4_address: spec.has_ipv4_address,
        interface_prefix: spec.interface_prefix.clone(),
    };
    for (key, value) in given {
        set(&mut options, key, value)?;
    }
    if let Some(wanted) = options.bridge.filter(|wanted| *wanted != spec.bridge) {
        return Err(OptionError::Fixed {
            key: NAME,
            present: spec.bridge.to_string(),
            wanted: wanted.to_string(),
        });
    }
    let (before, after) = (&spec.reach, &options.reach);
    check_mode(MODE_V4, before.mode_v4, after.mode_v4)?;
    check_mode(MODE_V6, before.mode_v6, after.mode_v6)?;
    if options.has_ipv4_address != spec.has_ipv4_address {
        return Err(OptionError::Fixed {
            key: INHIBIT,
            present: (!spec.has_ipv4_address).to_string(),
            wanted: (!options.has_ipv4_address).to_string(),
        });
    }
    Ok(BridgeSpec {
        reach: options.reach,
        interface_prefix: options.interface_prefix,
        mtu_bytes: options.mtu_bytes,
        icc: options.icc,
        masquerade: options.masquerade,
        host_binding: options.host_binding,
        ..spec.clone()
    })
}

/// Where ports are published, and whether the bridge has an address, is settled when a network is made.
fn check_mode(
    key: &'static str,
    present: GatewayMode,
    wanted: GatewayMode,
) -> Result<(), OptionError> {
    if present == wanted || (present.translates() && wanted.translates()) {
        return Ok(());
    }
    Err(OptionError::Fixed {
        key,
        present: present.to_string(),
        wanted: wanted.to_string(),
    })
}

/// The key of the daemon's configuration that says of the network `bridge` what an option says of others.
#[must_use]
pub fn configuration_key(option: &str) -> Option<&'static str> {
    match option {
        NAME => Some("bridge"),
        ICC => Some("icc"),
        MASQUERADE => Some("ip-masq"),
        HOST_BINDING => Some("ip"),
        MTU => Some("mtu"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use netd_model::NetworkId;

    use super::super::{BridgeDefaults, parse_bridge_options};
    use super::*;

    fn given(options: &[(&str, &str)]) -> BTreeMap<String, String> {
        let options = options.iter();
        options
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn spec() -> BridgeSpec {
        let made = given(&[(ICC, "false"), (NAME, "br-web")]);
        let options = parse_bridge_options(&made, BridgeDefaults::default()).unwrap();
        options.into_spec(NetworkId::from_bytes([1; 32])).unwrap()
    }

    #[test]
    fn what_is_not_given_stays() {
        let before = spec();
        let after = change_bridge_options(&before, &given(&[(MTU, "1400")])).unwrap();
        let expected = BridgeSpec {
            mtu_bytes: Some(1400),
            ..before.clone()
        };
        assert_eq!(after, expected);
        assert_eq!(change_bridge_options(&before, &given(&[])), Ok(before));
    }

    #[test]
    fn the_bridge_keeps_its_name() {
        let before = spec();
        let same = change_bridge_options(&before, &given(&[(NAME, "br-web")]));
        assert_eq!(same, Ok(before.clone()));
        let error = change_bridge_options(&before, &given(&[(NAME, "br-x")])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "option com.docker.network.bridge.name cannot change from br-web to \"br-x\" while the network lives; \
             create another network with that, and connect the containers to it"
        );
        let wrong = change_bridge_options(&before, &given(&[(MTU, "1")]));
        assert!(matches!(wrong, Err(OptionError::BadValue { .. })));
    }
}
