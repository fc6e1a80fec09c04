//! Podman, and the program that it calls for its networks: by hand, as Podman calls it, and by Podman itself.
//!
//! Must not know what the program does.

use serde_json::{Value, json};

use crate::host::SOCKET;
use crate::lab::OUTSIDE;
use crate::process::Ran;
use crate::{Machine, OrFail, programs};

/// The program's own name.
pub const PROGRAM: &str = "netd-netavark";

/// A request for one container on one network, as Podman 4.3 sends it: its interface is eth0, and its id is made of its
/// name.
#[must_use]
pub fn request(container: &str, network: &Value, place: &Value) -> Value {
    let name = network["name"].as_str().or_fail("name of the network");
    let mut all = json!({ "interface_name": "eth0" });
    merge(&mut all, place);
    json!({
        "container_id": id(container),
        "container_name": container,
        "networks": { name: all },
        "network_info": { name: network },
    })
}

/// Adds keys to an object; one that is there is replaced.
///
/// # Panics
/// When `further` is no object.
pub fn merge(all: &mut Value, further: &Value) {
    for (key, value) in further.as_object().or_fail("object of further keys") {
        all[key.as_str()] = value.clone();
    }
}

/// An id of 64 hexadecimal digits, made of a name.
#[must_use]
pub fn id(name: &str) -> String {
    let digits: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{digits:0<64}")
}

/// A network as Podman 4.3 has it in its file, on the bridge podman1, with further keys.
#[must_use]
pub fn network(name: &str, subnet: &str, further: &Value) -> Value {
    let gateway = subnet.replace(".0/24", ".1");
    let mut all = json!({
        "name": name, "id": id(name), "driver": "bridge", "network_interface": "podman1",
        "created": "2026-01-01T00:00:00.123456789Z",
        "subnets": [{ "subnet": subnet, "gateway": gateway }],
        "ipv6_enabled": false, "internal": false, "dns_enabled": true,
        "ipam_options": { "driver": "host-local" },
    });
    merge(&mut all, further);
    all
}

impl Machine {
    /// Calls the program with the flags that Podman 4.3 gives it, and this on stdin; `verb` with its arguments.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn netavark(&self, verb: &[&str], input: &[u8]) -> Ran {
        let program = programs::built(PROGRAM).display().to_string();
        let mut argv = vec![
            program.as_str(),
            "--config",
            "/run/containers/networks",
            "--rootless=false",
            "--aardvark-binary=/usr/lib/podman/aardvark-dns",
        ];
        argv.extend(verb);
        self.exec_with(&argv, &[("NETD_HOST", SOCKET), ("RUST_LOG", "warn")], input)
    }

    /// `setup` of a namespace below /run/netns.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn netavark_setup(&self, netns: &str, request: &Value) -> Ran {
        let path = format!("/run/netns/{netns}");
        self.netavark(&["setup", &path], request.to_string().as_bytes())
    }

    /// `teardown` of a namespace below /run/netns.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn netavark_teardown(&self, netns: &str, request: &Value) -> Ran {
        let path = format!("/run/netns/{netns}");
        self.netavark(&["teardown", &path], request.to_string().as_bytes())
    }
}

/// Where Podman has all of its own inside a machine.
const FOLDER: &str = "/run/podman";

/// Folder of the links by which Podman finds its helpers.
pub const HELPERS: &str = "/run/podman/bin";

/// Podman's files for its networks.
pub const NETWORKS: &str = "/run/podman/networks";

/// A root with busybox and nothing else.
pub const ROOT: &str = "/run/podman/rootfs";

/// What containers run as.
const PROGRAMS: &[&str] = &[
    "sh", "sleep", "ping", "httpd", "wget", "nslookup", "cat", "ip",
];

/// Podman inside a machine. Everything that it writes is the machine's own, no image is needed and no control group
/// touched.
#[derive(Clone, Copy, Debug)]
pub struct Podman<'a> {
    machine: &'a Machine,
}

impl<'a> Podman<'a> {
    /// Podman with netd in place of netavark, configured as `netd-netavark install` says.
    ///
    /// # Panics
    /// When it cannot be set up.
    #[track_caller]
    #[must_use]
    pub fn on(machine: &'a Machine) -> Self {
        let install = ["install", HELPERS, "--socket", SOCKET];
        let printed = machine.netavark(&install, b"").ok().stdout;
        Self::with(machine, &printed)
    }

    /// Podman with its CNI backend, which finds configurations and netd's plugin in folders of the machine.
    ///
    /// # Panics
    /// When it cannot be set up.
    #[track_caller]
    #[must_use]
    pub fn with_cni(machine: &'a Machine, install: &[&str]) -> Self {
        let program = programs::built("netd-cni").display().to_string();
        let mut argv = vec![
            program.as_str(),
            "install",
            "--socket",
            SOCKET,
            "--conf-dir",
            NETWORKS,
            "--bin-dir",
            HELPERS,
        ];
        argv.extend(install);
        let _ = machine.exec(&argv).ok();
        let text = format!(
            "[network]\nnetwork_backend = \"cni\"\ncni_plugin_dirs = [{HELPERS:?}]\n\n[engine]\nenable_port_reservation = false\n"
        );
        Self::with(machine, &text)
    }

    /// Adds to the lines for users those that keep Podman inside the machine.
    fn with(machine: &'a Machine, lines: &str) -> Self {
        let network = format!("[network]\nnetwork_config_dir = {NETWORKS:?}\n");
        let engine = format!(
            "[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\ntmp_dir = \"{FOLDER}/tmp\"\n"
        );
        let text = lines
            .replace("[network]\n", &network)
            .replace("[engine]\n", &engine);
        let text = format!("[containers]\ncgroups = \"disabled\"\n\n{text}");
        machine.write(&format!("{FOLDER}/containers.conf"), &text);
        let storage = format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = \"{FOLDER}/root\"\nrunroot = \"{FOLDER}/runroot\"\n"
        );
        machine.write(&format!("{FOLDER}/storage.conf"), &storage);
        // Without any resolver Podman writes down public ones. This one, outside, refuses at once.
        machine.write("/run/lab/resolv.conf", &format!("nameserver {OUTSIDE}\n"));
        let links = PROGRAMS.join(" ");
        let root = format!(
            "mount -t tmpfs tmpfs /var/lib && mkdir -p {ROOT} && cd {ROOT} && \
             cp --parents /bin/busybox $(ldd /bin/busybox | grep -o '/[^ ]*') . && mkdir -p etc tmp && \
             for name in {links}; do ln -sf busybox bin/$name; done && echo by podman > etc/index.html"
        );
        machine.without_groups();
        let _ = machine.sh(&root).ok();
        Self { machine }
    }

    /// Runs `podman`.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Ran {
        let mut argv = vec!["podman"];
        argv.extend(args);
        let environment = [
            ("CONTAINERS_CONF", "/run/podman/containers.conf"),
            ("CONTAINERS_STORAGE_CONF", "/run/podman/storage.conf"),
            ("HOME", FOLDER),
        ];
        self.machine.exec_with(&argv, &environment, b"")
    }

    /// Starts a container that serves a page on port 80; `flags` come before its root.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn serve(&self, name: &str, flags: &[&str]) {
        let command = ["httpd", "-f", "-p", "80", "-h", "/etc"];
        let _ = self.start((name, flags), &command).ok();
    }

    /// Starts a container in the background, and gives what that said.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn start(&self, (name, flags): (&str, &[&str]), command: &[&str]) -> Ran {
        let mut args = vec!["run", "-d", "--name", name];
        args.extend(flags);
        args.extend(["--rootfs", ROOT]);
        args.extend(command);
        self.run(&args)
    }

    /// Runs a program in a container.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn exec(&self, name: &str, command: &[&str]) -> Ran {
        let mut args = vec!["exec", name];
        args.extend(command);
        self.run(&args)
    }

    /// True if netd answers a container's question for a name. Programs inside ask again for seconds before they say no.
    ///
    /// # Panics
    /// When the container does not run.
    #[track_caller]
    #[must_use]
    pub fn knows(&self, container: &str, name: &str) -> bool {
        let pid = self.inspect(container, "{{.State.Pid}}");
        let dig = [
            "nsenter",
            "-t",
            &pid,
            "-n",
            "dig",
            "+short",
            "@127.0.0.11",
            name,
        ];
        !self.machine.exec(&dig).ok().text().is_empty()
    }

    /// A field of `podman inspect`, by a template.
    ///
    /// # Panics
    /// When there is no such container.
    #[track_caller]
    #[must_use]
    pub fn inspect(&self, name: &str, template: &str) -> String {
        let ran = self.run(&["inspect", "--format", template, name]).ok();
        ran.text().to_owned()
    }
}

/// The program's own error object: exit status 1, and the one field that Podman reads. Gives its sentence.
///
/// # Panics
/// With all it said, if not.
#[track_caller]
#[must_use]
pub fn refused(ran: &Ran) -> String {
    assert!(ran.code == 1, "expected a refusal of\n{ran}");
    let object = ran.json();
    let fields = object.as_object().or_fail("error object");
    assert!(fields.len() == 1, "{ran}");
    object["error"].as_str().or_fail("error").to_owned()
}
