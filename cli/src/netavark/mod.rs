//! `netd-netavark`: the program that Podman calls in place of netavark, one process for each question. It translates;
//! what is asked for, refused, kept and undone is the daemon's.
//!
//! Nothing is written down here: Podman keeps the definitions of its networks and the addresses that it gave out, and
//! says all of it with each call. With `install` it is a command for people.
//!
//! Reading order: [`failure`] (how it says no), [`wire`] (what Podman sends and reads), [`network`] and [`shares`] (what
//! its networks are in netd), [`ports`], [`request`] (to the daemon and back), [`verbs`], [`create`] with [`free`], [`install`].

mod failure;

mod wire;

mod network;
mod shares;

mod ports;

mod request;

mod verbs;

mod create;
mod free;

mod install;

use std::fs::File;
use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use netd_api::Client;
use serde_json::Value;

use crate::handover::{self, PATIENCE};
use crate::words;
use create::Create;
use failure::Failure;
use install::Install;
use wire::Request;

/// Connects containers of Podman to networks of netd.
///
/// Podman calls it as `netavark`, with JSON on stdin; `install` puts it where Podman finds it.
#[derive(Debug, Parser)]
#[command(name = "netd-netavark", version, arg_required_else_help = true)]
struct Arguments {
    #[command(flatten)]
    given: Given,
    #[command(subcommand)]
    verb: Verb,
}

/// What Podman says before the verb.
#[derive(Debug, Args)]
struct Given {
    /// Read the request from this file instead of stdin
    #[arg(short, long, global = true)]
    file: Option<PathBuf>,
    /// True in a user's own Podman, which netd does not serve
    #[arg(short, long, global = true, value_name = "BOOL")]
    rootless: Option<bool>,
    /// Accepted and not needed: netd keeps its own state
    #[arg(short, long, global = true, value_name = "DIR")]
    config: Option<PathBuf>,
    /// Accepted and not needed: netd answers for names by itself
    #[arg(short, long, global = true, value_name = "FILE")]
    aardvark_binary: Option<PathBuf>,
    /// Accepted and not needed: there are no plugins
    #[arg(
        long,
        visible_alias = "plugin-directory",
        global = true,
        value_name = "DIR"
    )]
    plugin_directories: Vec<PathBuf>,
    /// Accepted and not needed: the daemon's configuration says which firewall it is
    #[arg(long, env = "NETAVARK_FW", global = true, value_name = "NAME")]
    firewall_driver: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Connect a namespace to networks
    Setup {
        /// The namespace's file
        namespace: PathBuf,
    },
    /// Disconnect a namespace from networks
    Teardown {
        /// The namespace's file
        namespace: PathBuf,
    },
    /// Complete the definition of a network
    Create,
    /// Give a network other resolvers
    Update {
        /// Its name
        network: String,
        /// A resolver; none at all is an empty text
        #[arg(long, required = true, value_parser = resolver, value_delimiter = ',')]
        network_dns_servers: Vec<Resolver>,
    },
    /// Tell what this is
    Version,
    /// Do nothing: netd restores its rules by itself
    FirewallReload,
    /// Put this program where Podman finds it, and print what its configuration needs
    Install(Install),
}

/// An address; `None` for an empty text, by which Podman says that there is none.
type Resolver = Option<IpAddr>;

fn resolver(text: &str) -> Result<Resolver, std::net::AddrParseError> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some),
    }
}

/// Answers one call of Podman, or does what a person typed.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match words::read::<Arguments>() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    if let Verb::Install(install) = &arguments.verb {
        return install.main();
    }
    let (text, code) = match answer(&arguments) {
        Ok(None) => return ExitCode::SUCCESS,
        Ok(Some(value)) => (value, ExitCode::SUCCESS),
        Err(failure) => (failure.object(), ExitCode::FAILURE),
    };
    // Podman reads the rest of the story in the exit status if it closed the pipe.
    match writeln!(std::io::stdout().lock(), "{text}") {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

fn answer(arguments: &Arguments) -> Result<Option<Value>, Failure> {
    let given = &arguments.given;
    match &arguments.verb {
        Verb::Setup { namespace } => {
            given.refuse_rootless()?;
            let request = Request::parse(&given.read()?)?;
            let done = verbs::setup(&client()?, namespace, &request)?;
            let value = serde_json::to_value(done);
            value
                .map(Some)
                .map_err(|error| Failure::Asked(error.to_string()))
        }
        Verb::Teardown { namespace } => {
            let request = Request::parse(&given.read()?)?;
            verbs::teardown(&client()?, namespace, &request).map(|()| None)
        }
        Verb::Create => {
            let create = Create::parse(&given.read()?)?;
            create.complete(&client()?).map(Some)
        }
        Verb::Update {
            network,
            network_dns_servers,
        } => {
            let servers: Vec<IpAddr> = network_dns_servers.iter().flatten().copied().collect();
            verbs::update(&client()?, network, &servers).map(|()| None)
        }
        Verb::Version => Ok(Some(verbs::version())),
        Verb::FirewallReload | Verb::Install(_) => Ok(None),
    }
}

fn client() -> Result<Client, Failure> {
    Ok(Client::from_host(None)?.with_timeout(PATIENCE))
}

/// Says something that is worth to know and no failure. Podman passes stderr on to its user.
fn warn(sentence: &str) {
    let _ = writeln!(std::io::stderr(), "netd-netavark: {sentence}");
}

impl Given {
    fn refuse_rootless(&self) -> Result<(), Failure> {
        match self.rootless {
            Some(true) => Err(Failure::Asked(
                "netd serves Podman of root; a user's own Podman has networks of its own: run it as root, or without helper_binaries_dir of netd"
                    .to_owned(),
            )),
            Some(false) | None => Ok(()),
        }
    }

    /// The request, from the file or from stdin.
    fn read(&self) -> Result<Vec<u8>, Failure> {
        let (from, bytes) = match &self.file {
            None => {
                let bytes = handover::read(std::io::stdin().lock());
                ("on stdin".to_owned(), bytes)
            }
            Some(path) => {
                let file = File::open(path).map_err(|source| Failure::File {
                    path: path.clone(),
                    source,
                })?;
                (format!("in {}", path.display()), handover::read(file))
            }
        };
        bytes.map_err(|why| Failure::Read { from, why })
    }
}
