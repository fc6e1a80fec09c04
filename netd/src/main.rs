//! The daemon as a program: reads what it is told, opens the store and the kernel, serves until SIGTERM.
//!
//! Ends leave the dataplane in place: containers go on, and the next start takes over.

mod claim;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{CommandFactory, Parser};
use netd::config::{Backend, LogFormat, Options, Settings};
use netd::engine::{Engine, Ground};
use netd::http;
use netd::store::Sqlite;
use netd_kernel::Firewall;
use netd_kernel::iptables::{ChainPrefix, Disabled, FormerIptables, Iptables};
use netd_kernel::linux::Linux;
use netd_kernel::nftables::{FormerNftables, Nftables};
use netd_kernel::succession::{Former, Succession};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::geteuid;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Level;
use tracing_subscriber::fmt::format::FmtSpan;

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
    /// Write the manual page netd.8 into a directory and exit
    #[arg(long, value_name = "DIR", hide = true)]
    man: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("netd: {}", sentence(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes, each told once: many say their cause themselves.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    if let Some(directory) = &arguments.man {
        return write_manual(directory);
    }
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
    // What a container reads (resolv.conf) has to be readable for its users, and nothing writable for others, whatever
    // the shell or the service manager thinks of the files of its own.
    umask(Mode::from_bits_truncate(0o022));
    start_log(&settings);
    passed_over
        .iter()
        .for_each(|key| tracing::warn!(key, "a key of the configuration is of no concern to netd"));
    if !geteuid().is_root() {
        anyhow::bail!(
            "netd makes interfaces and firewall rules and must run as root, as with `sudo netd`"
        );
    }
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .context("cannot start the runtime")?;
    let served = runtime.block_on(serve(settings));
    // A call that hangs, as of an iptables that waits for ever, must not keep the daemon from ending: what it was at is
    // in the store, and the next start goes on from there.
    runtime.shutdown_background();
    served
}

/// The manual page, from the same definition as the help.
fn write_manual(directory: &Path) -> anyhow::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Arguments::command())
        .section("8")
        .manual("netd")
        .render(&mut page)?;
    let file = directory.join("netd.8");
    std::fs::write(&file, page).with_context(|| format!("cannot write {}", file.display()))
}

fn start_log(settings: &Settings) {
    // The parts of requests are spans of level debug; how long each took is told when it closes.
    let spans = match settings.log_level {
        Level::DEBUG | Level::TRACE => FmtSpan::CLOSE,
        _ => FmtSpan::NONE,
    };
    let log = tracing_subscriber::fmt()
        .with_max_level(settings.log_level)
        .with_target(false)
        .with_span_events(spans)
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
    refuse_open_directory("data-root", &settings.data_root)?;
    let journal = Sqlite::open(&settings.data_root)?;
    std::fs::create_dir_all(&settings.state_dir).with_context(|| {
        format!(
            "cannot make the state directory {}",
            settings.state_dir.display()
        )
    })?;
    refuse_open_directory("state-dir", &settings.state_dir)?;
    let _claim = claim::claim()?;
    let listener = http::listen(&settings.socket, settings.group.as_deref())?;
    let _socket = SocketFile::of(&settings.socket)?;
    let docker = match &settings.docker_plugin {
        Some(path) => Some((
            http::listen_for_docker(path, settings.group.as_deref())?,
            SocketFile::of(path)?,
        )),
        None => None,
    };
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
    let mut servers = JoinSet::new();
    let (docker, _docker_socket) = docker.unzip();
    if let Some(docker) = docker {
        servers.spawn(http::serve_docker(
            docker,
            Arc::clone(&engine),
            ended.clone(),
        ));
    }
    servers.spawn(http::serve(listener, Arc::clone(&engine), ended));
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
    // The receivers are gone only if the servers ended by themselves.
    let _ = end.send(true);
    while let Some(served) = servers.join_next().await {
        served.context("the server failed")?;
    }
    engine.settled().await;
    Ok(())
}

/// The socket's file: removed when the daemon ends, also when that is before it was ready.
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> anyhow::Result<Self> {
        let identity =
            file_identity(path).with_context(|| format!("cannot look at {}", path.display()))?;
        let path = path.to_owned();
        Ok(Self { path, identity })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Not one that somebody has put in its place.
        if file_identity(&self.path).is_ok_and(|found| found == self.identity) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn file_identity(path: &Path) -> std::io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

/// Refuses a directory that others may write to: a link planted there would make the daemon, which is root, write
/// wherever it leads.
fn refuse_open_directory(key: &str, path: &Path) -> anyhow::Result<()> {
    // What is not there yet, or cannot be looked at, is told of by whoever makes and uses it.
    let Ok(found) = std::fs::metadata(path) else {
        return Ok(());
    };
    if found.uid() != geteuid().as_raw() || found.mode() & 0o022 != 0 {
        anyhow::bail!(
            "the {key} {} can be changed by others than root (owner {}, mode {:04o}); `chown root` and `chmod go-w` it, or give another --{key}",
            path.display(),
            found.uid(),
            found.mode() & 0o7777
        );
    }
    Ok(())
}

fn firewall(settings: &Settings) -> anyhow::Result<Arc<dyn Firewall>> {
    if !settings.iptables {
        tracing::warn!(
            "no firewall rules are made (iptables is false): networks are not isolated and ports not published"
        );
        return Ok(Arc::new(Disabled));
    }
    if settings.firewall_backend == Backend::Nftables {
        let former = FormerIptables::find()?.map(|former| Box::new(former) as Box<dyn Former>);
        return Ok(Arc::new(Succession::new(Nftables::open()?, former)));
    }
    let prefix = match settings.chain_prefix {
        Some(prefix) => prefix,
        // The engine may come later than netd, and takes the chain DOCKER for its own.
        None if settings.docker_plugin.is_some() => ChainPrefix::Netd,
        None if Iptables::foreign_owner(None)? => {
            tracing::warn!(
                "another engine has the chain DOCKER here; netd's chains are named NETD, NETD-ISOLATION-STAGE-1 and -2"
            );
            ChainPrefix::Netd
        }
        None => ChainPrefix::Docker,
    };
    let former = FormerNftables::find()?.map(|former| Box::new(former) as Box<dyn Former>);
    Ok(Arc::new(Succession::new(
        Iptables::open(prefix, None)?,
        former,
    )))
}
