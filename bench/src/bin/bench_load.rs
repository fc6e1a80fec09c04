//! What runs inside the laboratory during a measurement: processes that play containers, and both ends of loads.
//!
//! `bench-load containers FIRST COUNT FILE` starts COUNT processes in network namespaces of their own, binds each to
//! /run/netns/cN from FIRST on, writes their ids to FILE, and waits for its end. `bench-load idle` is one of them.
//!
//! `bench-load accept | sink | echo PORT` accepts connections: to end them at once, to read whatever comes, to send it back.
//! `bench-load connect | stream | pingpong ADDRESS:PORT MILLISECONDS` is the other end; it prints one number: connections a
//! second, Gbit/s, or the median round trip in microseconds.

use std::fs::{File, create_dir_all, rename, write};
use std::io::{BufRead, BufReader, Error, Result, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use netd_bench::load;

use nix::mount::{MsFlags, mount};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["containers", first, count, file] => {
            let parse = |text: &str| text.parse::<usize>().map_err(Error::other);
            containers(parse(first)?, parse(count)?, file)
        }
        ["idle"] => idle(),
        [kind @ ("accept" | "sink" | "echo"), port] => {
            load::serve(kind, port.parse().map_err(Error::other)?)
        }
        [kind @ ("connect" | "stream" | "pingpong"), target, time] => {
            let target = target.parse().map_err(Error::other)?;
            let time = Duration::from_millis(time.parse().map_err(Error::other)?);
            let figure = match kind {
                "connect" => load::connect(target, time)?,
                "stream" => load::stream(target, time)?,
                _ => load::pingpong(target, time)?,
            };
            writeln!(std::io::stdout(), "{figure}")
        }
        _ => Err(Error::other(
            "usage: bench-load containers FIRST COUNT FILE | idle | accept|sink|echo PORT | \
             connect|stream|pingpong ADDRESS:PORT MILLISECONDS",
        )),
    }
}

/// Starts the processes of `count` containers, the first with the number `first`, and stays with them.
fn containers(first: usize, count: usize, file: &str) -> Result<()> {
    create_dir_all("/run/netns")?;
    let own = std::env::current_exe()?;
    let start = || {
        Command::new(&own)
            .arg("idle")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
    };
    let mut children = (0..count)
        .map(|_| start())
        .collect::<Result<Vec<Child>>>()?;
    let mut list = String::new();
    for (number, child) in (first..).zip(&mut children) {
        let stdout = child.stdout.take().ok_or(Error::other("no output"))?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let path = format!("/run/netns/c{number}");
        File::create(&path)?;
        let netns = format!("/proc/{}/ns/net", child.id());
        mount(
            Some(netns.as_str()),
            path.as_str(),
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )?;
        list.push_str(&format!("{}\n", child.id()));
    }
    let new = format!("{file}.new");
    write(&new, list)?;
    rename(&new, file)?;
    forever()
}

/// Leaves for a network namespace of its own, says so, and waits for its end.
fn idle() -> Result<()> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?;
    writeln!(std::io::stdout(), "ready")?;
    forever()
}

fn forever() -> ! {
    loop {
        std::thread::park();
    }
}
