//! `net run`: a command in namespaces of its own, and the supervisor that ends with it.
//!
//! Reading order: this file (what is asked for), [`sandbox`] (namespaces), [`supervise`] (from the first system call to the
//! exit code), [`launch`] (the command), [`signals`] and [`descendants`] (what it waits for), [`detach`] (`-d`).

mod descendants;
mod detach;
mod launch;
mod sandbox;
mod signals;
mod supervise;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use netd_api::{Client, ContainerRequest, DnsSettings};
use serde::{Deserialize, Serialize};

use clap::Args as _;

use super::args::RunArgs;
use super::failure::{BEFORE_COMMAND, Failure, NOT_EXECUTABLE, NOT_FOUND};
use super::networks::addresses;
use super::out;
use crate::likeness;

/// All that a supervisor has to know; handed to a detached one as JSON.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Plan {
    /// The daemon's socket.
    socket: PathBuf,
    /// The container, without the process ids, which are the supervisor's own.
    request: ContainerRequest,
    /// File for the output of a detached command; `None` throws it away.
    log: Option<PathBuf>,
}

/// Runs a command and gives its exit code; detached, prints the container's id.
pub(super) fn run(client: &Client, args: Box<RunArgs>) -> Result<u8, Failure> {
    let (program, _) = self::program(&args.command)?;
    check_flag(program)?;
    check_program(program, std::env::var_os("PATH").as_deref())?;
    for warning in without_effect(client, &args) {
        out::say(&format!("warning: {warning}"));
    }
    let detach = args.detach;
    let plan = plan(client, *args)?;
    if detach {
        return detach::start(&plan).map_err(Failure::before_command);
    }
    supervise::supervise(&plan, supervise::Attached)
}

/// What was asked for and says nothing where the command is to run, as in Docker.
fn without_effect(client: &Client, args: &RunArgs) -> Vec<String> {
    let mut warnings = Vec::new();
    let network = args.network.as_deref();
    if args.publish_all || !args.publish.is_empty() {
        warnings.extend(match network {
            Some(mode @ ("host" | "none")) => Some(format!(
                "nothing is published with --network {mode}; the command's own ports are all there are"
            )),
            Some(network) => not_published(client, network),
            None => None,
        });
    }
    if network == Some("none") {
        let given = [
            ("--mac-address", args.mac_address.is_some()),
            ("--link", !args.link.is_empty()),
        ];
        let given = given.iter().filter(|(_, given)| *given);
        warnings.extend(given.map(|(flag, _)| {
            format!("{flag} says nothing with --network none, which has no interface")
        }));
    }
    warnings
}

/// Why a network publishes nothing, if it does not. Whether it is there is for others to tell.
pub(super) fn not_published(client: &Client, network: &str) -> Option<String> {
    let view = client.network(network).ok()?;
    view.internal.then(|| {
        format!(
            "network {} is internal, so nothing is published; `net update --internal=false {}` opens it",
            view.name, view.name
        )
    })
}

pub(super) use launch::LAUNCH;

/// Ties this process to its supervisor and becomes the command in `arguments`.
pub(super) fn launch(arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<u8, Failure> {
    launch::launch(arguments)
}

/// First argument of the supervisor of a detached command.
pub(super) const SUPERVISE: &str = "supervise";

/// The supervisor of a detached command: reads its plan from stdin and reports on stdout.
pub(super) fn supervise_detached() -> Result<u8, Failure> {
    detach::supervisor()
}

fn plan(client: &Client, args: RunArgs) -> Result<Plan, Failure> {
    Ok(Plan {
        socket: std::path::absolute(client.socket()).unwrap_or_else(|_| client.socket().to_owned()),
        log: args.log,
        request: ContainerRequest {
            name: args.name,
            hostname: args.hostname,
            network: args.network,
            command: args.command,
            ips: addresses(args.ip, args.ip6),
            link_local_ips: args.link_local_ip,
            mac: args.mac_address,
            aliases: args.alias,
            driver_options: args.driver_opt.into_iter().collect(),
            rates: args.rates.rates()?,
            ports: args.publish,
            expose: args.expose,
            publish_all: args.publish_all,
            links: args.link,
            dns: DnsSettings {
                servers: args.dns,
                search: args.dns_search,
                options: args.dns_opt,
            },
            auto_remove: args.rm,
            labels: args.label.into_iter().collect(),
            ..ContainerRequest::default()
        },
    })
}

/// The program and its arguments; clap has seen to it that there is a program.
pub(super) fn program(command: &[String]) -> Result<(&String, &[String]), Failure> {
    command
        .split_first()
        .ok_or_else(|| Failure::Usage("no command was given".to_owned()))
}

/// What begins with a dash in the program's place is a flag that there is not, unless it was put behind `--`.
fn check_flag(program: &str) -> Result<(), Failure> {
    let Some(flag) = program.strip_prefix('-').filter(|flag| !flag.is_empty()) else {
        return Ok(());
    };
    let before = std::env::args().take_while(|word| word != program);
    if before.into_iter().any(|word| word == "--") {
        return Ok(());
    }
    let given = program.split('=').next().unwrap_or(program);
    let advice = match flag.strip_prefix('-') {
        Some(long) => resembling(long.split('=').next().unwrap_or(long)),
        None => ".".to_owned(),
    };
    Err(Failure::Usage(format!(
        "net run has no flag {given}{advice} What belongs to the command goes behind it, or behind --"
    )))
}

/// What the user may have meant by a long flag: nothing, if it resembles none.
fn resembling(given: &str) -> String {
    let known = RunArgs::augment_args(clap::Command::new("run"));
    let names = known.get_arguments().filter_map(clap::Arg::get_long);
    match likeness::nearest(given, names).filter(|name| likeness::resemble(given, name)) {
        Some(name) => format!("; did you mean --{name}?"),
        None => ".".to_owned(),
    }
}

/// Looks for the program before anything is attached for it.
fn check_program(program: &str, path: Option<&std::ffi::OsStr>) -> Result<(), Failure> {
    let candidates: Vec<PathBuf> = if program.contains('/') {
        vec![PathBuf::from(program)]
    } else {
        // Without PATH, execvp(3) has a default of its own; spawning will tell.
        let Some(path) = path else { return Ok(()) };
        std::env::split_paths(path)
            .map(|directory| directory.join(program))
            .collect()
    };
    let found: Vec<&PathBuf> = candidates.iter().filter(|path| path.exists()).collect();
    if found.iter().any(|path| is_executable(path)) {
        return Ok(());
    }
    let kind = match found.is_empty() || program.is_empty() {
        true => io::ErrorKind::NotFound,
        false => io::ErrorKind::PermissionDenied,
    };
    Err(not_started(program, &kind.into()))
}

fn is_executable(path: &Path) -> bool {
    let file = |file: std::fs::Metadata| file.is_file() && file.permissions().mode() & 0o111 != 0;
    path.metadata().is_ok_and(file)
}

/// The command itself could not be executed; the exit codes are the shell's.
pub(super) fn not_started(program: &str, error: &io::Error) -> Failure {
    let (code, why) = match error.kind() {
        io::ErrorKind::NotFound => (NOT_FOUND, "there is no such program".to_owned()),
        io::ErrorKind::PermissionDenied => (NOT_EXECUTABLE, "it is not executable".to_owned()),
        _ => (NOT_EXECUTABLE, error.to_string()),
    };
    Failure::Command {
        code,
        sentence: format!("cannot run {program:?}: {why}"),
    }
}

/// Something went wrong before the command could be started.
fn before(error: &impl std::fmt::Display) -> Failure {
    Failure::Command {
        code: BEFORE_COMMAND,
        sentence: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(program: &str, path: &str) -> u8 {
        check_program(program, Some(path.as_ref())).map_or_else(|failure| failure.code(), |()| 0)
    }

    #[test]
    fn a_program_that_cannot_run_is_told_before_anything_is_attached() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().to_str().unwrap();
        std::fs::write(directory.path().join("text"), "").unwrap();
        assert_eq!(code("sh", "/nowhere:/bin"), 0);
        assert_eq!(code("/bin/sh", ""), 0);
        assert_eq!(code("no-such-program", at), 127);
        assert_eq!(code("/no/such/program", at), 127);
        assert_eq!(code("", at), 127);
        assert_eq!(code("text", at), 126);
        assert_eq!(code(at, at), 126);
    }

    #[test]
    fn a_plan_survives_its_way_to_the_supervisor() {
        let plan = Plan {
            socket: "/run/netd.sock".into(),
            request: ContainerRequest {
                command: vec!["é".to_owned(), String::new()],
                ports: vec!["127.0.0.1:80:80/udp".parse().unwrap()],
                ..ContainerRequest::default()
            },
            log: Some("/tmp/x".into()),
        };
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }
}
