//! From a call to the daemon's words.

use std::fs::File;
use std::os::fd::AsRawFd;

use netd_api::{AttachRequest, IfName, Netns, NewIdentity, RuntimeId, RuntimeKey};

use super::config::Config;
use super::environment::Arguments;
use super::input::Input;
use crate::handover::called;

/// What the daemon knows this attachment by.
pub(super) fn key(input: &Input, (container, interface): (RuntimeId, IfName)) -> RuntimeKey {
    RuntimeKey {
        network: input.name.clone(),
        container,
        interface,
    }
}

/// The wish to connect. Valid as long as `netns` is open.
pub(super) fn attach(
    key: &RuntimeKey,
    config: &Config,
    arguments: &Arguments,
    netns: &File,
) -> AttachRequest {
    AttachRequest {
        key: key.clone(),
        netns: Netns {
            pid: std::process::id(),
            fd: u32::try_from(netns.as_raw_fd()).ok(),
        },
        network: config.network.clone(),
        container: identity(&key.container, config, arguments),
        ips: config.ips.clone(),
        mac: config.mac,
        aliases: config.aliases.clone(),
        rates: config.rates,
        ports: config.ports.clone(),
        routes: config.routes.clone(),
    }
}

fn identity(runtime_id: &RuntimeId, config: &Config, arguments: &Arguments) -> NewIdentity {
    let (id, name) = called(runtime_id);
    let hostname = arguments.pod.as_ref().and_then(|pod| pod.parse().ok());
    NewIdentity {
        id,
        name,
        hostname,
        dns: config.dns.settings(),
        labels: config.labels.clone(),
    }
}
