//! `netd-cni`: the plugin that container runtimes call by the Container Network Interface (CNI), one process for each
//! question. It translates; what is asked for, refused, kept and undone is the daemon's.
//!
//! Nothing is written down here and no other plugin is run: a configuration names no program that is looked for
//! (CVE-2021-20206). With arguments it is a command for people, `netd-cni install`.
//!
//! Reading order: [`failure`] (how it says no), [`version`], [`environment`], [`input`] (what it was called with),
//! [`config`] (what the network shall be), [`request`] and [`result`] (to the daemon and back), [`verbs`], [`install`].

mod failure;
mod version;

mod environment;
mod input;

mod config;

mod request;
mod result;

mod verbs;

mod install;

use std::io::Write;
use std::process::ExitCode;

use serde_json::Value;

use environment::Environment;
use failure::Failure;
use input::Input;
use version::Version;

/// Answers one call of a runtime, or does what a person typed.
#[must_use]
pub fn main() -> ExitCode {
    if std::env::args_os().len() > 1 {
        return install::main();
    }
    let mut version = Version::NEWEST;
    let (text, code) = match answer(&mut version) {
        Ok(None) => return ExitCode::SUCCESS,
        Ok(Some(value)) => (value, ExitCode::SUCCESS),
        Err(failure) => (failure.object(version), ExitCode::FAILURE),
    };
    // The runtime reads the rest of the story in the exit status if it closed the pipe.
    let written = writeln!(std::io::stdout().lock(), "{text}");
    match written {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Does what the environment says; `version` is that of the call as soon as it is known.
fn answer(version: &mut Version) -> Result<Option<Value>, Failure> {
    let environment = Environment::of_process();
    let command = environment.command()?;
    if command == environment::Command::Version {
        return verbs::version(&input::read()?).map(Some);
    }
    let input = Input::parse(&input::read()?)?;
    *version = input.version;
    match command {
        environment::Command::Version => Ok(None),
        environment::Command::Add => verbs::add(&environment, &input).map(Some),
        environment::Command::Del => verbs::del(&environment, &input).map(|()| None),
        environment::Command::Check => verbs::check(&environment, &input).map(|()| None),
        environment::Command::Gc => verbs::gc(&input).map(|()| None),
        environment::Command::Status => verbs::status(&input).map(|()| None),
    }
}
