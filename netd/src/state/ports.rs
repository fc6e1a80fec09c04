//! Which endpoint has which host port.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netd_model::{Endpoint, EndpointId, Protocol, PublishedPort};

/// Host ports that the daemon chooses from: Linux' own ephemeral range (ip(7), ip_local_port_range).
pub const EPHEMERAL: std::ops::RangeInclusive<u16> = 32768..=60999;

/// Who has which host port.
#[derive(Debug, Default)]
pub struct PortTable {
    holders: BTreeMap<(Protocol, u16), Vec<(IpAddr, EndpointId)>>,
    /// The lowest port to choose that nobody has, on any address; none for the first of all.
    vacant: BTreeMap<Protocol, u16>,
}

impl PortTable {
    /// The endpoint other than `asker` that has one of the ports, and that port.
    #[must_use]
    pub fn holder(&self, wanted: &PublishedPort, asker: EndpointId) -> Option<(u16, EndpointId)> {
        let (first, last) = (wanted.host_ports.first(), wanted.host_ports.last());
        self.holders
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

    /// Where to begin to look for a port to choose: whatever is lower has a holder.
    #[must_use]
    pub fn vacant(&self, protocol: Protocol) -> u16 {
        let known = self.vacant.get(&protocol);
        known.copied().unwrap_or(*EPHEMERAL.start())
    }

    pub(super) fn put(&mut self, endpoint: &Endpoint) {
        for published in &endpoint.ports {
            let protocol = published.protocol;
            for port in published.host_ports.iter() {
                self.holders
                    .entry((protocol, port))
                    .or_default()
                    .push((published.host_ip, endpoint.id));
            }
            let mut vacant = self.vacant(protocol);
            while vacant < *EPHEMERAL.end() && self.holders.contains_key(&(protocol, vacant)) {
                vacant += 1;
            }
            self.vacant.insert(protocol, vacant);
        }
    }

    pub(super) fn remove(&mut self, endpoint: &Endpoint) {
        for published in &endpoint.ports {
            for port in published.host_ports.iter() {
                let key = (published.protocol, port);
                let Some(holders) = self.holders.get_mut(&key) else {
                    continue;
                };
                holders.retain(|(_, holder)| *holder != endpoint.id);
                if holders.is_empty() {
                    self.holders.remove(&key);
                    if EPHEMERAL.contains(&port) && port < self.vacant(published.protocol) {
                        self.vacant.insert(published.protocol, port);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use netd_model::{ContainerId, NetworkId, Phase, PortRange};

    use super::*;

    fn endpoint_with_ports(number: u8, ports: Vec<PublishedPort>) -> Endpoint {
        Endpoint {
            id: EndpointId::from_bytes([number; 32]),
            network: NetworkId::from_bytes([1; 32]),
            container: ContainerId::from_bytes([number; 32]),
            rank: 0,
            interface: None,
            leases: Vec::new(),
            link_local: Vec::new(),
            ports,
            opened: Vec::new(),
            sysctls: Vec::new(),
            rates: netd_model::Rates::default(),
            aliases: Vec::new(),
            gateway_priority: 0,
            routes: Vec::new(),
            joined_as: None,
            phase: Phase::Attached,
        }
    }

    fn published(first: u16, last: u16) -> PublishedPort {
        PublishedPort {
            protocol: Protocol::Tcp,
            host_ip: "0.0.0.0".parse().unwrap(),
            host_ports: PortRange::new(first, last).unwrap(),
            container_ports: PortRange::new(1, last - first + 1).unwrap(),
            from: Vec::new(),
        }
    }

    #[test]
    fn the_lowest_vacant_port_is_known_as_ports_come_and_go() {
        let mut table = PortTable::default();
        let [low, next, far] = [
            (1, (32768, 32770)),
            (2, (32771, 32771)),
            (3, (40000, 40001)),
        ]
        .map(|(id, (first, last))| endpoint_with_ports(id, vec![published(first, last)]));
        assert_eq!(table.vacant(Protocol::Tcp), 32768);
        for (endpoint, vacant) in [(&next, 32768), (&far, 32768), (&low, 32772)] {
            table.put(endpoint);
            assert_eq!(table.vacant(Protocol::Tcp), vacant);
        }
        assert_eq!(table.vacant(Protocol::Udp), 32768);
        for (endpoint, vacant) in [(&far, 32772), (&next, 32771), (&low, 32768)] {
            table.remove(endpoint);
            assert_eq!(table.vacant(Protocol::Tcp), vacant);
        }
        table.put(&endpoint_with_ports(4, vec![published(1, 65535)]));
        assert_eq!(table.vacant(Protocol::Tcp), 60999);
    }
}
