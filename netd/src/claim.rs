//! One daemon for one network namespace: two would take each other's firewall rules away, again and again.
//!
//! The claim is an abstract Unix socket (unix(7)): its name belongs to the network namespace, whatever directories its
//! owner sees, and is free again the instant that owner ends, however it does. Knows nothing of the data root or the
//! interface's socket, which may differ.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket};
use std::os::fd::AsRawFd;

/// Name of the socket, without the NUL that makes it abstract.
const NAME: &[u8] = b"netd-serves-this-namespace";

/// The namespace is this daemon's as long as this value lives.
#[derive(Debug)]
pub(crate) struct Claim {
    _listener: Option<UnixListener>,
}

/// The namespace cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClaimError {
    /// Another daemon serves it.
    #[error(
        "another netd (pid {pid}) serves network namespace {namespace} already; stop that one, or start this one in a namespace of its own, as with `unshare -n`"
    )]
    Taken {
        /// The other daemon, as seen from this one's process namespace.
        pid: i32,
        /// The namespace, such as `net:[4026531840]`.
        namespace: String,
    },
    /// A system call failed.
    #[error("cannot claim the network namespace: {0}")]
    Os(#[from] io::Error),
}

/// Claims the calling process' network namespace.
///
/// A name that a process of another user holds is no netd's: anybody may take it, so that keeps nobody from starting,
/// and is told as a warning.
///
/// # Errors
/// [`ClaimError::Taken`] names the daemon that has it.
pub(crate) fn claim() -> Result<Claim, ClaimError> {
    match bind() {
        Ok(listener) => Ok(held(Some(listener))),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => stand_back(),
        Err(error) => Err(error.into()),
    }
}

fn bind() -> io::Result<UnixListener> {
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(NAME)?)
}

fn held(listener: Option<UnixListener>) -> Claim {
    Claim {
        _listener: listener,
    }
}

fn stand_back() -> Result<Claim, ClaimError> {
    match holder() {
        Ok((uid, pid)) if uid == nix::unistd::geteuid().as_raw() => Err(ClaimError::Taken {
            pid,
            namespace: namespace(),
        }),
        Ok((uid, pid)) => {
            tracing::warn!(
                uid,
                pid,
                "a process of another user has the name of netd's claim on this network namespace; a second netd here would go unnoticed"
            );
            Ok(held(None))
        }
        // Ended between the two calls: the name is free, or another daemon's that was faster.
        Err(Errno::ECONNREFUSED) => Ok(held(Some(bind()?))),
        Err(errno) => Err(ClaimError::Os(errno.into())),
    }
}

/// User and process that made the listening socket (unix(7) `SO_PEERCRED`).
fn holder() -> Result<(u32, i32), Errno> {
    // Nobody accepts there, so a queue that is full must not make this wait.
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let probe = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(probe.as_raw_fd(), &UnixAddr::new_abstract(NAME)?)?;
    let credentials = getsockopt(&probe, PeerCredentials)?;
    Ok((credentials.uid(), credentials.pid()))
}

fn namespace() -> String {
    std::fs::read_link(Path::new("/proc/self/ns/net")).map_or_else(
        |_| "of this process".to_owned(),
        |link| link.display().to_string(),
    )
}
