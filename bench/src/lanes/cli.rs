//! The lane of the command line: a `net` of its own for each step, as a script would do it.

use std::time::Duration;

use anyhow::Result;
use netns_tests::host::SOCKET;
use netns_tests::programs;

use super::netd::{Backend, Netd, container_name, network_name};
use super::{HOME, Lane};
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

    fn attach(&mut self, container: usize) -> Result<Duration> {
        self.netd.register(container)?;
        self.net(&["connect", &network_name(HOME), &container_name(container)])
    }

    fn detach(&mut self, container: usize) -> Result<Duration> {
        let took = self.net(&[
            "disconnect",
            &network_name(HOME),
            &container_name(container),
        ])?;
        self.netd.client().forget(&container_name(container))?;
        Ok(took)
    }
}
