//! A kept-open netlink socket: requests with their acknowledgement, dumps, and the kernel's own words when it refuses.
//!
//! Knows the envelope of RFC 3549 and nothing of what is inside. Calls block, but only for as long as the kernel works
//! on the request: rtnetlink does everything within sendmsg(2).

use std::cell::RefCell;
use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
};
use netlink_sys::{Socket, SocketAddr};

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
/// How often a dump is begun anew because the objects changed under it.
const DUMP_TRIES: usize = 16;

/// What the kernel says to one request.
type Answer = io::Result<()>;

thread_local! {
    /// Answers are read into this: one per thread, since of sockets there is one for each sandbox and more.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER_BYTES]);
}

/// A netlink socket of one namespace; it stays with that namespace wherever it is used.
pub(super) struct Session {
    socket: Socket,
    sequence: u32,
}

impl Session {
    /// Opens a socket of `protocol` (`NETLINK_ROUTE`, `NETLINK_NETFILTER`) in the namespace of the calling thread.
    pub(super) fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // Refusals come with a sentence, and without a copy of the request.
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        // Dumps honour the filters in their request. Kernels before 4.20 do not know the option and send more.
        let _ = socket.set_netlink_get_strict_chk(true);
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// Sends one request and waits for its acknowledgement.
    pub(super) fn request<I: NetlinkSerializable>(&mut self, message: I, flags: u16) -> Answer {
        let sequence = self.send(vec![(message, flags | NLM_F_ACK)])?;
        self.until_end(sequence, &mut |_| {})
    }

    /// Sends two requests in one system call, so that no signal comes between them: not even SIGKILL leaves the first
    /// done and the second undone. The kernel tries the second whatever it says to the first.
    pub(super) fn request_pair<I: NetlinkSerializable>(
        &mut self,
        first: (I, u16),
        second: (I, u16),
    ) -> io::Result<(Answer, Answer)> {
        let sequence = self.send(vec![
            (first.0, first.1 | NLM_F_ACK),
            (second.0, second.1 | NLM_F_ACK),
        ])?;
        let first = self.until_end(sequence, &mut |_| {});
        let second = self.until_end(sequence.wrapping_add(1), &mut |_| {});
        Ok((first, second))
    }

    /// Asks for one object; `read` makes a value of the answer.
    pub(super) fn get<I: NetlinkSerializable, T>(
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
    pub(super) fn dump<I: NetlinkSerializable + Clone, T>(
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
        self.socket.send(&bytes, 0)?;
        Ok(first)
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
pub(super) fn receive(socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
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
pub(super) fn errno(error: &io::Error) -> Option<i32> {
    error.raw_os_error().or_else(|| {
        error
            .get_ref()?
            .downcast_ref::<Refusal>()?
            .error
            .raw_os_error()
    })
}

/// One message of a datagram.
pub(super) struct Message<'a> {
    /// Its type, such as `RTM_NEWLINK`.
    pub(super) kind: u16,
    flags: u16,
    sequence: u32,
    /// What stands behind the header.
    pub(super) payload: &'a [u8],
}

/// The messages of a datagram.
pub(super) struct Messages<'a>(pub(super) &'a [u8]);

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
            payload,
        };
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    }
}
