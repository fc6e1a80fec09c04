//! The options of netd, each at once a flag and a key of the configuration file.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use netd_model::{IfName, IpNetwork, Subnet};
use serde::Deserialize;

use super::pool::AddressPool;
use super::settings::LogFormat;

/// Where Docker's engine looks for a plugin of the name `netd`.
const DEFAULT_PLUGIN: &str = "/run/docker/plugins/netd.sock";

/// Options as given; what is left out is `None` or empty.
#[derive(Args, Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// Address and subnet of docker0, such as 192.168.100.1/24
    #[arg(long, value_name = "ADDRESS/PREFIX")]
    pub bip: Option<IpNetwork>,
    /// Use this existing bridge for the network "bridge" instead of making docker0; "none" for no such network
    #[arg(long, value_name = "NAME")]
    pub bridge: Option<IfName>,
    /// Pools that subnets are chosen from, such as base=10.10.0.0/16,size=24
    #[arg(
        long,
        alias = "default-address-pool",
        value_name = "base=SUBNET,size=PREFIX"
    )]
    pub default_address_pools: Vec<AddressPool>,
    /// Resolver for containers instead of the host's
    #[arg(long, value_name = "ADDRESS")]
    pub dns: Vec<IpAddr>,
    /// Option line for the containers' resolv.conf
    #[arg(long, alias = "dns-opt", value_name = "OPTION")]
    pub dns_opts: Vec<String>,
    /// Search domain for the containers' resolv.conf
    #[arg(long, value_name = "DOMAIN")]
    pub dns_search: Vec<String>,
    /// MTU of networks that do not say another, in bytes
    #[arg(long, value_name = "BYTES")]
    pub mtu: Option<u32>,
    /// Whether containers of the network "bridge" reach each other [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub icc: Option<bool>,
    /// Whether containers of the network "bridge" get IPv6 addresses, too [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub ipv6: Option<bool>,
    /// IPv6 address and subnet of docker0, such as fd00:1::1/64
    #[arg(long, value_name = "ADDRESS/PREFIX")]
    pub bip6: Option<IpNetwork>,
    /// IPv6 subnet of docker0; beside bip6 the part of it that addresses are handed out from
    #[arg(long, value_name = "SUBNET")]
    pub fixed_cidr_v6: Option<Subnet>,
    /// IPv6 gateway for containers of the network "bridge", instead of docker0
    #[arg(long, value_name = "ADDRESS")]
    pub default_gateway_v6: Option<IpAddr>,
    /// Host address that ports are published on [default: 0.0.0.0, and for containers with IPv6 also ::]
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<IpAddr>,
    /// Turn on forwarding of packets: of IPv6 only once a network has it [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub ip_forward: Option<bool>,
    /// Leave the policy of the FORWARD chain alone although netd turns forwarding on [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub ip_forward_no_drop: Option<bool>,
    /// Give containers the host's address on the way out [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub ip_masq: Option<bool>,
    /// Program firewall rules; without them nothing is isolated, translated or published [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub iptables: Option<bool>,
    /// Accepted for Docker's sake: true. Networks with IPv6 are always filtered
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide = true)]
    pub ip6tables: Option<bool>,
    /// Part of docker0's subnet that addresses are handed out from
    #[arg(long, value_name = "SUBNET")]
    pub fixed_cidr: Option<Subnet>,
    /// Gateway for containers of the network "bridge", instead of docker0
    #[arg(long, value_name = "ADDRESS")]
    pub default_gateway: Option<IpAddr>,
    /// Directory of the store [default: /var/lib/netd]
    #[arg(long, value_name = "DIR")]
    pub data_root: Option<PathBuf>,
    /// Directory of files that live as long as the machine runs [default: /run/netd]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Unix socket to listen on [default: /run/netd.sock]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Group that owns the socket [default: netd, if there is such a group]
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// Serve Docker's engine by its plugin protocol, on this Unix socket [default: not at all; without a path
    /// /run/docker/plugins/netd.sock]
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = DEFAULT_PLUGIN)]
    pub docker_plugin: Option<PathBuf>,
    /// Socket on which Docker's engine is asked what its containers are called, if it is served [default: /run/docker.sock]
    #[arg(long, value_name = "PATH")]
    pub docker_socket: Option<PathBuf>,
    /// Form of the log lines
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Least level that is logged: error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// What firewall rules are made with: iptables, with Docker's chains, or nftables, a table of netd's own
    /// [default: iptables]
    #[arg(long, value_name = "NAME")]
    pub firewall_backend: Option<String>,
    /// Word before the names of netd's chains, for a host where another engine owns the chain DOCKER
    #[arg(long, value_name = "PREFIX")]
    pub chain_prefix: Option<String>,
    /// Accepted for Docker's sake: containers always outlive the daemon
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide = true)]
    pub live_restore: Option<bool>,
}

impl Options {
    /// These options, and where they say nothing, those of `file`.
    #[must_use]
    pub fn over(self, file: Self) -> Self {
        fn list<T>(ours: Vec<T>, theirs: Vec<T>) -> Vec<T> {
            if ours.is_empty() { theirs } else { ours }
        }
        Self {
            bip: self.bip.or(file.bip),
            bridge: self.bridge.or(file.bridge),
            default_address_pools: list(self.default_address_pools, file.default_address_pools),
            dns: list(self.dns, file.dns),
            dns_opts: list(self.dns_opts, file.dns_opts),
            dns_search: list(self.dns_search, file.dns_search),
            mtu: self.mtu.or(file.mtu),
            icc: self.icc.or(file.icc),
            ipv6: self.ipv6.or(file.ipv6),
            bip6: self.bip6.or(file.bip6),
            fixed_cidr_v6: self.fixed_cidr_v6.or(file.fixed_cidr_v6),
            default_gateway_v6: self.default_gateway_v6.or(file.default_gateway_v6),
            ip: self.ip.or(file.ip),
            ip_forward: self.ip_forward.or(file.ip_forward),
            ip_forward_no_drop: self.ip_forward_no_drop.or(file.ip_forward_no_drop),
            ip_masq: self.ip_masq.or(file.ip_masq),
            iptables: self.iptables.or(file.iptables),
            ip6tables: self.ip6tables.or(file.ip6tables),
            fixed_cidr: self.fixed_cidr.or(file.fixed_cidr),
            default_gateway: self.default_gateway.or(file.default_gateway),
            data_root: self.data_root.or(file.data_root),
            state_dir: self.state_dir.or(file.state_dir),
            socket: self.socket.or(file.socket),
            group: self.group.or(file.group),
            docker_plugin: self.docker_plugin.or(file.docker_plugin),
            docker_socket: self.docker_socket.or(file.docker_socket),
            log_format: self.log_format.or(file.log_format),
            log_level: self.log_level.or(file.log_level),
            firewall_backend: self.firewall_backend.or(file.firewall_backend),
            chain_prefix: self.chain_prefix.or(file.chain_prefix),
            live_restore: self.live_restore.or(file.live_restore),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_beats_the_file() {
        let flag = Options {
            mtu: Some(1400),
            ..Options::default()
        };
        let file = Options {
            mtu: Some(9000),
            icc: Some(false),
            ..Options::default()
        };
        let merged = flag.over(file);
        assert_eq!((merged.mtu, merged.icc), (Some(1400), Some(false)));
    }
}
