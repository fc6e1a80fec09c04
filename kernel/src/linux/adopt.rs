//! From what a caller hands over to an open namespace file and its anchor. Checks that it is a network namespace, that
//! it is not the daemon's own, and that the process it came from is still the same.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use netd_model::container::Anchor;
use netd_model::{NetnsId, Sandbox};
use nix::libc;
use rustix::fs::{CWD, Mode, OFlags, fstatfs, openat};

use super::namespace::identity;
use super::refused;
use super::sandboxes::Sandboxes;
use super::{holders, processes};
use crate::{AdoptError, NetnsHandle};

/// Magic number of the file system of namespace files (linux/magic.h `NSFS_MAGIC`).
const NSFS_MAGIC: u64 = 0x6e73_6673;

/// Opens and pins what `handle` refers to; `own` is the daemon's namespace.
pub(super) fn adopt(
    sandboxes: &Sandboxes,
    own: NetnsId,
    handle: NetnsHandle,
) -> Result<Sandbox, AdoptError> {
    let (NetnsHandle::Process { pid } | NetnsHandle::Descriptor { pid, .. }) = handle;
    let gone = || AdoptError::NoSuchProcess { pid };
    let action = || format!("open the network namespace of process {pid}");
    // From here on the number cannot come to mean another process unnoticed.
    let pidfd = processes::pidfd(pid).map_err(|error| match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => AdoptError::Kernel(refused(action())(error)),
        _ => gone(),
    })?;
    let process = processes::process(pid).ok_or_else(gone)?;
    let file = match handle {
        NetnsHandle::Process { .. } => {
            let opened = open(&holders::namespace_of(pid)).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => gone(),
                _ => AdoptError::Kernel(refused(action())(error)),
            })?;
            opened.ok_or_else(gone)?
        }
        NetnsHandle::Descriptor { fd, .. } => open_descriptor(pid, fd)?,
    };
    if processes::has_ended(&pidfd) {
        return Err(gone());
    }
    let netns = identity(&file).map_err(refused(action()))?;
    if netns == own {
        return Err(AdoptError::OwnNamespace);
    }
    if let Some(known) = sandboxes.known(netns) {
        return Ok(known);
    }
    let anchor = match handle {
        NetnsHandle::Process { .. } => Anchor::Process(process),
        // The caller that passes a descriptor is often gone a moment later; a mount or a process inside stays.
        NetnsHandle::Descriptor { .. } => {
            holders::lasting(&file, netns).unwrap_or(Anchor::Process(process))
        }
    };
    match sandboxes.pin(file, anchor) {
        Ok(sandbox) => Ok(sandbox),
        // setns(2): the file is a namespace, but not of the network.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Err(match handle {
            NetnsHandle::Process { .. } => gone(),
            NetnsHandle::Descriptor { fd, .. } => not_a_namespace(pid, fd),
        }),
        Err(error) => Err(refused(action())(error).into()),
    }
}

/// Pins a sandbox known from before, by its anchor.
pub(super) fn readopt(sandboxes: &Sandboxes, sandbox: &Sandbox) -> Result<(), AdoptError> {
    let Sandbox { netns, anchor, .. } = sandbox;
    if sandboxes.known(*netns).is_some() {
        return Ok(());
    }
    let gone = || AdoptError::Gone {
        netns: *netns,
        anchor: anchor.clone(),
    };
    let file = match anchor {
        Anchor::Path(path) => open_if(path, *netns).ok_or_else(gone)?,
        Anchor::Process(known) => {
            let pidfd = processes::pidfd(known.pid).map_err(|_| gone())?;
            if processes::process(known.pid).as_ref() != Some(known) {
                return Err(gone());
            }
            let file = open_if(&holders::namespace_of(known.pid), *netns)
                .or_else(|| open_if(&holders::has_open(known.pid, *netns)?, *netns))
                .ok_or_else(gone)?;
            if processes::has_ended(&pidfd) {
                return Err(gone());
            }
            file
        }
    };
    sandboxes
        .pin(file, anchor.clone())
        .map(|_| ())
        .map_err(|error| refused(format!("enter network namespace {netns}"))(error).into())
}

/// Opens the namespace file at `path`; `None` if what is there is none.
///
/// First without opening it in earnest (`O_PATH`): to open a pipe may block, and to open a device may do anything.
fn open(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let seen = openat(CWD, path, flags, Mode::empty())?;
    if u64::try_from(fstatfs(&seen)?.f_type) != Ok(NSFS_MAGIC) {
        return Ok(None);
    }
    File::open(format!("/proc/self/fd/{}", seen.as_fd().as_raw_fd())).map(Some)
}

fn open_if(path: &Path, netns: NetnsId) -> Option<File> {
    let file = open(path).ok()??;
    (identity(&file).ok()? == netns).then_some(file)
}

fn open_descriptor(pid: u32, fd: u32) -> Result<File, AdoptError> {
    let path = format!("/proc/{pid}/fd/{fd}");
    match open(Path::new(&path)) {
        Ok(Some(file)) => Ok(file),
        Ok(None) => Err(not_a_namespace(pid, fd)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(AdoptError::NoSuchDescriptor { pid, fd })
        }
        Err(error) => Err(refused(format!("open descriptor {fd} of process {pid}"))(error).into()),
    }
}

fn not_a_namespace(pid: u32, fd: u32) -> AdoptError {
    let target = fs::read_link(format!("/proc/{pid}/fd/{fd}"));
    let found = target.map_or_else(
        |_| "closed by now".to_owned(),
        |target| target.display().to_string(),
    );
    AdoptError::NotANamespace { pid, fd, found }
}
