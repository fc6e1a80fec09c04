//! The hooks for OCI runtimes; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    netd_cli::hook::main()
}
