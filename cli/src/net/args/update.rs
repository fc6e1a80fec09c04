//! `net update`, which Docker has not: Podman's `network update` knows the resolvers only.

use std::net::IpAddr;

use clap::Args;
use netd_api::Subnet;

use crate::net::complete;

use super::values::{key_value, named_address, truth, word};

/// Change a network while containers are on it
#[derive(Debug, Args)]
#[command(
    override_usage = "net update [OPTIONS] NETWORK",
    after_help = "\
Examples:
  net update --label team=red --label-rm old lab
  net update --dns 192.0.2.53 lab               its containers ask this one for names outside
  net update --mtu 1400 lab                     the bridge and both ends of each container's pair
  net update --internal lab                     nothing goes in or out any more
  net update --internal=false --icc=false lab
  net update -o com.docker.network.bridge.host_binding_ipv4=127.0.0.1 lab

Containers keep their addresses and connections. All of it is done, or nothing: what fails is taken
back. A network that became internal publishes nothing; its ports return when it is open again.
Subnet, driver and the bridge's name cannot change."
)]
pub(in crate::net) struct UpdateArgs {
    /// Put or replace a mark of your own
    #[arg(long, visible_alias = "label-add", value_name = "KEY=VALUE", value_parser = key_value)]
    pub(in crate::net) label: Vec<(String, String)>,
    /// Take a mark away
    #[arg(long, value_name = "KEY")]
    pub(in crate::net) label_rm: Vec<String>,
    /// Add a resolver that its containers' questions are forwarded to
    #[arg(
        long,
        visible_alias = "dns-add",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    pub(in crate::net) dns: Vec<IpAddr>,
    /// Take a resolver away
    #[arg(
        long,
        visible_alias = "dns-drop",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    pub(in crate::net) dns_rm: Vec<IpAddr>,
    /// Whether nothing goes in or out
    #[arg(long, value_name = "BOOL", value_parser = truth, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(in crate::net) internal: Option<bool>,
    /// Whether its containers reach each other
    #[arg(long, value_name = "BOOL", value_parser = truth, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(in crate::net) icc: Option<bool>,
    /// Whether its containers have the host's address on the way out
    #[arg(long, value_name = "BOOL", value_parser = truth, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(in crate::net) masquerade: Option<bool>,
    /// MTU in bytes
    #[arg(long, value_name = "BYTES")]
    pub(in crate::net) mtu: Option<u32>,
    /// An option of the driver
    #[arg(short, long = "opt", value_name = "KEY=VALUE", value_parser = key_value)]
    pub(in crate::net) opt: Vec<(String, String)>,
    // What cannot change is known here so that the daemon can say what to do instead.
    #[arg(short, long, hide = true)]
    pub(in crate::net) driver: Option<String>,
    #[arg(long, hide = true, value_delimiter = ',')]
    pub(in crate::net) subnet: Vec<Subnet>,
    #[arg(long, hide = true, value_delimiter = ',')]
    pub(in crate::net) gateway: Vec<IpAddr>,
    #[arg(long, hide = true, value_delimiter = ',')]
    pub(in crate::net) ip_range: Vec<Subnet>,
    #[arg(long, hide = true, value_parser = named_address, value_delimiter = ',')]
    pub(in crate::net) aux_address: Vec<(String, IpAddr)>,
    /// Name or id
    #[arg(value_parser = word, add = complete::own_networks())]
    pub(in crate::net) network: String,
}
