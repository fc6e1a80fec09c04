//! Which namespaces a command gets. Knows the modes of `--network`; asks the daemon only whose namespace to share.

use std::path::PathBuf;

use netd_api::{Client, ContainerName, ContainerView};
use nix::sched::CloneFlags;

use crate::net::failure::Failure;
use crate::net::namespace::{self, Held};
use crate::net::run::before;

/// Whose network namespace the command runs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// A new one.
    Private,
    /// The one that `net` was started in.
    Host,
    /// That of a container, by name or id.
    Container(String),
}

impl Mode {
    /// Reads `--network`. A network's name, `none` and `default` all mean a new namespace.
    pub(super) fn of(network: Option<&str>) -> Self {
        match network {
            Some("host") => Self::Host,
            Some(network) => match network.strip_prefix("container:") {
                Some(container) => Self::Container(container.to_owned()),
                None => Self::Private,
            },
            None => Self::Private,
        }
    }
}

/// Moves this process into the namespaces of `mode`. A host-mode container keeps the host's name unless it is given one.
pub(super) fn enter(mode: &Mode, client: &Client, has_hostname: bool) -> Result<(), Failure> {
    let mut kinds = CloneFlags::CLONE_NEWNS;
    if has_hostname || *mode != Mode::Host {
        kinds |= CloneFlags::CLONE_NEWUTS;
    }
    let mut is_hosts = *mode == Mode::Host;
    match mode {
        Mode::Private => kinds |= CloneFlags::CLONE_NEWNET,
        Mode::Host => {}
        Mode::Container(container) => {
            let held = shared(client, container)?;
            // A container of the host's network shares that.
            is_hosts = held.is_own_network();
            held.enter(CloneFlags::CLONE_NEWNET)
                .map_err(|error| before(&error))?;
        }
    }
    namespace::make(kinds)
        .and_then(|()| namespace::isolate_mounts())
        .and_then(|()| match is_hosts {
            true => Ok(()),
            false => namespace::mount_sysfs(),
        })
        .map_err(|error| before(&error))
}

/// Moves this process from its new network namespace into the one that others keep for the container of this name.
pub(super) fn return_to(client: &Client, name: Option<&ContainerName>) -> Result<(), Failure> {
    let Some(name) = name else { return Ok(()) };
    let view = client.container(name.as_str())?;
    let path = match (view.pid, &view.netns_path) {
        _ if view.shared_with.is_empty() => return Ok(()),
        (Some(pid), _) => PathBuf::from(format!("/proc/{pid}/ns/net")),
        (None, Some(path)) => path.clone(),
        (None, None) => return Ok(()),
    };
    // Who kept it may have ended just now. Whether this is the right one, the daemon sees.
    let Ok(held) = Held::open(&path) else {
        return Ok(());
    };
    if held.is_own_network() {
        return Ok(());
    }
    held.enter(CloneFlags::CLONE_NEWNET)
        .and_then(|()| namespace::mount_sysfs())
        .map_err(|error| before(&error))
}

/// The network namespace of a running container, held open.
fn shared(client: &Client, container: &str) -> Result<Held, Failure> {
    let refuse = |view: &ContainerView| {
        if view.namespace == "docker" {
            let advice = "share it with `docker run --network container:...`";
            return before(&format!(
                "the namespace of {} is that of Docker's engine; {advice}",
                view.name
            ));
        }
        let advice = match view.shared_with.first() {
            Some(other) => format!("its network is kept by {other}: give container:{other}"),
            None => "start it, or name another after container:".to_owned(),
        };
        before(&format!("container {} does not run; {advice}", view.name))
    };
    let view = client.container(container)?;
    if view.ended.is_some() {
        return Err(refuse(&view));
    }
    let path = match (view.pid, &view.netns_path) {
        (Some(pid), _) => format!("/proc/{pid}/ns/net").into(),
        (None, Some(path)) => path.clone(),
        (None, None) => return Err(refuse(&view)),
    };
    let held = Held::open(&path).map_err(|error| before(&error))?;
    // The process may have ended, and its number passed on, before the namespace was held.
    let again = client.container(container)?;
    if again.id != view.id || again.pid != view.pid || again.ended.is_some() {
        return Err(refuse(&again));
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_is_read_from_the_network() {
        for name in [
            None,
            Some("bridge"),
            Some("none"),
            Some("default"),
            Some("hosts"),
        ] {
            assert_eq!(Mode::of(name), Mode::Private, "{name:?}");
        }
        assert_eq!(Mode::of(Some("host")), Mode::Host);
        assert_eq!(
            Mode::of(Some("container:web")),
            Mode::Container("web".to_owned())
        );
    }
}
