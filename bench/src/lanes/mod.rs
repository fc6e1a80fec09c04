//! The lanes: who does the same work, each in namespaces of its own.
//!
//! Reading order: [`limit`] (bare netlink), [`netd`] (through its interface), [`cli`] (through `net`), [`docker`],
//! [`netavark`], [`cni`], [`netd_cni`], [`callers`].

pub mod limit;

pub mod netd;

pub mod cli;

pub mod docker;

pub mod netavark;

pub mod cni;

pub mod netd_cni;

pub mod callers;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, bail};
use netns_tests::lab::HOST;

use crate::ground::Ground;

/// Number of the network that containers join; others are made and removed again.
pub const HOME: u8 = 0;

/// Port of the container that every published port leads to.
pub const INSIDE: u16 = 80;

/// A container that shall join the network [`HOME`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Join {
    /// Its number.
    pub container: usize,
    /// The ports of the host that shall lead to it.
    pub ports: Ports,
}

impl Join {
    /// A container that publishes nothing.
    #[must_use]
    pub fn without_ports(container: usize) -> Self {
        Self {
            container,
            ports: Ports { first: 1, count: 0 },
        }
    }
}

/// Ports of the host one after the other, each published by itself: as many `-p`, never one range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The first one.
    pub first: u16,
    /// How many.
    pub count: u16,
}

impl Ports {
    /// Each of them.
    pub fn each(self) -> impl Iterator<Item = u16> {
        (0..self.count).map(move |place| self.first.saturating_add(place))
    }
}

/// Somebody who connects containers to networks.
///
/// Each method gives the time until the caller has the answer. Preparations, such as a fresh namespace, do not count.
/// Every method fails when the work fails, or when there is no such work in this lane; the error says why.
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
    fn attach(&mut self, join: &Join) -> Result<Duration>;

    /// Disconnects a container.
    fn detach(&mut self, join: &Join) -> Result<Duration>;

    /// Connects the containers by as many callers at once; gives the time until the last one has its answer.
    fn attach_all(&mut self, containers: &[usize], callers: usize) -> Result<Duration> {
        let _ = (containers, callers);
        bail!("not made for several callers here")
    }

    /// Largest number of containers that this lane is filled with.
    fn room(&self) -> usize {
        usize::MAX
    }

    /// Address of a container on the network [`HOME`].
    fn address(&mut self, container: usize) -> Result<Ipv4Addr> {
        bail!("the address of container {container} is not asked for in this lane")
    }

    /// Path of a container's network namespace inside the machine.
    fn netns(&mut self, container: usize) -> Result<String> {
        Ok(Ground::netns(container))
    }

    /// Largest number of ports that this lane is filled with.
    fn port_room(&self) -> u32 {
        u32::MAX
    }

    /// Where a machine outside reaches what listens in a container on port [`INSIDE`], which `port` of the host leads to.
    fn way_in(&mut self, container: usize, port: u16) -> Result<SocketAddr> {
        let _ = container;
        Ok(SocketAddr::new(HOST.parse()?, port))
    }

    /// Waits until nothing goes on any more that was acknowledged before: `links` links are left on the host.
    ///
    /// # Errors
    /// When that takes too long.
    fn settle(&mut self, links: usize) -> Result<()> {
        self.ground().settle(links)
    }
}
