//! The lane of netd's CNI plugin: a process for each step, called as [`cni`](super::cni) calls the others.

use std::time::Duration;

use anyhow::{Result, bail};
use netns_tests::cni::{configuration, program};
use serde_json::{Value, json};

use super::callers::together;
use super::netd::{Backend, Netd, network_name};
use super::{HOME, INSIDE, Join, Lane};
use crate::ground::{Entrance, Ground};

/// `netd-cni` against a netd with one firewall backend.
#[derive(Debug)]
pub struct NetdCni {
    name: &'static str,
    netd: Netd,
    plugin: Plugin,
}

#[derive(Debug)]
struct Plugin {
    entrance: Entrance,
    program: String,
}

/// What the lane is called.
#[must_use]
pub fn name(backend: Backend) -> &'static str {
    match backend {
        Backend::Nftables => "netd-cni",
        Backend::Iptables => "netd-cni-iptables",
    }
}

impl NetdCni {
    /// A laboratory with a running netd.
    ///
    /// # Errors
    /// When netd cannot be set up.
    pub fn new(backend: Backend) -> Result<Self> {
        let mut netd = Netd::new(backend)?;
        let plugin = Plugin {
            entrance: netd.ground().entrance()?,
            program: program("netd-cni"),
        };
        let name = name(backend);
        Ok(Self { name, netd, plugin })
    }
}

impl Plugin {
    fn call(&self, command: &str, join: &Join) -> Result<Duration> {
        let (id, netns) = (
            format!("c{}", join.container),
            Ground::netns(join.container),
        );
        let environment = [
            ("CNI_COMMAND", command),
            ("CNI_CONTAINERID", &id),
            ("CNI_NETNS", &netns),
            ("CNI_IFNAME", "eth0"),
        ];
        let input = list(join).to_string();
        let (took, _) = self
            .entrance
            .run_with(&[&self.program], &environment, input.as_bytes())?;
        Ok(took)
    }
}

fn list(join: &Join) -> Value {
    let mappings: Vec<Value> = join
        .ports
        .each()
        .map(|port| json!({ "hostPort": port, "containerPort": INSIDE, "protocol": "tcp" }))
        .collect();
    configuration(
        "1.1.0",
        "home",
        &json!({ "network": network_name(HOME), "runtimeConfig": { "portMappings": mappings } }),
    )
}

impl Lane for NetdCni {
    fn name(&self) -> &str {
        self.name
    }

    fn ground(&mut self) -> &mut Ground {
        self.netd.ground()
    }

    fn create(&mut self, _network: u8) -> Result<Duration> {
        bail!("a network is made with its first container")
    }

    fn remove(&mut self, _network: u8) -> Result<Duration> {
        bail!("a network stays when its last container leaves")
    }

    fn attach(&mut self, join: &Join) -> Result<Duration> {
        self.plugin.call("ADD", join)
    }

    fn detach(&mut self, join: &Join) -> Result<Duration> {
        self.plugin.call("DEL", join)
    }

    fn attach_all(&mut self, containers: &[usize], callers: usize) -> Result<Duration> {
        let plugin = &self.plugin;
        let work = |(): &mut (), container| {
            let join = Join::without_ports(container);
            plugin.call("ADD", &join).map(drop)
        };
        together(containers, callers, || Ok(()), work)
    }

    fn port_room(&self) -> u32 {
        1000
    }

    fn room(&self) -> usize {
        100
    }
}
