//! A machine: namespaces of its own for network, mounts, processes and host name, kept by their first process.
//!
//! That first process is told by the kernel to die with the test (prctl(2) PR_SET_PDEATHSIG), and the death of the first
//! process of a pid namespace kills all others in it (pid_namespaces(7)). So nothing can stay behind, not even when
//! the test is killed. /run is a tmpfs of the machine's own: its files go with it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::process::{Background, Ran, run};
use crate::{OrFail, eventually, programs};

/// Folder inside each machine for the laboratory's own files.
pub const LAB_FOLDER: &str = "/run/lab";

/// What the first process does before it waits for its end. `$1` is the machine's name.
///
/// /etc/resolv.conf may be a link into /run, which is hidden by then: the file that it means is made again.
/// dash waits for any child that ends, so orphans do not stay as zombies.
const FIRST_PROCESS: &str = r#"
set -e
hostname "$1"
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lab /run/netns
for name in resolv.conf hosts group; do
    [ -e "/etc/$name" ] && cat "/etc/$name" > "/run/lab/$name" || : > "/run/lab/$name"
    file=$(readlink -f "/etc/$name")
    mkdir -p "$(dirname "$file")"
    [ -e "$file" ] || : > "$file"
    mount --bind "/run/lab/$name" "$file"
done
printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$1" > /run/lab/hosts
: > /run/lab/resolv.conf
ip link set lo up
echo ready
sleep infinity
:
"#;

/// A set of namespaces that behaves like a machine.
#[derive(Debug)]
pub struct Machine {
    name: String,
    /// The `unshare` that made the namespaces and waits for the first process.
    keeper: Child,
    /// The first process, as seen from outside.
    first_pid: u32,
    files: AtomicU32,
}

impl Machine {
    /// Makes one without any interface but `lo`.
    ///
    /// # Panics
    /// When the test does not run as root or a tool is missing.
    #[must_use]
    pub fn new(name: &str) -> Self {
        programs::require_all();
        let mut keeper = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "unshare"])
            .args(["--net", "--mount", "--uts", "--ipc", "--pid", "--fork"])
            .args(["--kill-child=KILL", "--mount-proc", "--"])
            .args(["sh", "-c", FIRST_PROCESS, "first-process", name])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .or_fail("start unshare");
        let stdout = keeper.stdout.take().or_fail("output of unshare");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .or_fail("read from the first process");
        assert!(
            line.trim() == "ready",
            "machine {name} did not come up: {line:?}"
        );
        let id = keeper.id();
        let children = format!("/proc/{id}/task/{id}/children");
        let first_pid = std::fs::read_to_string(&children)
            .or_fail(&format!("read {children}"))
            .split_whitespace()
            .next()
            .and_then(|pid| pid.parse().ok())
            .or_fail("first process");
        Self {
            name: name.to_owned(),
            keeper,
            first_pid,
            files: AtomicU32::new(0),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Id of its first process, as the test sees it: names the machine's namespaces to the kernel.
    #[must_use]
    pub fn first_pid(&self) -> u32 {
        self.first_pid
    }

    /// What a person types to look around in it.
    #[must_use]
    pub fn enter_line(&self) -> String {
        format!("nsenter -t {} -n -m -u -i -p", self.first_pid)
    }

    /// A path of the machine as the test can open it.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        Path::new(&format!("/proc/{}/root", self.first_pid)).join(inside.trim_start_matches('/'))
    }

    /// Writes a file of the machine; below /run only, the rest is shared with the real one.
    ///
    /// # Panics
    /// When the path is not below /run, or the file cannot be written.
    pub fn write(&self, inside: &str, text: &str) {
        assert!(
            inside.starts_with("/run/"),
            "{inside} is not the machine's own"
        );
        let path = self.path(inside);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).or_fail(&format!("make {}", folder.display()));
        }
        std::fs::write(&path, text).or_fail(&format!("write {inside}"));
    }

    /// Reads a file of the machine; nothing if there is none.
    #[must_use]
    pub fn read(&self, inside: &str) -> String {
        std::fs::read(self.path(inside))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args([
                "-t",
                &self.first_pid.to_string(),
                "-n",
                "-m",
                "-u",
                "-i",
                "-p",
                "--",
            ])
            .env("PATH", search_path());
        command
    }

    /// Runs a program in the machine to its end.
    ///
    /// # Panics
    /// When it cannot be started or does not end in time.
    #[track_caller]
    pub fn exec(&self, argv: &[&str]) -> Ran {
        self.exec_with(argv, &[], b"")
    }

    /// Runs a program with further environment variables and standard input.
    ///
    /// # Panics
    /// When it cannot be started or does not end in time.
    #[track_caller]
    pub fn exec_with(&self, argv: &[&str], environment: &[(&str, &str)], input: &[u8]) -> Ran {
        let mut command = self.enter();
        command.args(argv).envs(environment.iter().copied());
        run(
            command,
            format!("[{}] {}", self.name, argv.join(" ")),
            input,
        )
    }

    /// Runs a line of shell.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn sh(&self, line: &str) -> Ran {
        self.exec(&["sh", "-c", line])
    }

    /// Starts a program in the background; its output goes to `log`, a file below /run.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn spawn(&self, argv: &[&str], environment: &[(&str, &str)], log: &str) -> Background {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        let pid_file = format!("{LAB_FOLDER}/pid.{number}");
        let script =
            format!(r#"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec "$@""#);
        if !self.path(log).exists() {
            self.write(log, "");
        }
        let output = || {
            std::fs::File::options()
                .append(true)
                .open(self.path(log))
                .or_fail(&format!("open {log}"))
        };
        let line = argv.join(" ");
        let child = self
            .enter()
            .args(["sh", "-c", &script, "sh"])
            .args(argv)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(output())
            .stderr(output())
            .spawn()
            .or_fail(&format!("start {line}"));
        let pid = eventually(&format!("the process id of {line}"), || {
            self.read(&pid_file).trim().parse().ok()
        });
        Background { pid, child, line }
    }

    /// Sends a signal, such as `KILL`, to a process by its id inside the machine.
    ///
    /// # Panics
    /// When there is no such process.
    #[track_caller]
    pub fn signal(&self, signal: &str, pid: u32) {
        let _ = self.exec(&["kill", "-s", signal, &pid.to_string()]).ok();
    }
}

/// The path for programs: a caller's own, then the folders where Debian keeps what only root runs.
fn search_path() -> String {
    let own = std::env::var("PATH").unwrap_or_default();
    format!("{own}:/usr/sbin:/sbin:/usr/bin:/bin")
}

impl Drop for Machine {
    fn drop(&mut self) {
        // unshare's child is killed by --kill-child, and with it everything in its pid namespace.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
