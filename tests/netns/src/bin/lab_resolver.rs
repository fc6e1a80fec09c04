//! A resolver for the laboratory: answers A questions below one zone with one address, refuses nothing else than by
//! NXDOMAIN, and prints each question. UDP and TCP, port 53. Must not know netd; its encoding is its own (RFC 1035 4).

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// Bytes of a DNS header (RFC 1035 4.1.1).
const HEADER: usize = 12;

/// Type A (RFC 1035 3.2.2).
const TYPE_A: u16 = 1;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let zone = arguments.next().unwrap_or_default();
    let address: Ipv4Addr = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| std::io::Error::other("usage: lab-resolver ZONE ADDRESS"))?;
    let tcp = TcpListener::bind(("0.0.0.0", 53))?;
    let udp = UdpSocket::bind(("0.0.0.0", 53))?;
    let tcp_zone = zone.clone();
    std::thread::spawn(move || {
        for mut stream in tcp.incoming().flatten() {
            let mut length = [0; 2];
            let mut question = vec![0; 512];
            if stream.read_exact(&mut length).is_err() {
                continue;
            }
            question.truncate(usize::from(u16::from_be_bytes(length)));
            if stream.read_exact(&mut question).is_err() {
                continue;
            }
            let Some(answer) = answer(&question, &tcp_zone, address) else {
                continue;
            };
            let length = u16::try_from(answer.len()).unwrap_or(0).to_be_bytes();
            // A client that went away meanwhile is no concern of the laboratory.
            let _ = stream.write_all(&[&length[..], &answer].concat());
        }
    });
    let mut buffer = [0; 4096];
    loop {
        let (length, client) = udp.recv_from(&mut buffer)?;
        if let Some(answer) = answer(&buffer[..length], &zone, address) {
            let _ = udp.send_to(&answer, client);
        }
    }
}

/// The answer to a message with one question; `None` for what is no question.
fn answer(message: &[u8], zone: &str, address: Ipv4Addr) -> Option<Vec<u8>> {
    let (name, end) = question_name(message)?;
    let kind = u16::from_be_bytes([*message.get(end)?, *message.get(end + 1)?]);
    report(&format!("{name} {kind}"));
    let known = name == zone || name.ends_with(&format!(".{zone}"));
    let records = u8::from(known && kind == TYPE_A);
    // QR, AA, RD as asked, RA; then NOERROR or NXDOMAIN.
    let flags = [0x84 | (message[2] & 1), 0x80 | if known { 0 } else { 3 }];
    let mut out = message[..2].to_vec();
    out.extend(flags);
    out.extend([0, 1, 0, records, 0, 0, 0, 0]);
    out.extend(message.get(HEADER..end + 4)?);
    if records == 1 {
        // A pointer to the question's name, type A, class IN, 60 seconds, four bytes.
        out.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        out.extend(address.octets());
    }
    Some(out)
}

/// The name asked for, in small letters, and where it ends in the message.
fn question_name(message: &[u8]) -> Option<(String, usize)> {
    let mut at = HEADER;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        let label = message.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        at += length;
    }
}

fn report(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
