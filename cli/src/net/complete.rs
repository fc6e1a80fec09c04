//! Completion in a shell: the script calls `net` again, which answers from its own definition and with the daemon's names.
//!
//! A person waits for it with a finger on the key, in the midst of a line: without a daemon, or with one that hangs, it is
//! silent and quick.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};
use netd_api::{Client, ContainerView};

use super::args::Arguments;
use super::filter::is_builtin;

/// The variable by which a shell's script asks. Its value is the shell's name.
const VARIABLE: &str = "NET_COMPLETE";
/// How long a person is made to wait for names.
const PATIENCE: Duration = Duration::from_millis(500);

/// Answers a shell that asks what could stand next; `None` if no shell does.
pub(super) fn answer() -> Option<ExitCode> {
    std::env::var_os(VARIABLE)?;
    let directory = std::env::current_dir().ok();
    let asked = CompleteEnv::with_factory(Arguments::command)
        .var(VARIABLE)
        .try_complete(std::env::args_os(), directory.as_deref());
    match asked {
        Ok(true) => Some(ExitCode::SUCCESS),
        Ok(false) => None,
        // An error's text would stand in the midst of the line that the person types.
        Err(_) => Some(ExitCode::FAILURE),
    }
}

/// The script that has `shell` ask.
pub(super) fn script(shell: Shell) -> io::Result<String> {
    let shells = Shells::builtins();
    let writer = shells
        .completer(&shell.to_string())
        .ok_or_else(|| io::Error::other(format!("no completion for {shell}")))?;
    let mut script = Vec::new();
    writer.write_registration(VARIABLE, "net", "net", "net", &mut script)?;
    String::from_utf8(script).map_err(io::Error::other)
}

/// Names of all networks.
pub(super) fn networks() -> ArgValueCandidates {
    ArgValueCandidates::new(|| network_names(Networks::All))
}

/// Names of the networks that can be removed.
pub(super) fn own_networks() -> ArgValueCandidates {
    ArgValueCandidates::new(|| network_names(Networks::Own))
}

/// Names of the containers that run.
pub(super) fn containers() -> ArgValueCandidates {
    ArgValueCandidates::new(|| container_names("", |view| view.ended.is_none()))
}

/// Subnets to which routes lead.
pub(super) fn routes() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let routes = client().and_then(|client| client.routes().ok());
        let routes = routes.unwrap_or_default();
        let candidates = routes.iter().map(|route| {
            let help = format!("route via {}", route.gateway);
            CompletionCandidate::new(route.subnet.to_string()).help(Some(help.into()))
        });
        candidates.collect()
    })
}

/// Cards of the host, by the files of this network namespace; the daemon's own links have an alias.
pub(super) fn cards() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let links = std::fs::read_dir("/sys/class/net").into_iter().flatten();
        let is_card = |link: &std::fs::DirEntry| {
            let alias = std::fs::read_to_string(link.path().join("ifalias"));
            let is_ours = alias.is_ok_and(|alias| alias.starts_with("netd:"));
            let is_inner = link.file_name() == "lo" || link.path().join("bridge").exists();
            !is_ours && !is_inner
        };
        let names = links.flatten().filter(is_card).map(|link| link.file_name());
        names.map(CompletionCandidate::new).collect()
    })
}

/// What `inspect` takes: a network, or any container.
pub(super) fn either() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let mut names = network_names(Networks::All);
        names.extend(container_names("", |_| true));
        names
    })
}

/// What `--network` takes.
pub(super) fn modes() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let mut names = network_names(Networks::All);
        names.extend(container_names("container:", |view| view.ended.is_none()));
        names
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Networks {
    All,
    Own,
}

fn network_names(which: Networks) -> Vec<CompletionCandidate> {
    let networks = client().and_then(|client| client.networks().ok());
    let networks = networks.unwrap_or_default();
    networks
        .iter()
        .filter(|view| which == Networks::All || !is_builtin(view))
        .map(|view| {
            let help = format!("network, {}", view.driver);
            CompletionCandidate::new(view.name.as_str()).help(Some(help.into()))
        })
        .collect()
}

fn container_names(
    prefix: &str,
    wanted: impl Fn(&ContainerView) -> bool,
) -> Vec<CompletionCandidate> {
    let containers = client().and_then(|client| client.containers().ok());
    let containers = containers.unwrap_or_default();
    containers
        .iter()
        .filter(|view| wanted(view))
        .map(|view| {
            let help = format!("container, {}", view.state);
            CompletionCandidate::new(format!("{prefix}{}", view.name)).help(Some(help.into()))
        })
        .collect()
}

/// A client of the daemon that the line so far names.
fn client() -> Option<Client> {
    let host = host(std::env::args_os());
    let client = Client::from_host(host.as_deref()).ok()?;
    Some(client.with_timeout(PATIENCE))
}

/// The value of `-H`: clap shows a completer nothing of the rest of the line.
fn host(words: impl IntoIterator<Item = OsString>) -> Option<String> {
    let words = words.into_iter().filter_map(|word| word.into_string().ok());
    let mut words = words.skip_while(|word| word != "--").skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "-H" | "--host" => return words.next(),
            "--" => return None,
            word => {
                if let Some(host) = word.strip_prefix("--host=") {
                    return Some(host.to_owned());
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemon_is_found_in_the_line() {
        let host = |line: &str| super::host(line.split(' ').map(OsString::from));
        assert_eq!(host("net -- net -H /a rm x").as_deref(), Some("/a"));
        assert_eq!(host("net -- net rm --host=/a x").as_deref(), Some("/a"));
        assert_eq!(host("net -- net rm x"), None);
        assert_eq!(host("net -H /a"), None, "not the line that is completed");
        assert_eq!(host("net -- net exec web -- x -H /a"), None);
    }
}
