//! Who holds a network namespace, the daemon's own process left out: processes in it, mounts of its file, and open
//! descriptors. Reads /proc; the searches over all processes are for rare events only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use netd_model::container::Anchor;
use netd_model::{NetnsId, Supervisor};
use nix::sys::epoll::EpollFlags;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

use super::namespace::{identity, identity_at};
use super::processes::{parent, pidfd, process};

/// The mounts of the daemon's mount namespace (proc(5)).
pub(super) const MOUNTS: &str = "/proc/self/mountinfo";

/// True if `anchor` holds the namespace now.
pub(super) fn holds(anchor: &Anchor, netns: NetnsId) -> bool {
    match anchor {
        Anchor::Path(path) => identity_at(path).is_ok_and(|there| there == netns),
        Anchor::Process(known) => {
            process(known.pid).as_ref() == Some(known)
                && (is_in(known.pid, netns) || has_open(known.pid, netns).is_some())
        }
    }
}

fn is_in(pid: u32, netns: NetnsId) -> bool {
    identity_at(&namespace_of(pid)).is_ok_and(|there| there == netns)
}

/// The namespace file of a process.
pub(super) fn namespace_of(pid: u32) -> PathBuf {
    format!("/proc/{pid}/ns/net").into()
}

/// A descriptor of the process `pid` that refers to the namespace, as its path in /proc.
pub(super) fn has_open(pid: u32, netns: NetnsId) -> Option<PathBuf> {
    let found = open_in(pid, &BTreeSet::from([netns]));
    found.into_iter().map(|(_, path)| path).next()
}

/// Descriptors of the process `pid` that refer to one of the namespaces.
fn open_in(pid: u32, wanted: &BTreeSet<NetnsId>) -> Vec<(NetnsId, PathBuf)> {
    let Ok(directory) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return Vec::new();
    };
    let refers = |path: PathBuf| {
        let target = fs::read_link(&path).ok()?;
        let target = target.to_str()?;
        // Opened through a mount, a namespace goes by the mount's path. The inode is in fdinfo (Linux 5.14), which can
        // be read without touching the file: it might lie on a server that does not answer.
        let inode = match target.strip_prefix("net:[") {
            Some(rest) => rest.strip_suffix(']')?.parse().ok()?,
            None if target.starts_with('/') => inode_of(pid, &path)?,
            None => return None,
        };
        let netns = *wanted.iter().find(|netns| netns.inode == inode)?;
        (identity_at(&path).ok()? == netns).then_some((netns, path))
    };
    directory
        .flatten()
        .filter_map(|entry| refers(entry.path()))
        .collect()
}

fn inode_of(pid: u32, descriptor: &Path) -> Option<u64> {
    let number = descriptor.file_name()?.to_str()?;
    let text = fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("ino:"))?;
    line.trim().parse().ok()
}

/// Someone who holds the namespace of an open file and is likely to stay: a mount, or a process in it. Quicker than
/// [`find`], and at once if the file was opened through a mount that the daemon sees.
pub(super) fn lasting(file: &File, netns: NetnsId) -> Option<Anchor> {
    if let Some(path) = mount_of(file, netns) {
        return Some(Anchor::Path(path));
    }
    let mut search = Search::of(&BTreeSet::from([netns]));
    search.mounts(Path::new(MOUNTS), Path::new("/"));
    if !search.missing.is_empty() {
        search.processes(&others());
    }
    search.found.remove(&netns)
}

/// The mount through which a namespace was opened, if what is at its path for the daemon is this namespace: of hundreds of
/// mounts, only one need be looked at.
fn mount_of(file: &File, netns: NetnsId) -> Option<PathBuf> {
    // A path, or the namespace's own name if it was opened otherwise (proc(5), /proc/pid/fd).
    let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    // The path comes from another mount namespace, maybe. No link is followed, since its end would go unnoticed, and
    // nothing that is not in memory is asked for: it might lie on a server that does not answer (openat2(2)).
    let only = ResolveFlags::NO_SYMLINKS | ResolveFlags::CACHED;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let absolute = path.is_absolute().then_some(&path)?;
    let there = openat2(CWD, absolute, flags, Mode::empty(), only).ok()?;
    (identity(&there.into()).ok()? == netns).then_some(path)
}

/// For each of the namespaces someone who holds it and can be watched; those that nobody outside the daemon holds are
/// left out. Walks over the processes at most once per kind of holder, however many namespaces are wanted.
pub(super) fn find(wanted: &BTreeSet<NetnsId>) -> BTreeMap<NetnsId, Anchor> {
    let mut search = Search::of(wanted);
    search.mounts(Path::new(MOUNTS), Path::new("/"));
    if search.missing.is_empty() {
        return search.found;
    }
    let others = others();
    search.processes(&others);
    search.mounts_elsewhere(&others);
    search.descriptors(&others);
    search.found
}

/// What [`crate::Kernel::is_held_besides`] promises.
pub(super) fn is_held_besides(netns: NetnsId, besides: &[Supervisor]) -> bool {
    let mut search = Search::of(&BTreeSet::from([netns]));
    search.mounts(Path::new(MOUNTS), Path::new("/"));
    let mut others = others();
    others.retain(|pid| !descends_from(*pid, besides));
    search.processes(&others);
    search.mounts_elsewhere(&others);
    search.descriptors(&others);
    search.missing.is_empty()
}

/// True if a process is one of these, or a child of a child of one.
fn descends_from(pid: u32, ancestors: &[Supervisor]) -> bool {
    let mut next = Some(pid);
    while let Some(pid) = next.filter(|pid| *pid > 1) {
        if process(pid).is_some_and(|process| ancestors.contains(&process)) {
            return true;
        }
        next = parent(pid);
    }
    false
}

/// A search for holders.
struct Search {
    missing: BTreeSet<NetnsId>,
    found: BTreeMap<NetnsId, Anchor>,
}

impl Search {
    fn of(wanted: &BTreeSet<NetnsId>) -> Self {
        Self {
            missing: wanted.clone(),
            found: BTreeMap::new(),
        }
    }

    fn hit(&mut self, netns: NetnsId, anchor: Anchor) {
        if self.missing.remove(&netns) {
            self.found.insert(netns, anchor);
        }
    }

    /// Processes that are in one of the namespaces.
    fn processes(&mut self, others: &[u32]) {
        for pid in others {
            if self.missing.is_empty() {
                return;
            }
            let netns = identity_at(&namespace_of(*pid)).ok();
            if let Some(netns) = netns.filter(|netns| self.missing.contains(netns))
                && let Some(process) = process(*pid)
            {
                self.hit(netns, Anchor::Process(process));
            }
        }
    }

    /// Mounts in the mount namespaces of other processes, as paths through those processes' roots.
    fn mounts_elsewhere(&mut self, others: &[u32]) {
        let mut seen: BTreeSet<PathBuf> = fs::read_link("/proc/self/ns/mnt").into_iter().collect();
        for pid in others {
            if self.missing.is_empty() {
                return;
            }
            if fs::read_link(format!("/proc/{pid}/ns/mnt")).is_ok_and(|other| seen.insert(other)) {
                let root = format!("/proc/{pid}/root");
                self.mounts(
                    Path::new(&format!("/proc/{pid}/mountinfo")),
                    Path::new(&root),
                );
            }
        }
    }

    /// Mounts of namespace files. The fields of a mountinfo (proc(5)): id, parent, device, root, point, options, any
    /// number of tags, a dash, type, source, options. The root of a namespace's mount is its name.
    fn mounts(&mut self, mountinfo: &Path, root: &Path) {
        let text = fs::read_to_string(mountinfo).unwrap_or_default();
        for line in text.lines() {
            let mut fields = line.split(' ').skip(3);
            let (Some(name), Some(point)) = (fields.next(), fields.next()) else {
                continue;
            };
            let Some(netns) = self.missing.iter().find(|netns| netns.to_string() == name) else {
                continue;
            };
            let (netns, point) = (*netns, unescape(point));
            let path = root.join(point.strip_prefix("/").unwrap_or(&point));
            if identity_at(&path).is_ok_and(|there| there == netns) {
                self.hit(netns, Anchor::Path(path));
            }
        }
    }

    /// Processes that have one of the namespaces open.
    fn descriptors(&mut self, others: &[u32]) {
        for pid in others {
            if self.missing.is_empty() {
                return;
            }
            for (netns, _) in open_in(*pid, &self.missing) {
                if let Some(process) = process(*pid) {
                    self.hit(netns, Anchor::Process(process));
                }
            }
        }
    }
}

/// All processes but the daemon's own.
fn others() -> Vec<u32> {
    let own = std::process::id();
    let Ok(directory) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    directory
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != own)
        .collect()
}

/// The process through whose root a path leads, if the mount is not in the daemon's mount namespace.
fn leads_through(path: &Path) -> Option<u32> {
    let rest = path.strip_prefix("/proc").ok()?;
    let mut parts = rest.iter();
    let pid = parts.next()?.to_str()?.parse().ok()?;
    (parts.next()? == "root").then_some(pid)
}

/// The kernel writes blanks and backslashes of a path as three octal digits.
fn unescape(field: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let octal = (*byte == b'\\')
            .then(|| std::str::from_utf8(behind.get(..3)?).ok())
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal {
            Some(octal) => {
                bytes.push(octal);
                rest = &behind[3..];
            }
            None => {
                bytes.push(*byte);
                rest = behind;
            }
        }
    }
    std::ffi::OsString::from_vec(bytes).into()
}

/// Descriptors that tell when `anchor` may have gone, each with the condition to wait for. Mounts in the daemon's own
/// mount namespace have none of their own: one watch of [`MOUNTS`] serves them all.
pub(super) fn alarms(anchor: &Anchor) -> io::Result<Vec<(OwnedFd, EpollFlags)>> {
    match anchor {
        Anchor::Process(process) => Ok(vec![(pidfd(process.pid)?, EpollFlags::EPOLLIN)]),
        Anchor::Path(path) => match leads_through(path) {
            None => Ok(Vec::new()),
            Some(pid) => {
                let mounts = File::open(format!("/proc/{pid}/mountinfo"))?;
                Ok(vec![
                    (pidfd(pid)?, EpollFlags::EPOLLIN),
                    (mounts.into(), EpollFlags::EPOLLPRI),
                ])
            }
        },
    }
}
