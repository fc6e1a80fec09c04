//! The words of a command line, read by clap, as every program here reads them.

use std::process::ExitCode;

use clap::Parser;

/// The words that this process was started with.
///
/// # Errors
/// The exit status, once it is said what is wrong; or that of success for help and the version, which are printed.
pub(crate) fn read<T: Parser>() -> Result<T, ExitCode> {
    T::try_parse().map_err(|error| {
        // Help and version are "errors" to clap, meant for stdout; a closed pipe there is nobody's fault.
        let _ = error.print();
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
    })
}
