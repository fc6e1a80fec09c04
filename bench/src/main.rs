//! The benchmark's program. `cargo xtask bench` builds what it needs and starts it.

use std::io::Write;

use anyhow::Result;
use clap::Parser;
use netd_bench::options::Options;
use netd_bench::{report, run};

fn main() -> Result<()> {
    let options = Options::parse();
    let mut page = String::new();
    run::run(&options, |facts, results| {
        page = report::write(&options.out, facts, results)?;
        Ok(())
    })?;
    // A reader that went away, as in `| head`, is no failure.
    let _ = std::io::stdout().write_all(page.as_bytes());
    Ok(())
}
