//! Verbs of networks, with the flags of `docker network`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use clap::Args;
use netd_api::{Alias, ContainerName, IfName, LinkLocal, Mac, NetworkName, PublishRequest, Subnet};

use crate::net::complete;
use crate::net::filter::{self, Filter};

use super::rates::RateArgs;
use super::values::{key_value, named_address, word};

/// Create a network and print its id
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  net create lab                                          subnet and gateway of the daemon's choice
  net create --subnet 172.28.0.0/16 --ip-range 172.28.5.0/24 --gateway 172.28.5.254 br0
  net create --subnet 192.0.2.0/24 --aux-address printer=192.0.2.9 office
  net create --ipv6 lab6                                  IPv6 besides IPv4, from addresses of the daemon's own
  net create --ipv4=false --subnet fd00:28::/64 six       IPv6 alone
  net create --internal backend                           nothing goes in or out
  net create -o com.docker.network.driver.mtu=1400 vpn
  net create --config-only --subnet 10.8.0.0/24 conf      no network yet, only what one would be
  net create --config-from conf lab                       the network")]
pub(in crate::net) struct CreateArgs {
    /// The driver [default: bridge]
    #[arg(short, long)]
    pub(in crate::net) driver: Option<String>,
    /// A subnet, one of each family at most
    #[arg(long, value_name = "SUBNET", value_delimiter = ',')]
    pub(in crate::net) subnet: Vec<Subnet>,
    /// Whether containers get IPv4 addresses [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(in crate::net) ipv4: Option<bool>,
    /// Whether containers get IPv6 addresses [default: with a subnet of it]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(in crate::net) ipv6: Option<bool>,
    /// The gateway's address in a subnet [default: its first]
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub(in crate::net) gateway: Vec<IpAddr>,
    /// The part of a subnet that containers get addresses from
    #[arg(long, value_name = "SUBNET", value_delimiter = ',')]
    pub(in crate::net) ip_range: Vec<Subnet>,
    /// An address that something else has
    #[arg(long, value_name = "NAME=ADDRESS", value_parser = named_address, value_delimiter = ',')]
    pub(in crate::net) aux_address: Vec<(String, IpAddr)>,
    /// Nothing goes in or out
    #[arg(long)]
    pub(in crate::net) internal: bool,
    /// Only a configuration, which other networks are made from
    #[arg(long, conflicts_with_all = ["internal", "attachable", "scope", "config_from"])]
    pub(in crate::net) config_only: bool,
    /// The configuration that says subnet, options, labels and resolvers
    #[arg(long, value_name = "NETWORK", value_parser = word, add = complete::own_networks(), conflicts_with_all = ["subnet", "gateway", "ip_range", "aux_address", "label", "opt", "dns"])]
    pub(in crate::net) config_from: Option<String>,
    /// How far it reaches: this host
    #[arg(long, value_parser = ["local"])]
    scope: Option<String>,
    /// Who chooses addresses: netd itself
    #[arg(long, value_parser = ["default"])]
    ipam_driver: Option<String>,
    /// Shown again by inspect, as Docker does; without effect on one host
    #[arg(long)]
    pub(in crate::net) attachable: bool,
    /// A mark of your own
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(in crate::net) label: Vec<(String, String)>,
    /// A resolver that its containers' questions are forwarded to [default: the daemon's]
    #[arg(long, value_name = "ADDRESS")]
    pub(in crate::net) dns: Vec<IpAddr>,
    /// An option of the driver
    #[arg(short, long = "opt", value_name = "KEY=VALUE", value_parser = key_value)]
    pub(in crate::net) opt: Vec<(String, String)>,
    /// The network's name
    pub(in crate::net) name: NetworkName,
}

/// Remove networks that no container is connected to
#[derive(Debug, Args)]
#[command(
    alias = "remove",
    after_help = "\
Examples:
  net rm lab
  net rm lab1 lab2      removes what it can, exit code 1 if any is refused"
)]
pub(in crate::net) struct RmArgs {
    /// Names or ids
    #[arg(required = true, value_name = "NETWORK", value_parser = word, add = complete::own_networks())]
    pub(in crate::net) networks: Vec<String>,
}

/// List the networks
#[derive(Debug, Args)]
#[command(
    alias = "list",
    after_help = "\
Examples:
  net ls
  net ls -f driver=bridge -f label=team=red
  net ls -f dangling=true -q
  net ls -q
  net ls --format '{{.Name}} {{.Driver}}'
  net ls --format 'table {{.ID}}\\t{{.Name}}\\t{{.Internal}}'
  net ls --json | jq -r '.[].Name'

Filters: name, id, driver, scope, label=KEY[=VALUE], type=builtin|custom, dangling=true|false. Several
of one key are alternatives (of labels all must fit); different keys must all fit.

A format may use .ID .Name .Driver .Scope .IPv6 .Internal .Labels .CreatedAt"
)]
pub(in crate::net) struct LsArgs {
    /// Only those that fit
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = filter::of_networks)]
    pub(in crate::net) filter: Vec<Filter>,
    /// Ids only
    #[arg(short, long)]
    pub(in crate::net) quiet: bool,
    /// Whole ids
    #[arg(long)]
    pub(in crate::net) no_trunc: bool,
    /// Print each network as a template says
    #[arg(long, value_name = "TEMPLATE", conflicts_with_all = ["quiet", "json"])]
    pub(in crate::net) format: Option<String>,
    /// Print JSON, as inspect does
    #[arg(long, conflicts_with = "quiet")]
    pub(in crate::net) json: bool,
}

/// Show all there is to know of networks (or containers), as JSON
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  net inspect bridge
  net inspect --format '{{json .IPAM.Config}}' lab
  net inspect --format '{{len .Containers}}' lab
  net inspect web                     a container, when no network has that name")]
pub(in crate::net) struct InspectArgs {
    /// Print what a template says: {{.Name}}, {{json .Labels}}, {{len .Containers}}, {{index .Labels "key"}}
    #[arg(short, long, value_name = "TEMPLATE")]
    pub(in crate::net) format: Option<String>,
    /// Names or ids
    #[arg(required = true, value_name = "NAME", value_parser = word, add = complete::either())]
    pub(in crate::net) names: Vec<String>,
}

/// Remove every network that no container is connected to
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  net prune                                asks first when a person types it
  net prune -f
  net prune -f --filter label=ci --filter until=24h
  net prune -f --filter label!=keep
  net prune -f --containers                forgets the containers that ended, instead")]
pub(in crate::net) struct PruneArgs {
    /// Do not ask
    #[arg(short, long)]
    pub(in crate::net) force: bool,
    /// Only those that fit: label=KEY[=VALUE], label!=KEY[=VALUE], or until=SPAN or TIME (created before)
    #[arg(long, value_name = "KEY=VALUE", value_parser = filter::of_prune)]
    pub(in crate::net) filter: Vec<Filter>,
    /// Forget the containers that have ended, instead
    #[arg(long, conflicts_with = "filter")]
    pub(in crate::net) containers: bool,
}

/// Connect a container to a network
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  net connect lab web
  net connect --ip 172.28.5.9 --alias db lab web
  net connect -p 8080:80 lab web
  net connect --interface net1 lab web            once more, with an address of its own, if it is there already
  net connect --rate-in 10mbit --rate-out 1mbit --burst-out 32kb lab web
  net connect lab pid:4711                        the namespace of a process, of whatever runtime
  net connect --name blue lab /run/netns/blue     a namespace made by `ip netns add blue`
  net connect lab blue                            the same, named after its file")]
pub(in crate::net) struct ConnectArgs {
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
    /// An option of the interface: com.docker.network.endpoint.ifname=NAME, or .sysctls=net.ipv4.conf.IFNAME.KEY=NUMBER,...
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(in crate::net) driver_opt: Vec<(String, String)>,
    /// What to call the interface; another name than it has there puts the container on the network once more
    #[arg(long, value_name = "NAME")]
    pub(in crate::net) interface: Option<IfName>,
    #[command(flatten)]
    pub(in crate::net) rates: RateArgs,
    /// A further name on this network
    #[arg(long, value_name = "NAME")]
    pub(in crate::net) alias: Vec<Alias>,
    /// The network with the highest number carries the default route
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    pub(in crate::net) gw_priority: i32,
    /// Publish a port on this network: [IP:][HOST_PORT:]PORT[/PROTOCOL][,from=SUBNET]...
    #[arg(short, long, value_name = "PORT")]
    pub(in crate::net) publish: Vec<PublishRequest>,
    /// The container's name, for a namespace that netd does not know yet
    #[arg(long)]
    pub(in crate::net) name: Option<ContainerName>,
    /// Name or id
    #[arg(value_parser = word, add = complete::networks())]
    pub(in crate::net) network: String,
    /// Name, id, pid:N, path of a namespace, or name under /run/netns
    #[arg(value_parser = word, add = complete::containers())]
    pub(in crate::net) container: String,
}

/// Disconnect a container from a network
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  net disconnect lab web
  net disconnect -f lab web                   no error if it is not connected
  net disconnect --interface net1 lab web     one of several interfaces that it has there")]
pub(in crate::net) struct DisconnectArgs {
    /// Succeed although it is not connected; take away all interfaces that it has there
    #[arg(short, long)]
    pub(in crate::net) force: bool,
    /// The interface to take away, if it has several there
    #[arg(long, value_name = "NAME")]
    pub(in crate::net) interface: Option<IfName>,
    /// Name or id
    #[arg(value_parser = word, add = complete::networks())]
    pub(in crate::net) network: String,
    /// Name, id, pid:N, path of a namespace, or name under /run/netns
    #[arg(value_parser = word, add = complete::containers())]
    pub(in crate::net) container: String,
}
