//! The paths of what leads to other hosts.

use super::{Client, ClientError};
use crate::{IfName, RouteRequest, RouteView, Subnet, UplinkRequest};

/// Every method fails with [`ClientError`]: `Refused` carries the daemon's own sentence.
impl Client {
    /// Every route to containers of other hosts.
    pub fn routes(&self) -> Result<Vec<RouteView>, ClientError> {
        self.get(&["routes"])
    }

    /// Sets a route to containers of another host.
    pub fn add_route(&self, request: &RouteRequest) -> Result<RouteView, ClientError> {
        self.post(&["routes"], request)
    }

    /// Removes a route to containers of another host.
    pub fn remove_route(&self, subnet: Subnet) -> Result<(), ClientError> {
        self.delete(&["routes", &subnet.to_string()])
    }

    /// Makes a card of the host a port of a network's bridge.
    pub fn add_uplink(&self, network: &str, request: &UplinkRequest) -> Result<(), ClientError> {
        self.done(self.send(&["networks", network, "uplinks"], request))
    }

    /// Takes a card off a network.
    pub fn remove_uplink(&self, network: &str, device: &IfName) -> Result<(), ClientError> {
        self.delete(&["networks", network, "uplinks", device.as_str()])
    }
}
