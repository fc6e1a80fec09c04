//! `net exec`: becomes a command inside a container.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use netd_api::{Client, ContainerView};
use nix::sched::CloneFlags;

use super::args::ExecArgs;
use super::failure::{BEFORE_COMMAND, Failure};
use super::namespace::{self, Bindings, Held, NamespaceError};
use super::{run, target};

/// Enters the container and executes the command. Returns only if that failed.
pub(super) fn exec(client: &Client, args: &ExecArgs) -> Result<u8, Failure> {
    enter(client, &args.container).map_err(Failure::before_command)?;
    let (program, arguments) = run::program(&args.command)?;
    let error = Command::new(program)
        .args(arguments)
        .envs(args.env.iter().map(|(key, value)| (key, value)))
        .exec();
    Err(run::not_started(program, &error))
}

fn enter(client: &Client, container: &str) -> Result<(), Failure> {
    let container = target::known(client, container)?;
    let view = client.container(&container)?;
    let refuse = |why: String| Failure::Command {
        code: BEFORE_COMMAND,
        sentence: why,
    };
    let directory = std::env::current_dir();
    match (view.ended.is_none().then_some(view.pid), &view.netns_path) {
        (None, _) => {
            let advice = match view.shared_with.first() {
                Some(other) => format!("{other} is in its network: net exec {other}"),
                None => "run it again, or see `net ps`".to_owned(),
            };
            Err(refuse(format!(
                "container {} has ended; {advice}",
                view.name
            )))
        }
        (Some(Some(pid)), _) => {
            let held = hold(pid).map_err(|error| refuse(error.to_string()))?;
            // The number may have passed to another process before its namespaces were held: the daemon knows.
            let again = client.container(&container)?;
            if again.id != view.id || again.pid != Some(pid) || again.ended.is_some() {
                return Err(refuse(format!("container {} has just ended", view.name)));
            }
            held.enter(&view).map_err(|error| refuse(error.to_string()))
        }
        (Some(None), Some(path)) => Held::open(path)
            .and_then(|netns| enter_network(&netns, &view))
            .map_err(|error| refuse(error.to_string())),
        (Some(None), None) => Err(refuse(format!(
            "netd keeps neither a process nor a path of container {}; there is nothing to enter",
            view.name
        ))),
    }?;
    // Entering a mount namespace leaves one at its root directory.
    if let Ok(directory) = directory {
        let _ = std::env::set_current_dir(directory);
    }
    Ok(())
}

/// The namespaces of a container's process, held open.
struct Namespaces {
    net: Held,
    uts: Held,
    mnt: Held,
    is_of_this_host: bool,
}

fn hold(pid: u32) -> Result<Namespaces, NamespaceError> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let open = |kind: &str| Held::open(&process.join("ns").join(kind));
    let identity = |root: &Path| std::fs::metadata(root).map(|at| (at.dev(), at.ino())).ok();
    Ok(Namespaces {
        net: open("net")?,
        uts: open("uts")?,
        mnt: open("mnt")?,
        is_of_this_host: identity(&process.join("root")) == identity(Path::new("/")),
    })
}

impl Namespaces {
    /// A container with the host's files is entered wholly. Of one with an image only the network is entered, since
    /// the command is the host's.
    fn enter(&self, view: &ContainerView) -> Result<(), NamespaceError> {
        if !self.is_of_this_host {
            return enter_network(&self.net, view);
        }
        self.net.enter(CloneFlags::CLONE_NEWNET)?;
        self.uts.enter(CloneFlags::CLONE_NEWUTS)?;
        self.mnt.enter(CloneFlags::CLONE_NEWNS)
    }
}

/// Enters a network namespace alone, with a /sys and an /etc that fit it.
fn enter_network(netns: &Held, view: &ContainerView) -> Result<(), NamespaceError> {
    netns.enter(CloneFlags::CLONE_NEWNET)?;
    namespace::make(CloneFlags::CLONE_NEWNS)?;
    namespace::isolate_mounts()?;
    namespace::mount_sysfs()?;
    Bindings::make(&view.files).map(drop)
}
