//! Sends one datagram and prints the answer, if one comes within two seconds: `lab-ask ADDRESS:PORT SOURCE_PORT LINE`.
//! socat cannot fix its source port, wait for an answer, and end with it.

use std::io::Write;
use std::net::UdpSocket;
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [target, source_port, line] = &words[..] else {
        return Err(std::io::Error::other(
            "usage: lab-ask ADDRESS:PORT SOURCE_PORT LINE",
        ));
    };
    let port: u16 = source_port.parse().map_err(std::io::Error::other)?;
    let socket = UdpSocket::bind(("0.0.0.0", port))?;
    socket.connect(target)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(format!("{line}\n").as_bytes())?;
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer)?;
    std::io::stdout().write_all(&buffer[..length])
}
