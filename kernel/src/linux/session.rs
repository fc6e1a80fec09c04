//! A kept-open netlink socket: requests with their acknowledgement, dumps, and the kernel's own words when it refuses.
//!
//! Knows the envelope of RFC 3549 and nothing of what is inside. Calls block, but only for as long as the kernel works
//! on the request: rtnetlink does everything within sendmsg(2).

use std::cell::RefCell;
use std::io;

use netd_model::IfName;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
};
use netlink_packet_netfilter::none::ControlMessage;
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterProtoFamily};
use netlink_sys::{Socket, SocketAddr};
use nix::sys::socket::{setsockopt, sockopt};
use rustix::net::netdevice::name_to_index;

use super::attributes::{Attributes, text, u32_at};

/// Size of a `struct nlmsghdr` in bytes (linux/netlink.h).
const HEADER_BYTES: usize = 16;
/// Room for an answer. The kernel fills dumps up to 32 KiB at a time (`netlink_dump`, net/netlink/af_netlink.c).
const BUFFER_BYTES: usize = 64 * 1024;
/// `NLMSG_ERROR` and `NLMSG_DONE` (linux/netlink.h).
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// The attribute of an extended acknowledgement that holds its text (linux/netlink.h `NLMSGERR_ATTR_MSG`).
const ERROR_TEXT: u16 = 1;
/// What fits any socket: less than the smallest default of `net.core.wmem_default`.
const ROOM_BYTES: usize = 64 * 1024;
/// `NFNL_SUBSYS_NFTABLES` (linux/netfilter/nfnetlink.h), whose batches alone there are.
const NF_TABLES: u16 = 10;
/// How often a dump is begun anew because the objects changed under it.
const DUMP_TRIES: usize = 16;

/// What the kernel says to one request.
type Answer = io::Result<()>;

thread_local! {
    /// Answers are read into this: one per thread, since of sockets there is one for each sandbox and more.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER_BYTES]);
}

/// A netlink socket of one namespace; it stays with that namespace wherever it is used.
pub(crate) struct Session {
    socket: Socket,
    address: u32,
    sequence: u32,
    /// The longest message that is known to fit.
    room_bytes: usize,
}

impl Session {
    /// Opens a socket of `protocol` (`NETLINK_ROUTE`, `NETLINK_NETFILTER`) in the namespace of the calling thread.
    pub(crate) fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        let address = socket.bind_auto()?.port_number();
        socket.connect(&SocketAddr::new(0, 0))?;
        // Refusals come with a sentence, and without a copy of the request.
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        // Dumps honour the filters in their request. Kernels before 4.20 do not know the option and send more.
        let _ = socket.set_netlink_get_strict_chk(true);
        Ok(Self {
            socket,
            address,
            sequence: 0,
            room_bytes: ROOM_BYTES,
        })
    }

    /// Its netlink address (netlink(7) `nl_pid`).
    pub(crate) fn address(&self) -> u32 {
        self.address
    }

    /// Sends one request and waits for its acknowledgement.
    pub(crate) fn request<I: NetlinkSerializable>(&mut self, message: I, flags: u16) -> Answer {
        let sequence = self.send(vec![(message, flags | NLM_F_ACK)])?;
        self.until_end(sequence, &mut |_| {})
    }

    /// The number of the link of that name in the socket's namespace.
    ///
    /// By ioctl (netdevice(7)), for which the kernel neither takes its lock on links nor describes the link. Not for names
    /// that may well be free: there the kernel looks for a module of that name (`dev_load`, net/core/dev_ioctl.c).
    pub(crate) fn index_of(&self, name: &IfName) -> io::Result<u32> {
        Ok(name_to_index(&self.socket, name.as_str())?)
    }

    /// Sends requests in one system call, so that no signal comes between them: not even SIGKILL leaves the first done
    /// and the second undone. The kernel tries each whatever it says to those before; so many are the answers.
    pub(crate) fn requests<I: NetlinkSerializable>(
        &mut self,
        messages: Vec<(I, u16)>,
    ) -> io::Result<Vec<Answer>> {
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        let with_ack = messages.into_iter();
        let with_ack = with_ack.map(|(message, flags)| (message, flags | NLM_F_ACK));
        let first = self.send(with_ack.collect())?;
        let answers = (0..count).map(|number| {
            let sequence = first.wrapping_add(number);
            self.until_end(sequence, &mut |_| {})
        });
        Ok(answers.collect())
    }

    /// Sends a known number of requests as [`Session::requests`] does.
    pub(crate) fn request_all<I: NetlinkSerializable, const N: usize>(
        &mut self,
        messages: [(I, u16); N],
    ) -> io::Result<[Answer; N]> {
        let mut answers = self.requests(messages.into())?.into_iter();
        Ok(std::array::from_fn(|_| answers.next().unwrap_or(Ok(()))))
    }

    /// Sends netfilter messages as one transaction: all is done or nothing (nfnetlink's batches). The first refusal is
    /// the answer.
    pub(crate) fn transaction(&mut self, messages: Vec<(NetfilterMessage, u16)>) -> Answer {
        let last = messages.len();
        let control = |control| {
            let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, NF_TABLES);
            (NetfilterMessage::new(header, control), 0)
        };
        let numbered = messages.into_iter().enumerate();
        // Kernels before 6.10 acknowledge no end of a batch, so the last message stands for all.
        let with_ack = numbered.map(|(index, (message, flags))| {
            let ack = if index + 1 == last { NLM_F_ACK } else { 0 };
            (message, flags | ack)
        });
        let batch = std::iter::once(control(ControlMessage::BatchBegin))
            .chain(with_ack)
            .chain([control(ControlMessage::BatchEnd)])
            .collect();
        let begin = self.send(batch)?;
        self.until_settled(begin, u32::try_from(last).unwrap_or(u32::MAX))
    }

    /// Reads until one of the messages of a transaction is refused or the last is acknowledged.
    fn until_settled(&self, begin: u32, last: u32) -> Answer {
        BUFFER.with_borrow_mut(|buffer| {
            loop {
                let length = receive(&self.socket, buffer)?;
                for message in Messages(&buffer[..length]) {
                    let index = message.sequence.wrapping_sub(begin);
                    if index > last + 1 || message.kind != ERROR {
                        continue;
                    }
                    verdict(&message)?;
                    if index == last {
                        return Ok(());
                    }
                }
            }
        })
    }

    /// Asks for one object; `read` makes a value of the answer.
    pub(crate) fn get<I: NetlinkSerializable, T>(
        &mut self,
        message: I,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> io::Result<Option<T>> {
        let sequence = self.send(vec![(message, NLM_F_ACK)])?;
        let mut found = None;
        self.until_end(sequence, &mut |payload| found = read(payload))?;
        Ok(found)
    }

    /// Asks for all objects of a kind; `read` makes a value of each, or `None` to leave it out. Begun anew when they
    /// changed meanwhile, so that the answer is of one moment.
    pub(crate) fn dump<I: NetlinkSerializable + Clone, T>(
        &mut self,
        message: &I,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        for _ in 0..DUMP_TRIES {
            let sequence = self.send(vec![(message.clone(), NLM_F_DUMP)])?;
            let mut found = Vec::new();
            match self.until_end(sequence, &mut |payload| found.extend(read(payload))) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other.map(|()| found),
            }
        }
        Err(io::Error::new(
            io::ErrorKind::Interrupted,
            "the objects changed faster than they could be listed",
        ))
    }

    /// Sends `messages` together; gives the sequence number of the first.
    fn send<I: NetlinkSerializable>(&mut self, messages: Vec<(I, u16)>) -> io::Result<u32> {
        let first = self.sequence.wrapping_add(1);
        let mut bytes = Vec::with_capacity(512);
        for (message, flags) in messages {
            self.sequence = self.sequence.wrapping_add(1);
            let mut header = NetlinkHeader::default();
            header.flags = NLM_F_REQUEST | flags;
            header.sequence_number = self.sequence;
            let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
            message.finalize();
            let start = bytes.len();
            bytes.resize(start + message.buffer_len().next_multiple_of(4), 0);
            message.serialize(&mut bytes[start..]);
        }
        self.make_room(bytes.len())?;
        self.socket.send(&bytes, 0)?;
        Ok(first)
    }

    /// A message is sent whole or not at all, so the socket's buffer must hold it. The kernel counts its own structures
    /// as well, and doubles what it is told for that (socket(7) `SO_SNDBUF`).
    fn make_room(&mut self, bytes: usize) -> io::Result<()> {
        if bytes > self.room_bytes {
            setsockopt(&self.socket, sockopt::SndBufForce, &bytes)?;
            self.room_bytes = bytes;
        }
        Ok(())
    }

    /// Reads until the request `sequence` is acknowledged, refused, or its dump is over.
    fn until_end(&self, sequence: u32, each: &mut dyn FnMut(&[u8])) -> Answer {
        BUFFER.with_borrow_mut(|buffer| {
            let mut interrupted = false;
            loop {
                let length = receive(&self.socket, buffer)?;
                for message in Messages(&buffer[..length]) {
                    // What a former call left unread after it failed.
                    if message.sequence != sequence {
                        continue;
                    }
                    interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
                    if !matches!(message.kind, ERROR | DONE) {
                        each(message.payload);
                        continue;
                    }
                    verdict(&message)?;
                    return match interrupted {
                        true => Err(io::ErrorKind::Interrupted.into()),
                        false => Ok(()),
                    };
                }
            }
        })
    }
}

/// Reads one datagram of netlink messages into `buffer`.
pub(crate) fn receive(socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
    let capacity = buffer.len();
    let mut room = &mut buffer[..];
    let length = loop {
        match socket.recv(&mut room, nix::libc::MSG_TRUNC) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    if length > capacity {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a netlink message is longer than 64 KiB",
        ));
    }
    Ok(length)
}

/// The error code of a final message, if any, with the kernel's sentence.
fn verdict(message: &Message<'_>) -> Answer {
    let code = u32_at(message.payload, 0).map_or(0, |code| code.cast_signed());
    if code == 0 {
        return Ok(());
    }
    let error = io::Error::from_raw_os_error(-code);
    // Behind the code stands the header of the refused request, then the attributes. A dump's end has no such header.
    let behind = if message.kind == ERROR {
        4 + HEADER_BYTES
    } else {
        4
    };
    let said = Attributes::new(message.payload.get(behind..).unwrap_or_default())
        .find(|(kind, _)| *kind == ERROR_TEXT)
        .and_then(|(_, value)| text(value));
    Err(match said {
        Some(said) => io::Error::new(error.kind(), Refusal { said, error }),
        None => error,
    })
}

/// A refusal with the kernel's sentence; keeps the error number for [`errno`].
#[derive(Debug, thiserror::Error)]
#[error("{said} ({error})")]
struct Refusal {
    said: String,
    error: io::Error,
}

/// The number of an error (errno(3)), also of a refusal with a sentence.
pub(crate) fn errno(error: &io::Error) -> Option<i32> {
    error.raw_os_error().or_else(|| {
        error
            .get_ref()?
            .downcast_ref::<Refusal>()?
            .error
            .raw_os_error()
    })
}

/// One message of a datagram.
pub(crate) struct Message<'a> {
    /// Its type, such as `RTM_NEWLINK`.
    pub(crate) kind: u16,
    flags: u16,
    sequence: u32,
    /// The netlink address of the socket that it answers, or whose change it tells of.
    pub(crate) address: u32,
    /// What stands behind the header.
    pub(crate) payload: &'a [u8],
}

/// The messages of a datagram.
pub(crate) struct Messages<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let length = usize::try_from(u32_at(self.0, 0)?).ok()?;
        let payload = self.0.get(HEADER_BYTES..length)?;
        let kind_and_flags = u32_at(self.0, 4)?.to_ne_bytes();
        let message = Message {
            kind: u16::from_ne_bytes([kind_and_flags[0], kind_and_flags[1]]),
            flags: u16::from_ne_bytes([kind_and_flags[2], kind_and_flags[3]]),
            sequence: u32_at(self.0, 8)?,
            address: u32_at(self.0, 12)?,
            payload,
        };
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    }
}
