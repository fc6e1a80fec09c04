//! Who reaches a published port: which of a request's sources go with which address of the host.

use std::net::IpAddr;

use netd_model::{Network, PublishRequest, Subnet};

use super::EngineError;

/// The sources of a request that are of the family of an address of the host.
pub(super) fn of(request: &PublishRequest, host: IpAddr) -> impl Iterator<Item = Subnet> {
    let sources = request.from.iter().copied();
    sources.filter(move |source| source.is_ipv4() == host.is_ipv4())
}

/// Refuses sources that would reach the port at none of `hosts`, where it is to be published.
pub(super) fn check(
    network: &Network,
    hosts: &[IpAddr],
    request: &PublishRequest,
) -> Result<(), EngineError> {
    let refuse = |source: &Subnet, why: String| {
        Err(EngineError::Invalid(format!(
            "cannot publish {} from {source}: {why}",
            request.container_ports
        )))
    };
    for source in &request.from {
        let mut same_family = hosts
            .iter()
            .filter(|host| host.is_ipv4() == source.is_ipv4());
        let Some(host) = same_family.next() else {
            let family = if source.is_ipv4() { "IPv4" } else { "IPv6" };
            return refuse(
                source,
                format!(
                    "on network {} no port is published on an {family} address of the host (it has no {family}, is routed, or \
                     is bound to another address); leave that source out",
                    network.name
                ),
            );
        };
        if host.is_loopback() {
            return refuse(
                source,
                format!(
                    "only the host itself reaches {host}, where network {} publishes; leave the sources out",
                    network.name
                ),
            );
        }
    }
    Ok(())
}
