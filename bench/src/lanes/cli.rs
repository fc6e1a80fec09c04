//! The lane of the command line: a `net` of its own for each step, as a script would do it.

use std::time::Duration;

use anyhow::Result;
use netns_tests::host::SOCKET;
use netns_tests::programs;

use super::netd::{Backend, Netd, container_name, network_name};
use super::{HOME, INSIDE, Join, Lane};
use crate::ground::{Entrance, Ground};

/// `net` against a netd with nftables.
#[derive(Debug)]
pub struct Cli {
    netd: Netd,
    entrance: Entrance,
    program: String,
}

impl Cli {
    /// A laboratory with a running netd.
    ///
    /// # Errors
    /// When netd cannot be set up.
    pub fn new() -> Result<Self> {
        let mut netd = Netd::new(Backend::Nftables)?;
        Ok(Self {
            entrance: netd.ground().entrance()?,
            netd,
            program: programs::built("net").display().to_string(),
        })
    }

    fn net(&self, arguments: &[&str]) -> Result<Duration> {
        let mut argv = vec![self.program.as_str()];
        argv.extend(arguments);
        let environment = [("NETD_HOST", SOCKET)];
        let (took, _) = self.entrance.run_with(&argv, &environment, b"")?;
        Ok(took)
    }
}

impl Lane for Cli {
    fn name(&self) -> &str {
        "net (CLI)"
    }

    fn ground(&mut self) -> &mut Ground {
        self.netd.ground()
    }

    fn create(&mut self, network: u8) -> Result<Duration> {
        self.net(&["create", &network_name(network)])
    }

    fn remove(&mut self, network: u8) -> Result<Duration> {
        self.net(&["rm", &network_name(network)])
    }

    fn attach(&mut self, join: &Join) -> Result<Duration> {
        self.netd.register(join.container)?;
        let name = container_name(join.container);
        let ports: Vec<String> = join
            .ports
            .each()
            .map(|port| format!("{port}:{INSIDE}"))
            .collect();
        let mut arguments = vec!["connect"];
        arguments.extend(ports.iter().flat_map(|port| ["-p", port]));
        let network = network_name(HOME);
        arguments.extend([network.as_str(), &name]);
        self.net(&arguments)
    }

    fn detach(&mut self, join: &Join) -> Result<Duration> {
        let name = container_name(join.container);
        let took = self.net(&["disconnect", &network_name(HOME), &name])?;
        self.netd.client().forget(&name)?;
        Ok(took)
    }

    fn port_room(&self) -> u32 {
        1000
    }

    fn room(&self) -> usize {
        100
    }
}
