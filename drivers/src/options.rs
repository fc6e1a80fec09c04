//! Docker's `-o` keys of bridge networks, read once at the edge; past it there are only typed options.
//!
//! Must not know where the keys came from: command line, API or file.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use netd_model::name::ParseNameError;
use netd_model::network::BridgeSpec;
use netd_model::{IfName, InterfacePrefix, NetworkId, Reach};

use crate::bridge::DEFAULT_MTU_BYTES;
use crate::names::bridge_name;

mod change;
mod endpoint;
mod values;

use values::{
    parse_addresses, parse_bool, parse_host_binding, parse_mode, parse_mtu, parse_name,
    parse_prefix, parse_trusted,
};

pub use change::{change_bridge_options, configuration_key};
pub use endpoint::{EndpointOptions, parse_endpoint_options};

const NAME: &str = "com.docker.network.bridge.name";
const ICC: &str = "com.docker.network.bridge.enable_icc";
const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
const HOST_BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
const MTU: &str = "com.docker.network.driver.mtu";
const MODE_V4: &str = "com.docker.network.bridge.gateway_mode_ipv4";
const MODE_V6: &str = "com.docker.network.bridge.gateway_mode_ipv6";
const INHIBIT: &str = "com.docker.network.bridge.inhibit_ipv4";
const TRUSTED: &str = "com.docker.network.bridge.trusted_host_interfaces";
const PREFIX: &str = "com.docker.network.container_iface_prefix";
const HOST_V4: &str = "com.docker.network.host_ipv4";
const HOST_V6: &str = "com.docker.network.host_ipv6";
const DEFAULT_BRIDGE: &str = "com.docker.network.bridge.default_bridge";

/// The keys that a user can give.
const KNOWN: [&str; 12] = [
    NAME,
    ICC,
    MASQUERADE,
    HOST_BINDING,
    MTU,
    MODE_V4,
    MODE_V6,
    INHIBIT,
    TRUSTED,
    PREFIX,
    HOST_V4,
    HOST_V6,
];

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
    /// How containers are met from outside.
    pub reach: Reach,
    /// False if the bridge gets no IPv4 address of ours.
    pub has_ipv4_address: bool,
    /// What interfaces inside containers are called.
    pub interface_prefix: InterfacePrefix,
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
            reach: self.reach,
            has_ipv4_address: self.has_ipv4_address,
            interface_prefix: self.interface_prefix,
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
    /// There is no such key.
    #[error("endpoints have no option {key:?}; the nearest is {nearest}")]
    UnknownEndpointKey {
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
        reach: Reach::default(),
        has_ipv4_address: true,
        interface_prefix: InterfacePrefix::default(),
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
        MODE_V4 => options.reach.mode_v4 = parse_mode(MODE_V4, value)?,
        MODE_V6 => options.reach.mode_v6 = parse_mode(MODE_V6, value)?,
        INHIBIT => options.has_ipv4_address = !parse_bool(INHIBIT, value)?,
        TRUSTED => options.reach.trusted = parse_trusted(value)?,
        PREFIX => options.interface_prefix = parse_prefix(value)?,
        HOST_V4 | HOST_V6 => parse_addresses(&mut options.reach.leaves_as, key, value)?,
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

/// The known key that `given` is most like: as a whole, or by its last part, which is what people abbreviate to.
fn nearest(given: &str) -> &'static str {
    nearest_of(&KNOWN, given)
}

fn nearest_of(keys: &[&'static str], given: &str) -> &'static str {
    let last_part = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let wanted = last_part(given);
    let distance = |known: &str| {
        let part = last_part(known);
        let abbreviated = !wanted.is_empty() && part.contains(&wanted);
        let by_part = match abbreviated {
            true => usize::from(part != wanted),
            false => strsim::damerau_levenshtein(&wanted, &part),
        };
        by_part.min(strsim::damerau_levenshtein(given, known))
    };
    keys.iter()
        .copied()
        .min_by_key(|known| distance(known))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
