//! Servers and clients for tests: pages over HTTP, echoes over UDP and TCP, a resolver that outside names come from.

use crate::{Background, Host, Machine, eventually, programs};

/// The name below which the outside resolver answers everything with [`OUTSIDE_ANSWER`].
pub const OUTSIDE_ZONE: &str = "outside.test";

/// Its answer: an address for documentation (RFC 5737).
pub const OUTSIDE_ANSWER: &str = "203.0.113.7";

impl Host {
    /// A container with a web server on `port` whose page is its own name; returns when it listens.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn web(&self, name: &str, port: u16, flags: &[&str]) {
        let folder = format!("/run/lab/www-{name}");
        self.write(&format!("{folder}/index.html"), name);
        let mut all = vec!["--name", name];
        all.extend(flags);
        let port = port.to_string();
        self.run_detached(
            &all,
            &["busybox", "httpd", "-f", "-p", &port, "-h", &folder],
        );
        self.listening(name, "-t", &port);
    }

    /// A container that sends every UDP datagram back, with its name before it; returns when it listens.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn udp_echo(&self, name: &str, port: u16, flags: &[&str]) {
        let mut all = vec!["--name", name];
        all.extend(flags);
        let listen = format!("UDP-RECVFROM:{port},fork,reuseaddr");
        let answer = format!("SYSTEM:read -r l; echo {name} $l");
        self.run_detached(&all, &["socat", &listen, &answer]);
        self.listening(name, "-u", &port.to_string());
    }

    /// Waits until something listens on `port` in a container; `kind` is `-t` or `-u` of ss(8).
    ///
    /// # Panics
    /// When nothing does in time.
    #[track_caller]
    pub fn listening(&self, container: &str, kind: &str, port: &str) {
        eventually(&format!("a listener on {port} in {container}"), || {
            let ran = self.in_container(container, &["ss", "-H", "-n", "-l", kind]);
            let end = format!(":{port}");
            ran.stdout
                .split_whitespace()
                .any(|word| word.ends_with(&end))
                .then_some(())
        });
    }
}

impl Machine {
    /// Sends a line by UDP from `source_port` (0 for any) and gives the answer, or nothing after two seconds.
    #[must_use]
    pub fn udp_ask(&self, address: &str, source_port: u16, line: &str) -> String {
        let program = programs::built("lab-ask").display().to_string();
        let port = source_port.to_string();
        let ran = self.exec(&[&program, address, &port, line]);
        ran.text().to_owned()
    }

    /// A web server on the machine itself; returns when it listens.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn web_server(&self, port: u16, page: &str) -> Background {
        let folder = format!("/run/lab/www-{port}");
        self.write(&format!("{folder}/index.html"), page);
        let number = port.to_string();
        let argv = ["busybox", "httpd", "-f", "-p", &number, "-h", &folder];
        let server = self.spawn(&argv, &[], "/run/lab/httpd.log");
        self.machine_listens("-t", port);
        server
    }

    /// A resolver on port 53 that answers every A question below [`OUTSIDE_ZONE`] and writes down what it was asked
    /// into /run/lab/questions.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn resolver(&self) -> Background {
        let program = programs::built("lab-resolver").display().to_string();
        let argv = [program.as_str(), OUTSIDE_ZONE, OUTSIDE_ANSWER];
        let server = self.spawn(&argv, &[], "/run/lab/questions");
        self.machine_listens("-u", 53);
        server
    }

    /// Waits until something listens on `port` of the machine.
    ///
    /// # Panics
    /// When nothing does in time.
    #[track_caller]
    pub fn machine_listens(&self, kind: &str, port: u16) {
        let end = format!(":{port}");
        eventually(&format!("a listener on {port} of {}", self.name()), || {
            let ran = self.exec(&["ss", "-H", "-n", "-l", kind]);
            ran.stdout
                .split_whitespace()
                .any(|word| word.ends_with(&end))
                .then_some(())
        });
    }
}
