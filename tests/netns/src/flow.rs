//! Flows of numbered packets that go on while something happens, and what became of them.
//!
//! Must not know what happens meanwhile.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Background, Host, Machine, OrFail, eventually, programs};

/// Numbers a second. A tenth of a second without the way is ten of them.
const RATE: &str = "100";

/// How many numbers have to be under way before anything is done to the flow.
const WARM: u64 = 20;

static FLOWS: AtomicU32 = AtomicU32::new(1);

/// The transport of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Each lost packet is a missing number.
    Udp,
    /// A broken connection, or one that stands still, is missing numbers.
    Tcp,
}

/// Numbers that are being sent, answered and counted.
#[derive(Debug)]
pub struct Flow<'a> {
    machine: &'a Machine,
    what: String,
    file: String,
    background: Background,
}

/// What became of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowReport {
    /// What it was, for people.
    pub what: String,
    /// Numbers sent.
    pub sent: u64,
    /// Answers that came back.
    pub answered: u64,
    /// Numbers that arrived, as the other side counted them.
    pub seen: u64,
    /// The highest number that came back.
    pub latest: u64,
    /// The longest time between two answers, in milliseconds.
    pub longest_gap_ms: u64,
}

impl FlowReport {
    /// Not one packet was lost, on the way there or back. Gives the report on.
    ///
    /// # Panics
    /// When one was, or when nothing was sent.
    #[track_caller]
    pub fn lossless(self) -> Self {
        assert!(
            self.sent > WARM && self.seen == self.sent && self.answered == self.sent,
            "packets were lost: {self:?}"
        );
        self
    }
}

impl Machine {
    /// Sends numbers from the machine to `target`, `ADDRESS:PORT`, and returns when they come back.
    ///
    /// # Panics
    /// When they do not.
    #[track_caller]
    pub fn flow(&self, transport: Transport, target: &str) -> Flow<'_> {
        Flow::start(self, &[], (transport, target))
    }
}

impl Host {
    /// A container that answers numbers on `port`, over TCP and UDP.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn answering(&self, name: &str, port: u16, flags: &[&str]) {
        let program = programs::built("lab-flow").display().to_string();
        let port = port.to_string();
        let mut all = vec!["--name", name];
        all.extend(flags);
        self.run_detached(&all, &[&program, "answer", &port]);
        self.listening(name, "-t", &port);
        self.listening(name, "-u", &port);
    }

    /// Sends numbers from inside a container to `target`, `ADDRESS:PORT`, and returns when they come back.
    ///
    /// # Panics
    /// When they do not.
    #[track_caller]
    pub fn flow_in(&self, container: &str, transport: Transport, target: &str) -> Flow<'_> {
        let net = programs::built("net").display().to_string();
        Flow::start(self, &[&net, "exec", container, "--"], (transport, target))
    }
}

impl<'a> Flow<'a> {
    #[track_caller]
    fn start(machine: &'a Machine, before: &[&str], to: (Transport, &str)) -> Self {
        let (transport, target) = to;
        let program = programs::built("lab-flow").display().to_string();
        let file = format!("/run/lab/flow-{}", FLOWS.fetch_add(1, Ordering::Relaxed));
        let (kind, stop) = match transport {
            Transport::Udp => ("udp", format!("{file}.stop")),
            Transport::Tcp => ("tcp", format!("{file}.stop")),
        };
        let mut argv = before.to_vec();
        argv.extend([program.as_str(), "ask", kind, target, RATE, &stop]);
        let environment = [("NETD_HOST", crate::host::SOCKET)];
        let background = machine.spawn(&argv, &environment, &file);
        Self {
            machine,
            what: format!("{kind} {} {target}", before.join(" ")),
            file,
            background,
        }
    }

    /// Ends flows at once and says what became of each.
    ///
    /// # Panics
    /// When it cannot be told.
    #[track_caller]
    pub fn stop_all(flows: Vec<Self>) -> Vec<FlowReport> {
        // Each waits for its last answers by itself.
        for flow in &flows {
            flow.machine.write(&format!("{}.stop", flow.file), "");
        }
        flows.into_iter().map(Self::stop).collect()
    }

    /// Ends the flow and says what became of it.
    ///
    /// # Panics
    /// When it cannot be told.
    #[track_caller]
    pub fn stop(mut self) -> FlowReport {
        self.machine.write(&format!("{}.stop", self.file), "");
        let code = self
            .background
            .ends_within(std::time::Duration::from_secs(20));
        let text = self.machine.read(&self.file);
        assert!(code == 0, "{} ended with {code}: {text}", self.what);
        let said: serde_json::Value = serde_json::from_str(text.trim()).or_fail("read a report");
        let number = |key: &str| said[key].as_u64().or_fail(key);
        FlowReport {
            sent: number("sent"),
            answered: number("answered"),
            seen: number("seen"),
            latest: number("latest"),
            longest_gap_ms: number("longest_gap_ms"),
            what: self.what,
        }
    }
}

/// Waits until flows have run for a moment: as long as some tens of packets take.
pub fn some_packets(machine: &Machine, address: &str) {
    // A round trip beside them is as good a clock as any.
    let mut rounds = 0;
    eventually("some round trips", || {
        rounds += u64::from(machine.exec(&["ping", "-c1", "-W1", address]).is_ok());
        (rounds >= WARM).then_some(())
    });
}
