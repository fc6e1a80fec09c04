//! The forms of the protocol, under its own names. An empty text stands for what is left out.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::refused::Refused;

/// Answer to `Plugin.Activate`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Manifest {
    pub(super) implements: &'static [&'static str],
}

/// An answer without content.
#[derive(Debug, Serialize)]
pub(super) struct Done {}

/// Answer to `IpamDriver.GetCapabilities`.
#[derive(Debug, Serialize)]
pub(super) struct IpamCapabilities {
    #[serde(rename = "RequiresMACAddress")]
    pub(super) requires_mac_address: bool,
    #[serde(rename = "RequiresRequestReplay")]
    pub(super) requires_request_replay: bool,
}

/// Answer to `IpamDriver.GetDefaultAddressSpaces`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AddressSpaces {
    pub(super) local_default_address_space: &'static str,
    pub(super) global_default_address_space: &'static str,
}

/// `IpamDriver.RequestPool`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PoolRequest {
    pub(super) address_space: String,
    #[serde(default)]
    pub(super) pool: String,
    #[serde(default)]
    pub(super) sub_pool: String,
    #[serde(default)]
    pub(super) options: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(super) v6: bool,
}

/// Answer to it.
#[derive(Debug, Serialize)]
pub(super) struct PoolAnswer {
    #[serde(rename = "PoolID")]
    pub(super) pool_id: String,
    #[serde(rename = "Pool")]
    pub(super) pool: String,
    #[serde(rename = "Data")]
    pub(super) data: BTreeMap<&'static str, String>,
}

/// `IpamDriver.ReleasePool`.
#[derive(Debug, Deserialize)]
pub(super) struct PoolRelease {
    #[serde(rename = "PoolID")]
    pub(super) pool_id: String,
}

/// `IpamDriver.RequestAddress`.
#[derive(Debug, Deserialize)]
pub(super) struct AddressRequest {
    #[serde(rename = "PoolID")]
    pub(super) pool_id: String,
    #[serde(rename = "Address", default)]
    pub(super) address: String,
    #[serde(rename = "Options", default)]
    pub(super) options: Option<BTreeMap<String, String>>,
}

/// Answer to it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AddressAnswer {
    pub(super) address: String,
    pub(super) data: BTreeMap<&'static str, String>,
}

/// `IpamDriver.ReleaseAddress`.
#[derive(Debug, Deserialize)]
pub(super) struct AddressRelease {
    #[serde(rename = "PoolID")]
    pub(super) pool_id: String,
    #[serde(rename = "Address")]
    pub(super) address: String,
}

/// A text of the request as what it stands for.
pub(super) fn parsed<T: FromStr<Err: Display>>(field: &str, text: &str) -> Result<T, Refused> {
    text.parse()
        .map_err(|error| Refused::because(format!("{field}: {error}")))
}

/// The same of a text that may be empty.
pub(super) fn optional<T: FromStr<Err: Display>>(
    field: &str,
    text: &str,
) -> Result<Option<T>, Refused> {
    match text {
        "" => Ok(None),
        text => parsed(field, text).map(Some),
    }
}
