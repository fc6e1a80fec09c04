//! Verbs that start a command.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use clap::{ArgAction, Args};
use netd_api::container::ExposedPort;
use netd_api::{Alias, ContainerName, Hostname, LinkLocal, Mac, PublishRequest};

use crate::net::complete;

use super::rates::RateArgs;
use super::values::{exposed, key_value, network_mode, word};

/// Run a program of this host in a network namespace of its own
///
/// It sees the host's files, but its own interfaces, resolv.conf, hosts and hostname: no image, no runtime. Everything
/// that it started ends with it.
#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    override_usage = "net run [OPTIONS] [--] COMMAND [ARGUMENT]...",
    after_help = "\
Examples:
  net run -- ip addr                                      on the default network
  net run --network lab --name db --ip 172.28.5.9 -- redis-server
  net run -d --name web -p 8080:80 -- busybox httpd -f -p 80
  net run --rate-in 10mbit --rate-out 1mbit -- iperf3 -s
  net run --network container:web -- ss -ltn              inside web's namespace
  net run --network none -- bash                          nothing but lo
  net run --network host -- curl http://web.example       the host's interfaces"
)]
pub(in crate::net) struct RunArgs {
    /// A network's name or id, host, none, or container:NAME [default: bridge]
    #[arg(long, visible_alias = "net", value_name = "NETWORK", value_parser = network_mode, add = complete::modes())]
    pub(in crate::net) network: Option<String>,
    /// The container's name [default: the beginning of its id]
    #[arg(long)]
    pub(in crate::net) name: Option<ContainerName>,
    /// The hostname inside [default: the beginning of its id]
    #[arg(short = 'h', long)]
    pub(in crate::net) hostname: Option<Hostname>,
    /// The IPv4 address to have
    #[arg(long, value_name = "ADDRESS")]
    pub(in crate::net) ip: Option<Ipv4Addr>,
    /// The IPv6 address to have
    #[arg(long, value_name = "ADDRESS")]
    pub(in crate::net) ip6: Option<Ipv6Addr>,
    /// A further address, for this network only: of 169.254.0.0/16, or of fe80::/10 on a network with IPv6
    #[arg(long, value_name = "ADDRESS")]
    pub(in crate::net) link_local_ip: Vec<LinkLocal>,
    /// The Ethernet address to have
    #[arg(long, visible_alias = "mac", value_name = "MAC")]
    pub(in crate::net) mac_address: Option<Mac>,
    /// A further name on the network
    #[arg(long, visible_alias = "network-alias", value_name = "NAME")]
    pub(in crate::net) alias: Vec<Alias>,
    /// An option of the interface: com.docker.network.endpoint.ifname=NAME, or .sysctls=net.ipv4.conf.IFNAME.KEY=NUMBER,...
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(in crate::net) driver_opt: Vec<(String, String)>,
    #[command(flatten)]
    pub(in crate::net) rates: RateArgs,
    /// A resolver to ask instead of the host's
    #[arg(long, value_name = "ADDRESS")]
    pub(in crate::net) dns: Vec<IpAddr>,
    /// A domain to search names in
    #[arg(long, value_name = "DOMAIN")]
    pub(in crate::net) dns_search: Vec<String>,
    /// An option of resolv.conf, such as ndots:2
    #[arg(long, visible_alias = "dns-option", value_name = "OPTION")]
    pub(in crate::net) dns_opt: Vec<String>,
    /// Know another container of the default network by name
    #[arg(long, value_name = "CONTAINER[:ALIAS]")]
    pub(in crate::net) link: Vec<String>,
    /// Publish a port: [IP:][HOST_PORT:]PORT[/PROTOCOL][,from=SUBNET]..., ranges allowed
    #[arg(short, long, value_name = "PORT")]
    pub(in crate::net) publish: Vec<PublishRequest>,
    /// Publish every exposed port on a port of netd's choice
    #[arg(short = 'P', long)]
    pub(in crate::net) publish_all: bool,
    /// A port that is worth publishing: PORT[-PORT][/PROTOCOL]
    #[arg(long, value_name = "PORT", value_parser = exposed)]
    pub(in crate::net) expose: Vec<ExposedPort>,
    /// A mark of your own
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(in crate::net) label: Vec<(String, String)>,
    /// Run in the background and print the id
    #[arg(short, long)]
    pub(in crate::net) detach: bool,
    /// File that a detached command's output is appended to [default: /dev/null]
    #[arg(long, value_name = "FILE", requires = "detach")]
    pub(in crate::net) log: Option<PathBuf>,
    /// Forget the container when it ends
    #[arg(long)]
    pub(in crate::net) rm: bool,
    /// Print help
    #[arg(long, action = ArgAction::HelpLong)]
    help: Option<bool>,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(in crate::net) command: Vec<String>,
}

/// Run a program inside a running container
///
/// A container of `net run` is entered wholly. Of another runtime's container only the network is entered: the program,
/// which its image need not have, is the host's.
#[derive(Debug, Args)]
#[command(
    override_usage = "net exec [OPTIONS] CONTAINER [--] COMMAND [ARGUMENT]...",
    after_help = "\
Examples:
  net exec web -- ss -tn state established
  net exec -e TERM=xterm web -- bash"
)]
pub(in crate::net) struct ExecArgs {
    /// Set a variable of the environment
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(in crate::net) env: Vec<(String, String)>,
    /// Name or id
    #[arg(value_parser = word, add = complete::containers())]
    pub(in crate::net) container: String,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(in crate::net) command: Vec<String>,
}
