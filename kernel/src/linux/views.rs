//! Views of /proc in which the parameters of a namespace are found at once.
//!
//! The kernel keeps the directories `net/ipv4` of all namespaces as entries of one name, and compares each with the one
//! that is looked for (`proc_sys_compare`, fs/proc/proc_sysctl.c): among a thousand sandboxes, to find one took a third
//! of a millisecond. Entries belong to an instance of proc, though, and since Linux 5.8 each mount is one. So a few
//! sandboxes share one that nobody else sees: it is mounted nowhere.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

/// Namespaces that are looked for in one view. To make one costs as much as some twenty comparisons for each of these.
const NAMESPACES: usize = 32;

/// The view that the next namespaces are looked for in.
#[derive(Default)]
pub(super) struct Views {
    current: Mutex<Option<(View, usize)>>,
}

/// The root of an instance of proc.
pub(super) type View = Arc<OwnedFd>;

impl Views {
    /// A view for one more namespace; `None` where the kernel makes none, and /proc has to do.
    pub(super) fn next(&self) -> Option<View> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let (view, used) = match current.take() {
            Some((view, used)) if used < NAMESPACES => (view, used),
            _ => match instance() {
                Ok(view) => (Arc::new(view), 0),
                Err(error) => {
                    tracing::debug!(%error, "the kernel gives no view of /proc of one's own");
                    return None;
                }
            },
        };
        *current = Some((Arc::clone(&view), used + 1));
        Some(view)
    }
}

/// A new instance of proc for the pid namespace of the calling thread (fsopen(2), fsmount(2)).
fn instance() -> io::Result<OwnedFd> {
    let configuration = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&configuration)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    Ok(fsmount(
        &configuration,
        FsMountFlags::FSMOUNT_CLOEXEC,
        attributes,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_serves_some_namespaces_and_then_another_does() {
        let views = Views::default();
        let all: Vec<View> = (0..=NAMESPACES).filter_map(|_| views.next()).collect();
        let (first, last) = (&all[0], &all[NAMESPACES]);
        assert!(
            all[..NAMESPACES]
                .iter()
                .all(|view| Arc::ptr_eq(view, first))
        );
        assert!(!Arc::ptr_eq(first, last));
    }
}
