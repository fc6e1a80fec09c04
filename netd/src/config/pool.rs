//! One of `default-address-pools`, as a flag (`base=10.10.0.0/16,size=24`) and in the configuration file.

use std::str::FromStr;

use netd_model::Subnet;
use serde::Deserialize;

/// One of `default-address-pools`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct AddressPool {
    /// All addresses.
    pub base: Subnet,
    /// Prefix length of the subnets that are cut from it.
    pub size: u8,
}

impl FromStr for AddressPool {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut base, mut size) = (None, None);
        for part in text.split(',') {
            match part.split_once('=') {
                Some(("base", value)) => {
                    base = Some(value.parse::<Subnet>().map_err(|e| e.to_string())?);
                }
                Some(("size", value)) => {
                    size = Some(
                        value
                            .parse::<u8>()
                            .map_err(|_| format!("{value:?} is not a prefix length"))?,
                    );
                }
                _ => return Err(format!("{part:?} is neither base=SUBNET nor size=PREFIX")),
            }
        }
        match (base, size) {
            (Some(base), Some(size)) => Ok(Self { base, size }),
            _ => Err("both base=SUBNET and size=PREFIX are needed".to_owned()),
        }
    }
}
