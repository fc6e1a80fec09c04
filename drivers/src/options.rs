//! Docker's `-o` keys of bridge networks, read once at the edge; past it there are only typed options.
//!
//! Must not know where the keys came from: command line, API or file.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use netd_model::name::ParseNameError;
use netd_model::network::BridgeSpec;
use netd_model::{IfName, NetworkId};

use crate::bridge::DEFAULT_MTU_BYTES;
use crate::names::bridge_name;

mod change;

pub use change::{change_bridge_options, configuration_key};

const NAME: &str = "com.docker.network.bridge.name";
const ICC: &str = "com.docker.network.bridge.enable_icc";
const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
const HOST_BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
const MTU: &str = "com.docker.network.driver.mtu";
const DEFAULT_BRIDGE: &str = "com.docker.network.bridge.default_bridge";

/// The keys that a user can give.
const KNOWN: [&str; 5] = [NAME, ICC, MASQUERADE, HOST_BINDING, MTU];

/// MTU in bytes that a bridge takes: what IPv4 needs (RFC 791) to what its header can count.
const MTU_BYTES: std::ops::RangeInclusive<u32> = 68..=65535;

/// What holds for options that are not given: the daemon's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BridgeDefaults {
    /// MTU in bytes; `None` leaves the kernel's 1500.
    pub mtu_bytes: Option<u32>,
    /// Whether containers of one network reach each other.
    pub icc: bool,
    /// Whether containers reach the outside by the host's address.
    pub masquerade: bool,
    /// Host address that published ports are bound to.
    pub host_binding: IpAddr,
}

impl Default for BridgeDefaults {
    /// Docker's own.
    fn default() -> Self {
        Self {
            mtu_bytes: None,
            icc: true,
            masquerade: true,
            host_binding: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        }
    }
}

/// The options of a bridge network, complete except for what follows from its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeOptions {
    /// The bridge interface; `None` names it after the network's id.
    pub bridge: Option<IfName>,
    /// MTU in bytes; `None` leaves the kernel's 1500.
    pub mtu_bytes: Option<u32>,
    /// Whether containers of this network reach each other.
    pub icc: bool,
    /// Whether containers reach the outside by the host's address.
    pub masquerade: bool,
    /// Host address that published ports are bound to.
    pub host_binding: IpAddr,
}

impl BridgeOptions {
    /// The options of a user's network, whose bridge netd makes.
    ///
    /// # Errors
    /// None in practice; see [`bridge_name`].
    pub fn into_spec(self, network: NetworkId) -> Result<BridgeSpec, ParseNameError> {
        Ok(BridgeSpec {
            bridge: match self.bridge {
                Some(bridge) => bridge,
                None => bridge_name(network)?,
            },
            is_default: false,
            owned: true,
            mtu_bytes: self.mtu_bytes,
            masquerade: self.masquerade,
            icc: self.icc,
            host_binding: self.host_binding,
            gateway_override: None,
            gateway_override_v6: None,
        })
    }
}

/// An option of a bridge network is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// There is no such key.
    #[error("bridge networks have no option {key:?}; the nearest is {nearest}")]
    UnknownKey {
        /// The key given.
        key: String,
        /// The known one most like it.
        nearest: &'static str,
    },
    /// The value does not fit the key.
    #[error("option {key}={value:?} is wrong; give {expected}")]
    BadValue {
        /// The key.
        key: &'static str,
        /// The value given.
        value: String,
        /// What would fit.
        expected: &'static str,
    },
    /// The value is what the network was made with.
    #[error(
        "option {key} cannot change from {present} to {wanted:?} while the network lives; create another network with that, and connect the containers to it"
    )]
    Fixed {
        /// The key.
        key: &'static str,
        /// The value that it has.
        present: String,
        /// The value asked for.
        wanted: String,
    },
    /// The key is only shown.
    #[error(
        "option {key} marks the daemon's own network \"bridge\" and cannot be given; leave it out"
    )]
    OnlyShown {
        /// The key.
        key: &'static str,
    },
}

/// Reads `-o` options.
///
/// # Errors
/// [`OptionError`] names the key and what would be right.
pub fn parse_bridge_options(
    given: &BTreeMap<String, String>,
    defaults: BridgeDefaults,
) -> Result<BridgeOptions, OptionError> {
    let mut options = BridgeOptions {
        bridge: None,
        mtu_bytes: defaults.mtu_bytes,
        icc: defaults.icc,
        masquerade: defaults.masquerade,
        host_binding: defaults.host_binding,
    };
    for (key, value) in given {
        set(&mut options, key, value)?;
    }
    Ok(options)
}

/// Reads one option.
fn set(options: &mut BridgeOptions, key: &str, value: &str) -> Result<(), OptionError> {
    match key {
        NAME => options.bridge = Some(parse_name(value)?),
        ICC => options.icc = parse_bool(ICC, value)?,
        MASQUERADE => options.masquerade = parse_bool(MASQUERADE, value)?,
        HOST_BINDING => options.host_binding = parse_host_binding(value)?,
        MTU => options.mtu_bytes = Some(parse_mtu(value)?),
        DEFAULT_BRIDGE => {
            return Err(OptionError::OnlyShown {
                key: DEFAULT_BRIDGE,
            });
        }
        _ => {
            return Err(OptionError::UnknownKey {
                key: key.to_owned(),
                nearest: nearest(key),
            });
        }
    }
    Ok(())
}

/// The options as Docker's `network inspect bridge` shows them.
#[must_use]
pub fn shown_options(spec: &BridgeSpec) -> BTreeMap<String, String> {
    let mtu_bytes = spec.mtu_bytes.unwrap_or(DEFAULT_MTU_BYTES);
    [
        (NAME, spec.bridge.to_string()),
        (ICC, spec.icc.to_string()),
        (MASQUERADE, spec.masquerade.to_string()),
        (HOST_BINDING, spec.host_binding.to_string()),
        (MTU, mtu_bytes.to_string()),
    ]
    .into_iter()
    .chain(spec.is_default.then(|| (DEFAULT_BRIDGE, true.to_string())))
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

fn bad_value(key: &'static str, value: &str, expected: &'static str) -> OptionError {
    OptionError::BadValue {
        key,
        value: value.to_owned(),
        expected,
    }
}

fn parse_name(value: &str) -> Result<IfName, OptionError> {
    let expected = "an interface name of 1 to 15 letters, digits, '-', '_' or '.'";
    IfName::new(value).map_err(|_| bad_value(NAME, value, expected))
}

/// The texts that Docker takes for truth values (Go's strconv.ParseBool).
fn parse_bool(key: &'static str, value: &str) -> Result<bool, OptionError> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(bad_value(key, value, "true or false")),
    }
}

fn parse_host_binding(value: &str) -> Result<IpAddr, OptionError> {
    let expected = "an IPv4 address of the host, or 0.0.0.0 for all of them";
    value
        .parse()
        .map(IpAddr::V4)
        .map_err(|_| bad_value(HOST_BINDING, value, expected))
}

fn parse_mtu(value: &str) -> Result<u32, OptionError> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    value
        .parse()
        .ok()
        .filter(|mtu_bytes| digits && MTU_BYTES.contains(mtu_bytes))
        .ok_or_else(|| bad_value(MTU, value, "a number of bytes from 68 to 65535"))
}

/// The known key that `given` is most like: as a whole, or by its last part, which is what people abbreviate to.
fn nearest(given: &str) -> &'static str {
    let last_part = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let wanted = last_part(given);
    let distance = |known: &str| {
        let part = last_part(known);
        let abbreviated = !wanted.is_empty() && part.contains(&wanted);
        let by_part = match abbreviated {
            true => 1,
            false => strsim::damerau_levenshtein(&wanted, &part),
        };
        by_part.min(strsim::damerau_levenshtein(given, known))
    };
    KNOWN
        .into_iter()
        .min_by_key(|known| distance(known))
        .unwrap_or(NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ])
        .unwrap();
        let expected = BridgeOptions {
            bridge: Some("br-web".parse().unwrap()),
            mtu_bytes: Some(1400),
            icc: false,
            masquerade: false,
            host_binding: "127.0.0.1".parse().unwrap(),
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
}
