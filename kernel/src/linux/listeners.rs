//! Which process has a port of the calling thread's namespace, as far as /proc tells.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netd_model::Protocol;

/// The state of a listening TCP socket, and of any unconnected UDP socket, in /proc/net (net/tcp_states.h `TCP_LISTEN`
/// and `TCP_CLOSE`).
const LISTENING: &str = "0A";
const UNCONNECTED: &str = "07";

/// The process that has `port` on `address` or on all addresses, as `nginx (pid 4711)`.
pub(super) fn holder(protocol: Protocol, address: IpAddr, port: u16) -> Option<String> {
    let (tables, state) = match protocol {
        Protocol::Tcp => (["tcp", "tcp6"], LISTENING),
        Protocol::Udp => (["udp", "udp6"], UNCONNECTED),
        // Its table has another form, and hardly anybody listens there.
        Protocol::Sctp => return None,
    };
    let sockets: BTreeSet<String> = tables
        .iter()
        // /proc/net would be that of the first thread.
        .filter_map(|table| fs::read_to_string(format!("/proc/thread-self/net/{table}")).ok())
        .flat_map(|text| {
            let inodes = text.lines().skip(1).filter_map(|line| {
                let socket = Entry::read(line)?;
                let conflicts =
                    socket.port == port && socket.state == state && meets(socket.address, address);
                conflicts.then(|| format!("socket:[{}]", socket.inode))
            });
            inodes.collect::<Vec<_>>()
        })
        .collect();
    if sockets.is_empty() {
        return None;
    }
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| has_one_of(*pid, &sockets))
        .map(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            format!("{} (pid {pid})", name.trim_end())
        })
}

fn has_one_of(pid: u32, sockets: &BTreeSet<String>) -> bool {
    let Ok(directory) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    directory.flatten().any(|entry| {
        fs::read_link(entry.path())
            .is_ok_and(|target| target.to_str().is_some_and(|text| sockets.contains(text)))
    })
}

/// True if sockets on both cannot share a port. One on `::` takes IPv4 as well, unless told otherwise, which the table
/// does not show.
fn meets(held: IpAddr, wanted: IpAddr) -> bool {
    held == wanted
        || held.is_unspecified()
        || (wanted.is_unspecified() && same_family(held, wanted))
}

fn same_family(one: IpAddr, other: IpAddr) -> bool {
    one.is_ipv4() == other.is_ipv4()
}

/// A line of /proc/net/tcp and its like (proc(5)).
struct Entry<'a> {
    address: IpAddr,
    port: u16,
    state: &'a str,
    inode: &'a str,
}

impl<'a> Entry<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (address, port) = fields.next()?.split_once(':')?;
        let state = fields.nth(1)?;
        Some(Self {
            address: hexadecimal(address)?,
            port: u16::from_str_radix(port, 16).ok()?,
            state,
            inode: fields.nth(5)?,
        })
    }
}

/// An address as words of 32 bits, each printed as a number in the machine's byte order.
fn hexadecimal(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    if text.len() == 8 {
        return Some(Ipv4Addr::from(word(0)?).into());
    }
    let words = [word(0)?, word(8)?, word(16)?, word(24)?];
    let bytes: [u8; 16] = words.concat().try_into().ok()?;
    let address = Ipv6Addr::from(bytes);
    Some(address.to_ipv4_mapped().map_or(address.into(), IpAddr::V4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc_net_is_read() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0";
        let entry = Entry::read(line).unwrap();
        assert_eq!(entry.address, IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!((entry.port, entry.state, entry.inode), (8080, "0A", "4711"));
        let all: IpAddr = hexadecimal(&"0".repeat(32)).unwrap();
        assert_eq!(all, IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    }
}
