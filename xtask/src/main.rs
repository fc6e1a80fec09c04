//! The project's chores: `cargo xtask setup | test | demo`. Must not know how the daemon works.

mod packages;

mod cargo;

mod test;

mod demo;

use anyhow::{Result, bail};

const HELP: &str = "\
The project's chores. Run as root, from anywhere in the project.

  cargo xtask demo            install what is needed, build, show the whole story; leaves nothing behind
  cargo xtask test [FILTER]   install what is needed, build, run every test whose name contains FILTER
  cargo xtask setup           only install what is needed (Debian packages)
";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["setup"] => packages::install_missing(),
        ["test"] => test::run(None),
        ["test", filter] => test::run(Some(filter)),
        ["demo"] => demo::run(),
        [] | ["help" | "--help" | "-h"] => {
            say(HELP.trim_end());
            Ok(())
        }
        _ => bail!("unknown chore {:?}\n\n{HELP}", words.join(" ")),
    }
}

/// Prints a line. Standard output that went away, as in `| head`, is no failure.
fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
