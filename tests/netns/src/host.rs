//! A machine with a netd of its own, and `net` talking to it.
//!
//! Must not know how the daemon works: it is started, killed and asked like any other program.

use std::cell::RefCell;
use std::ops::Deref;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::{Background, Ran};
use crate::{Firewall, Machine, OrFail, firewall, programs, within};

/// The daemon's socket inside the machine.
pub const SOCKET: &str = "/run/netd/netd.sock";

/// The daemon's store inside the machine.
pub const DATA_ROOT: &str = "/run/netd/data";

/// The daemon's volatile files inside the machine.
pub const STATE_DIR: &str = "/run/netd/state";

/// The daemon's configuration inside the machine.
pub const CONFIG_FILE: &str = "/run/netd/daemon.json";
const LOG: &str = "/run/lab/netd.log";
const NOTIFY_SOCKET: &str = "/run/lab/notify";

/// How long a daemon may take from its start to READY=1.
const READY_PATIENCE: Duration = Duration::from_secs(15);

/// How long a daemon may take to end after SIGTERM.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// What to tell the daemon.
#[derive(Clone, Debug, Default)]
pub struct HostOptions {
    /// Text of its configuration file; empty for none.
    pub config: String,
    /// Further flags.
    pub flags: Vec<String>,
}

/// A machine with a netd.
#[derive(Debug)]
pub struct Host {
    machine: Machine,
    options: HostOptions,
    firewall: firewall::Choice,
    daemon: RefCell<Option<Background>>,
}

impl Deref for Host {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.machine
    }
}

impl Host {
    /// Takes a machine; netd is not started yet.
    ///
    /// # Panics
    /// When its configuration cannot be written.
    #[must_use]
    pub fn new(machine: Machine, options: HostOptions) -> Self {
        machine.write(CONFIG_FILE, "{}");
        if !options.config.is_empty() {
            machine.write(CONFIG_FILE, &options.config);
        }
        Self {
            machine,
            options,
            firewall: firewall::Choice::default(),
            daemon: RefCell::new(None),
        }
    }

    /// The daemon's command line.
    #[must_use]
    pub fn daemon_line(&self) -> Vec<String> {
        let program = programs::built("netd").display().to_string();
        let mut line = vec![program];
        for (flag, value) in [
            ("--socket", SOCKET),
            ("--data-root", DATA_ROOT),
            ("--state-dir", STATE_DIR),
            ("--config-file", CONFIG_FILE),
        ] {
            line.extend([flag.to_owned(), value.to_owned()]);
        }
        line.extend(self.firewall.get().flags());
        line.extend(self.options.flags.iter().cloned());
        line
    }

    /// Starts netd and waits until it says that it is ready (sd_notify(3)). Gives the time that took.
    ///
    /// # Panics
    /// When it ends or is not ready in time, with its log.
    #[track_caller]
    pub fn start(&self) -> Duration {
        let path = self.path(NOTIFY_SOCKET);
        let _ = std::fs::remove_file(&path);
        let notices = UnixDatagram::bind(&path).or_fail("make the notify socket");
        notices
            .set_nonblocking(true)
            .or_fail("set up the notify socket");
        let start = Instant::now();
        let mut daemon = self.launch(&[("NOTIFY_SOCKET", NOTIFY_SOCKET)]);
        let mut buffer = [0; 4096];
        within(READY_PATIENCE, "READY=1 from netd", || {
            if let Ok(length) = notices.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]);
                return text.lines().any(|line| line == "READY=1").then_some(());
            }
            assert!(
                daemon.is_running(),
                "netd ended before it was ready; its log:\n{}",
                self.log_tail(40)
            );
            None
        });
        let took = start.elapsed();
        self.daemon.replace(Some(daemon));
        took
    }

    fn launch(&self, environment: &[(&str, &str)]) -> Background {
        let line = self.daemon_line();
        let line: Vec<_> = line.iter().map(String::as_str).collect();
        self.spawn(&line, environment, LOG)
    }

    /// Starts netd in the expectation that it refuses: its exit status and what it said.
    ///
    /// # Panics
    /// When it goes on running.
    #[track_caller]
    pub fn start_refused(&self) -> Ran {
        let line = self.daemon_line();
        let mut argv = vec!["timeout", "-s", "KILL", "15"];
        argv.extend(line.iter().map(String::as_str));
        let ran = self.exec(&argv);
        assert!(
            ran.code != 0 && ran.code != 137,
            "netd started although it should not:\n{ran}"
        );
        ran
    }

    /// Process id of the daemon inside the machine.
    ///
    /// # Panics
    /// When it was not started.
    #[must_use]
    pub fn daemon_pid(&self) -> u32 {
        self.daemon.borrow().as_ref().or_fail("running netd").pid
    }

    /// Kills the daemon (SIGKILL) and waits until it is gone.
    ///
    /// # Panics
    /// When it was not running.
    #[track_caller]
    pub fn kill(&self) {
        let _ = self.end("KILL");
    }

    /// Ends the daemon (SIGTERM), waits, and gives its exit status.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn terminate(&self) -> i32 {
        self.end("TERM")
    }

    #[track_caller]
    fn end(&self, signal: &str) -> i32 {
        let mut daemon = self.daemon.take().or_fail("running netd");
        self.signal(signal, daemon.pid);
        daemon.ends_within(END_PATIENCE)
    }

    /// Ends the daemon and starts it again.
    ///
    /// # Panics
    /// When either fails.
    #[track_caller]
    pub fn restart(&self) {
        let code = self.terminate();
        assert!(code == 0, "netd ended with {code} after SIGTERM");
        self.start();
    }

    /// True if the daemon that was started still runs.
    #[must_use]
    pub fn daemon_runs(&self) -> bool {
        self.daemon
            .borrow_mut()
            .as_mut()
            .is_some_and(Background::is_running)
    }

    /// Puts the daemon on a firewall from its next start on, whatever the environment says.
    pub fn put_on(&self, firewall: Firewall) {
        self.firewall.set(firewall);
    }

    /// Changes the configuration for the next start.
    pub fn configure(&mut self, options: HostOptions) {
        self.options = options;
        let text = match self.options.config.as_str() {
            "" => "{}",
            text => text,
        };
        self.machine.write(CONFIG_FILE, text);
    }

    /// Runs `net` against this host's daemon.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn net(&self, args: &[&str]) -> Ran {
        let program = programs::built("net").display().to_string();
        let mut argv = vec![program.as_str()];
        argv.extend(args);
        let mut ran = self.exec_with(&argv, &[("NETD_HOST", SOCKET), ("NO_COLOR", "1")], b"");
        ran.line = format!("[{}] net {}", self.name(), args.join(" "));
        ran
    }

    /// Starts `command` in a container with `net run -d`; `flags` come before the command.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn run_detached(&self, flags: &[&str], command: &[&str]) -> Ran {
        let mut args = vec!["run", "-d"];
        args.extend(flags);
        args.push("--");
        args.extend(command);
        self.net(&args).ok()
    }

    /// A container that only waits.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn idle(&self, name: &str, network: &str, flags: &[&str]) {
        let mut all = vec!["--name", name, "--network", network];
        all.extend(flags);
        self.run_detached(&all, &["sleep", "infinity"]);
    }

    /// Runs a program in a container.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn in_container(&self, container: &str, command: &[&str]) -> Ran {
        let mut args = vec!["exec", container, "--"];
        args.extend(command);
        self.net(&args)
    }

    /// `net inspect` of a network.
    ///
    /// # Panics
    /// When there is none of that name.
    #[track_caller]
    #[must_use]
    pub fn inspect(&self, network: &str) -> Value {
        let all = self.net(&["inspect", network]).ok().json();
        match all {
            Value::Array(mut items) if items.len() == 1 => items.remove(0),
            other => panic!("expected a list of one network, got {other}"),
        }
    }

    /// `net status --json`.
    ///
    /// # Panics
    /// When the daemon does not answer.
    #[track_caller]
    #[must_use]
    pub fn status(&self) -> Value {
        self.net(&["status", "--json"]).ok().json()
    }

    /// IPv4 address of a container on a network, without prefix, as `net inspect` shows it.
    ///
    /// # Panics
    /// When it is not connected.
    #[track_caller]
    #[must_use]
    pub fn address_of(&self, container: &str, network: &str) -> String {
        let view = self.inspect(network);
        let containers = view["Containers"].as_object().or_fail("map of containers");
        containers
            .values()
            .find(|one| one["Name"] == container)
            .and_then(|one| one["IPv4Address"].as_str())
            .and_then(|address| address.split('/').next())
            .or_fail(&format!("{container} on {network} in {view}"))
            .to_owned()
    }

    /// The last `count` lines of the daemon's log.
    #[must_use]
    pub fn log_tail(&self, count: usize) -> String {
        let text = self.read(LOG);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }
}
