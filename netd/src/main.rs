//! The daemon as a program: reads what it is told, opens the store and the kernel, serves until SIGTERM.
//!
//! Ends leave the dataplane in place: containers go on, and the next start takes over.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use netd::config::{LogFormat, Options, Settings};
use netd::engine::{Engine, Ground};
use netd::http;
use netd::store::Sqlite;
use netd_kernel::Firewall;
use netd_kernel::iptables::{ChainPrefix, Disabled, Iptables};
use netd_kernel::linux::Linux;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Read if it is there and no other file is named.
const CONFIG_FILE: &str = "/etc/netd/daemon.json";
/// The host's resolvers.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Threads for calls that block: the kernel serialises most of them, so more would only wait.
const BLOCKING_THREADS: usize = 16;

/// One network daemon for every container runtime of a host.
///
/// It works in the network namespace that it is started in, so several can run side by side, each with its own
/// --socket, --data-root and --state-dir. Every option is also a key of the configuration file, a JSON object with the
/// names of Docker's daemon.json. `net` is the command to talk to it.
#[derive(Parser, Debug)]
#[command(name = "netd", version)]
struct Arguments {
    /// Configuration file [default: /etc/netd/daemon.json, if it is there]
    #[arg(long, value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// Check the configuration and exit
    #[arg(long)]
    validate: bool,
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("netd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let (file, passed_over) = match &arguments.config_file {
        Some(path) => Options::from_file(path)?,
        None if Path::new(CONFIG_FILE).exists() => Options::from_file(Path::new(CONFIG_FILE))?,
        None => (Options::default(), Vec::new()),
    };
    let settings = Settings::new(arguments.options.over(file)).map_err(|error| match &arguments
        .config_file
    {
        Some(path) => anyhow::anyhow!("{error} (from {} and the flags)", path.display()),
        None => error.into(),
    })?;
    if arguments.validate {
        passed_over.iter().for_each(|key| {
            eprintln!("netd: key {key:?} is of no concern to netd and passed over");
        });
        return Ok(());
    }
    start_log(&settings);
    passed_over
        .iter()
        .for_each(|key| tracing::warn!(key, "a key of the configuration is of no concern to netd"));
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve(settings))
}

fn start_log(settings: &Settings) {
    let log = tracing_subscriber::fmt()
        .with_max_level(settings.log_level)
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

/// Every published port is held by a socket: 65,535 of them need as many descriptors.
fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| {
        setrlimit(
            Resource::RLIMIT_NOFILE,
            hard.max(1 << 20),
            hard.max(1 << 20),
        )
        .or_else(|_| setrlimit(Resource::RLIMIT_NOFILE, hard, hard))
    });
    if let Err(errno) = raised {
        tracing::warn!(%errno, "cannot raise the limit of open files; many published ports may fail");
    }
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let journal = Sqlite::open(&settings.data_root)?;
    std::fs::create_dir_all(&settings.state_dir).with_context(|| {
        format!(
            "cannot make the state directory {}",
            settings.state_dir.display()
        )
    })?;
    let listener = http::listen(&settings.socket, settings.group.as_deref())?;
    let firewall = firewall(&settings)?;
    let kernel = Linux::open().context("cannot reach the kernel; netd must run as root")?;
    let socket = settings.socket.clone();
    let ground = Ground {
        kernel: Arc::new(kernel),
        firewall,
        journal: Box::new(journal),
        resolv_conf: PathBuf::from(RESOLV_CONF),
    };
    let engine = Engine::start(settings, ground)
        .await
        .map_err(|error| anyhow::anyhow!(error.sentence()))?;
    let (end, ended) = watch::channel(false);
    let server = tokio::spawn(http::serve(listener, engine, ended));
    tracing::info!(socket = %socket.display(), "ready");
    if let Err(error) = sd_notify::notify(&[NotifyState::Ready]) {
        tracing::warn!(%error, "cannot tell the service manager that netd is ready");
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("ending; containers keep their networks");
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    // The receiver is gone only if the server ended by itself.
    let _ = end.send(true);
    server.await.context("the server failed")?;
    let _ = std::fs::remove_file(&socket);
    Ok(())
}

fn firewall(settings: &Settings) -> anyhow::Result<Arc<dyn Firewall>> {
    if !settings.iptables {
        tracing::warn!(
            "no firewall rules are made (iptables is false): networks are not isolated and ports not published"
        );
        return Ok(Arc::new(Disabled));
    }
    let prefix = match settings.chain_prefix {
        Some(prefix) => prefix,
        None if Iptables::foreign_owner(None)? => {
            tracing::warn!(
                "another engine has the chain DOCKER here; netd's chains are named NETD, NETD-ISOLATION-STAGE-1 and -2"
            );
            ChainPrefix::Netd
        }
        None => ChainPrefix::Docker,
    };
    Ok(Arc::new(Iptables::open(prefix, None)?))
}
