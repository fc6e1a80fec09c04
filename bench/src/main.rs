//! The benchmark's program. `cargo xtask bench` builds what it needs and starts it.

use std::io::Write;

use anyhow::{Context, Result};
use clap::Parser;
use netd_bench::facts::Facts;
use netd_bench::lanes::{
    Lane,
    cli::Cli,
    limit::Limit,
    netd::{Backend, Netd},
};
use netd_bench::measures::steps;
use netd_bench::options::Options;
use netd_bench::report;
use netd_bench::results::Results;

fn main() -> Result<()> {
    let options = Options::parse();
    let effort = options.effort();
    let facts = Facts::look();
    let mut results = Results::default();
    let mut lanes: Vec<Box<dyn Lane>> = vec![
        Box::new(Limit::new().context("set up the lane limit")?),
        Box::new(Netd::new(Backend::Nftables)?),
        Box::new(Netd::new(Backend::Iptables)?),
        Box::new(Cli::new()?),
    ];
    steps::run(&mut lanes, &effort, &mut results);
    drop(lanes);
    let page = report::write(&options.out, &facts, &results)?;
    let mut stdout = std::io::stdout().lock();
    // A reader that went away, as in `| head`, is no failure.
    let _ = stdout.write_all(page.as_bytes());
    Ok(())
}
