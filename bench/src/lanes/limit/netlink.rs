//! rtnetlink by hand, as little of it as an attach needs (linux/rtnetlink.h, RFC 3549).

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, bail};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::sched::{CloneFlags, setns};
use rtnetlink::{LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};

/// The namespace of the calling thread.
pub(super) const HERE: &str = "/proc/thread-self/ns/net";

/// Answers are small.
const BUFFER_BYTES: usize = 16 * 1024;

/// Index of `lo` in every namespace (net/core/dev.c gives it first).
const LO: u32 = 1;

type Request = (RouteNetlinkMessage, u16);

/// A netlink socket of one namespace.
pub(super) struct Wire {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Wire {
    /// Opens one in the namespace of the calling thread.
    pub(super) fn open() -> Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE).context("open a netlink socket")?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self {
            socket,
            sequence: 0,
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    /// Sends the requests in one system call and waits for the acknowledgement of the last; a refusal of any is the error.
    fn send(&mut self, requests: Vec<Request>) -> Result<()> {
        let last = requests.len() - 1;
        let mut bytes = Vec::with_capacity(512);
        for (place, (message, flags)) in requests.into_iter().enumerate() {
            self.sequence = self.sequence.wrapping_add(1);
            let mut header = NetlinkHeader::default();
            let ack = if place == last { NLM_F_ACK } else { 0 };
            header.flags = NLM_F_REQUEST | flags | ack;
            header.sequence_number = self.sequence;
            let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
            message.finalize();
            let start = bytes.len();
            bytes.resize(start + message.buffer_len().next_multiple_of(4), 0);
            message.serialize(&mut bytes[start..]);
        }
        self.socket.send(&bytes, 0).context("send to netlink")?;
        self.answer().map(drop)
    }

    /// Reads until the last request is answered; gives the link in the answer, if there is one.
    fn answer(&mut self) -> Result<Option<LinkMessage>> {
        let mut link = None;
        loop {
            let length = self.socket.recv(&mut &mut self.buffer[..], 0)?;
            let mut rest = &self.buffer[..length];
            while rest.len() >= 16 {
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                    .context("read an answer of netlink")?;
                let end = (message.header.length as usize).next_multiple_of(4);
                rest = rest.get(end..).unwrap_or_default();
                match message.payload {
                    NetlinkPayload::Error(error) => match error.code {
                        Some(_) => return Err(error.to_io()).context("netlink"),
                        None if message.header.sequence_number == self.sequence => return Ok(link),
                        None => {}
                    },
                    NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(found)) => {
                        link = Some(found);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Index of a link.
    pub(super) fn index_of(&mut self, name: &str) -> Result<u32> {
        let message = LinkUnspec::new_with_name(name).build();
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_ACK;
        header.sequence_number = self.sequence;
        let payload = NetlinkPayload::InnerMessage(RouteNetlinkMessage::GetLink(message));
        let mut message = NetlinkMessage::new(header, payload);
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0).context("send to netlink")?;
        match self.answer()? {
            Some(link) => Ok(link.header.index),
            None => bail!("there is no link {name}"),
        }
    }

    /// Makes a bridge.
    pub(super) fn new_bridge(&mut self, name: &str) -> Result<()> {
        self.send(vec![new_link(LinkBridge::new(name).build())])
            .with_context(|| format!("make the bridge {name}"))
    }

    /// Gives a link an address and turns it on.
    pub(super) fn address_and_up(&mut self, index: u32, on: (Ipv4Addr, u8)) -> Result<()> {
        self.send(vec![new_address(index, on), up(index)])
            .context("give a bridge its address")
    }

    /// Makes a pair: the outside end up and a port of `bridge`, the inside end in its namespace at once.
    pub(super) fn new_pair(&mut self, name: &str, bridge: u32, netns: &File) -> Result<()> {
        let one_queue = |message: &mut LinkMessage| {
            message.attributes.push(LinkAttribute::NumTxQueues(1));
            message.attributes.push(LinkAttribute::NumRxQueues(1));
        };
        let mut inside = LinkUnspec::new_with_name("eth0")
            .setns_by_fd(netns.as_raw_fd())
            .build();
        one_queue(&mut inside);
        let mut message = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
            .name(name)
            .controller(bridge)
            .up()
            .set_info_data(InfoData::Veth(InfoVeth::Peer(inside)))
            .build();
        one_queue(&mut message);
        self.send(vec![new_link(message)])
            .with_context(|| format!("make the pair {name}"))
    }

    /// Inside a container: `lo` and `eth0` up, the address, the default route, in one send.
    pub(super) fn configure(&mut self, on: (Ipv4Addr, u8), gateway: Ipv4Addr) -> Result<()> {
        // The first link of a fresh namespace after `lo`.
        let eth0 = LO + 1;
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .gateway(gateway)
            .build();
        let route = RouteNetlinkMessage::NewRoute(route);
        self.send(vec![
            up(LO),
            new_address(eth0, on),
            up(eth0),
            (route, NLM_F_CREATE | NLM_F_EXCL),
        ])
        .context("give a container its address")
    }

    /// Takes a link from its bridge, if it is at one, and turns it off: nothing passes any more.
    pub(super) fn cut_off(&mut self, name: &str) -> Result<()> {
        let message = LinkUnspec::new_with_name(name)
            .nocontroller()
            .down()
            .build();
        self.send(vec![(RouteNetlinkMessage::SetLink(message), 0)])
            .with_context(|| format!("cut {name} off"))
    }

    /// Deletes a link.
    pub(super) fn delete(&mut self, name: &str) -> Result<()> {
        let message = LinkUnspec::new_with_name(name).build();
        self.send(vec![(RouteNetlinkMessage::DelLink(message), 0)])
            .with_context(|| format!("delete {name}"))
    }
}

fn new_link(message: LinkMessage) -> Request {
    (
        RouteNetlinkMessage::NewLink(message),
        NLM_F_CREATE | NLM_F_EXCL,
    )
}

fn up(index: u32) -> Request {
    let message = LinkUnspec::new_with_index(index).up().build();
    (RouteNetlinkMessage::SetLink(message), 0)
}

fn new_address(index: u32, (address, prefix): (Ipv4Addr, u8)) -> Request {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.prefix_len = prefix;
    message.header.family = AddressFamily::Inet;
    message.attributes = vec![
        AddressAttribute::Local(address.into()),
        AddressAttribute::Address(address.into()),
    ];
    (
        RouteNetlinkMessage::NewAddress(message),
        NLM_F_CREATE | NLM_F_EXCL,
    )
}

/// Turns IPv6 off for links that are made from now on in the namespace of the calling thread.
pub(super) fn ipv6_off_by_default() -> Result<()> {
    std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").context("turn IPv6 off")
}

/// Does `work` in the namespace `there` and returns to `home`.
pub(super) fn inside<T>(there: &File, home: &File, work: impl FnOnce() -> Result<T>) -> Result<T> {
    setns(there, CloneFlags::CLONE_NEWNET).context("enter a container's namespace")?;
    let done = work();
    setns(home, CloneFlags::CLONE_NEWNET).context("return to the machine's namespace")?;
    done
}
