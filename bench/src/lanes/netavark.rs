//! The lane of netavark, Podman's network program: a process for each step, as Podman calls it.
//!
//! It chooses no addresses (Podman does) and keeps no networks: those are made with their first container.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Result, bail};
use netns_tests::HostOptions;
use serde_json::{Value, json};

use super::callers::together;
use super::{INSIDE, Join, Lane};
use crate::ground::{Entrance, Ground};
use crate::peers::Engine;

/// Where it keeps what it has to remember, inside the machine.
const STATE: &str = "/run/netavark";

/// netavark, called for each step.
#[derive(Debug)]
pub struct Netavark {
    ground: Ground,
    program: Program,
}

#[derive(Debug)]
struct Program {
    entrance: Entrance,
    engine: Engine,
}

impl Netavark {
    /// A laboratory; nothing runs.
    ///
    /// # Errors
    /// When the machine is gone at once.
    pub fn new(engine: Engine) -> Result<Self> {
        let ground = Ground::new(HostOptions::default());
        let _ = ground.lab.h1.sh(&format!("mkdir -p {STATE}")).ok();
        let program = Program {
            entrance: ground.entrance()?,
            engine,
        };
        Ok(Self { ground, program })
    }
}

impl Program {
    fn call(&self, word: &str, join: &Join) -> Result<Duration> {
        let request = request(join).to_string();
        let program = self.engine.program.display().to_string();
        let netns = Ground::netns(join.container);
        let argv = [program.as_str(), "--config", STATE, word, &netns];
        let environment = self.engine.variables();
        let (took, _) = self
            .entrance
            .run_with(&argv, &environment, request.as_bytes())?;
        Ok(took)
    }
}

fn request(join: &Join) -> Value {
    let mappings: Vec<Value> = join
        .ports
        .each()
        .map(|port| {
            json!({ "container_port": INSIDE, "host_ip": "", "host_port": port, "protocol": "tcp", "range": 1 })
        })
        .collect();
    json!({
        "container_id": format!("{:064x}", join.container + 1),
        "container_name": format!("c{}", join.container),
        "port_mappings": mappings,
        "networks": { "n0": { "interface_name": "eth0", "static_ips": [address(join.container)] } },
        "network_info": { "n0": {
            "name": "n0", "id": format!("{:064x}", 1), "driver": "bridge", "network_interface": "podman0",
            "subnets": [{ "subnet": "10.200.0.0/16", "gateway": "10.200.0.1" }],
            "ipv6_enabled": false, "internal": false, "dns_enabled": false,
            "ipam_options": { "driver": "host-local" }, "options": {},
            "created": "2020-01-01T00:00:00Z",
        } },
    })
}

/// 10.200.1.0 and on.
fn address(container: usize) -> Ipv4Addr {
    let offset = u32::try_from(container).unwrap_or(u32::MAX) & 0xefff;
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 200, 1, 0)) + offset)
}

impl Lane for Netavark {
    fn name(&self) -> &str {
        "netavark"
    }

    fn ground(&mut self) -> &mut Ground {
        &mut self.ground
    }

    fn create(&mut self, _network: u8) -> Result<Duration> {
        bail!("a network is made with its first container")
    }

    fn remove(&mut self, _network: u8) -> Result<Duration> {
        bail!("a network goes with its last container")
    }

    fn attach(&mut self, join: &Join) -> Result<Duration> {
        self.program.call("setup", join)
    }

    fn detach(&mut self, join: &Join) -> Result<Duration> {
        self.program.call("teardown", join)
    }

    fn attach_all(&mut self, containers: &[usize], callers: usize) -> Result<Duration> {
        let program = &self.program;
        let work = |(): &mut (), container| {
            program
                .call("setup", &Join::without_ports(container))
                .map(drop)
        };
        together(containers, callers, || Ok(()), work)
    }

    fn room(&self) -> usize {
        100
    }

    fn port_room(&self) -> u32 {
        100
    }

    fn address(&mut self, container: usize) -> Result<Ipv4Addr> {
        Ok(address(container))
    }

    /// Its bridge comes with the first container and goes with the last.
    fn settle(&mut self, links: usize) -> Result<()> {
        self.ground.settle(links + 1)
    }
}
