//! Puts netd's files of a container over those in its /etc, before the runtime makes its root the root.
//!
//! At createRuntime both runc and crun have mounted everything of config.json in the container's mount namespace and have
//! not changed the root yet, so the host's files and the container's root are both reached there. What is bound is
//! netd's own file, which the daemon keeps true in place; a copy in the bundle would be true once.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use netd_api::container::ContainerFiles;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat, stat};

use super::bundle::Bundle;
use super::process::Process;

/// How many symbolic links are followed to a file that is not there yet (path_resolution(7) has the same bound).
const MAX_LINKS: u8 = 40;

/// Why a file is not in the container's /etc.
#[derive(Debug, thiserror::Error)]
pub(super) enum BindError {
    /// The container has the mounts of the host.
    #[error(
        "the container has no mount namespace of its own, so its /etc cannot have files of netd: give {{\"type\": \"mount\"}} in linux.namespaces of config.json"
    )]
    SharedMounts,
    /// The container's mounts cannot be reached.
    #[error("cannot enter the mount namespace of the container: {0}")]
    Enter(#[source] io::Error),
    /// A file cannot be bound.
    #[error("cannot bind {} over {target} in the root {}: {source}", from.display(), root.display())]
    Bind {
        /// netd's file.
        from: PathBuf,
        /// The file in the container.
        target: &'static str,
        /// The container's root.
        root: PathBuf,
        /// What the system said.
        source: Errno,
    },
}

/// Binds the files, but where config.json itself mounts something.
///
/// Symbolic links are followed within the container's root only, whatever they say, and a file that is not there is made:
/// a root is somebody else's making.
pub(super) fn bind(
    process: &Process,
    bundle: &Bundle,
    files: &ContainerFiles,
) -> Result<(), BindError> {
    let enter = |source| BindError::Enter(source);
    let is_own = process.shares("mnt");
    if is_own.map_err(|error| enter(io::Error::other(error)))? {
        return Err(BindError::SharedMounts);
    }
    let mounts = File::open(process.namespace("mnt")).map_err(enter)?;
    let bindings: Vec<_> = [
        (&files.hosts, "/etc/hosts"),
        (&files.resolv_conf, "/etc/resolv.conf"),
        (&files.hostname, "/etc/hostname"),
    ]
    .into_iter()
    .filter(|(from, target)| !from.as_os_str().is_empty() && !bundle.mounts(target))
    .map(|(from, target)| (from.clone(), target))
    .collect();
    let root = bundle.root.clone();
    // A thread that enters a namespace never comes back: it ends.
    let inside = std::thread::spawn(move || {
        // setns(2) wants a root and working directory that are shared with no other thread.
        unshare(CloneFlags::CLONE_FS)
            .and_then(|()| setns(&mounts, CloneFlags::CLONE_NEWNS))
            .map_err(|errno| BindError::Enter(errno.into()))?;
        bindings
            .into_iter()
            .try_for_each(|(from, target)| bind_one(&root, &from, target))
    });
    match inside.join() {
        Ok(bound) => bound,
        Err(_) => Err(enter(io::Error::other("its thread panicked"))),
    }
}

fn bind_one(root: &Path, from: &Path, target: &'static str) -> Result<(), BindError> {
    let done = (|| {
        let folder = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let inside = nix::fcntl::open(root, folder, Mode::empty())?;
        let place = place(inside.as_fd(), Path::new(target), MAX_LINKS)?;
        let (there, ours) = (fstat(&place)?, stat(from)?);
        if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino) {
            return Ok(());
        }
        let over = format!("/proc/self/fd/{}", place.as_raw_fd());
        let none = None::<&Path>;
        mount(Some(from), over.as_str(), none, MsFlags::MS_BIND, none)
    })();
    done.map_err(|source| BindError::Bind {
        from: from.to_owned(),
        target,
        root: root.to_owned(),
        source,
    })
}

/// Opens what `path` means inside of `root`, as if that were the root already (openat2(2), `RESOLVE_IN_ROOT`).
fn open_in(root: BorrowedFd<'_>, path: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(flags | OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(root, path, how)
}

/// The file to bind over, made if it is not there.
fn place(root: BorrowedFd<'_>, path: &Path, links: u8) -> nix::Result<OwnedFd> {
    match open_in(root, path, OFlag::empty()) {
        Ok(file) if is_file(&file)? => return Ok(file),
        // Of directories and devices only a mount of their own kind can be made.
        Ok(_) => return Err(Errno::EINVAL),
        Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno),
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::EINVAL);
    };
    let folder = folder(root, parent)?;
    let new = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    match openat(&folder, name, new, Mode::from_bits_truncate(0o644)) {
        Ok(_) => open_in(root, path, OFlag::empty()),
        // A link to a file that is not there, as Debian's to that of systemd-resolved.
        Err(Errno::EEXIST) if links > 0 => {
            let aim = PathBuf::from(readlinkat(&folder, name)?);
            place(root, &parent.join(aim), links - 1)
        }
        Err(Errno::EEXIST) => Err(Errno::ELOOP),
        Err(errno) => Err(errno),
    }
}

fn is_file(file: &OwnedFd) -> nix::Result<bool> {
    let kind = fstat(file)?.st_mode & SFlag::S_IFMT.bits();
    Ok(kind == SFlag::S_IFREG.bits())
}

/// A folder, made with all above it if it is not there.
fn folder(root: BorrowedFd<'_>, path: &Path) -> nix::Result<OwnedFd> {
    let mut way = PathBuf::from("/");
    let mut at = open_in(root, &way, OFlag::O_DIRECTORY)?;
    for part in path.components() {
        way.push(part);
        let next = open_in(root, &way, OFlag::O_DIRECTORY);
        at = match (next, part) {
            (Err(Errno::ENOENT), Component::Normal(name)) => {
                mkdirat(&at, name, Mode::from_bits_truncate(0o755))?;
                open_in(root, &way, OFlag::O_DIRECTORY)?
            }
            (next, _) => next?,
        };
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// What is bound over for /etc/resolv.conf, as a path of the host below the root.
    fn placed(prepare: impl FnOnce(&Path)) -> nix::Result<PathBuf> {
        let top = tempfile::tempdir().unwrap();
        let root = top.path().join("rootfs");
        fs::create_dir(&root).unwrap();
        prepare(&root);
        let inside = File::open(&root).unwrap();
        let file = place(inside.as_fd(), Path::new("/etc/resolv.conf"), MAX_LINKS)?;
        let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
        let root = root.canonicalize().unwrap();
        Ok(path.strip_prefix(root).unwrap().to_owned())
    }

    #[test]
    fn a_file_that_is_not_there_is_made() {
        assert_eq!(placed(|_| {}).unwrap(), Path::new("etc/resolv.conf"));
        let there = |root: &Path| {
            fs::create_dir(root.join("etc")).unwrap();
            fs::write(root.join("etc/resolv.conf"), "x").unwrap();
        };
        assert_eq!(placed(there).unwrap(), Path::new("etc/resolv.conf"));
    }

    #[test]
    fn links_do_not_lead_out_of_the_root() {
        for (aim, expected) in [
            (
                "../run/systemd/resolve/stub-resolv.conf",
                "run/systemd/resolve/stub-resolv.conf",
            ),
            ("../../../../../../secret", "secret"),
            ("/secret", "secret"),
            ("/etc/../../secret", "secret"),
            ("other", "etc/other"),
        ] {
            let there = |root: &Path| {
                fs::write(root.parent().unwrap().join("secret"), "host's").unwrap();
                fs::create_dir(root.join("etc")).unwrap();
                symlink(aim, root.join("etc/resolv.conf")).unwrap();
            };
            assert_eq!(placed(there).unwrap(), Path::new(expected), "{aim}");
        }
        let etc_is_a_link = |root: &Path| symlink("/../../usr/etc", root.join("etc")).unwrap();
        assert_eq!(placed(etc_is_a_link).unwrap_err(), Errno::EEXIST);
    }

    #[test]
    fn what_cannot_be_bound_over_is_refused() {
        let is_folder = |root: &Path| fs::create_dir_all(root.join("etc/resolv.conf")).unwrap();
        assert_eq!(placed(is_folder).unwrap_err(), Errno::EINVAL);
        let goes_round = |root: &Path| {
            fs::create_dir(root.join("etc")).unwrap();
            symlink("resolv.conf", root.join("etc/resolv.conf")).unwrap();
        };
        assert_eq!(placed(goes_round).unwrap_err(), Errno::ELOOP);
        let is_no_folder = |root: &Path| fs::write(root.join("etc"), "").unwrap();
        assert_eq!(placed(is_no_folder).unwrap_err(), Errno::ENOTDIR);
    }
}
