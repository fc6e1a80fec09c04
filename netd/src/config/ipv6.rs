//! What the default network has of IPv6: Docker's keys `ipv6`, `bip6`, `fixed-cidr-v6`, `default-gateway-v6`.

use std::net::IpAddr;

use netd_model::{IpNetwork, Subnet};

use super::options::Options;
use super::settings::{SettingsError, wrong};

/// IPv6 of the default network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipv6Settings {
    /// Address and subnet of docker0, if the user chose it.
    pub bip: Option<IpNetwork>,
    /// Without `bip`, docker0's subnet; with it, the part of that to hand out from.
    pub fixed_cidr: Option<Subnet>,
    /// Gateway for containers, instead of docker0.
    pub default_gateway: Option<IpAddr>,
}

/// What the options say; `None` without `ipv6`.
pub(super) fn settings(options: &Options) -> Result<Option<Ipv6Settings>, SettingsError> {
    let six = Ipv6Settings {
        bip: options.bip6,
        fixed_cidr: options.fixed_cidr_v6,
        default_gateway: options.default_gateway_v6,
    };
    check_families(&six)?;
    if options.ipv6 != Some(true) {
        let given = [
            six.bip.map(|value| ("bip6", value.to_string())),
            six.fixed_cidr
                .map(|value| ("fixed-cidr-v6", value.to_string())),
            six.default_gateway
                .map(|value| ("default-gateway-v6", value.to_string())),
        ];
        return match given.into_iter().flatten().next() {
            Some((key, value)) => Err(wrong(key, value, "it is about IPv6: set ipv6 to true, too")),
            None => Ok(None),
        };
    }
    if options.bridge.is_some() && six.bip.is_some() {
        return Err(SettingsError::Conflict {
            one: "bip6",
            other: "bridge",
            reason: "an existing bridge keeps the address that it has",
        });
    }
    check_parts(&six)?;
    Ok(Some(six))
}

fn check_families(six: &Ipv6Settings) -> Result<(), SettingsError> {
    let reason = "an IPv6 address is wanted, such as fd00:1::1/64";
    if let Some(bip) = six.bip.filter(IpNetwork::is_ipv4) {
        return Err(wrong("bip6", bip, reason));
    }
    if let Some(range) = six.fixed_cidr.filter(Subnet::is_ipv4) {
        return Err(wrong("fixed-cidr-v6", range, reason));
    }
    match six.default_gateway.filter(IpAddr::is_ipv4) {
        Some(gateway) => Err(wrong("default-gateway-v6", gateway, reason)),
        None => Ok(()),
    }
}

fn check_parts(six: &Ipv6Settings) -> Result<(), SettingsError> {
    let subnet = six.bip.map(Subnet::containing).or(six.fixed_cidr);
    if let (Some(bip), Some(subnet)) = (six.bip, subnet)
        && bip.ip() == subnet.first()
    {
        let reason = "that is the subnet's first address, which routers answer to; give the bridge a later one";
        return Err(wrong("bip6", bip, reason));
    }
    let Some(subnet) = subnet else {
        return match six.default_gateway {
            Some(gateway) => Err(wrong(
                "default-gateway-v6",
                gateway,
                "it is one of docker0's subnet: give that with bip6 or fixed-cidr-v6",
            )),
            None => Ok(()),
        };
    };
    if let Some(range) = six
        .fixed_cidr
        .filter(|range| !subnet.contains_subnet(*range))
    {
        let reason = format!("it is no part of docker0's subnet {subnet}");
        return Err(wrong("fixed-cidr-v6", range, reason));
    }
    match six
        .default_gateway
        .filter(|gateway| !subnet.contains(*gateway))
    {
        Some(gateway) => {
            let reason = format!("it is not in docker0's subnet {subnet}");
            Err(wrong("default-gateway-v6", gateway, reason))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(text: &str) -> Result<Option<Ipv6Settings>, String> {
        let (options, _) =
            crate::config::file::from_json(text, Path::new("/etc/netd.json")).unwrap();
        settings(&options).map_err(|error| error.to_string())
    }

    #[test]
    fn ipv6_is_off_unless_it_is_asked_for() {
        assert_eq!(read("{}"), Ok(None));
        assert_eq!(read(r#"{"ipv6": false}"#), Ok(None));
        let six = read(
            r#"{"ipv6": true, "bip6": "fd00:1::1/64", "fixed-cidr-v6": "fd00:1::/80", "default-gateway-v6": "fd00:1::9"}"#,
        );
        let six = six.unwrap().unwrap();
        assert_eq!(six.bip, Some("fd00:1::1/64".parse().unwrap()));
        assert_eq!(six.default_gateway, Some("fd00:1::9".parse().unwrap()));
    }

    #[test]
    fn what_does_not_fit_together_is_refused_with_key_and_reason() {
        for (text, sentence) in [
            (
                r#"{"fixed-cidr-v6": "fd00::/64"}"#,
                "fixed-cidr-v6 fd00::/64: it is about IPv6: set ipv6 to true, too",
            ),
            (
                r#"{"ipv6": true, "bip6": "10.0.0.1/8"}"#,
                "bip6 10.0.0.1/8: an IPv6 address is wanted, such as fd00:1::1/64",
            ),
            (
                r#"{"ipv6": true, "bip6": "fd00::/64"}"#,
                "bip6 fd00::/64: that is the subnet's first address, which routers answer to; give the bridge a later one",
            ),
            (
                r#"{"ipv6": true, "bip6": "fd00::1/64", "fixed-cidr-v6": "fd01::/80"}"#,
                "fixed-cidr-v6 fd01::/80: it is no part of docker0's subnet fd00::/64",
            ),
            (
                r#"{"ipv6": true, "fixed-cidr-v6": "fd00::/64", "default-gateway-v6": "fd01::1"}"#,
                "default-gateway-v6 fd01::1: it is not in docker0's subnet fd00::/64",
            ),
            (
                r#"{"ipv6": true, "default-gateway-v6": "fd01::1"}"#,
                "default-gateway-v6 fd01::1: it is one of docker0's subnet: give that with bip6 or fixed-cidr-v6",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), sentence, "{text}");
        }
    }
}
