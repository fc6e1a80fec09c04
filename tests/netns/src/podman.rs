//! Podman, and the program that it calls for its networks: by hand, as Podman calls it, and by Podman itself.
//!
//! Must not know what the program does.

use serde_json::{Value, json};

use crate::host::SOCKET;
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
