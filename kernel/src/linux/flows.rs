//! Forgetting tracked flows, by one nfnetlink request with a filter that the kernel applies: nothing is listed.
//!
//! Filters came with Linux 5.8 for listing and 6.9 for deleting; on older kernels `conntrack -D` lists and deletes.

use std::io;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use netd_model::desired::FlowFilter;
use netlink_packet_core::{DefaultNla, Emitable};
use netlink_packet_netfilter::conntrack::{
    ConntrackAttribute, ConntrackMessage, IPTuple, ProtoTuple, Tuple,
};
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterProtoFamily};
use netlink_sys::protocols::NETLINK_NETFILTER;
use nix::libc;

use super::namespace::Namespace;
use super::session::{Session, errno};

/// `CTA_FILTER`, and the flags in it for either direction (linux/netfilter/nfnetlink_conntrack.h).
const FILTER: u16 = 25;
const ORIGINAL_FLAGS: u16 = 1;
const REPLY_FLAGS: u16 = 2;
/// Which fields of the tuple count (net/netfilter/nf_conntrack_netlink.c `CTA_FILTER_F_*`).
const BY_SOURCE: u32 = 1 << 0;
const BY_PROTOCOL: u32 = 1 << 3;
const BY_DESTINATION_PORT: u32 = 1 << 5;
/// An nfnetlink version other than 0 makes the kernel heed the family (`ctnetlink_del_conntrack`).
const HEED_FAMILY: u8 = 1;

/// The connection tracking of the daemon's namespace.
pub(super) struct Flows {
    session: Mutex<Session>,
}

/// Flows by one of their two directions.
struct Wanted {
    family: NetfilterProtoFamily,
    reply: bool,
    tuple: Vec<Tuple>,
    fields: u32,
}

impl Flows {
    /// Opens a socket in the daemon's namespace.
    pub(super) fn open(home: &Namespace) -> io::Result<Self> {
        let session = home.run(|| Session::open(NETLINK_NETFILTER))?;
        Ok(Self {
            session: Mutex::new(session),
        })
    }

    /// Forgets the flows; none is fine.
    pub(super) fn forget(&self, home: &Namespace, filter: &FlowFilter) -> io::Result<()> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        for wanted in wanted(filter) {
            match session.request(message(wanted), 0) {
                Ok(()) => {}
                // Nothing is tracked, or never was: the module is not loaded.
                Err(error) if errno(&error) == Some(libc::ENOENT) => {}
                Err(error) if errno(&error) == Some(libc::EOPNOTSUPP) => {
                    return by_tool(home, filter);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn wanted(filter: &FlowFilter) -> Vec<Wanted> {
    let families = [NetfilterProtoFamily::IPv4, NetfilterProtoFamily::IPv6];
    match filter {
        FlowFilter::ToHostPort { protocol, port } => families
            .into_iter()
            .map(|family| Wanted {
                family,
                reply: false,
                tuple: vec![Tuple::Proto(vec![
                    ProtoTuple::Protocol(protocol.number().into()),
                    ProtoTuple::DestinationPort(*port),
                ])],
                fields: BY_PROTOCOL | BY_DESTINATION_PORT,
            })
            .collect(),
        // What the container opened has its address as the source, what was opened to it as the source of the reply:
        // there the translation of the destination shows.
        FlowFilter::OfAddress(address) => [false, true]
            .into_iter()
            .map(|reply| Wanted {
                family: match address {
                    IpAddr::V4(_) => families[0],
                    IpAddr::V6(_) => families[1],
                },
                reply,
                tuple: vec![Tuple::Ip(vec![IPTuple::SourceAddress(*address)])],
                fields: BY_SOURCE,
            })
            .collect(),
    }
}

fn message(wanted: Wanted) -> NetfilterMessage {
    let flags = [
        (ORIGINAL_FLAGS, if wanted.reply { 0 } else { wanted.fields }),
        (REPLY_FLAGS, if wanted.reply { wanted.fields } else { 0 }),
    ]
    .map(|(kind, flags)| DefaultNla::new(kind, flags.to_ne_bytes().to_vec()));
    let mut filter = vec![0; flags.as_slice().buffer_len()];
    flags.as_slice().emit(&mut filter);
    let tuple = if wanted.reply {
        ConntrackAttribute::CtaTupleReply(wanted.tuple)
    } else {
        ConntrackAttribute::CtaTupleOrig(wanted.tuple)
    };
    let filter = DefaultNla::new(FILTER | NESTED, filter);
    NetfilterMessage::new(
        NetfilterHeader::new(wanted.family, HEED_FAMILY, 0),
        ConntrackMessage::Delete(vec![tuple, ConntrackAttribute::Other(filter)]),
    )
}

/// `NLA_F_NESTED` (linux/netlink.h).
const NESTED: u16 = 1 << 15;

fn by_tool(home: &Namespace, filter: &FlowFilter) -> io::Result<()> {
    let runs: Vec<Vec<String>> = match filter {
        FlowFilter::ToHostPort { protocol, port } => ["ipv4", "ipv6"]
            .map(|family| {
                let port = port.to_string();
                [
                    "-f",
                    family,
                    "-p",
                    protocol.as_str(),
                    "--orig-port-dst",
                    &port,
                ]
                .map(str::to_owned)
                .to_vec()
            })
            .to_vec(),
        FlowFilter::OfAddress(address) => ["--orig-src", "--reply-src"]
            .map(|direction| vec![direction.to_owned(), address.to_string()])
            .to_vec(),
    };
    home.run(|| {
        for arguments in runs {
            let output = Command::new("conntrack")
                .arg("-D")
                .args(arguments)
                .stdin(Stdio::null())
                .output()?;
            let said = String::from_utf8_lossy(&output.stderr);
            // It exits with 1 also when there was nothing to delete.
            if !output.status.success() && !said.contains("0 flow entries") {
                return Err(io::Error::other(format!("conntrack: {}", said.trim())));
            }
        }
        Ok(())
    })
}
