//! The project's chores: `cargo xtask setup | test | demo | bench | man`. Must not know how the daemon works.

mod packages;

mod cargo;

mod scenarios;

mod test;

mod demo;

mod bench;

mod man;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
The project's chores. Run as root, from anywhere in the project.

  cargo xtask demo            install what is needed, build, show the whole story; leaves nothing behind
  cargo xtask test [FILTER]   install what is needed, build, run every test whose name contains FILTER
  cargo xtask bench [--quick]  measure netd beside bare netlink and other engines; `bench --help` has more
  cargo xtask man             write the manual pages of net and netd into target/man
  cargo xtask setup           only install what is needed (Debian packages), and unpack the other engines
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(code) => code,
        Err(error) => {
            // Debug output of an error has a backtrace, which says nothing to whoever lacks a package.
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<ExitCode> {
    match words {
        ["setup"] => {
            packages::install_missing()?;
            packages::unpack_missing()?;
        }
        ["test"] => return test::run(None),
        ["test", filter] => return test::run(Some(filter)),
        ["demo"] => demo::run()?,
        ["bench", options @ ..] => return bench::run(options),
        ["man"] => man::write()?,
        [] | ["help" | "--help" | "-h"] => say(HELP.trim_end()),
        _ => bail!("unknown chore {:?}\n\n{HELP}", words.join(" ")),
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a line. Standard output that went away, as in `| head`, is no failure.
fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
