//! Verbs of containers that only ask the daemon.

use clap::Args;
use netd_api::PublishRequest;

use crate::net::complete;
use crate::net::filter::{self, Filter};

use super::values::word;

/// List the containers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  net ps
  net ps -a                             those that ended too
  net ps -f network=lab -f label=team=red
  net ps -f status=exited -q
  net ps --format 'table {{.Names}}\\t{{.Ports}}'
  net ps --json | jq -r '.[].name'

Filters: name, id, network, label=KEY[=VALUE], status=running|exited. Several of one key are alternatives
(of labels all must fit); different keys must all fit.

A format may use .ID .Names .Networks .Ports .Status .State .Command .CreatedAt .RunningFor .Labels")]
pub(in crate::net) struct PsArgs {
    /// Those that ended too
    #[arg(short, long)]
    pub(in crate::net) all: bool,
    /// Only those that fit
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = filter::of_containers)]
    pub(in crate::net) filter: Vec<Filter>,
    /// Ids only
    #[arg(short, long)]
    pub(in crate::net) quiet: bool,
    /// Whole ids and commands, however wide the terminal
    #[arg(long)]
    pub(in crate::net) no_trunc: bool,
    /// Print each container as a template says
    #[arg(long, value_name = "TEMPLATE", conflicts_with_all = ["quiet", "json"])]
    pub(in crate::net) format: Option<String>,
    /// Print JSON
    #[arg(long, conflicts_with = "quiet")]
    pub(in crate::net) json: bool,
}

/// Stop containers: SIGTERM, then SIGKILL
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  net stop web
  net stop -t 1 web db")]
pub(in crate::net) struct StopArgs {
    /// Seconds between SIGTERM and SIGKILL
    #[arg(short, long, value_name = "SECONDS", default_value_t = 10)]
    pub(in crate::net) time: u32,
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER", value_parser = word, add = complete::containers())]
    pub(in crate::net) containers: Vec<String>,
}

/// Show the published ports of a container
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  net port web            80/tcp -> 0.0.0.0:8080
  net port web 80         0.0.0.0:8080
  net port web 53/udp")]
pub(in crate::net) struct PortArgs {
    /// Name or id
    #[arg(value_parser = word, add = complete::containers())]
    pub(in crate::net) container: String,
    /// One port of the container: PORT[/PROTOCOL]
    pub(in crate::net) port: Option<String>,
}

/// Publish further ports of a running container
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  net publish web -p 8080:80 -p 127.0.0.1:9000:9000
  net publish web -p 53:53/udp
  net publish web -p 8443:443,from=10.0.0.0/8,from=192.168.1.7    for these only, and the host itself
  net unpublish web -p 8080:80      this one
  net unpublish web -p 80           every published port that leads to port 80")]
pub(in crate::net) struct PublishArgs {
    /// Name or id
    #[arg(value_parser = word, add = complete::containers())]
    pub(in crate::net) container: String,
    /// [IP:][HOST_PORT:]PORT[/PROTOCOL][,from=SUBNET]..., ranges allowed; from= names who reaches it, else everybody
    #[arg(short, long, value_name = "PORT", required = true)]
    pub(in crate::net) publish: Vec<PublishRequest>,
}
