//! HTTP over a Unix socket for `ureq`. Knows the library's transport traits, and nothing of what is sent.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};
use ureq::{Agent, Error};

/// connect(2) failed: told apart from what may go wrong later, when something has been sent already.
#[derive(Debug, thiserror::Error)]
#[error("connect: {0}")]
pub(super) struct ConnectError(#[source] pub(super) io::Error);

/// An agent whose every request goes to `socket`; each may take `limit` in all.
pub(super) fn agent(socket: &Path, limit: Option<Duration>) -> Agent {
    let config = Config::builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        // The environment's HTTP proxy is for the web.
        .proxy(None)
        .timeout_global(limit)
        .input_buffer_size(BUFFER_BYTES)
        .output_buffer_size(BUFFER_BYTES)
        .user_agent(concat!("netd-api/", env!("CARGO_PKG_VERSION")))
        .build();
    Agent::with_parts(config, UnixConnector(socket.to_owned()), NoResolver)
}

/// How much is read or written at once, in bytes. The library's own 128 KiB are fresh pages of the kernel's, for which a process
/// that asks one question waits longer than for all else that it does itself.
const BUFFER_BYTES: usize = 16 * 1024;

/// Connects to one socket, whatever the URI says.
#[derive(Debug)]
struct UnixConnector(PathBuf);

impl<In: Transport> Connector<In> for UnixConnector {
    type Out = UnixTransport;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<In>,
    ) -> Result<Option<UnixTransport>, Error> {
        let stream = UnixStream::connect(&self.0)
            .map_err(|error| Error::Other(Box::new(ConnectError(error))))?;
        let (input, output) = (
            details.config.input_buffer_size(),
            details.config.output_buffer_size(),
        );
        Ok(Some(UnixTransport {
            stream,
            buffers: LazyBuffers::new(input, output),
            unsent: Vec::new(),
            limits: [None; 2],
        }))
    }
}

struct UnixTransport {
    stream: UnixStream,
    buffers: LazyBuffers,
    /// The library hands over the head and the body of a request one after the other; they leave together, before the
    /// answer is waited for, so that the daemon wakes up once.
    unsent: Vec<u8>,
    /// How long to write and to read at most, as the socket was told last.
    limits: [Option<Duration>; 2],
}

/// What is kept back at most, in bytes: more leaves at once.
const UNSENT_BYTES: usize = 64 * 1024;

impl UnixTransport {
    fn send(&mut self, timeout: NextTimeout) -> Result<(), Error> {
        let limit = remaining(&timeout);
        if self.limits[0] != limit {
            self.stream.set_write_timeout(limit)?;
            self.limits[0] = limit;
        }
        let sent = self.stream.write_all(&self.unsent);
        self.unsent.clear();
        sent.map_err(|error| named(error, &timeout))
    }
}

impl fmt::Debug for UnixTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UnixTransport").field(&self.stream).finish()
    }
}

/// The rest of the time as setsockopt(2) takes it: `None` waits for ever, and zero, which would too, is never given.
fn remaining(timeout: &NextTimeout) -> Option<Duration> {
    timeout
        .not_zero()
        .map(|left| (*left).max(Duration::from_millis(1)))
}

fn named(error: io::Error, timeout: &NextTimeout) -> Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Error::Timeout(timeout.reason),
        _ => Error::Io(error),
    }
}

impl Transport for UnixTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let output = &self.buffers.output()[..amount];
        self.unsent.extend_from_slice(output);
        if self.unsent.len() < UNSENT_BYTES {
            return Ok(());
        }
        self.send(timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        if !self.unsent.is_empty() {
            self.send(timeout)?;
        }
        let limit = remaining(&timeout);
        if self.limits[1] != limit {
            self.stream.set_read_timeout(limit)?;
            self.limits[1] = limit;
        }
        let input = self.buffers.input_append_buf();
        let amount = loop {
            match self.stream.read(input) {
                // A stopped and continued process gets EINTR from a socket with a timeout (signal(7)).
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other.map_err(|error| named(error, &timeout))?,
            }
        };
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    /// False once the daemon closed its end; asked before a kept connection is used again.
    fn is_open(&mut self) -> bool {
        let probe = |stream: &mut UnixStream| -> io::Result<bool> {
            stream.set_nonblocking(true)?;
            let open = matches!(stream.read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
            stream.set_nonblocking(false)?;
            Ok(open)
        };
        probe(&mut self.stream).unwrap_or(false)
    }
}

/// There is no name to look up, but the library wants an address.
#[derive(Debug)]
struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let mut addresses = self.empty();
        addresses.push(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        Ok(addresses)
    }
}
