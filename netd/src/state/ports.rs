//! Which endpoint has which host port.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netd_model::{Endpoint, EndpointId, Protocol, PublishedPort};

/// Who has which host port.
#[derive(Debug, Default)]
pub struct PortTable(BTreeMap<(Protocol, u16), Vec<(IpAddr, EndpointId)>>);

impl PortTable {
    /// The endpoint other than `asker` that has one of the ports, and that port.
    #[must_use]
    pub fn holder(&self, wanted: &PublishedPort, asker: EndpointId) -> Option<(u16, EndpointId)> {
        let (first, last) = (wanted.host_ports.first(), wanted.host_ports.last());
        self.0
            .range((wanted.protocol, first)..=(wanted.protocol, last))
            .find_map(|((_, port), holders)| {
                let clash = |(ip, endpoint): &&(IpAddr, EndpointId)| {
                    *endpoint != asker
                        && ip.is_ipv4() == wanted.host_ip.is_ipv4()
                        && (ip.is_unspecified()
                            || wanted.host_ip.is_unspecified()
                            || *ip == wanted.host_ip)
                };
                holders
                    .iter()
                    .find(clash)
                    .map(|(_, endpoint)| (*port, *endpoint))
            })
    }

    pub(super) fn put(&mut self, endpoint: &Endpoint) {
        for published in &endpoint.ports {
            for port in published.host_ports.iter() {
                self.0
                    .entry((published.protocol, port))
                    .or_default()
                    .push((published.host_ip, endpoint.id));
            }
        }
    }

    pub(super) fn remove(&mut self, endpoint: &Endpoint) {
        for published in &endpoint.ports {
            for port in published.host_ports.iter() {
                if let Some(holders) = self.0.get_mut(&(published.protocol, port)) {
                    holders.retain(|(_, holder)| *holder != endpoint.id);
                    if holders.is_empty() {
                        self.0.remove(&(published.protocol, port));
                    }
                }
            }
        }
    }
}
