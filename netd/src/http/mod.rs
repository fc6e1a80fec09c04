//! The socket: HTTP/1.1 on a Unix socket, translated to calls of the engine. Knows paths and JSON, decides nothing.
//!
//! Reading order: [`listen`] with [`group`] and [`serve`], [`routes`] (the paths), [`body`] (JSON in and errors out), [`views`],
//! [`docker`] (the part of Docker's interface that is about networks), [`plugin`] (the protocol by which a Docker engine uses
//! netd, on a socket of its own), [`seats`] (who may stay connected).

mod body;
mod docker;
mod group;
mod plugin;
mod routes;
mod seats;
mod views;

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, chown};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt;
use tracing::{Instrument, Span, debug_span};

use crate::engine::Engine;
use seats::{Seat, Seats};

/// Group that may talk to the daemon unless one was named, if this machine has it (/etc/group).
const DEFAULT_GROUP: &str = "netd";
/// Connections at one time. For a further one the longest idle is closed; while all have requests it waits in the
/// socket's backlog.
const CONNECTIONS: usize = 512;
/// How long a client may take to send the head of a request, and how long a connection may idle.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// How long requests may take to finish after the daemon was told to end.
const FAREWELL: Duration = Duration::from_secs(5);

/// The socket cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// A daemon answers there.
    #[error("another daemon listens on {}; give this one a --{option} of its own", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
        /// The option that says where it is.
        option: &'static str,
    },
    /// Something else than a socket is there.
    #[error("{} exists and is no socket; remove it or give another --{option}", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
        /// The option that says where it is.
        option: &'static str,
    },
    /// The group does not exist.
    #[error("there is no group {name:?} to own the socket; make it with `groupadd {name}`")]
    NoGroup {
        /// Its name.
        name: String,
    },
    /// A system call failed.
    #[error("cannot listen on {}: {source}", path.display())]
    Os {
        /// The socket.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// Makes the daemon's socket: 0660, owned by root and the daemon's group. One that a dead daemon left is replaced.
///
/// # Errors
/// [`ListenError`] says what is in the way.
pub fn listen(path: &Path, group: Option<&str>) -> Result<UnixListener, ListenError> {
    make_socket(path, group, "socket")
}

/// Makes the socket for Docker's engine, as [`listen`] does.
///
/// # Errors
/// As there.
pub fn listen_for_docker(path: &Path, group: Option<&str>) -> Result<UnixListener, ListenError> {
    make_socket(path, group, "docker-plugin")
}

fn make_socket(
    path: &Path,
    group: Option<&str>,
    option: &'static str,
) -> Result<UnixListener, ListenError> {
    let failed = |source: io::Error| ListenError::Os {
        path: path.to_owned(),
        source,
    };
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(failed)?;
    }
    if let Ok(found) = fs::symlink_metadata(path) {
        use std::os::unix::fs::FileTypeExt;
        if !found.file_type().is_socket() {
            return Err(ListenError::NotASocket {
                path: path.to_owned(),
                option,
            });
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(ListenError::InUse {
                path: path.to_owned(),
                option,
            });
        }
        fs::remove_file(path).map_err(failed)?;
    }
    let owner = owner(group)?;
    let listener = UnixListener::bind(path).map_err(failed)?;
    open_to(path, owner).map_err(failed)?;
    Ok(listener)
}

/// Gives the socket its owner and mode, and nothing else: what is at `path` by now is held before it is looked at, so
/// that a link put there by whoever may write to the directory is not followed.
fn open_to(path: &Path, owner: Option<Gid>) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    let held = fs::File::from(open(
        path,
        OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?);
    if !held.metadata()?.file_type().is_socket() {
        return Err(io::Error::other("another file was put in its place"));
    }
    let held = format!("/proc/self/fd/{}", held.as_raw_fd());
    fs::set_permissions(&held, fs::Permissions::from_mode(0o600))?;
    chown(held.as_str(), None, owner)?;
    fs::set_permissions(&held, fs::Permissions::from_mode(0o660))
}

fn owner(group: Option<&str>) -> Result<Option<Gid>, ListenError> {
    let Some(name) = group else {
        return Ok(group::find_here(DEFAULT_GROUP));
    };
    let no_group = || ListenError::NoGroup {
        name: name.to_owned(),
    };
    group::find(name).ok_or_else(no_group).map(Some)
}

/// Marks an answer that goes on for as long as something happens. A client that went away is noticed with the next piece
/// only, since it may have said no more than that it asks nothing else (`half_close`).
#[derive(Clone, Copy, Debug)]
struct Endless;

/// Serves until told to end; then lets the requests that are being served finish, within bounds.
pub async fn serve(listener: UnixListener, engine: Arc<Engine>, end: watch::Receiver<bool>) {
    let router = routes::router(engine, end.clone());
    answer_all(listener, router, end).await;
}

/// Serves a Docker engine by its plugin protocol, as [`serve`] does others.
pub async fn serve_docker(listener: UnixListener, engine: Arc<Engine>, end: watch::Receiver<bool>) {
    let bell = plugin::Bell::default();
    let news = plugin::follow(Arc::clone(&engine), bell.clone(), end.clone());
    let answers = answer_all(listener, plugin::router(engine, bell), end);
    tokio::join!(news, answers);
}

async fn answer_all(listener: UnixListener, router: axum::Router, mut end: watch::Receiver<bool>) {
    let seats = Seats::new(CONNECTIONS);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let seat = tokio::select! {
                        seat = seats.take() => seat,
                        _ = end.changed() => break,
                    };
                    let (router, end) = (router.clone(), end.clone());
                    connections.spawn(converse(stream, router, (seat, end)));
                }
                Err(error) => {
                    // Out of descriptors, most likely: those in use come back as connections end.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            _ = end.changed() => break,
        }
        while connections.try_join_next().is_some() {}
    }
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(FAREWELL, finished).await.is_err() {
        tracing::warn!("some requests were still being served");
    }
}

async fn converse(
    stream: UnixStream,
    router: axum::Router,
    (seat, mut end): (Seat, watch::Receiver<bool>),
) {
    let service = service_fn(|request: Request<Incoming>| {
        let answering = seat.answer();
        let span = span_of(&request);
        let answer = router.clone().oneshot(request).instrument(span);
        async move {
            let answer = answer.await?;
            let answering = match answer.extensions().get::<Endless>() {
                Some(Endless) => answering.endless(),
                None => answering,
            };
            // Held until the last piece of the answer is taken.
            let held = move |frame| {
                let _ = &answering;
                frame
            };
            Ok::<_, Infallible>(answer.map(|body| body.map_frame(held)))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        // A client may say that it sends no more (`nc -N`, `curl` through some proxies) and still wait for the answer.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = seat.asked_to_leave() => {
            tracing::debug!("an idle connection was closed for a new one");
            return;
        }
        _ = end.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended in an error");
    }
}

/// The span of all that is done for a request, at log level debug. The number tells it from others on the same path.
fn span_of(request: &Request<Incoming>) -> Span {
    static REQUESTS: AtomicU64 = AtomicU64::new(1);
    debug_span!(
        "request",
        id = REQUESTS.fetch_add(1, Ordering::Relaxed),
        method = %request.method(),
        path = request.uri().path()
    )
}
