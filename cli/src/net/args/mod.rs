//! What can be typed: every verb with its flags, help and examples. Knows no daemon.

mod container;
mod network;
mod pair;
mod rates;
mod route;
mod start;
mod update;
mod uplink;
mod values;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

pub(super) use container::{PortArgs, PsArgs, PublishArgs, StopArgs};
pub(super) use network::{
    ConnectArgs, CreateArgs, DisconnectArgs, InspectArgs, LsArgs, PruneArgs, RmArgs,
};
pub(super) use pair::{AllowArgs, DenyArgs, PairArgs};
pub(super) use route::{RouteAddArgs, RouteArgs, RouteLsArgs, RouteRmArgs, RouteVerb};
pub(super) use start::{ExecArgs, RunArgs};
pub(super) use update::UpdateArgs;
pub(super) use uplink::UplinkArgs;

/// Networks, names and published ports for containers of any runtime, and for plain processes.
#[derive(Debug, Parser)]
#[command(
    name = "net",
    version,
    propagate_version = false,
    max_term_width = 100,
    after_help = "\
Examples:
  net create --subnet 172.28.0.0/16 lab      a network
  net run -d --name web --network lab -p 8080:80 -- busybox httpd -f -p 80
  net run --network lab -- wget -qO- http://web
  net ps                                     what runs, where, with which ports

CONTAINER is a name or id (or the beginning of an id) that netd knows, pid:N for \
the namespace of a process, the path of a namespace, or a name under /run/netns.

Exit codes: 0 done, 1 refused, 2 wrong usage, 3 no daemon. run and exec pass on \
their command's own code, or give 125 if it was not started, 126 if it cannot be \
executed, 127 if there is no such program, 128+N if signal N ended it.",
    arg_required_else_help = true
)]
pub(super) struct Arguments {
    // The client reads the variable: told to clap, it would stand in every usage line as if it had been typed.
    /// The daemon to talk to: the path of its socket, or unix://PATH [default: $NETD_HOST, or /run/netd.sock]
    #[arg(short = 'H', long, global = true, value_hint = ValueHint::FilePath)]
    pub(super) host: Option<String>,

    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    Create(CreateArgs),
    Rm(RmArgs),
    Ls(LsArgs),
    Inspect(InspectArgs),
    Update(UpdateArgs),
    Prune(PruneArgs),
    Connect(ConnectArgs),
    Disconnect(DisconnectArgs),
    Allow(AllowArgs),
    Deny(DenyArgs),
    Route(RouteArgs),
    Uplink(UplinkArgs),
    Run(Box<RunArgs>),
    Ps(PsArgs),
    Exec(ExecArgs),
    Stop(StopArgs),
    Port(PortArgs),
    Publish(PublishArgs),
    /// Withdraw published ports of a running container
    Unpublish(PublishArgs),
    Status(StatusArgs),
    Events(EventsArgs),
    Version(VersionArgs),
    Completions(CompletionsArgs),
    #[command(hide = true)]
    Man(ManArgs),
}

/// How the daemon is: what it serves, what it repaired, what is wrong
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  net status
  net status --timings
  net status --json | jq .problems

Exit code 1 if the daemon reports a problem.")]
pub(super) struct StatusArgs {
    /// Show where the time of attaches and the like went, part by part
    #[arg(long)]
    pub(super) timings: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// What happens to networks and containers, as it happens
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  net events
  net events --json | jq 'select(.action == \"exit\")'")]
pub(super) struct EventsArgs {
    /// Print one JSON object a line
    #[arg(long)]
    pub(super) json: bool,
}

/// The versions of this program and of the daemon
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  net version\n  net version --json")]
pub(super) struct VersionArgs {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// A script that completes this command in a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  source <(net completions bash)          for this shell
  net completions bash > /usr/share/bash-completion/completions/net
  net completions zsh > /usr/share/zsh/site-functions/_net
  net completions fish > ~/.config/fish/completions/net.fish")]
pub(super) struct CompletionsArgs {
    /// The shell
    pub(super) shell: Shell,
}

/// Write the manual pages
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The directory to write them into
    #[arg(long, value_hint = ValueHint::DirPath)]
    pub(super) dir: PathBuf,
}

#[cfg(test)]
mod tests;
