//! What the options mean, checked as a whole.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use netd_ipam::DefaultPool;
use netd_kernel::iptables::ChainPrefix;
use netd_model::container::DnsSettings;
use netd_model::port::check_host_address;
use netd_model::{IfName, IpNetwork, Subnet};
use serde::Deserialize;

use super::Options;
use super::ipv6::Ipv6Settings;

/// Form of the log lines.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object per line.
    Json,
}

/// Everything that the daemon was told, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Address and subnet of the default bridge, if the user chose it.
    pub bip: Option<IpNetwork>,
    /// An existing bridge to use for the default network.
    pub bridge: Option<IfName>,
    /// False for `"bridge": "none"`: there is no network `bridge`.
    pub has_default_network: bool,
    /// Pools that subnets are chosen from.
    pub pools: Vec<DefaultPool>,
    /// Resolver settings for every container.
    pub dns: DnsSettings,
    /// MTU of networks that do not say another, in bytes.
    pub mtu_bytes: Option<u32>,
    /// Whether containers of the default network reach each other.
    pub icc: bool,
    /// Host address that ports are published on.
    pub host_binding: IpAddr,
    /// Whether netd turns on forwarding.
    pub ip_forward: bool,
    /// Whether netd leaves the FORWARD policy alone.
    pub ip_forward_no_drop: bool,
    /// Whether containers get the host's address on the way out.
    pub masquerade: bool,
    /// Whether firewall rules are made at all.
    pub iptables: bool,
    /// What they are made with.
    pub firewall_backend: Backend,
    /// Part of the default bridge's subnet to hand out from.
    pub fixed_cidr: Option<Subnet>,
    /// Gateway for containers of the default network.
    pub default_gateway: Option<IpAddr>,
    /// IPv6 of the default network, if it has any.
    pub ipv6: Option<Ipv6Settings>,
    /// Directory of the store.
    pub data_root: PathBuf,
    /// Directory of files that live as long as the machine runs.
    pub state_dir: PathBuf,
    /// The socket to listen on.
    pub socket: PathBuf,
    /// Group that owns the socket; `None` for `netd` if there is one.
    pub group: Option<String>,
    /// The socket to serve Docker's engine on, if at all.
    pub docker_plugin: Option<PathBuf>,
    /// The socket of the engine that is served, to ask it what its containers are called.
    pub docker_socket: Option<PathBuf>,
    /// Form of the log lines.
    pub log_format: LogFormat,
    /// Least level that is logged.
    pub log_level: tracing::Level,
    /// Names of the chains; `None` takes Docker's unless another engine has them.
    pub chain_prefix: Option<ChainPrefix>,
}

/// The options contradict each other or the possible.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SettingsError {
    /// A value that cannot be, with the reason.
    #[error("{key} {value}: {reason}")]
    Value {
        /// The option.
        key: &'static str,
        /// Its value.
        value: String,
        /// Why it cannot be, and what could.
        reason: String,
    },
    /// Two options that exclude each other.
    #[error("{one} and {other} exclude each other: {reason}")]
    Conflict {
        /// An option.
        one: &'static str,
        /// Another.
        other: &'static str,
        /// Why.
        reason: &'static str,
    },
}

/// Least MTU of IPv4 (RFC 791) and largest of an Ethernet interface here.
const MTU_BYTES: std::ops::RangeInclusive<u32> = 68..=65535;

pub(super) fn wrong(
    key: &'static str,
    value: impl ToString,
    reason: impl Into<String>,
) -> SettingsError {
    SettingsError::Value {
        key,
        value: value.to_string(),
        reason: reason.into(),
    }
}

/// What firewall rules are made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Docker's chains, by iptables-restore.
    Iptables,
    /// A table of netd's own, by netlink.
    Nftables,
}

impl Settings {
    /// Checks the options as a whole and fills in what they leave out.
    ///
    /// # Errors
    /// [`SettingsError`] names the option, its value and the reason.
    pub fn new(options: Options) -> Result<Self, SettingsError> {
        check_default_bridge(&options)?;
        let dns = resolver_settings(&options)?;
        let ipv6 = super::ipv6::settings(&options)?;
        if options.ip6tables == Some(false) {
            let reason = "nothing would keep networks with IPv6 apart; leave it out, and make no such network if you want none";
            return Err(wrong("ip6tables", false, reason));
        }
        if options.icc == Some(false) && options.iptables == Some(false) {
            let reason = "containers are kept apart by firewall rules; leave one of them out";
            return Err(SettingsError::Conflict {
                one: "icc=false",
                other: "iptables=false",
                reason,
            });
        }
        if let Some(mtu) = options.mtu.filter(|mtu| !MTU_BYTES.contains(mtu)) {
            return Err(wrong("mtu", mtu, "an MTU has 68 to 65535 bytes"));
        }
        if let Some((ip, refused)) = options
            .ip
            .and_then(|ip| Some((ip, check_host_address(ip).err()?)))
        {
            return Err(wrong("ip", ip, refused.to_string()));
        }
        let firewall_backend = match options.firewall_backend.as_deref() {
            None | Some("iptables") => Backend::Iptables,
            Some("nftables") => Backend::Nftables,
            Some(other) => {
                return Err(wrong(
                    "firewall-backend",
                    other,
                    "expected iptables or nftables",
                ));
            }
        };
        let chain_prefix = match options.chain_prefix.as_deref() {
            None => None,
            Some("DOCKER") => Some(ChainPrefix::Docker),
            Some("NETD" | "NETD-") => Some(ChainPrefix::Netd),
            Some(other) => return Err(wrong("chain-prefix", other, "expected DOCKER or NETD-")),
        };
        let level = options.log_level.as_deref().unwrap_or("info");
        let log_level = level.parse().map_err(|_| {
            wrong(
                "log-level",
                level,
                "expected error, warn, info, debug or trace",
            )
        })?;
        let has_default_network = options
            .bridge
            .as_ref()
            .is_none_or(|name| name.as_str() != "none");
        Ok(Self {
            bip: options.bip,
            bridge: options.bridge.filter(|_| has_default_network),
            has_default_network,
            pools: address_pools(&options.default_address_pools)?,
            dns,
            mtu_bytes: options.mtu,
            icc: options.icc.unwrap_or(true),
            host_binding: options.ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            ip_forward: options.ip_forward.unwrap_or(true),
            ip_forward_no_drop: options.ip_forward_no_drop.unwrap_or(false),
            masquerade: options.ip_masq.unwrap_or(true),
            iptables: options.iptables.unwrap_or(true),
            firewall_backend,
            fixed_cidr: options.fixed_cidr,
            default_gateway: options.default_gateway,
            ipv6,
            data_root: options
                .data_root
                .unwrap_or_else(|| PathBuf::from("/var/lib/netd")),
            state_dir: options
                .state_dir
                .unwrap_or_else(|| PathBuf::from("/run/netd")),
            socket: options
                .socket
                .unwrap_or_else(|| PathBuf::from(netd_api::DEFAULT_SOCKET)),
            group: options.group,
            docker_socket: options.docker_plugin.as_ref().map(|_| {
                let usual = || PathBuf::from("/run/docker.sock");
                options.docker_socket.unwrap_or_else(usual)
            }),
            docker_plugin: options.docker_plugin,
            log_format: options.log_format.unwrap_or_default(),
            log_level,
            chain_prefix,
        })
    }
}

fn resolver_settings(options: &Options) -> Result<DnsSettings, SettingsError> {
    let dns = DnsSettings {
        servers: options.dns.clone(),
        search: options.dns_search.clone(),
        options: options.dns_opts.clone(),
    };
    let shown = || format!("{:?} {:?}", dns.search, dns.options);
    match super::resolver::check(&dns) {
        Ok(()) => Ok(dns),
        Err(reason) => Err(wrong("dns-search and dns-opts", shown(), reason)),
    }
}

fn check_default_bridge(options: &Options) -> Result<(), SettingsError> {
    if options.bip.is_some() && options.bridge.is_some() {
        let reason = "an existing bridge keeps the address that it has";
        return Err(SettingsError::Conflict {
            one: "bip",
            other: "bridge",
            reason,
        });
    }
    let Some(bip) = options.bip else {
        return match options.fixed_cidr {
            Some(range) if options.bridge.is_none() => Err(wrong(
                "fixed-cidr",
                range,
                "it is a part of docker0's subnet: give that with bip",
            )),
            _ => Ok(()),
        };
    };
    let subnet = Subnet::containing(bip);
    if bip.is_ipv6() {
        return Err(wrong("bip", bip, "docker0 needs an IPv4 address"));
    }
    if subnet.prefix() > 30 {
        return Err(wrong(
            "bip",
            bip,
            "too small for a bridge and a container; the smallest is /30",
        ));
    }
    if bip.ip() == subnet.first() || bip.ip() == subnet.last() {
        let reason = format!(
            "that is the network or broadcast address; give the bridge one between, such as {}",
            subnet
                .nth(1)
                .map(|first| subnet.with_address(first).to_string())
                .unwrap_or_default()
        );
        return Err(wrong("bip", bip, reason));
    }
    if let Some(range) = options
        .fixed_cidr
        .filter(|range| !subnet.contains_subnet(*range))
    {
        return Err(wrong(
            "fixed-cidr",
            range,
            format!("it is no part of docker0's subnet {subnet}"),
        ));
    }
    if let Some(gateway) = options
        .default_gateway
        .filter(|gateway| !subnet.contains(*gateway))
    {
        return Err(wrong(
            "default-gateway",
            gateway,
            format!("it is not in docker0's subnet {subnet}"),
        ));
    }
    Ok(())
}

fn address_pools(given: &[super::pool::AddressPool]) -> Result<Vec<DefaultPool>, SettingsError> {
    if given.is_empty() {
        return Ok(netd_ipam::docker_defaults());
    }
    let longest = |base: Subnet| if base.is_ipv4() { 30 } else { 126 };
    for pool in given {
        if pool.size < pool.base.prefix() || pool.size > longest(pool.base) {
            let value = format!("base={},size={}", pool.base, pool.size);
            let reason = format!(
                "size is between the base's {} and {}",
                pool.base.prefix(),
                longest(pool.base)
            );
            return Err(wrong("default-address-pools", value, reason));
        }
    }
    Ok(given
        .iter()
        .map(|pool| DefaultPool {
            base: pool.base,
            size: pool.size,
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: &str) -> Result<Settings, String> {
        let options: Options = serde_json::from_str(json).unwrap();
        Settings::new(options).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_left_out_is_docker_s_default() {
        let settings = settings("{}").unwrap();
        assert!(settings.icc && settings.ip_forward && settings.masquerade && settings.iptables);
        assert_eq!(settings.host_binding.to_string(), "0.0.0.0");
    }

    #[test]
    fn contradictions_are_refused_with_a_reason() {
        for (json, part) in [
            (r#"{"bip": "10.0.0.0/24"}"#, "network or broadcast"),
            (r#"{"bip": "10.0.0.1/31"}"#, "smallest is /30"),
            (r#"{"bip": "fd00::1/64"}"#, "needs an IPv4"),
            (
                r#"{"bip": "10.0.0.1/24", "bridge": "br0"}"#,
                "exclude each other",
            ),
            (
                r#"{"bip": "10.0.0.1/24", "fixed-cidr": "10.0.1.0/25"}"#,
                "no part of docker0",
            ),
            (r#"{"fixed-cidr": "10.0.1.0/25"}"#, "give that with bip"),
            (
                r#"{"icc": false, "iptables": false}"#,
                "icc=false and iptables=false exclude each other",
            ),
            (r#"{"mtu": 10}"#, "68 to 65535"),
            (r#"{"ip": "224.0.0.1"}"#, "a multicast address"),
            (
                r#"{"ip6tables": false}"#,
                "ip6tables false: nothing would keep networks with IPv6 apart",
            ),
            (
                r#"{"default-address-pools": [{"base": "10.0.0.0/16", "size": 8}]}"#,
                "between the base's 16 and 30",
            ),
            (
                r#"{"dns-search": ["a\nnameserver 192.0.2.6"]}"#,
                "cannot be a search domain",
            ),
            (r#"{"dns-opts": ["a b"]}"#, "cannot be a resolver option"),
            (r#"{"log-level": "loud"}"#, "expected error"),
            (
                r#"{"firewall-backend": "ebtables"}"#,
                "expected iptables or nftables",
            ),
        ] {
            let error = settings(json).unwrap_err();
            assert!(error.contains(part), "{json}: {error}");
        }
    }
}
