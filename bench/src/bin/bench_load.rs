//! What runs inside the laboratory during a measurement: processes that play containers, and both ends of loads.
//!
//! `bench-load containers FIRST COUNT FILE` starts COUNT processes in network namespaces of their own, binds each to
//! /run/netns/cN from FIRST on, writes their ids to FILE, and waits for its end. `bench-load idle` is one of them.

use std::fs::{File, create_dir_all, rename, write};
use std::io::{BufRead, BufReader, Error, Result, Write};
use std::process::{Child, Command, Stdio};

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
        _ => Err(Error::other(
            "usage: bench-load containers FIRST COUNT FILE | idle",
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
