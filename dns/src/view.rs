//! What one sandbox sees: whose names, and where other questions may go. Plain values.

use std::net::SocketAddr;

use netd_model::NetworkId;

/// What one sandbox sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The networks whose names it sees; the first one that knows a name answers.
    pub networks: Vec<NetworkId>,
    /// Where questions go that none of these networks answers.
    pub forwarding: Forwarding,
}

/// Where unknown names are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forwarding {
    /// Nowhere: the sandbox has internal networks only, and a query that leaves is a leak (CVE-2024-29018).
    /// SERVFAIL at once, as Docker does.
    Refuse,
    /// To these servers.
    To(Upstreams),
}

/// The servers that unknown names are forwarded to. 127.0.0.11 is never one of them: that is us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstreams {
    /// These, in this order.
    Listed(Vec<SocketAddr>),
    /// The `nameserver` lines of [`ResolverOptions::resolv_conf`](crate::ResolverOptions::resolv_conf), followed as
    /// they change.
    Host,
}
