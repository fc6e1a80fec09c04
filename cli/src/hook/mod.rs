//! `netd-hook`: the program that runc and crun call at two moments of a container's life (OCI runtime specification,
//! config.md, section "POSIX-platform Hooks"). It translates; what is asked for, refused, kept and undone is the
//! daemon's.
//!
//! Nothing is written down here. `netd-hook example` is for people: what a config.json needs.
//!
//! Reading order: [`failure`] (how it says no), [`state`] and [`bundle`] (what it was called with), [`annotations`] (what
//! is wished for), [`process`], [`verbs`], [`bind`] (the files in /etc), [`example`].

mod failure;

mod bundle;
mod state;

mod annotations;

mod process;

mod verbs;

mod bind;

mod example;

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use netd_api::Client;

use crate::handover::PATIENCE;
use crate::words;
use example::Example;
use failure::Failure;
use state::State;

/// Connects containers of runc and crun to networks of netd.
///
/// Runtimes call it with the container's state on stdin. What the container wants stands in its annotations.
#[derive(Debug, Parser)]
#[command(name = "netd-hook", version, arg_required_else_help = true, after_help = example::annotations())]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Connect a container that is being created (hooks.createRuntime).
    #[command(name = "createRuntime")]
    CreateRuntime(Asked),
    /// Disconnect a container that has ended (hooks.poststop).
    Poststop(Asked),
    /// Print what a config.json needs, or a config.json with it.
    Example(Example),
}

#[derive(Debug, Args)]
struct Asked {
    /// Socket of the daemon; NETD_HOST, and then the usual one, unless given
    #[arg(long)]
    socket: Option<String>,
}

impl Asked {
    fn client(&self) -> Result<Client, Failure> {
        let client = Client::from_host(self.socket.as_deref())?;
        Ok(client.with_timeout(PATIENCE))
    }
}

/// Answers one call of a runtime, or prints what a person asked for.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match words::read::<Arguments>() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let done = match &arguments.verb {
        Verb::CreateRuntime(asked) => hook(asked, verbs::create_runtime),
        Verb::Poststop(asked) => hook(asked, verbs::poststop),
        Verb::Example(example) => example.print(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            let _ = writeln!(std::io::stderr(), "netd-hook: {sentence}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the state and does what a hook has to; the sentence of a refusal names the container.
fn hook(
    asked: &Asked,
    verb: impl FnOnce(&Client, &State) -> Result<(), Failure>,
) -> Result<(), String> {
    let state = State::read().map_err(|failure| failure.to_string())?;
    let done = asked.client().and_then(|client| verb(&client, &state));
    done.map_err(|failure| format!("container {}: {failure}", state.id))
}
