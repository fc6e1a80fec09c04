//! Forgetting tracked flows, by one nfnetlink request with a filter that the kernel applies: nothing is listed.
//!
//! Filters came with Linux 5.8 for listing and 6.9 for deleting; on older kernels `conntrack -D` lists and deletes.

use std::io;
use std::net::IpAddr;
use std::process::Command;

use netd_model::desired::FlowFilter;
use netlink_packet_core::{DefaultNla, Emitable, NLA_F_NESTED};
use netlink_packet_netfilter::conntrack::{ConntrackMessageType, IPTuple, ProtoTuple, Tuple};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
    NetfilterSubsystem,
};
use nix::libc;

use super::namespace::Namespace;
use super::session::errno;

/// The attributes that hold a flow's tuples (`CTA_TUPLE_ORIG`, `CTA_TUPLE_REPLY`), `CTA_FILTER`, and the flags in it for either direction (linux/netfilter/nfnetlink_conntrack.h).
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const FILTER: u16 = 25;
const ORIGINAL_FLAGS: u16 = 1;
const REPLY_FLAGS: u16 = 2;
/// Which fields of the tuple count (net/netfilter/nf_conntrack_netlink.c `CTA_FILTER_F_*`).
const BY_SOURCE: u32 = 1 << 0;
const BY_PROTOCOL: u32 = 1 << 3;
const BY_DESTINATION_PORT: u32 = 1 << 5;
/// An nfnetlink version other than 0 makes the kernel heed the family (`ctnetlink_del_conntrack`).
const HEED_FAMILY: u8 = 1;

/// Flows by one of their two directions.
struct Wanted {
    family: NetfilterProtoFamily,
    reply: bool,
    tuple: Vec<Tuple>,
    fields: u32,
}

/// Forgets the flows of the daemon's namespace; none is fine.
pub(super) fn forget(home: &Namespace, filter: &FlowFilter) -> io::Result<()> {
    // The kernel's filter knows no masks.
    if matches!(filter, FlowFilter::OfSubnet(_)) {
        return by_tool(home, filter);
    }
    for wanted in wanted(filter) {
        match home.netfilter().request(message(&wanted), 0) {
            Ok(()) => {}
            // Nothing is tracked, or never was: the module is not loaded.
            Err(error) if errno(&error) == Some(libc::ENOENT) => {}
            Err(error) if errno(&error) == Some(libc::EOPNOTSUPP) => return by_tool(home, filter),
            Err(error) => return Err(error),
        }
    }
    Ok(())
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
        FlowFilter::OfSubnet(_) => Vec::new(),
    }
}

/// The request to delete them. Built of plain attributes: in the message crate's own, the filter would lose the mark of
/// a nested attribute, without which the kernel refuses it.
fn message(wanted: &Wanted) -> NetfilterMessage {
    let nested = |kind: u16, value: Vec<u8>| DefaultNla::new(kind | NLA_F_NESTED, value);
    let (tuple, flags) = if wanted.reply {
        (REPLY, REPLY_FLAGS)
    } else {
        (ORIGINAL, ORIGINAL_FLAGS)
    };
    let flags = DefaultNla::new(flags, wanted.fields.to_ne_bytes().to_vec());
    let attributes = vec![
        nested(tuple, emitted(&wanted.tuple.as_slice())),
        nested(FILTER, emitted(&[flags].as_slice())),
    ];
    NetfilterMessage::new(
        NetfilterHeader::new(wanted.family, HEED_FAMILY, 0),
        NetfilterMessageInner::Other {
            subsys: NetfilterSubsystem::Conntrack,
            message_type: ConntrackMessageType::Delete.into(),
            attributes,
        },
    )
}

fn emitted(attributes: &impl Emitable) -> Vec<u8> {
    let mut bytes = vec![0; attributes.buffer_len()];
    attributes.emit(&mut bytes);
    bytes
}

/// The same by conntrack(8), for kernels before 6.9 and for whole subnets.
pub(super) fn by_tool(home: &Namespace, filter: &FlowFilter) -> io::Result<()> {
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
        FlowFilter::OfSubnet(subnet) => ["--orig-src", "--orig-dst"]
            .map(|end| {
                let family = if subnet.is_ipv4() { "ipv4" } else { "ipv6" };
                ["-f", family, end, &subnet.to_string()]
                    .map(str::to_owned)
                    .to_vec()
            })
            .to_vec(),
    };
    home.run(|| {
        for arguments in runs {
            let mut command = Command::new("conntrack");
            let output = crate::program::output(command.arg("-D").args(arguments), "")?;
            let said = String::from_utf8_lossy(&output.stderr);
            // It exits with 1 also when there was nothing to delete.
            if !output.status.success() && !said.contains("0 flow entries") {
                return Err(io::Error::other(format!("conntrack: {}", said.trim())));
            }
        }
        Ok(())
    })
}
