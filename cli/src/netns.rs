//! Files that stand for network namespaces, opened without being led astray.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{FsType, fstatfs};

/// File system of namespace files (linux/magic.h `NSFS_MAGIC`).
const NSFS: FsType = FsType(0x6e73_6673);

/// Why a file does not stand for a namespace.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// It cannot be opened.
    #[error("cannot open the namespace {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What open(2) said.
        source: io::Error,
    },
    /// It is something else.
    #[error(
        "{} is no network namespace; give a file such as /run/netns/NAME or /proc/PID/ns/net, or pid:N",
        path.display()
    )]
    NotOne {
        /// The file.
        path: PathBuf,
    },
}

/// Opens a namespace by its file. Which kind of namespace it is, the daemon looks at itself.
///
/// # Errors
/// [`OpenError`] with the path.
pub(crate) fn open(path: &Path) -> Result<File, OpenError> {
    let refused = |source| OpenError::Open {
        path: path.to_owned(),
        source,
    };
    // To open a pipe that nobody writes to would wait for ever.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path)
        .map_err(refused)?;
    let there = fstatfs(&file).map_err(|errno| refused(errno.into()))?;
    match there.filesystem_type() {
        NSFS => Ok(file),
        _ => Err(OpenError::NotOne {
            path: path.to_owned(),
        }),
    }
}
