//! A real Docker engine beside a host's netd: Debian's, unpacked and never installed, in the host's own namespaces.
//!
//! Its files lie on the machine's tmpfs and go with it. Its image has the machine's busybox and nothing else. Must not know
//! what the engine is used for.

use std::ops::Deref;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::docker::client;
use crate::process::{Background, Ran};
use crate::unpacked::Unpacked;
use crate::{HostOptions, Lab, Machine, OrFail, within};

/// The engine's socket inside the machine.
pub const ENGINE_SOCKET: &str = "/run/docker.sock";

/// Its log inside the machine.
pub const ENGINE_LOG: &str = "/run/lab/dockerd.log";

/// The image that containers are made of.
pub const IMAGE: &str = "tiny";

/// What the machine needs besides: control groups, where the kernel's are not visible, and an image in the file `$1`.
const SET_UP: &str = r#"
set -e
if [ ! -d /sys/fs/cgroup/memory ] && [ ! -e /sys/fs/cgroup/cgroup.controllers ]; then
    # A controller that is in no hierarchy of its own belongs to the unified one (cgroups(7)).
    if grep -q '^memory[[:space:]]*0[[:space:]]' /proc/cgroups || ! grep -q '^memory' /proc/cgroups; then
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
    else
        mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
        for one in cpu cpuacct cpuset memory devices freezer blkio pids; do
            mkdir -p /sys/fs/cgroup/$one
            mount -t cgroup -o $one cgroup /sys/fs/cgroup/$one
        done
        mkdir -p /sys/fs/cgroup/systemd
        mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
    fi
fi
root=/run/lab/image
mkdir -p $root/bin $root/etc $root/tmp
busybox=$(command -v busybox)
cp "$busybox" $root/bin/busybox
for applet in sh sleep ping nslookup wget httpd ip nc cat; do ln -sf busybox $root/bin/$applet; done
for library in $(ldd "$busybox" | grep -o '/[^ ]*'); do
    mkdir -p "$root$(dirname "$library")"
    cp "$library" "$root$library"
done
tar -C $root -cf "$1" .
"#;

/// Removes the control groups whose names begin with `$1`, once the kernel has let go of the processes in them.
const CLEAN_UP: &str = r#"
tops() { find /sys/fs/cgroup -maxdepth 2 -type d -name "$1" 2>/dev/null; }
for try in $(seq 100); do
    tops "$1" | while read -r top; do find "$top" -depth -type d -exec rmdir {} + 2>/dev/null; done
    [ -z "$(tops "$1")" ] && break
    sleep 0.05
done
"#;

/// How long the engine may take to answer for the first time.
pub const READY_PATIENCE: Duration = Duration::from_secs(60);

/// A laboratory whose host has a Docker engine beside its netd.
#[derive(Debug)]
pub struct DockerLab {
    engine: Option<Background>,
    lab: Lab,
    /// The last field, so that it is dropped last: a group with a process in it cannot be removed.
    groups: ControlGroups,
}

impl Deref for DockerLab {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.lab
    }
}

impl DockerLab {
    /// A host with netd, configured by `options`, and then an engine with an image.
    ///
    /// # Panics
    /// When either does not start.
    #[must_use]
    pub fn with(options: HostOptions) -> Self {
        let groups = ControlGroups::new("netd-plugin-test");
        let lab = Lab::with(options);
        let tar = "/run/lab/image.tar";
        prepare(&lab.h1, tar);
        let mut lab = Self {
            engine: None,
            lab,
            groups,
        };
        lab.start_engine();
        let _ = lab.docker(&["import", tar, IMAGE]).ok();
        lab
    }

    /// Starts the engine and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn start_engine(&mut self) {
        let engines = Unpacked::of_build().or_fail("find what was unpacked");
        let program = engines.program("dockerd");
        let program = program.or_fail("engine of Docker: run `cargo xtask setup`");
        let program = program.display().to_string();
        let environment = engines.environment();
        let environment: Vec<(&str, &str)> = environment
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let mut engine = launch(&self.lab.h1, (&program, &environment), &self.groups);
        within(READY_PATIENCE, "an answer of Docker's engine", || {
            assert!(
                engine.is_running(),
                "the engine ended:\n{}",
                self.engine_log()
            );
            self.docker(&["version"]).is_ok().then_some(())
        });
        self.engine = Some(engine);
    }

    /// The end of the engine's log.
    #[must_use]
    pub fn engine_log(&self) -> String {
        let text = self.lab.h1.read(ENGINE_LOG);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Process id of the engine inside the machine.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn engine_pid(&self) -> u32 {
        self.engine.as_ref().or_fail("engine").pid
    }

    /// Kills the engine with SIGKILL. What it started goes on.
    ///
    /// # Panics
    /// When it does not end.
    pub fn kill_engine(&mut self) {
        let pid = self.engine_pid();
        self.lab.h1.signal("KILL", pid);
        if let Some(mut engine) = self.engine.take() {
            let _ = engine.ends_within(Duration::from_secs(10));
        }
    }

    /// Runs Docker's client against the engine.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn docker(&self, args: &[&str]) -> Ran {
        let program = client().display().to_string();
        let mut argv = vec![program.as_str()];
        argv.extend(args);
        let address = format!("unix://{ENGINE_SOCKET}");
        let environment = [
            ("DOCKER_HOST", address.as_str()),
            ("DOCKER_CONFIG", "/run/lab/docker"),
        ];
        let mut ran = self.lab.h1.exec_with(&argv, &environment, b"");
        ran.line = format!("[h1] docker {}", args.join(" "));
        ran
    }

    /// Starts a container of Docker's that sleeps.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn container(&self, name: &str, network: &str, flags: &[&str]) {
        let mut args = vec!["run", "-d", "--name", name, "--network", network];
        args.extend(flags);
        args.extend([IMAGE, "/bin/sleep", "100000"]);
        let _ = self.docker(&args).ok();
    }

    /// Runs a command in a container of Docker's.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn in_docker(&self, container: &str, command: &[&str]) -> Ran {
        let mut args = vec!["exec", container];
        args.extend(command);
        self.docker(&args)
    }
}

/// The control groups of one engine's containers. They go with it.
#[derive(Debug)]
pub struct ControlGroups(String);

impl ControlGroups {
    /// Under a name that no other engine has, which begins with `prefix`.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self(format!("{prefix}-{}-{number}", std::process::id()))
    }
}

impl Drop for ControlGroups {
    fn drop(&mut self) {
        // What cannot be removed is empty and does no harm.
        let _ = Command::new("sh")
            .args(["-c", CLEAN_UP, "sh", &self.0])
            .status();
    }
}

/// Makes what an engine needs of a machine, and its image in the file `tar`.
///
/// # Panics
/// When that fails.
#[track_caller]
pub fn prepare(machine: &Machine, tar: &str) {
    let _ = machine.exec(&["sh", "-c", SET_UP, "sh", tar]).ok();
}

/// Starts an engine in a machine; it listens at [`ENGINE_SOCKET`] and writes to [`ENGINE_LOG`].
///
/// # Panics
/// When it cannot be started.
#[track_caller]
#[must_use]
pub fn launch(
    machine: &Machine,
    (program, environment): (&str, &[(&str, &str)]),
    groups: &ControlGroups,
) -> Background {
    let group = format!("/{}", groups.0);
    let socket = format!("unix://{ENGINE_SOCKET}");
    let line = [
        program,
        "--data-root",
        "/run/docker/data",
        "--exec-root",
        "/run/docker/exec",
        "--pidfile",
        "/run/docker/pid",
        "-H",
        &socket,
        "--storage-driver",
        "vfs",
        "--cgroup-parent",
        &group,
        "--exec-opt",
        "native.cgroupdriver=cgroupfs",
    ];
    machine.spawn(&line, environment, ENGINE_LOG)
}
