//! The `net` command: verbs of networks and containers for a person's shell.
//!
//! Reading order: [`args`] (what can be typed), [`failure`] (how it can end), [`networks`], [`routes`], [`containers`]
//! and [`daemon`] (the verbs that ask), [`run`] and [`exec`] (the verbs that start a command); below them what those share:
//! [`target`], [`filter`], [`format`], [`template`], [`table`], [`age`], [`progress`], [`out`];
//! and what surrounds the verbs: [`complete`], [`typo`], [`man`].

mod args;
mod failure;

mod containers;
mod daemon;
mod exec;
mod networks;
mod routes;
mod run;

mod age;
mod complete;
mod filter;
mod format;
mod man;
mod namespace;
mod out;
mod progress;
mod table;
mod target;
mod template;
mod typo;

use std::process::ExitCode;

use clap::Parser;
use netd_api::Client;

use args::{Arguments, Verb};
use failure::Failure;

/// Parses the command line, does what it says and tells how it went.
#[must_use]
pub fn main() -> ExitCode {
    // How `net run` starts itself again: no verbs of a person's, so neither help nor completions know them.
    match std::env::args_os().nth(1) {
        Some(first) if first == run::SUPERVISE => return end(run::supervise_detached()),
        Some(first) if first == run::LAUNCH => {
            return end(run::launch(std::env::args_os().skip(2)));
        }
        _ => {}
    }
    if let Some(code) = complete::answer() {
        return code;
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(mut error) => {
            let words: Vec<String> = std::env::args_os()
                .map(|word| word.to_string_lossy().into_owned())
                .collect();
            typo::advise(&mut error, &words);
            // Help and version are "errors" to clap, meant for stdout; a closed pipe there is nobody's fault.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(failure::USAGE));
        }
    };
    end(dispatch(arguments))
}

/// Tells of a failure and makes the exit code.
fn end(outcome: Result<u8, Failure>) -> ExitCode {
    let code = outcome.unwrap_or_else(|failure| {
        if let Some(text) = failure.sentence() {
            out::say(&text);
        }
        failure.code()
    });
    ExitCode::from(code)
}

/// Does one verb and gives the exit code.
fn dispatch(arguments: Arguments) -> Result<u8, Failure> {
    let host = arguments.host.as_deref();
    let client = || Client::from_host(host).map_err(Failure::from);
    match arguments.verb {
        Verb::Run(args) => return run::run(&client().map_err(Failure::before_command)?, args),
        Verb::Exec(args) => return exec::exec(&client().map_err(Failure::before_command)?, &args),
        Verb::Create(args) => networks::create(&client()?, args),
        Verb::Rm(args) => networks::remove(&client()?, &args),
        Verb::Ls(args) => networks::list(&client()?, &args),
        Verb::Inspect(args) => networks::inspect(&client()?, &args),
        Verb::Update(args) => networks::update(&client()?, args),
        Verb::Prune(args) => networks::prune(&client()?, &args),
        Verb::Connect(args) => networks::connect(&client()?, args),
        Verb::Disconnect(args) => networks::disconnect(&client()?, &args),
        Verb::Allow(args) => networks::allow(&client()?, args.pair),
        Verb::Deny(args) => networks::deny(&client()?, args.pair),
        Verb::Route(args) => routes::route(&client()?, args),
        Verb::Uplink(args) => routes::uplink(&client()?, args),
        Verb::Ps(args) => containers::list(&client()?, &args),
        Verb::Stop(args) => containers::stop(&client()?, &args),
        Verb::Port(args) => containers::port(&client()?, &args),
        Verb::Publish(args) => containers::publish(&client()?, args),
        Verb::Unpublish(args) => containers::unpublish(&client()?, args),
        Verb::Status(args) => daemon::status(&client()?, &args),
        Verb::Events(args) => daemon::events(&client()?, &args),
        Verb::Version(args) => daemon::version(&client()?, &args),
        Verb::Completions(args) => {
            let script = complete::script(args.shell).map_err(Failure::from);
            script.and_then(|script| Ok(out::print(&script)?))
        }
        Verb::Man(args) => man::write(&args),
    }?;
    Ok(0)
}
