//! The paths of what leads to other hosts.

use super::{Client, ClientError};
use crate::{RouteRequest, RouteView, Subnet};

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
}
