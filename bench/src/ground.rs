//! What a lane stands on: a laboratory of its own, and processes in fresh namespaces that play the containers.
//!
//! Must not know what the lane does with them.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use netns_tests::{Background, HostOptions, Lab, Machine, eventually, programs};
use nix::sched::{CloneFlags, setns, unshare};

/// File inside the machine to which the processes of one batch are written, one id a line.
const LIST: &str = "/run/lab/containers";

/// Containers that are made together.
const BATCH: usize = 100;

/// A laboratory with containers that nobody has connected yet.
#[derive(Debug)]
pub struct Ground {
    /// The host that the lane works on, and a machine outside.
    pub lab: Lab,
    /// Process ids inside the machine, by number of the container.
    pids: Vec<u32>,
    holders: Vec<Background>,
    taken: usize,
}

impl Ground {
    /// A laboratory whose host is configured by `options`; no daemon is started.
    #[must_use]
    pub fn new(options: HostOptions) -> Self {
        Self {
            lab: Lab::without_daemon(options),
            pids: Vec::new(),
            holders: Vec::new(),
            taken: 0,
        }
    }

    /// Sees to it that `count` containers are there which nobody has taken.
    ///
    /// Each is a process in a network namespace of its own, bound to /run/netns/cN as well, for programs that want a path.
    pub fn prepare(&mut self, count: usize) {
        while self.pids.len() < self.taken + count {
            self.prepare_some((self.taken + count - self.pids.len()).min(BATCH));
        }
    }

    fn prepare_some(&mut self, count: usize) {
        let first = self.pids.len();
        let list = format!("{LIST}.{first}");
        let program = programs::built("bench-load").display().to_string();
        let (from, many) = (first.to_string(), count.to_string());
        let argv = [program.as_str(), "containers", &from, &many, &list];
        self.holders
            .push(self.lab.h1.spawn(&argv, &[], "/run/lab/containers.log"));
        let pids: Vec<u32> = eventually("the containers", || {
            let text = self.lab.h1.read(&list);
            let pids: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
            (pids.len() == count).then_some(pids)
        });
        self.pids.extend(pids);
    }

    /// Takes a fresh container: its number.
    pub fn take(&mut self) -> usize {
        self.prepare(1);
        self.taken += 1;
        self.taken - 1
    }

    /// Id of a container's process, inside the machine.
    #[must_use]
    pub fn pid(&self, container: usize) -> u32 {
        self.pids[container]
    }

    /// Path of a container's network namespace inside the machine.
    #[must_use]
    pub fn netns(container: usize) -> String {
        format!("/run/netns/c{container}")
    }

    /// Opens a container's network namespace.
    ///
    /// # Errors
    /// When it is gone.
    pub fn open(&self, container: usize) -> Result<File> {
        let path = self.lab.h1.path(&Self::netns(container));
        File::open(&path).with_context(|| format!("open {}", path.display()))
    }

    /// The machine's own network namespace and its mounts, for a thread that goes there and does not come back.
    ///
    /// # Errors
    /// When the machine is gone.
    pub fn entrance(&self) -> Result<Entrance> {
        let of = |kind: &str| {
            let path = format!("/proc/{}/ns/{kind}", self.lab.h1.first_pid());
            File::open(&path).with_context(|| format!("open {path}"))
        };
        Ok(Entrance {
            net: of("net")?,
            mounts: of("mnt")?,
            processes: of("pid")?,
        })
    }

    /// Starts one end of a load inside a container, known by its namespace's path, in the background, and returns when it listens on `port`.
    #[must_use]
    pub fn serve(&self, netns: &str, kind: &str, port: u16) -> Background {
        let program = programs::built("bench-load").display().to_string();
        let netns = format!("--net={netns}");
        let port = port.to_string();
        let argv = ["nsenter", &netns, "--", &program, kind, &port];
        let server = self.lab.h1.spawn(&argv, &[], "/run/lab/load.log");
        let sockets = ["nsenter", &netns, "--", "ss", "-Hltn", "sport", "=", &port];
        eventually("the server of a load", || {
            let ran = self.lab.h1.exec(&sockets);
            (!ran.text().is_empty()).then_some(())
        });
        server
    }

    /// Number of links of the machine, by which one sees whether what was deleted is gone.
    #[must_use]
    pub fn links(&self) -> usize {
        let path = format!("/proc/{}/net/dev", self.lab.h1.first_pid());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().filter(|line| line.contains(':')).count()
    }

    /// Waits until the machine has no more than `links` links: deletions go on after they were acknowledged.
    ///
    /// # Errors
    /// When it has more for long.
    pub fn settle(&self, links: usize) -> Result<()> {
        let start = Instant::now();
        while self.links() > links {
            ensure!(
                start.elapsed() < Duration::from_secs(30),
                "{} links are left, not {links}",
                self.links()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

/// The figure that one end of a load prints; it runs in `machine`, in the network namespace `netns` of it if one is given.
///
/// # Errors
/// When it fails, with what it said.
pub fn load(
    machine: &Machine,
    netns: Option<&str>,
    (kind, target): (&str, SocketAddr),
    time: Duration,
) -> Result<f64> {
    let program = programs::built("bench-load").display().to_string();
    let (target, time) = (target.to_string(), time.as_millis().to_string());
    let inside = netns.map(|path| format!("--net={path}"));
    let mut argv = match &inside {
        Some(inside) => vec!["nsenter", inside.as_str(), "--"],
        None => vec![],
    };
    argv.extend([program.as_str(), kind, &target, &time]);
    let ran = machine.exec(&argv);
    ensure!(ran.is_ok(), "{ran}");
    ran.text()
        .parse()
        .with_context(|| format!("read {:?}", ran.text()))
}

/// A machine's namespaces, to enter.
#[derive(Debug)]
pub struct Entrance {
    net: File,
    mounts: File,
    processes: File,
}

impl Entrance {
    /// Puts the calling thread into the machine's network namespace, for good.
    ///
    /// # Errors
    /// When the machine is gone.
    pub fn enter_net(&self) -> Result<()> {
        setns(&self.net, CloneFlags::CLONE_NEWNET).context("enter the machine's network namespace")
    }

    /// Runs a program to its end inside the machine's namespaces; gives the time from its start
    /// to its end, and its output. The time to enter them is not counted.
    ///
    /// # Errors
    /// When it cannot be run or fails, with what it said.
    pub fn run(&self, argv: &[&str], input: &[u8]) -> Result<(Duration, Vec<u8>)> {
        self.run_with(argv, &[], input)
    }

    /// The same with further environment variables.
    ///
    /// # Errors
    /// When it cannot be run or fails, with what it said.
    pub fn run_with(
        &self,
        argv: &[&str],
        environment: &[(&str, &str)],
        input: &[u8],
    ) -> Result<(Duration, Vec<u8>)> {
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    self.enter_net()?;
                    // A thread that shares its root with others cannot change its mounts (setns(2)).
                    unshare(CloneFlags::CLONE_FS).context("have a root of one's own")?;
                    setns(&self.mounts, CloneFlags::CLONE_NEWNS).context("enter the mounts")?;
                    // Of children only: /proc of the machine knows no others.
                    setns(&self.processes, CloneFlags::CLONE_NEWPID)
                        .context("enter the processes")?;
                    timed(argv, environment, input)
                })
                .join()
                .unwrap_or_else(|_| Err(anyhow!("the thread inside the machine panicked")))
        })
    }
}

/// A command line for the report, which is for other machines, too: without the folder of the program.
fn shown(program: &str, arguments: &[&str]) -> String {
    let name = program.rsplit('/').next().unwrap_or(program);
    std::iter::once(name)
        .chain(arguments.iter().copied())
        .collect::<Vec<_>>()
        .join(" ")
}

fn timed(argv: &[&str], environment: &[(&str, &str)], input: &[u8]) -> Result<(Duration, Vec<u8>)> {
    let (program, arguments) = argv.split_first().context("empty command line")?;
    let line = shown(program, arguments);
    let start = Instant::now();
    let mut child = Command::new(PathBuf::from(program))
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {line}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading its input is judged by its exit status.
        let _ = stdin.write_all(input);
    }
    let output = child
        .wait_with_output()
        .with_context(|| format!("wait for {line}"))?;
    let took = start.elapsed();
    ensure!(
        output.status.success(),
        "{line} ended with {}: {} {}",
        output
            .status
            .code()
            .or_else(|| output.status.signal())
            .unwrap_or(-1),
        String::from_utf8_lossy(&output.stderr).trim(),
        String::from_utf8_lossy(&output.stdout).trim()
    );
    Ok((took, output.stdout))
}
