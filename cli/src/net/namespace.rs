//! This process's own namespaces: making new ones, entering those of others, and what belongs mounted in them.
//!
//! The only part of `net` that touches the kernel, and only for the process it runs in. Called while the process has one
//! thread: setns(2) refuses a mount namespace to a process with more.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use netd_api::container::ContainerFiles;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

/// What could not be done to a namespace.
#[derive(Debug, thiserror::Error)]
pub(super) enum NamespaceError {
    #[error(
        "making or entering namespaces takes CAP_SYS_ADMIN, which this process lacks; run it as root, as with `sudo net ...`"
    )]
    NotPermitted,
    #[error("cannot {action}: {source}")]
    Failed {
        action: String,
        #[source]
        source: io::Error,
    },
}

fn failed(action: &str) -> impl Fn(Errno) -> NamespaceError + '_ {
    move |errno| match errno {
        Errno::EPERM => NamespaceError::NotPermitted,
        errno => NamespaceError::Failed {
            action: action.to_owned(),
            source: errno.into(),
        },
    }
}

/// A namespace of another process or file, held open.
#[derive(Debug)]
pub(super) struct Held {
    file: File,
    path: PathBuf,
}

impl Held {
    /// Opens the namespace that `path` is.
    pub(super) fn open(path: &Path) -> Result<Self, NamespaceError> {
        let file = File::open(path).map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => NamespaceError::NotPermitted,
            _ => NamespaceError::Failed {
                action: format!("open the namespace {}", path.display()),
                source,
            },
        })?;
        let path = path.to_owned();
        Ok(Self { file, path })
    }

    /// True if it is the network namespace that this process is in.
    pub(super) fn is_own_network(&self) -> bool {
        let identity = |at: fs::Metadata| (at.dev(), at.ino());
        let own = fs::metadata("/proc/self/ns/net").map(identity).ok();
        own.is_some() && self.file.metadata().map(identity).ok() == own
    }

    /// Moves this process into it; it has to be one of `kind`.
    pub(super) fn enter(&self, kind: CloneFlags) -> Result<(), NamespaceError> {
        let action = format!("enter the namespace {}", self.path.display());
        setns(self.file.as_fd(), kind).map_err(failed(&action))
    }
}

/// Gives this process new namespaces of these kinds.
pub(super) fn make(kinds: CloneFlags) -> Result<(), NamespaceError> {
    unshare(kinds).map_err(failed("make namespaces"))
}

/// Keeps mounts of this new mount namespace from the host.
///
/// As slaves, not as private ones: what the host unmounts goes away here too, so that no container keeps a disk busy.
pub(super) fn isolate_mounts() -> Result<(), NamespaceError> {
    let flags = MsFlags::MS_SLAVE | MsFlags::MS_REC;
    mount(None::<&CStr>, "/", None::<&CStr>, flags, None::<&CStr>)
        .map_err(failed("keep mounts from the host"))
}

/// Mounts /sys anew: what is below /sys/class/net belongs to the namespace of who mounted it. The cgroups of the old
/// one are kept.
pub(super) fn mount_sysfs() -> Result<(), NamespaceError> {
    let cgroups = File::open("/sys/fs/cgroup").ok();
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("sysfs"), "/sys", Some("sysfs"), flags, None::<&CStr>)
        .map_err(failed("mount a new /sys"))?;
    if let Some(old) = cgroups {
        let old = format!("/proc/self/fd/{}", old.as_raw_fd());
        let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(
            Some(old.as_str()),
            "/sys/fs/cgroup",
            None::<&CStr>,
            flags,
            None::<&CStr>,
        )
        .map_err(failed("keep /sys/fs/cgroup"))?;
    }
    Ok(())
}

/// Files bound over those in /etc.
#[derive(Debug)]
pub(super) struct Bindings(Vec<Binding>);

#[derive(Debug)]
struct Binding {
    source: PathBuf,
    target: &'static str,
}

impl Bindings {
    /// Binds a container's files over /etc/hosts, /etc/resolv.conf and /etc/hostname.
    ///
    /// A target that is a symbolic link, as resolv.conf often is, is followed; one that the host does not have is left
    /// out, since making it would make it on the host.
    pub(super) fn make(files: &ContainerFiles) -> Result<Self, NamespaceError> {
        let binding = |source: &PathBuf, target| Binding {
            source: source.clone(),
            target,
        };
        let mut bindings = vec![
            binding(&files.hosts, "/etc/hosts"),
            binding(&files.resolv_conf, "/etc/resolv.conf"),
            binding(&files.hostname, "/etc/hostname"),
        ];
        bindings.retain(|binding| !binding.source.as_os_str().is_empty());
        for binding in &bindings {
            binding.make()?;
        }
        Ok(Self(bindings))
    }

    /// Binds again what came loose, and tells whether all is bound now.
    ///
    /// When the host replaces a file by rename(2), as editors and resolvconf do, the kernel takes away whatever other
    /// namespaces had mounted on the old one (`detach_mounts`, fs/namespace.c); containers would see the host's names.
    pub(super) fn repair(&self) -> bool {
        let whole = |binding: &Binding| {
            binding.is_bound() || (binding.make().is_ok() && binding.is_bound())
        };
        // Each is tried, also after one that failed.
        self.0.iter().filter(|binding| !whole(binding)).count() == 0
    }
}

impl Binding {
    fn is_bound(&self) -> bool {
        let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
        let (source, target) = (identity(&self.source), identity(Path::new(self.target)));
        // Without a source there is nothing to bind: the daemon has forgotten the container.
        source.is_none() || source == target
    }

    fn make(&self) -> Result<(), NamespaceError> {
        let Ok(target) = fs::canonicalize(self.target) else {
            return Ok(());
        };
        let action = format!("bind {} over {}", self.source.display(), target.display());
        mount(
            Some(&self.source),
            &target,
            None::<&CStr>,
            MsFlags::MS_BIND,
            None::<&CStr>,
        )
        .map_err(failed(&action))
    }
}
