//! The `nameserver` lines of a resolv.conf(5), followed as the file changes (a VPN comes up, DHCP renews). Only looks
//! when asked, and at most once per second: no thread, no watch that misses a replaced symbolic link.

use std::fs;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// Shortest time between two looks at the file.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// Servers used. The C library stops at 3 (`MAXNS`); a race profits from a few more.
const SERVERS_MAX: usize = 8;
/// Largest file read, in bytes.
const FILE_MAX_BYTES: u64 = 64 * 1024;

/// Device, inode, size, and time of change in seconds and nanoseconds: differs after every edit and replacement.
type Fingerprint = (u64, u64, u64, i64, i64);

/// One file, followed.
#[derive(Debug)]
pub(crate) struct ResolvConf {
    path: PathBuf,
    port: u16,
    seen: Mutex<Seen>,
}

#[derive(Debug, Clone, Default)]
struct Seen {
    looked: Option<Instant>,
    fingerprint: Option<Fingerprint>,
    servers: Arc<[SocketAddr]>,
}

impl ResolvConf {
    pub(crate) fn new(path: PathBuf, port: u16) -> Self {
        Self {
            path,
            port,
            seen: Mutex::default(),
        }
    }

    /// The servers that the file names now. None while it cannot be read: so says a missing file too.
    pub(crate) async fn servers(&self) -> Arc<[SocketAddr]> {
        let mut seen = self.seen.lock().await;
        if seen
            .looked
            .is_none_or(|looked| looked.elapsed() >= LOOK_AFTER)
        {
            let (path, port, before) = (self.path.clone(), self.port, seen.clone());
            match tokio::task::spawn_blocking(move || look(&path, port, before)).await {
                Ok(now) => *seen = now,
                Err(error) => tracing::debug!(%error, "the look at resolv.conf was cut short"),
            }
        }
        Arc::clone(&seen.servers)
    }
}

fn look(path: &Path, port: u16, before: Seen) -> Seen {
    let looked = Some(Instant::now());
    let fingerprint = fs::metadata(path).ok().map(|file| {
        (
            file.dev(),
            file.ino(),
            file.size(),
            file.ctime(),
            file.ctime_nsec(),
        )
    });
    if fingerprint.is_some() && fingerprint == before.fingerprint {
        return Seen { looked, ..before };
    }
    let servers: Arc<[SocketAddr]> = match read(path) {
        Ok(text) => parse(&text, port).into(),
        Err(error) => {
            if before.looked.is_none() || before.fingerprint.is_some() {
                tracing::warn!(%error, path = %path.display(), "no DNS upstreams: cannot read the file that names them");
            }
            return Seen {
                looked,
                ..Seen::default()
            };
        }
    };
    tracing::info!(path = %path.display(), ?servers, "following the host's DNS upstreams");
    Seen {
        looked,
        fingerprint,
        servers,
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(FILE_MAX_BYTES)
        .read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The servers of a resolv.conf text. Loopback ones count: we ask from the host's namespace, where they live.
fn parse(text: &str, port: u16) -> Vec<SocketAddr> {
    let mut servers = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some("nameserver"), Some(address)) = (words.next(), words.next()) else {
            continue;
        };
        let Some(server) = address_of(address, port) else {
            continue;
        };
        if server.ip() != super::OURSELVES && !servers.contains(&server) {
            servers.push(server);
        }
    }
    servers.truncate(SERVERS_MAX);
    servers
}

fn address_of(text: &str, port: u16) -> Option<SocketAddr> {
    match text.split_once('%') {
        None => Some((text.parse::<IpAddr>().ok()?, port).into()),
        // The system's resolver turns the interface's name into its index; being numeric, nothing is asked for.
        Some((address, _)) if address.parse::<Ipv6Addr>().is_ok() => {
            (text, port).to_socket_addrs().ok()?.next()
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nameserver_lines_are_taken_and_we_ourselves_are_not() {
        let text = "# c\nsearch x\nnameserver 127.0.0.53\n nameserver\t::1 # local\nnameserver 127.0.0.11\n\
                    nameserver host.example\nnameserver 127.0.0.53\noptions edns0\nnameserver fe80::1%lo\n";
        let servers = parse(text, 53);
        let shown: Vec<String> = servers.iter().map(SocketAddr::to_string).collect();
        assert_eq!(shown, ["127.0.0.53:53", "[::1]:53", "[fe80::1%1]:53"]);
    }
}
