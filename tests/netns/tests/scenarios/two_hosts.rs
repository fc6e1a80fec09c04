//! Two hosts on one wire, each with a netd: h1 is 10.0.0.204, h2 is 10.0.0.208. Pages that say who asked for them.

use netns_tests::host::SOCKET;
use netns_tests::{Host, HostOptions, Lab};

/// The two hosts, and a machine outside, 10.0.0.99, on the same wire.
pub(crate) struct TwoHosts {
    pub(crate) lab: Lab,
    pub(crate) h2: Host,
}

impl TwoHosts {
    /// Starts both with these configuration files.
    pub(crate) fn with([first, second]: [&str; 2]) -> Self {
        let options = |config: &str| HostOptions {
            config: config.to_owned(),
            ..HostOptions::default()
        };
        let lab = Lab::without_daemon(options(first));
        for (machine, address) in [(&*lab.h1, "10.0.0.204/24"), (&lab.outside, "10.0.0.99/24")] {
            let add = ["ip", "address", "add", address, "dev", "eth0"];
            let _ = machine.exec(&add).ok();
        }
        let h2 = Host::new(lab.machine("h2", "10.0.0.208/24"), options(second));
        lab.h1.start();
        h2.start();
        Self { lab, h2 }
    }

    pub(crate) fn h1(&self) -> &Host {
        &self.lab.h1
    }

    /// The daemon of h1 answers that the request makes no sense.
    #[track_caller]
    pub(crate) fn is_invalid(&self, path: &str, method: &str, body: &str) {
        let url = format!("http://netd/netd/v1/{path}");
        let to = ["curl", "-sS", "--unix-socket", SOCKET, &url];
        let ask = [&to[..], &["-X", method, "-d", body]].concat();
        let answer = self.h1().exec(&ask).ok().json();
        assert_eq!(
            answer["code"], "invalid_request",
            "{method} {path} {body}: {answer}"
        );
    }
}

/// A container with a web server on port 8000 whose page is the address that it sees of who asks.
pub(crate) fn teller(host: &Host, name: &str, flags: &[&str]) {
    let folder = format!("/run/lab/www-{name}");
    let script = format!("{folder}/cgi-bin/who");
    host.write(
        &script,
        "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\necho $REMOTE_ADDR\n",
    );
    let _ = host.exec(&["chmod", "755", &script]).ok();
    let mut all = vec!["--name", name];
    all.extend(flags);
    let serve = ["busybox", "httpd", "-f", "-p", "8000", "-h", &folder];
    host.run_detached(&all, &serve);
    host.listening(name, "-t", "8000");
}

const CURL: [&str; 4] = ["curl", "-sS", "--max-time", "2"];

fn url(address: &str) -> String {
    match address.contains(':') {
        true => format!("http://{address}/cgi-bin/who"),
        false => format!("http://{address}:8000/cgi-bin/who"),
    }
}

/// Whom a teller sees when a container asks it; `None` if the page does not come. The address may have a port.
pub(crate) fn seen_as(host: &Host, container: &str, address: &str) -> Option<String> {
    let url = url(address);
    let ran = host.in_container(container, &[&CURL[..], &[&url]].concat());
    ran.is_ok().then(|| trim_mapped(ran.text()))
}

/// The same for a process of a machine; `own` is the source that it says it is.
pub(crate) fn seen_from(
    machine: &netns_tests::Machine,
    own: Option<&str>,
    address: &str,
) -> Option<String> {
    let url = url(address);
    let source = own.map_or(vec![], |own| vec!["--interface", own]);
    let ran = machine.exec(&[&CURL[..], &source, &[&url]].concat());
    ran.is_ok().then(|| trim_mapped(ran.text()))
}

/// busybox listens on `::` and shows an IPv4 caller as `[::ffff:10.0.0.1]`.
fn trim_mapped(text: &str) -> String {
    let text = text.trim_matches(['[', ']']);
    text.strip_prefix("::ffff:").unwrap_or(text).to_owned()
}
