//! Verbs of routes to containers of other hosts.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use netd_api::Subnet;

use crate::net::complete;

use super::values::{other_subnet, word};

/// Let containers of this host and of another talk
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  net route add 192.168.200.0/24 via 10.0.0.208       on 10.0.0.204
  net route add 192.168.100.0/24 via 10.0.0.204       the mirror, on 10.0.0.208
  net route ls

Each host says where the other's containers are. Routes are kept until removed, over restarts too.")]
pub(in crate::net) struct RouteArgs {
    #[command(subcommand)]
    pub(in crate::net) verb: RouteVerb,
}

#[derive(Debug, Subcommand)]
pub(in crate::net) enum RouteVerb {
    Add(RouteAddArgs),
    Rm(RouteRmArgs),
    Ls(RouteLsArgs),
}

/// Set a route to the containers of another host
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  net route add 192.168.200.0/24 via 10.0.0.208
  net route add 192.168.200.0/24 via 10.0.0.208 --network lab --network web
  net route add 192.168.200.0/24 via 10.0.0.208 --masquerade

Containers of that subnet, and their host, reach the containers of this host's bridge networks, and the other
way round, under everybody's own address; networks of this host stay isolated from each other. They may come by
the link that leads to the gateway only. Internal networks stay closed.")]
pub(in crate::net) struct RouteAddArgs {
    /// The subnet of the other host's containers
    #[arg(value_parser = other_subnet)]
    pub(in crate::net) subnet: Subnet,
    /// The word via
    #[arg(value_name = "via", value_parser = ["via"], hide_possible_values = true)]
    pub(in crate::net) via: String,
    /// The other host's address, on a link of this one
    pub(in crate::net) gateway: IpAddr,
    /// Only for this network, keeping the others apart [default: every bridge network that is not internal]
    #[arg(long, value_name = "NETWORK", value_parser = word, add = complete::networks())]
    pub(in crate::net) network: Vec<String>,
    /// Show this host's address over there instead of the containers'
    #[arg(long)]
    pub(in crate::net) masquerade: bool,
}

/// Remove a route to the containers of another host
#[derive(Debug, Args)]
#[command(
    alias = "remove",
    after_help = "\
Examples:
  net route rm 192.168.200.0/24
  net route rm 192.168.200.0/24 192.168.201.0/24      removes what it can, exit code 1 if any is refused

Connections by that way end, too."
)]
pub(in crate::net) struct RouteRmArgs {
    /// Subnets, as they were given
    #[arg(required = true, value_name = "SUBNET", value_parser = other_subnet, add = complete::routes())]
    pub(in crate::net) subnets: Vec<Subnet>,
}

/// List the routes to containers of other hosts
#[derive(Debug, Args)]
#[command(
    alias = "list",
    after_help = "\
Examples:
  net route ls
  net route ls -q
  net route ls --format '{{.Subnet}} {{.Gateway}}'
  net route ls --json | jq -r '.[].device'

A format may use .Subnet .Gateway .Device .Networks .Masquerade"
)]
pub(in crate::net) struct RouteLsArgs {
    /// Subnets only
    #[arg(short, long)]
    pub(in crate::net) quiet: bool,
    /// Whole lines, whatever the width of the terminal
    #[arg(long)]
    pub(in crate::net) no_trunc: bool,
    /// Print each route as a template says
    #[arg(long, value_name = "TEMPLATE", conflicts_with_all = ["quiet", "json"])]
    pub(in crate::net) format: Option<String>,
    /// Print JSON
    #[arg(long, conflicts_with = "quiet")]
    pub(in crate::net) json: bool,
}
