//! Podman's network program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    netd_cli::netavark::main()
}
