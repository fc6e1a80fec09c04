//! Calling CNI plugins as runtimes do: parameters in the environment, the configuration on stdin.
//!
//! Must not know what a plugin does with them.

use serde_json::{Value, json};

use crate::host::SOCKET;
use crate::process::Ran;
use crate::{Machine, OrFail, programs};

/// Where Debian keeps the plugins of the CNI project.
pub const PLUGINS: &str = "/usr/lib/cni";

/// A place of a container on a network, as a runtime names it.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The runtime's id of the container.
    pub container: &'a str,
    /// Name of its namespace below /run/netns.
    pub netns: &'a str,
    /// Name of the interface inside.
    pub interface: &'a str,
}

/// A container whose namespace has its name, and its first interface.
#[must_use]
pub fn eth0(container: &str) -> Place<'_> {
    Place {
        container,
        netns: container,
        interface: "eth0",
    }
}

/// A configuration of netd's own plugin on the daemon of a [`Host`](crate::Host), with further keys.
///
/// # Panics
/// When `further` is no object.
#[must_use]
pub fn configuration(version: &str, name: &str, further: &Value) -> Value {
    let mut all =
        json!({ "cniVersion": version, "name": name, "type": "netd-cni", "socket": SOCKET });
    for (key, value) in further.as_object().or_fail("object of further keys") {
        all[key.as_str()] = value.clone();
    }
    all
}

/// The program of a type.
#[must_use]
pub fn program(kind: &str) -> String {
    match kind {
        "netd-cni" => programs::built(kind).display().to_string(),
        other => format!("{PLUGINS}/{other}"),
    }
}

impl Machine {
    /// Makes a namespace below /run/netns, as a runtime does for a container.
    ///
    /// # Panics
    /// When it cannot be made.
    #[track_caller]
    pub fn new_netns(&self, name: &str) {
        let _ = self.exec(&["ip", "netns", "add", name]).ok();
    }

    /// Runs a program of the machine in a namespace below /run/netns.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn in_netns(&self, name: &str, command: &[&str]) -> Ran {
        let mut argv = vec!["ip", "netns", "exec", name];
        argv.extend(command);
        self.exec(&argv)
    }

    /// Calls the plugin that the configuration names.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn cni(&self, command: &str, place: Place<'_>, configuration: &Value) -> Ran {
        self.cni_with(command, place, (configuration, ""))
    }

    /// Calls the plugin that the configuration names, with `CNI_ARGS`.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn cni_with(
        &self,
        command: &str,
        place: Place<'_>,
        (configuration, arguments): (&Value, &str),
    ) -> Ran {
        let netns = format!("/run/netns/{}", place.netns);
        let environment = [
            ("CNI_COMMAND", command),
            ("CNI_CONTAINERID", place.container),
            ("CNI_NETNS", &netns),
            ("CNI_IFNAME", place.interface),
            ("CNI_ARGS", arguments),
            ("CNI_PATH", PLUGINS),
        ];
        let kind = configuration["type"].as_str().or_fail("type");
        let input = configuration.to_string();
        self.exec_with(&[&program(kind)], &environment, input.as_bytes())
    }
}

/// The plugin's own error object: exit status, form, and code are as the specification has them. Gives its sentence.
///
/// # Panics
/// With all it said, if not.
#[track_caller]
pub fn refused(ran: &Ran, code: u32) -> String {
    assert!(ran.code != 0, "expected a refusal of\n{ran}");
    assert!(
        ran.code != 101 && !ran.stderr.contains("panicked"),
        "a panic of\n{ran}"
    );
    let error = ran.json();
    assert_eq!(error["code"], code, "{ran}");
    assert!(error["cniVersion"].is_string(), "{ran}");
    error["msg"].as_str().or_fail("msg").to_owned()
}
