//! Host ports of the fake: who listens where, and what may be reserved.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netd_model::{EndpointId, PublishedPort};

use super::machine::{HostPort, Machine};
use crate::ReservePortError;

/// Name under which the daemon's own sockets show as a holder.
const DAEMON: &str = "netd (pid 1)";

/// True if two sockets cannot both be bound. Wildcards of IPv6 take no IPv4 (IPV6_V6ONLY), as the daemon binds them.
fn clash(a: &HostPort, b: &HostPort) -> bool {
    let common = a.1 == b.1 || a.1.is_unspecified() || b.1.is_unspecified();
    a.0 == b.0 && a.2 == b.2 && a.1.is_ipv4() == b.1.is_ipv4() && common
}

fn host_ports(ports: &[PublishedPort]) -> BTreeSet<HostPort> {
    let single = |port: &PublishedPort| {
        let (protocol, host_ip) = (port.protocol, port.host_ip);
        let numbers = port.host_ports.iter().collect::<Vec<_>>();
        numbers
            .into_iter()
            .map(move |number| (protocol, host_ip, number))
    };
    ports.iter().flat_map(single).collect()
}

impl Machine {
    /// What [`crate::Kernel::reserve_ports`] promises.
    pub(super) fn reserve_ports(
        &mut self,
        endpoint: EndpointId,
        ports: &[PublishedPort],
    ) -> Result<(), ReservePortError> {
        let wanted = host_ports(ports);
        let held = self.daemon.reserved.get(&endpoint);
        let fresh = |port: &&HostPort| held.is_none_or(|held| !held.contains(*port));
        for port in wanted.iter().filter(fresh) {
            self.check_port(endpoint, *port)?;
        }
        self.daemon
            .reserved
            .entry(endpoint)
            .or_default()
            .extend(wanted);
        Ok(())
    }

    fn check_port(&self, endpoint: EndpointId, port: HostPort) -> Result<(), ReservePortError> {
        let (protocol, host_ip, number) = port;
        if !host_ip.is_unspecified() && !self.is_mine(host_ip) {
            return Err(ReservePortError::NotMyAddress { host_ip });
        }
        let others = self.occupied.iter().find(|other| clash(&other.port, &port));
        let mut own = self.daemon.reserved.iter();
        let own = own.any(|(_, held)| held.iter().any(|held| clash(held, &port)));
        let holder = match others {
            Some(other) => other.holder.clone(),
            None if own => DAEMON.to_owned(),
            None => return Ok(()),
        };
        tracing::debug!(%endpoint, number, holder, "port refused");
        Err(ReservePortError::Taken {
            protocol,
            host_ip,
            port: number,
            holder: Some(holder),
        })
    }

    /// The whole of 127.0.0.0/8 is the host's, though only one address of it shows on the interface.
    fn is_mine(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.host_addresses().contains(&address)
    }

    /// What [`crate::Kernel::release_ports`] promises.
    pub(super) fn release_ports(&mut self, endpoint: EndpointId, keep: &[PublishedPort]) {
        let keep = host_ports(keep);
        if let Some(held) = self.daemon.reserved.get_mut(&endpoint) {
            held.retain(|port| keep.contains(port));
        }
        self.daemon.reserved.retain(|_, held| !held.is_empty());
    }
}
