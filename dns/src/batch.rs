//! Many packets of one UDP socket at a time: taken by one call (recvmmsg(2)), and answers of the same length to the
//! same asker given by one call (udp(7), `UDP_SEGMENT`), which the kernel carries to the asker as one packet and parts there.
//!
//! Most of what a query costs is its packet's way through the kernel, the redirection of port 53 included. Under load
//! that way is thus gone once for many answers. Knows nothing of DNS.

use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::AsRawFd;

use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmsg};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Most packets taken by one call.
const PACKETS_MAX: usize = 64;
/// Longest query in bytes: a name, its EDNS, and room for cookies and padding. What is longer is cut off here.
const QUERY_MAX_BYTES: usize = 2048;
/// Fewer answers than these are sent one by one: what is captured inside a sandbox then shows each as it is asked for in
/// earnest, and little would be won.
const TOGETHER_MIN: usize = 4;
/// Most bytes that one call sends (udp(7): 64 packets, and 65,535 bytes less the headers of IP and UDP).
const TOGETHER_MAX_BYTES: usize = 65_535 - 20 - 8;

thread_local! {
    /// A thread's own, so that a loop holds no buffer while it waits.
    static SPACE: RefCell<Space> = RefCell::new(Space::new());
}

struct Space {
    headers: MultiHeaders<SockaddrIn>,
    queries: Vec<u8>,
    answers: Answers,
}

impl Space {
    fn new() -> Self {
        Self {
            headers: MultiHeaders::preallocate(PACKETS_MAX, None),
            queries: vec![0; PACKETS_MAX * QUERY_MAX_BYTES],
            answers: Answers::default(),
        }
    }
}

/// Answers that wait to be sent.
#[derive(Default)]
pub(crate) struct Answers {
    bytes: Vec<u8>,
    each: Vec<Waiting>,
}

#[derive(Clone, Copy)]
struct Waiting {
    client: SockaddrIn,
    start: usize,
    length: usize,
}

impl Waiting {
    fn goes_with(&self, other: &Self) -> bool {
        self.client == other.client && self.length == other.length
    }
}

impl Answers {
    /// Has `answer` sent to `client` with the others.
    pub(crate) fn push(&mut self, answer: &[u8], client: SockaddrIn) {
        self.each.push(Waiting {
            client,
            start: self.bytes.len(),
            length: answer.len(),
        });
        self.bytes.extend_from_slice(answer);
    }

    /// Sends all. Those that go together come one behind the other, in the order of their queries.
    fn send(&mut self, socket: &UdpSocket) {
        self.each
            .sort_by_key(|each| (each.client.ip(), each.client.port(), each.length));
        for same in self.each.chunk_by(Waiting::goes_with) {
            for run in same.chunks(run_length(same)) {
                self.send_run(run, socket);
            }
        }
        self.each.clear();
        self.bytes.clear();
    }

    /// Drops what the client does not read: it will ask again, and others are waiting.
    fn send_run(&self, run: &[Waiting], socket: &UdpSocket) {
        if run.len() >= TOGETHER_MIN && self.send_together(run, socket).is_ok() {
            return;
        }
        for each in run {
            let client = std::net::SocketAddrV4::from(each.client).into();
            if let Err(error) = socket.try_send_to(self.text(each), client) {
                tracing::debug!(%error, %client, "a DNS answer was not sent");
            }
        }
    }

    /// By one call. An error means that none of them was sent.
    fn send_together(&self, run: &[Waiting], socket: &UdpSocket) -> io::Result<()> {
        let Some(first) = run.first() else {
            return Ok(());
        };
        let length = u16::try_from(first.length).map_err(io::Error::other)?;
        let texts: Vec<_> = run
            .iter()
            .map(|each| IoSlice::new(self.text(each)))
            .collect();
        let parted = [ControlMessage::UdpGsoSegments(&length)];
        socket.try_io(Interest::WRITABLE, || {
            let (fd, flags) = (socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
            sendmsg(fd, &texts, &parted, flags, Some(&first.client))?;
            Ok(())
        })
    }

    fn text(&self, each: &Waiting) -> &[u8] {
        &self.bytes[each.start..each.start + each.length]
    }
}

/// How many answers of one length fit into one call.
fn run_length(same: &[Waiting]) -> usize {
    let length = same.first().map_or(1, |first| first.length.max(1));
    (TOGETHER_MAX_BYTES / length).max(1)
}

/// Takes what is in the socket's queue, [`PACKETS_MAX`] packets at most, has `answer` say something to each, and sends
/// that.
///
/// # Errors
/// `WouldBlock` when nothing is left in the queue, whether or not something was; else the socket's own.
pub(crate) fn answer_waiting(
    socket: &UdpSocket,
    mut answer: impl FnMut(&[u8], SockaddrIn, &mut Answers),
) -> io::Result<()> {
    SPACE.with_borrow_mut(|space| {
        let Space {
            headers,
            queries,
            answers,
        } = space;
        let outcome = socket.try_io(Interest::READABLE, || {
            let mut places = queries.chunks_exact_mut(QUERY_MAX_BYTES);
            let mut places: [_; PACKETS_MAX] =
                std::array::from_fn(|_| [IoSliceMut::new(places.next().unwrap_or_default())]);
            let (fd, flags) = (socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
            let packets = recvmmsg(fd, headers, places.iter_mut(), flags, None)?;
            let mut count = 0;
            for packet in packets {
                count += 1;
                let Some(client) = packet.address else {
                    continue;
                };
                answer(packet.iovs().next().unwrap_or_default(), client, answers);
            }
            // The queue was found empty, so there is no need to ask once more.
            if count < PACKETS_MAX {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(())
        });
        answers.send(socket);
        outcome
    })
}
