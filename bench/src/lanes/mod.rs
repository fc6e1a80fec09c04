//! The lanes: who does the same work, each in namespaces of its own.
//!
//! Reading order: [`limit`] (bare netlink), [`netd`] (through its interface), [`cli`] (through `net`).

pub mod limit;

pub mod netd;

pub mod cli;

use std::time::Duration;

use anyhow::Result;

use crate::ground::Ground;

/// Number of the network that containers join; others are made and removed again.
pub const HOME: u8 = 0;

/// Somebody who connects containers to networks.
///
/// Each method gives the time until the caller has the answer. Preparations, such as a fresh namespace, do not count.
/// Every method fails when the work fails.
pub trait Lane {
    /// What it is called in tables.
    fn name(&self) -> &str;

    /// What it stands on.
    fn ground(&mut self) -> &mut Ground;

    /// Makes a network.
    fn create(&mut self, network: u8) -> Result<Duration>;

    /// Removes a network that nobody is connected to.
    fn remove(&mut self, network: u8) -> Result<Duration>;

    /// Connects a container to the network [`HOME`], for the first time in its life.
    fn attach(&mut self, container: usize) -> Result<Duration>;

    /// Disconnects a container.
    fn detach(&mut self, container: usize) -> Result<Duration>;

    /// Waits until nothing goes on any more that was acknowledged before: `links` links are left on the host.
    ///
    /// # Errors
    /// When that takes too long.
    fn settle(&mut self, links: usize) -> Result<()> {
        self.ground().settle(links)
    }
}
