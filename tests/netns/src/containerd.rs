//! The real containerd with the real runc, inside a host's own namespaces: `ctr run --cni` finds netd's plugin as
//! `netd-cni install` has put it there.
//!
//! Neither touches the control groups of the real machine (see [`oci`](crate::oci)), and both keep all they write below
//! /run. Must not know what is asked of netd.

use crate::host::SOCKET;
use crate::process::{Background, Ran};
use crate::unpacked::Unpacked;
use crate::{Host, OrFail, eventually, programs};

/// Where it listens.
const ADDRESS: &str = "/run/containerd/containerd.sock";

/// What it says.
const LOG: &str = "/run/lab/containerd.log";

/// The root of all containers: folders, onto which the machine's programs are bound.
const ROOT: &str = "/run/lab/root";

/// runc without a say over control groups, under the name that `ctr` is told.
const RUNC: &str = "/run/lab/runc";

/// Folders of the machine that every container has.
const SHARED: [&str; 5] = ["/bin", "/sbin", "/usr", "/lib", "/lib64"];

/// What the machine's mounts need besides. `ctr` looks below /etc/cni and /opt/cni and nowhere else, which are made the
/// machine's own. `$1` is the root of containers, `$2` the file of runc's stand-in.
const SET_UP: &str = r#"
set -e
cp -a /etc /run/lab/etc
mount --bind /run/lab/etc /etc
mkdir -p /run/lab/opt
mount --bind /run/lab/opt /opt
for folder in bin sbin usr lib lib64 proc dev sys etc run tmp; do mkdir -p "$1/$folder"; done
echo nameserver 127.0.0.11 > "$1/etc/resolv.conf"
printf '#!/bin/sh\nexec runc --rootless=true "$@"\n' > "$2"
chmod +x "$2"
mkdir -p /run/containerd
cat > /run/containerd/config.toml <<END
version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri"]
END
"#;

/// A running containerd.
#[derive(Debug)]
pub struct Containerd<'a> {
    host: &'a Host,
    environment: Vec<(String, String)>,
    daemon: Background,
}

impl<'a> Containerd<'a> {
    /// Installs netd's plugin for a described network of 10.9.0.0/24, called `netd`, and starts the daemon.
    ///
    /// # Panics
    /// When it is not there, or does not answer in time.
    #[must_use]
    #[track_caller]
    pub fn start(host: &'a Host) -> Self {
        host.without_groups();
        let _ = host.exec(&["sh", "-c", SET_UP, "sh", ROOT, RUNC]).ok();
        let plugin = programs::built("netd-cni").display().to_string();
        let subnet = ["--subnet", "10.9.0.0/24", "--socket", SOCKET];
        let argv = [
            &[&plugin, "install", "--bin-dir", "/opt/cni/bin"],
            &subnet[..],
        ]
        .concat();
        let _ = host.exec(&argv).ok();
        let engines = Unpacked::of_build().or_fail("find what was unpacked");
        let mut environment = engines.environment();
        environment.push(("CONTAINERD_ADDRESS".to_owned(), ADDRESS.to_owned()));
        let daemon = launch(host, &environment);
        let started = Self {
            host,
            environment,
            daemon,
        };
        started.answers();
        started
    }

    fn answers(&self) {
        eventually("containerd to answer", || {
            self.ctr(&["version"]).is_ok().then_some(())
        });
    }

    fn variables(&self) -> Vec<(&str, &str)> {
        variables(&self.environment)
    }

    /// Runs `ctr`.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn ctr(&self, args: &[&str]) -> Ran {
        let ctr = program("ctr");
        let argv = [&[ctr.as_str()], args].concat();
        let mut ran = self.host.exec_with(&argv, &self.variables(), b"");
        ran.line = format!("[{}] ctr {}", self.host.name(), args.join(" "));
        ran
    }

    /// Runs a container in the background on the network that was installed. netd calls it `default-` and its id.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn run(&self, id: &str, command: &[&str]) {
        let mounts = SHARED.map(|folder| {
            let bind = format!("type=bind,src={folder},dst={folder},options=rbind:ro");
            ["--mount".to_owned(), bind]
        });
        let mut argv = vec!["run", "-d", "--cni", "--runc-binary", RUNC];
        // The shares of the processor are a control group's.
        argv.extend(["--cgroup", "", "--cpu-shares", "0"]);
        argv.extend(["--env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
        argv.extend(mounts.iter().flatten().map(String::as_str));
        argv.extend(["--rootfs", ROOT, id]);
        argv.extend(command);
        let _ = self.ctr(&argv).ok();
    }

    /// Runs a program in a container.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn exec(&self, id: &str, command: &[&str]) -> Ran {
        let argv = ["task", "exec", "--exec-id", "further", id];
        self.ctr(&[&argv[..], command].concat())
    }

    /// Id of a container's first process inside the machine.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn pid(&self, id: &str) -> u32 {
        let ran = self.ctr(&["task", "ls"]).ok();
        let line = ran
            .stdout
            .lines()
            .find(|line| line.split(' ').next() == Some(id));
        let pid = line.and_then(|line| line.split_ascii_whitespace().nth(1)?.parse().ok());
        pid.or_fail("process of the container")
    }

    /// Id of the process that containerd has look after a container.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn shim(&self, id: &str) -> u32 {
        let ran = self.host.exec(&["ps", "-e", "-o", "pid=,args="]).ok();
        let of = format!(" -id {id} ");
        let line = ran
            .stdout
            .lines()
            .find(|line| line.contains("containerd-shim") && line.contains(&of));
        let pid = line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
        pid.or_fail("shim of the container")
    }

    /// Removes a container that has ended, by the commands that a person types.
    ///
    /// # Panics
    /// When it is not removed in time.
    #[track_caller]
    pub fn remove(&self, id: &str) {
        eventually("the container to be removed", || {
            // Whether there is a task still depends on who ended it.
            let _ = self.ctr(&["task", "rm", "--force", id]);
            self.ctr(&["container", "rm", id]).is_ok().then_some(())
        });
    }

    /// Kills containerd itself; its containers and their shims go on.
    ///
    /// # Panics
    /// When it does not run.
    #[track_caller]
    pub fn kill(&mut self) {
        self.host.signal("KILL", self.daemon.pid);
        let _ = self.daemon.ends_within(crate::wait::PATIENCE);
    }

    /// Starts it again after [`Containerd::kill`].
    ///
    /// # Panics
    /// When it does not answer in time.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.daemon = launch(self.host, &self.environment);
        self.answers();
    }
}

fn variables(environment: &[(String, String)]) -> Vec<(&str, &str)> {
    let pairs = environment.iter();
    pairs
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}

fn launch(host: &Host, environment: &[(String, String)]) -> Background {
    let argv = [
        program("containerd"),
        "--config=/run/containerd/config.toml".to_owned(),
        "--root=/run/containerd/root".to_owned(),
        "--state=/run/containerd/state".to_owned(),
        format!("--address={ADDRESS}"),
    ];
    let argv = argv.each_ref().map(String::as_str);
    host.spawn(&argv, &variables(environment), LOG)
}

/// A program of Debian's package.
#[track_caller]
fn program(name: &str) -> String {
    let engines = Unpacked::of_build().or_fail("find what was unpacked");
    let program = engines.program(name);
    let program = program.or_fail("program of containerd: run `cargo xtask setup`");
    program.display().to_string()
}
