//! Docker's own command line, as it comes from Debian, talking to a host's netd.
//!
//! Must not know what is asked of netd.

use std::path::PathBuf;

use crate::host::SOCKET;
use crate::process::{Background, Ran};
use crate::unpacked::Unpacked;
use crate::{Host, OrFail};

/// A folder for the client's own files, so that nobody's settings matter.
const SETTINGS: &str = "/run/lab/docker";

/// The client from Debian's package, or the one that `NETNS_DOCKER` names: the tests hold for newer ones as well.
///
/// # Panics
/// With the way to get it, when it is not there.
#[must_use]
pub fn client() -> PathBuf {
    if let Some(named) = std::env::var_os("NETNS_DOCKER") {
        return named.into();
    }
    let engines = Unpacked::of_build().or_fail("find what was unpacked");
    let client = engines.program("docker");
    client.or_fail("client of Docker: run `cargo xtask setup`")
}

impl Host {
    /// Runs `docker` against this host's daemon.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn docker(&self, args: &[&str]) -> Ran {
        self.docker_as("", args)
    }

    /// Runs `docker` as a client of one version of the interface; the empty one lets client and daemon settle it.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn docker_as(&self, version: &str, args: &[&str]) -> Ran {
        let program = client().display().to_string();
        let mut argv = vec![program.as_str()];
        argv.extend(args);
        let address = format!("unix://{SOCKET}");
        let mut ran = self.exec_with(&argv, &environment(&address, version), b"");
        ran.line = format!("[{}] docker {}", self.name(), args.join(" "));
        ran
    }

    /// Starts `docker` in the background; what it prints goes to `log`, a file below /run.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn docker_in_background(&self, args: &[&str], log: &str) -> Background {
        let program = client().display().to_string();
        let mut argv = vec![program.as_str()];
        argv.extend(args);
        let address = format!("unix://{SOCKET}");
        self.spawn(&argv, &environment(&address, ""), log)
    }
}

fn environment<'a>(address: &'a str, version: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut environment = vec![("DOCKER_HOST", address), ("DOCKER_CONFIG", SETTINGS)];
    if !version.is_empty() {
        environment.push(("DOCKER_API_VERSION", version));
    }
    environment
}
