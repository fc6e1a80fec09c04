//! Bundles for runc and crun as a person would write them, and the runtimes themselves, inside a machine.
//!
//! Neither touches the control groups of the real machine: a machine has none mounted, so runc is told that it has no
//! say over them, and crun to leave them alone. Must not know what the hooks do.

use serde_json::{Value, json};

use crate::host::SOCKET;
use crate::process::{Background, Ran};
use crate::wait::PATIENCE;
use crate::{Machine, OrFail, eventually, programs};

/// Folder of all bundles inside a machine.
const BUNDLES: &str = "/run/bundles";

/// Where the runtimes look for programs, and so do containers.
const PATH: &str = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";

/// A runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// The reference implementation, in Go.
    Runc,
    /// The one in C.
    Crun,
}

impl Runtime {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Runc, Self::Crun];

    /// Its name, which is that of its program.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Runc => "runc",
            Self::Crun => "crun",
        }
    }

    /// Folder of its records inside a machine.
    #[must_use]
    pub const fn records(self) -> &'static str {
        match self {
            Self::Runc => "/run/records/runc",
            Self::Crun => "/run/records/crun",
        }
    }

    /// The beginning of its command lines.
    fn line(self) -> [&'static str; 4] {
        let groups = match self {
            Self::Runc => "--rootless=true",
            Self::Crun => "--cgroup-manager=disabled",
        };
        [self.name(), "--root", self.records(), groups]
    }
}

/// What a container runs, and what its annotations ask for.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Its config.json.
    pub config: Value,
}

impl Bundle {
    /// A root of nothing but folders, with the programs of the machine, and the hooks of netd on the daemon of a
    /// [`Host`](crate::Host).
    #[must_use]
    pub fn new(command: &[&str], annotations: &Value) -> Self {
        let program = programs::built("netd-hook").display().to_string();
        let hook = |moment: &str| json!([{ "path": program, "args": ["netd-hook", moment], "env": [format!("NETD_HOST={SOCKET}"), PATH] }]);
        let shared = ["/bin", "/sbin", "/usr", "/lib", "/lib64"].map(|folder| {
            json!({ "destination": folder, "type": "bind", "source": folder, "options": ["rbind", "ro"] })
        });
        let mut mounts = vec![
            json!({ "destination": "/proc", "type": "proc", "source": "proc" }),
            json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs" }),
        ];
        mounts.extend(shared);
        let namespaces =
            ["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({ "type": kind }));
        let mut annotations = annotations.clone();
        // crun shows what a hook says only if it is told where to.
        annotations["run.oci.hooks.stderr"] = "/dev/stderr".into();
        let capabilities = json!(["CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_KILL"]);
        Self {
            config: json!({
                "ociVersion": "1.0.2",
                "process": {
                    "user": { "uid": 0, "gid": 0 }, "cwd": "/", "args": command, "env": [PATH],
                    "capabilities": { "bounding": capabilities, "effective": capabilities, "permitted": capabilities },
                },
                "root": { "path": "rootfs", "readonly": true },
                "annotations": annotations,
                "mounts": mounts,
                "hooks": { "createRuntime": hook("createRuntime"), "poststop": hook("poststop") },
                "linux": { "namespaces": namespaces },
            }),
        }
    }

    /// One whose program only waits.
    #[must_use]
    pub fn idle(annotations: &Value) -> Self {
        Self::new(&["sleep", "infinity"], annotations)
    }

    /// The same with a further hook at the end of a list, such as one that fails.
    ///
    /// # Panics
    /// When it has no such list.
    #[must_use]
    pub fn then(mut self, moment: &str, command: &[&str]) -> Self {
        let list = self.config["hooks"][moment].as_array_mut();
        let hook = json!({ "path": command[0], "args": command, "env": [PATH] });
        list.or_fail("list of hooks").push(hook);
        self
    }

    /// The same with a network namespace that is there already.
    ///
    /// # Panics
    /// When it has no list of namespaces.
    #[must_use]
    pub fn in_netns(mut self, path: &str) -> Self {
        let list = self.config["linux"]["namespaces"].as_array_mut();
        let list = list.or_fail("list of namespaces");
        list.retain(|one| one["type"] != "network");
        list.push(json!({ "type": "network", "path": path }));
        self
    }
}

impl Machine {
    /// Writes a bundle, with an empty root if there is none yet; gives its folder.
    ///
    /// # Panics
    /// When it cannot be written.
    #[track_caller]
    pub fn bundle(&self, name: &str, bundle: &Bundle) -> String {
        let folder = format!("{BUNDLES}/{name}");
        self.write(&format!("{folder}/config.json"), &bundle.config.to_string());
        for inside in [
            "bin", "sbin", "usr", "lib", "lib64", "proc", "dev", "etc", "tmp",
        ] {
            let path = self.path(&format!("{folder}/rootfs/{inside}"));
            std::fs::create_dir_all(path).or_fail("make a root");
        }
        folder
    }

    /// Runs a command of a runtime, such as `delete web`.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn oci(&self, runtime: Runtime, command: &[&str]) -> Ran {
        self.without_groups();
        let mut argv = runtime.line().to_vec();
        argv.extend(command);
        self.exec(&argv)
    }

    /// Runs a container to its end.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn oci_run(&self, runtime: Runtime, id: &str, bundle: &Bundle) -> Ran {
        let folder = self.bundle(id, bundle);
        self.oci(runtime, &["run", "--bundle", &folder, id])
    }

    /// Starts a container in the background, and waits until it runs; the process is that of the runtime, which waits for
    /// the container.
    ///
    /// # Panics
    /// When it does not run in time, with what the runtime said.
    #[track_caller]
    pub fn oci_start(&self, runtime: Runtime, id: &str, bundle: &Bundle) -> Background {
        let mut started = self.oci_begin(runtime, id, bundle);
        eventually(&format!("{id} to run under {}", runtime.name()), || {
            assert!(
                started.is_running(),
                "{} ended:\n{}",
                runtime.name(),
                self.read(&oci_log(id))
            );
            let state = self.oci(runtime, &["state", id]);
            (state.is_ok() && state.json()["status"] == "running").then_some(())
        });
        started
    }

    /// Starts a container in the background and does not wait for anything.
    ///
    /// # Panics
    /// When the runtime cannot be started.
    #[track_caller]
    pub fn oci_begin(&self, runtime: Runtime, id: &str, bundle: &Bundle) -> Background {
        self.without_groups();
        let folder = self.bundle(id, bundle);
        let mut argv = runtime.line().to_vec();
        argv.extend(["run", "--bundle", &folder, id]);
        self.spawn(&argv, &[], &oci_log(id))
    }

    /// Starts a container that no runtime waits for, as an engine does by `create` and `start`: nobody but this machine's
    /// first process sees its end, and no poststop runs.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn oci_detached(&self, runtime: Runtime, id: &str, bundle: &Bundle) {
        self.without_groups();
        let folder = self.bundle(id, bundle);
        let mut argv = runtime.line().to_vec();
        argv.extend(["run", "--detach", "--bundle", &folder, id]);
        let mut started = self.spawn(&argv, &[], &oci_log(id));
        let code = started.ends_within(PATIENCE);
        assert!(code == 0, "{argv:?}: {code}\n{}", self.read(&oci_log(id)));
    }

    /// Calls a hook as a runtime does, with this on its standard input.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn hook(&self, moment: &str, input: &[u8]) -> Ran {
        let program = programs::built("netd-hook").display().to_string();
        self.exec_with(&[&program, moment], &[("NETD_HOST", SOCKET)], input)
    }

    /// Id of a container's first process inside the machine.
    ///
    /// # Panics
    /// When it does not run.
    #[track_caller]
    #[must_use]
    pub fn oci_pid(&self, runtime: Runtime, id: &str) -> u32 {
        let state = self.oci(runtime, &["state", id]).ok().json();
        let pid = state["pid"].as_u64().or_fail("process of the container");
        u32::try_from(pid).or_fail("read a process id")
    }

    /// Runs a program in a container.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn oci_exec(&self, runtime: Runtime, id: &str, command: &[&str]) -> Ran {
        let mut argv = vec!["exec", id];
        argv.extend(command);
        self.oci(runtime, &argv)
    }

    /// Has no control groups in this machine, for runc: what it finds is read-only, and it has been told not to mind. Where an
    /// engine has the real ones they stay.
    ///
    /// # Panics
    /// When the machine's mounts cannot be changed.
    #[track_caller]
    pub fn without_groups(&self) {
        let line = r#"
[ -d /sys/fs/cgroup/systemd ] || [ -e /sys/fs/cgroup/cgroup.controllers ] || [ -e /sys/fs/cgroup/of-none ] && exit
mount -t tmpfs tmpfs /sys/fs/cgroup
: > /sys/fs/cgroup/of-none
cut -d: -f2 /proc/self/cgroup | tr , '\n' | sed 's/^name=//' | while read name; do
    mkdir -p "/sys/fs/cgroup/$name"
done
mount -o remount,ro /sys/fs/cgroup
"#;
        let _ = self.sh(line).ok();
    }
}

/// What a runtime that was started in the background says, and its container.
#[must_use]
pub fn oci_log(id: &str) -> String {
    format!("/run/lab/oci-{id}.log")
}
