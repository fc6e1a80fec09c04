//! Both ends of a load: TCP connections that are opened and closed, filled, or used for round trips.
//!
//! Runs in processes of its own inside the laboratory; knows nothing of lanes.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use crate::stats::Summary;

/// Bytes of one write or read of a stream.
const CHUNK_BYTES: usize = 128 * 1024;

/// Connections that wait to be accepted; the kernel bounds it by net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// Threads that open connections, and that accept them.
const THREADS: usize = 2;

/// How long a connection may take to be opened. One packet that is lost is sent again after a second.
const PATIENCE: Duration = Duration::from_secs(5);

/// Accepts connections on `port` for ever; `kind` says what for: `accept` ends each at once, `sink` reads, `echo` sends back.
///
/// # Errors
/// When it cannot listen.
pub fn serve(kind: &str, port: u16) -> Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from(([0, 0, 0, 0], port)).into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| accept(kind, &listener));
        }
    });
    Ok(())
}

fn accept(kind: &str, listener: &TcpListener) {
    // A connection that was reset before it was accepted is no reason to end.
    for stream in listener.incoming().flatten() {
        match kind {
            "sink" => _ = std::thread::spawn(move || sink(stream)),
            "echo" => _ = std::thread::spawn(move || echo(stream)),
            _ => drop(stream),
        }
    }
}

fn sink(mut stream: TcpStream) -> Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}

fn echo(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; 64];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            length => stream.write_all(&buffer[..length])?,
        }
    }
}

/// Opens connections one after the other in each thread, resetting each; gives how many a second.
///
/// # Errors
/// When one cannot be opened.
pub fn connect(target: SocketAddr, time: Duration) -> Result<f64> {
    let start = Instant::now();
    let caller = || -> Result<u32> {
        let mut count = 0;
        while start.elapsed() < time {
            let stream = TcpStream::connect_timeout(&target, PATIENCE)?;
            // A reset leaves no socket in TIME_WAIT, so ports do not run out.
            SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
            count += 1;
        }
        Ok(count)
    };
    let counts: Vec<Result<u32>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(caller)).collect();
        let panicked = |_| Err(Error::other("a caller panicked"));
        let ended = threads.into_iter().map(|thread| thread.join());
        ended.map(|end| end.unwrap_or_else(panicked)).collect()
    });
    let total: u32 = counts.into_iter().sum::<Result<u32>>()?;
    Ok(f64::from(total) / start.elapsed().as_secs_f64())
}

/// Sends as much as the other side takes; gives Gbit/s.
///
/// # Errors
/// When the connection cannot be opened or breaks.
pub fn stream(target: SocketAddr, time: Duration) -> Result<f64> {
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    let chunk = vec![0; CHUNK_BYTES];
    let start = Instant::now();
    let mut bits = 0.0;
    while start.elapsed() < time {
        stream.write_all(&chunk)?;
        bits += f64::from(u32::try_from(CHUNK_BYTES * 8).unwrap_or(u32::MAX));
    }
    Ok(bits / start.elapsed().as_secs_f64() / 1e9)
}

/// Sends a byte and waits for it, again and again; gives the median in microseconds.
///
/// # Errors
/// When the connection cannot be opened or breaks.
pub fn pingpong(target: SocketAddr, time: Duration) -> Result<f64> {
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_nodelay(true)?;
    let begin = Instant::now();
    let mut rounds = Vec::new();
    let mut byte = [0];
    while begin.elapsed() < time {
        let start = Instant::now();
        stream.write_all(&[1])?;
        stream.read_exact(&mut byte)?;
        rounds.push(start.elapsed().as_secs_f64() * 1e6);
    }
    let summary = Summary::of(&rounds);
    summary
        .map(|found| found.median)
        .ok_or_else(|| Error::new(ErrorKind::TimedOut, "not one round trip"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_trip_comes_back_and_a_refused_connection_is_an_error() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let target = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || echo(listener.accept().unwrap().0));
        let median = pingpong(target, Duration::from_millis(20)).unwrap();
        assert!(median > 0.0 && median < 1e6, "{median}");
        server.join().unwrap().unwrap();
        assert!(pingpong(target, Duration::from_millis(20)).is_err());
        assert!(connect(target, Duration::from_millis(20)).is_err());
    }
}
