//! The life of a container of `net run`, from namespaces to exit code.

use std::io;
use std::process::Stdio;
use std::time::{Duration, Instant};

use netd_api::{Client, ContainerView, ErrorCode, ExitReport, Netns};
use nix::sys::signal::kill;
use nix::unistd::{Pid, sethostname};

use super::sandbox::{self, Mode};
use super::signals::Signals;
use super::{Plan, before, descendants, launch, not_started, program};
use crate::net::failure::Failure;
use crate::net::namespace::Bindings;
use crate::net::networks::is;

/// Time that a daemon which is being restarted has to take the exit code. Without it, the daemon notices the end by
/// itself and knows no code.
const REPORT_PATIENCE: Duration = Duration::from_secs(3);
/// How often a namespace that others keep for this container is entered: who keeps it may end meanwhile.
const RETURN_ATTEMPTS: usize = 3;
/// Pause between attempts to reach a daemon.
const REPORT_INTERVAL: Duration = Duration::from_millis(50);
/// Pause between attempts to bind a file whose target the host has taken away.
const REBIND_INTERVAL: Duration = Duration::from_millis(200);

/// What differs between a supervisor at a terminal and a detached one.
pub(super) trait Surroundings {
    /// Stdin, stdout and stderr of the command.
    fn stdio(&self) -> io::Result<[Stdio; 3]>;
    /// The command runs.
    fn started(&mut self, container: &ContainerView) -> io::Result<()>;
}

/// At the user's terminal.
pub(super) struct Attached;

impl Surroundings for Attached {
    fn stdio(&self) -> io::Result<[Stdio; 3]> {
        Ok([Stdio::inherit(), Stdio::inherit(), Stdio::inherit()])
    }

    fn started(&mut self, _: &ContainerView) -> io::Result<()> {
        Ok(())
    }
}

/// Runs the plan's command to its end and gives its exit code. The process should end then: it keeps the namespaces.
pub(super) fn supervise(plan: &Plan, mut around: impl Surroundings) -> Result<u8, Failure> {
    let client = Client::new(&plan.socket);
    let stdio = around
        .stdio()
        .map_err(|error| before(&format!("cannot open the output: {error}")))?;
    let container = register(&client, plan).map_err(Failure::before_command)?;
    let started = prepare(&container, plan).and_then(|(bindings, signals)| {
        let main = spawn(plan, stdio)?;
        Ok((bindings, signals, main))
    });
    let (bindings, mut signals, main) = match started {
        Ok(started) => started,
        Err(failure) => {
            // The first failure is the one to tell; a daemon that is gone sees the process end.
            let _ = client.forget(&container.id.to_string());
            return Err(failure);
        }
    };
    // The connection is of no use until the end, and would hold a place in the daemon.
    drop(client);
    let told = around.started(&container).map_err(|error| before(&error));
    let code =
        told.and_then(|()| wait(main, &mut signals, &bindings).map_err(|error| before(&error)));
    let ended = descendants::end_all(main, &mut signals).map_err(|error| before(&error));
    report_exit(plan, &container, *code.as_ref().unwrap_or(&u8::MAX));
    ended.and(code)
}

/// Enters the namespaces and makes the container known. If that is refused, nothing remains: the namespaces end with
/// this process.
fn register(client: &Client, plan: &Plan) -> Result<ContainerView, Failure> {
    let mode = Mode::of(plan.request.network.as_deref());
    sandbox::enter(&mode, client, plan.request.hostname.is_some())?;
    let pid = std::process::id();
    let mut request = plan.request.clone();
    request.supervisor_pid = Some(pid);
    request.netns = (mode == Mode::Private).then_some(Netns { pid, fd: None });
    for _ in 0..RETURN_ATTEMPTS {
        match client.register(&request) {
            Err(error) if mode == Mode::Private && is(&error, ErrorCode::NamespaceKept) => {
                sandbox::return_to(client, plan.request.name.as_ref())?;
            }
            answer => return Ok(answer?),
        }
    }
    Ok(client.register(&request)?)
}

/// What the command will find: its name, its files, and a supervisor that sees every signal.
fn prepare(container: &ContainerView, plan: &Plan) -> Result<(Bindings, Signals), Failure> {
    let mode = Mode::of(plan.request.network.as_deref());
    if mode != Mode::Host || plan.request.hostname.is_some() {
        sethostname(container.hostname.as_str())
            .map_err(|error| before(&format!("cannot set the hostname: {error}")))?;
    }
    let bindings = Bindings::make(&container.files).map_err(|error| before(&error))?;
    // Orphans of the command become children of this process, not of init.
    nix::sys::prctl::set_child_subreaper(true)
        .map_err(|error| before(&format!("cannot become the parent of orphans: {error}")))?;
    let signals =
        Signals::catch().map_err(|error| before(&format!("cannot catch signals: {error}")))?;
    Ok((bindings, signals))
}

fn spawn(plan: &Plan, stdio: [Stdio; 3]) -> Result<Pid, Failure> {
    let (program, arguments) = program(&plan.request.command)?;
    let child =
        launch::start(program, arguments, stdio).map_err(|error| not_started(program, &error))?;
    Ok(Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX)))
}

/// Waits for the command, passes signals on to it and keeps its files bound.
fn wait(main: Pid, signals: &mut Signals, bindings: &Bindings) -> io::Result<u8> {
    let mut all_bound = true;
    loop {
        if let Some(code) = descendants::reap(main)? {
            return Ok(code);
        }
        let wake = signals.wait((!all_bound).then_some(REBIND_INTERVAL))?;
        for signal in wake.forward {
            // It may have ended just now; it is not reaped yet, so the number is still its own.
            let _ = kill(main, signal);
        }
        if wake.mounts_changed || !all_bound {
            all_bound = bindings.repair();
        }
    }
}

/// Tells the daemon the exit code, if one comes back in time.
fn report_exit(plan: &Plan, container: &ContainerView, code: u8) {
    let begin = Instant::now();
    let report = ExitReport {
        code: i32::from(code),
    };
    while begin.elapsed() < REPORT_PATIENCE {
        let client = Client::new(&plan.socket).with_timeout(REPORT_PATIENCE);
        match client.report_exit(&container.id.to_string(), &report) {
            Err(error) if error.is_unreachable() => std::thread::sleep(REPORT_INTERVAL),
            // Done, or refused because the record is gone already.
            Ok(()) | Err(_) => return,
        }
    }
}
