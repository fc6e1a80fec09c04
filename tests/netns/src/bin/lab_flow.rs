//! Numbered packets at a fixed rate, counted on both sides.
//!
//! `lab-flow answer PORT` answers each number with itself and with how many it has had of this flow, over UDP and TCP.
//! `lab-flow ask udp|tcp ADDRESS:PORT RATE STOP_FILE` sends numbers, RATE a second, until STOP_FILE is there; then it
//! prints how many it sent, how many answers came, how many the other side had, and the longest time without an answer.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Error, Result, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long answers may take after the last number was sent, over UDP and over TCP. On a busy machine a process may wait for
/// seconds until it may read what its socket holds; TCP also waits longer each time that it sends again in vain.
const STRAGGLERS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(10));

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["answer", port] => answer(port.parse().map_err(Error::other)?),
        ["ask", kind, target, rate, stop] => {
            let rate: u32 = rate.parse().map_err(Error::other)?;
            let pace = Pace {
                pause: Duration::from_secs(1) / rate.max(1),
                stop: Path::new(stop),
            };
            match kind {
                "udp" => ask_udp(target, &pace),
                _ => ask_tcp(target, &pace),
            }
        }
        _ => Err(Error::other(
            "usage: lab-flow answer PORT | ask udp|tcp ADDRESS:PORT RATE STOP_FILE",
        )),
    }
}

fn answer(port: u16) -> Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer_stream(stream));
        }
    });
    let socket = UdpSocket::bind(("0.0.0.0", port))?;
    // By the name of a flow, since a later one may have the address and port of an earlier one.
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let mut buffer = [0; 256];
    loop {
        let (length, peer) = socket.recv_from(&mut buffer)?;
        let text = String::from_utf8_lossy(&buffer[..length]);
        let (number, flow) = text.split_once(' ').unwrap_or((&text, ""));
        let count = seen.entry(flow.to_owned()).or_default();
        *count += 1;
        // Who cannot be answered counts it as lost.
        let _ = socket.send_to(format!("{number} {count}\n").as_bytes(), peer);
    }
}

fn answer_stream(stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    for (before, line) in BufReader::new(stream).lines().enumerate() {
        // In one piece, which is one packet.
        writer.write_all(format!("{} {}\n", line?, before + 1).as_bytes())?;
    }
    Ok(())
}

/// How fast, and until when.
struct Pace<'a> {
    pause: Duration,
    stop: &'a Path,
}

impl Pace<'_> {
    /// Calls `send` with each number in its turn, and gives how many there were.
    fn keep(&self, mut send: impl FnMut(u64)) -> u64 {
        let start = Instant::now();
        let mut number = 0;
        while !self.stop.exists() {
            number += 1;
            send(number);
            // By the clock, not by the pause: a late one does not make all others late.
            let due = self.pause * u32::try_from(number).unwrap_or(u32::MAX);
            std::thread::sleep(due.saturating_sub(start.elapsed()));
        }
        number
    }
}

/// What came back.
#[derive(Default)]
struct Answers {
    answered: AtomicU64,
    seen: AtomicU64,
    /// The highest number that came back.
    latest: AtomicU64,
    longest_gap_ms: AtomicU64,
}

impl Answers {
    fn note(&self, line: &str, last: &mut Instant) {
        let mut words = line.split_whitespace();
        for counter in [&self.latest, &self.seen] {
            let number = words.next().and_then(|word| word.parse().ok());
            counter.fetch_max(number.unwrap_or(0), Ordering::SeqCst);
        }
        self.answered.fetch_add(1, Ordering::SeqCst);
        let gap = u64::try_from(last.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.longest_gap_ms.fetch_max(gap, Ordering::SeqCst);
        *last = Instant::now();
    }

    fn report(&self, sent: u64, stragglers: Duration) -> Result<()> {
        let latest = Instant::now() + stragglers;
        while self.answered.load(Ordering::SeqCst) < sent && Instant::now() < latest {
            std::thread::sleep(Duration::from_millis(5));
        }
        let of = |number: &AtomicU64| number.load(Ordering::SeqCst);
        let text = format!(
            r#"{{"sent": {sent}, "answered": {}, "seen": {}, "latest": {}, "longest_gap_ms": {}}}"#,
            of(&self.answered),
            of(&self.seen),
            of(&self.latest),
            of(&self.longest_gap_ms)
        );
        writeln!(std::io::stdout(), "{text}")
    }
}

fn ask_udp(target: &str, pace: &Pace<'_>) -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(target)?;
    let answers: &'static Answers = Box::leak(Box::default());
    let receiver = socket.try_clone()?;
    std::thread::spawn(move || {
        let (mut buffer, mut last) = ([0; 256], Instant::now());
        loop {
            // A refusal by ICMP shows as an error here; the number is lost then, and the next one may not be.
            if let Ok(length) = receiver.recv(&mut buffer) {
                answers.note(&String::from_utf8_lossy(&buffer[..length]), &mut last);
            }
        }
    });
    let flow = pace.stop.display();
    let sent = pace.keep(|number| _ = socket.send(format!("{number} {flow}").as_bytes()));
    answers.report(sent, STRAGGLERS.0)
}

fn ask_tcp(target: &str, pace: &Pace<'_>) -> Result<()> {
    let mut stream = TcpStream::connect(target)?;
    stream.set_nodelay(true)?;
    let answers: &'static Answers = Box::leak(Box::default());
    let receiver = stream.try_clone()?;
    std::thread::spawn(move || {
        let mut last = Instant::now();
        for line in BufReader::new(receiver).lines().map_while(Result::ok) {
            answers.note(&line, &mut last);
        }
    });
    let sent = pace.keep(|number| _ = stream.write_all(format!("{number}\n").as_bytes()));
    answers.report(sent, STRAGGLERS.1)
}
