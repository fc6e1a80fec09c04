//! One question to one upstream: UDP, repeated while it is silent, then TCP where the answer does not fit.
//!
//! Each exchange has a socket of its own, so that the kernel picks a random source port, drops what comes from
//! elsewhere, and reports a closed port at once (RFC 5452, udp(7)). The caller sets the deadline.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::message::{Answer, Outgoing, WithEdns};
use crate::stats::Counters;

/// Silence after which the same query is sent again: two repetitions within the whole patience.
const REPEAT_AFTER: Duration = Duration::from_millis(1300);
/// Datagrams larger than we offered to take are read whole up to here.
const DATAGRAM_MAX_BYTES: usize = 4096;
/// Wrong packets after which an upstream is left: it lies, or somebody guesses ids.
const LIES_MAX: usize = 16;

/// Why an upstream gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A closed port, no route, no descriptor left.
    #[error("the system refused: {0}")]
    Io(#[from] io::Error),
    /// It lies, or somebody guesses ids.
    #[error("what came back did not answer the question")]
    Lies,
}

/// Asks `server` until it answers or fails.
pub(crate) async fn exchange(
    server: SocketAddr,
    outgoing: &Outgoing<'_>,
    counters: &Counters,
) -> Result<Answer, Failure> {
    let mut edns = WithEdns::Yes;
    loop {
        counters.upstream_queries.add_one();
        let answer = over_udp(server, outgoing, edns, counters).await?;
        if answer.is_misunderstanding() && edns == WithEdns::Yes {
            edns = WithEdns::No;
        } else if answer.is_truncated() {
            counters.upstream_queries.add_one();
            return over_tcp(server, outgoing, edns, counters).await;
        } else {
            return Ok(answer);
        }
    }
}

async fn over_udp(
    server: SocketAddr,
    outgoing: &Outgoing<'_>,
    edns: WithEdns,
    counters: &Counters,
) -> Result<Answer, Failure> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    let id = random_id()?;
    let query = outgoing.packet(id, edns);
    let mut packet = vec![0; DATAGRAM_MAX_BYTES];
    let mut lies = 0;
    socket.send(&query).await?;
    loop {
        let Ok(received) = timeout(REPEAT_AFTER, socket.recv(&mut packet)).await else {
            socket.send(&query).await?;
            continue;
        };
        match Answer::read(&packet[..received?], id, outgoing.question) {
            Ok(answer) => return Ok(answer),
            Err(_) => counters.upstream_lies.add_one(),
        }
        lies += 1;
        if lies >= LIES_MAX {
            return Err(Failure::Lies);
        }
    }
}

async fn over_tcp(
    server: SocketAddr,
    outgoing: &Outgoing<'_>,
    edns: WithEdns,
    counters: &Counters,
) -> Result<Answer, Failure> {
    let mut stream = TcpStream::connect(server).await?;
    let id = random_id()?;
    let query = outgoing.packet(id, edns);
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream
        .write_all(&[&length.to_be_bytes()[..], &query].concat())
        .await?;
    let mut packet = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut packet).await?;
    match Answer::read(&packet, id, outgoing.question) {
        Ok(answer) if !answer.is_truncated() => Ok(answer),
        _ => {
            counters.upstream_lies.add_one();
            Err(Failure::Lies)
        }
    }
}

fn random_id() -> io::Result<u16> {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(u16::from_be_bytes(bytes))
}
