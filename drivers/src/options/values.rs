//! Values of the keys: what fits, and what is said when one does not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netd_model::port::check_host_address;
use netd_model::{GatewayMode, IfName, InterfacePrefix};

use super::{HOST_BINDING, HOST_V4, HOST_V6, MTU, NAME, OptionError, PREFIX, TRUSTED};

/// MTU in bytes that a bridge takes: what IPv4 needs (RFC 791) to what its header can count.
const MTU_BYTES: std::ops::RangeInclusive<u32> = 68..=65535;

pub(super) fn bad_value(key: &'static str, value: &str, expected: &'static str) -> OptionError {
    OptionError::BadValue {
        key,
        value: value.to_owned(),
        expected,
    }
}

pub(super) fn parse_name(value: &str) -> Result<IfName, OptionError> {
    let expected = "an interface name of 1 to 15 letters, digits, '-', '_' or '.'";
    IfName::new(value).map_err(|_| bad_value(NAME, value, expected))
}

/// The texts that Docker takes for truth values (Go's strconv.ParseBool).
pub(super) fn parse_bool(key: &'static str, value: &str) -> Result<bool, OptionError> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(bad_value(key, value, "true or false")),
    }
}

pub(super) fn parse_host_binding(value: &str) -> Result<IpAddr, OptionError> {
    let expected = "an IPv4 address of the host, or 0.0.0.0 for all of them";
    value
        .parse()
        .ok()
        .map(IpAddr::V4)
        .filter(|address| check_host_address(*address).is_ok())
        .ok_or_else(|| bad_value(HOST_BINDING, value, expected))
}

pub(super) fn parse_mtu(value: &str) -> Result<u32, OptionError> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    value
        .parse()
        .ok()
        .filter(|mtu_bytes| digits && MTU_BYTES.contains(mtu_bytes))
        .ok_or_else(|| bad_value(MTU, value, "a number of bytes from 68 to 65535"))
}

pub(super) fn parse_mode(key: &'static str, value: &str) -> Result<GatewayMode, OptionError> {
    let expected = "nat, nat-unprotected, routed or isolated";
    value.parse().map_err(|_| bad_value(key, value, expected))
}

/// Interfaces with colons between, as Docker has them; none is none.
pub(super) fn parse_trusted(value: &str) -> Result<Vec<IfName>, OptionError> {
    let expected = "names of the host's interfaces with colons between, such as eth1:wg0";
    let names = value.split(':').filter(|_| !value.is_empty());
    names
        .map(|name| IfName::new(name).map_err(|_| bad_value(TRUSTED, value, expected)))
        .collect()
}

pub(super) fn parse_prefix(value: &str) -> Result<InterfacePrefix, OptionError> {
    let expected = "the beginning of an interface's name, 1 to 11 letters, digits, '-', '_' or '.'";
    InterfacePrefix::new(value).map_err(|_| bad_value(PREFIX, value, expected))
}

/// Puts the address for one family in the place of that which was there.
pub(super) fn parse_addresses(
    addresses: &mut Vec<IpAddr>,
    key: &str,
    value: &str,
) -> Result<(), OptionError> {
    let (key, address, expected) = match key {
        HOST_V4 => (
            HOST_V4,
            value.parse::<Ipv4Addr>().map(IpAddr::V4).ok(),
            "an IPv4 address of the host",
        ),
        _ => (
            HOST_V6,
            value.parse::<Ipv6Addr>().map(IpAddr::V6).ok(),
            "an IPv6 address of the host",
        ),
    };
    let usable = |address: &IpAddr| {
        !(address.is_unspecified() || address.is_loopback() || address.is_multicast())
    };
    let address = address
        .filter(usable)
        .ok_or_else(|| bad_value(key, value, expected))?;
    addresses.retain(|other| other.is_ipv4() != address.is_ipv4());
    addresses.push(address);
    addresses.sort();
    Ok(())
}
