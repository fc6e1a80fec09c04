//! Docker's `--driver-opt` keys of one endpoint, read once at the edge.

use std::collections::BTreeMap;

use netd_model::IfName;
use netd_model::container::{InterfaceSysctl, SysctlGroup};

use super::values::bad_value;
use super::{OptionError, nearest_of};

const IFNAME: &str = "com.docker.network.endpoint.ifname";
const SYSCTLS: &str = "com.docker.network.endpoint.sysctls";

/// The keys that a user can give.
const KNOWN: [&str; 2] = [IFNAME, SYSCTLS];

/// What stands for the interface in a parameter's name.
const PLACEHOLDER: &str = "IFNAME";

/// What netd decides by the addresses that it gives.
const DECIDED_HERE: &str = "disable_ipv6";

/// Options of one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointOptions {
    /// Name of the interface inside; `None` for the next free one.
    pub inside: Option<IfName>,
    /// Kernel parameters of that interface.
    pub sysctls: Vec<InterfaceSysctl>,
}

/// Reads `--driver-opt` options of an endpoint.
///
/// # Errors
/// [`OptionError`] names the key and what would be right.
pub fn parse_endpoint_options(
    given: &BTreeMap<String, String>,
) -> Result<EndpointOptions, OptionError> {
    let mut options = EndpointOptions::default();
    for (key, value) in given {
        match key.as_str() {
            IFNAME => options.inside = Some(parse_inside(value)?),
            SYSCTLS => options.sysctls = parse_sysctls(value)?,
            _ => {
                return Err(OptionError::UnknownEndpointKey {
                    key: key.clone(),
                    nearest: nearest_of(&KNOWN, key),
                });
            }
        }
    }
    Ok(options)
}

fn parse_inside(value: &str) -> Result<IfName, OptionError> {
    let expected = "an interface name of 1 to 15 letters, digits, '-', '_' or '.', but not lo";
    let name = IfName::new(value).ok().filter(|name| name.as_str() != "lo");
    name.ok_or_else(|| bad_value(IFNAME, value, expected))
}

/// `net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.IFNAME.forwarding=1`.
fn parse_sysctls(value: &str) -> Result<Vec<InterfaceSysctl>, OptionError> {
    let expected = "net.FAMILY.GROUP.IFNAME.KEY=NUMBER with commas between, where FAMILY is ipv4 or ipv6, GROUP is conf or neigh, \
                    IFNAME stays as it is, and KEY is not disable_ipv6";
    let mut sysctls: Vec<InterfaceSysctl> = Vec::new();
    for part in value.split(',') {
        let sysctl = parse_sysctl(part).ok_or_else(|| bad_value(SYSCTLS, value, expected))?;
        if sysctls.iter().any(|other| other.is_same_key(&sysctl)) {
            return Err(bad_value(SYSCTLS, value, "each key once"));
        }
        sysctls.push(sysctl);
    }
    Ok(sysctls)
}

fn parse_sysctl(text: &str) -> Option<InterfaceSysctl> {
    let (name, value) = text.split_once('=')?;
    let ["net", family, group, PLACEHOLDER, key] = name.split('.').collect::<Vec<_>>()[..] else {
        return None;
    };
    let is_key = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    // The kernel shows a number in one way only, and what it shows is compared with this.
    let number: i64 = value.parse().ok()?;
    let fits = !key.is_empty()
        && key.bytes().all(is_key)
        && key != DECIDED_HERE
        && number.to_string() == value;
    fits.then_some(InterfaceSysctl {
        ipv6: match family {
            "ipv4" => false,
            "ipv6" => true,
            _ => return None,
        },
        group: match group {
            "conf" => SysctlGroup::Conf,
            "neigh" => SysctlGroup::Neigh,
            _ => return None,
        },
        key: key.to_owned(),
        value: number,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(key: &str, value: &str) -> Result<EndpointOptions, String> {
        let given = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        parse_endpoint_options(&given).map_err(|error| error.to_string())
    }

    #[test]
    fn both_keys_are_read() {
        assert_eq!(
            parse(IFNAME, "wan").unwrap().inside,
            Some("wan".parse().unwrap())
        );
        let text = "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.neigh.IFNAME.ucast_solicit=-1";
        let sysctls = parse(SYSCTLS, text).unwrap().sysctls;
        let shown: Vec<_> = sysctls.iter().map(ToString::to_string).collect();
        assert_eq!(shown.join(","), text);
    }

    #[test]
    fn what_is_not_about_the_interface_is_refused() {
        for value in [
            "",
            "net.ipv4.conf.eth0.log_martians=1",
            "net.ipv4.conf.all.log_martians=1",
            "net.ipv4.ip_forward=1",
            "kernel.msgmax=1",
            "net.mpls.conf.IFNAME.input=1",
            "net.ipv4.route.IFNAME.x=1",
            "net.ipv6.conf.IFNAME.disable_ipv6=0",
            "net.ipv4.conf.IFNAME...=1",
            "net.ipv4.conf.IFNAME./etc/passwd=1",
            "net.ipv4.conf.IFNAME.log_martians",
            "net.ipv4.conf.IFNAME.log_martians=01",
            "net.ipv4.conf.IFNAME.log_martians=yes",
            "net.ipv4.conf.IFNAME.log_martians=1,net.ipv4.conf.IFNAME.log_martians=0",
        ] {
            assert!(parse(SYSCTLS, value).is_err(), "{value}");
        }
        for name in ["", "lo", "a b", "sixteen-bytes-16"] {
            assert!(parse(IFNAME, name).is_err(), "{name}");
        }
        let unknown = parse("com.docker.network.endpoint.ifnam", "x").unwrap_err();
        assert_eq!(
            unknown,
            format!(
                "endpoints have no option \"com.docker.network.endpoint.ifnam\"; the nearest is {IFNAME}"
            )
        );
    }
}
