//! Verbs of two networks, which Docker has not: its users edit DOCKER-ISOLATION-STAGE-2 by hand instead.

use clap::Args;

use crate::net::complete;

use super::values::word;

/// Let two networks talk to each other, both ways
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  net allow front back                             kept until denied, over restarts too
  net inspect --format '{{json .AllowedNetworks}}' front

Bridge networks are isolated from each other: their containers meet only at published ports. These two no
longer are, and containers see each other's own addresses. Names stay those of one's own networks. A
single container gets into a further network with `net connect`.")]
pub(in crate::net) struct AllowArgs {
    #[command(flatten)]
    pub(in crate::net) pair: PairArgs,
}

/// Isolate two networks from each other again
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  net deny front back      in whichever order they were allowed; no error if they were not

Connections between them end, too. Published ports stay reachable.")]
pub(in crate::net) struct DenyArgs {
    #[command(flatten)]
    pub(in crate::net) pair: PairArgs,
}

#[derive(Debug, Args)]
pub(in crate::net) struct PairArgs {
    /// Name or id of one
    #[arg(value_name = "NETWORK", value_parser = word, add = complete::own_networks())]
    pub(in crate::net) one: String,
    /// Name or id of the other
    #[arg(value_name = "OTHER", value_parser = word, add = complete::own_networks())]
    pub(in crate::net) other: String,
}
