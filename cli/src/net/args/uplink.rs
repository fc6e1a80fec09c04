//! The verb of cards on networks.

use clap::Args;
use netd_api::IfName;

use crate::net::complete;

use super::values::word;

/// Join a network to the wire behind a card of the host
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  net uplink lab eth1            on each of two hosts whose eth1 are on one wire
  net uplink --rm lab eth1
  net inspect --format '{{json .Uplinks}}' lab

The card becomes a port of the network's bridge: containers of both hosts are neighbours, as on one switch. The
subnet is the same on all hosts, so each needs a part of its own to give out (--ip-range, or fixed-cidr for docker0)
and an address of its own for the bridge (--gateway, or bip). Kept until removed, over restarts, and when the card is
unplugged and comes back. The card itself is never changed but brought up.")]
pub(in crate::net) struct UplinkArgs {
    /// Take the card off the network
    #[arg(long, conflicts_with = "force")]
    pub(in crate::net) rm: bool,
    /// Join although the card's addresses, or the host's default route, stop working
    #[arg(long)]
    pub(in crate::net) force: bool,
    /// Name or id
    #[arg(value_parser = word, add = complete::networks())]
    pub(in crate::net) network: String,
    /// The card
    #[arg(value_name = "DEV", add = complete::cards())]
    pub(in crate::net) device: IfName,
}
