//! Threads that live in network namespaces of their own, and what tests do there.

use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use netd_model::Ruleset;
use nix::sched::{CloneFlags, unshare};

use super::super::{ChainPrefix, Flavour, Iptables, Table, render};
use crate::nftables::Nftables;
use crate::{Family, Firewall, FirewallError};

pub(crate) const FLAVOURS: [(Flavour, &str); 2] =
    [(Flavour::Nft, "nft"), (Flavour::Legacy, "legacy")];

const NFTABLES: &str = "nftables";

/// A host whose firewall is a table of netd's own.
pub(crate) fn with_own_table() -> Host<dyn Firewall> {
    let node = Node::new();
    let firewall = node.run(|| Nftables::open().unwrap());
    Host {
        node,
        name: NFTABLES,
        firewall: Arc::new(firewall),
    }
}

/// The name that the programs for one version of IP begin with.
pub(crate) const fn program(family: Family) -> &'static str {
    match family {
        Family::V4 => "iptables",
        Family::V6 => "ip6tables",
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// A thread in a fresh network namespace, which ends with it.
pub(crate) struct Node {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// A path to its namespace.
    pub(crate) netns: String,
}

impl Node {
    pub(crate) fn new() -> Self {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (ready, is_ready) = mpsc::channel();
        let thread = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let (process, thread) = (std::process::id(), nix::unistd::gettid());
            ready
                .send(format!("/proc/{process}/task/{thread}/ns/net"))
                .unwrap();
            for job in inbox {
                job();
            }
        });
        Self {
            netns: is_ready.recv().unwrap(),
            jobs: Some(jobs),
            thread: Some(thread),
        }
    }

    /// Runs `job` there and waits for it.
    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, outcome) = mpsc::channel();
        let job: Job = Box::new(move || {
            // If the test is gone already nobody waits for this.
            let _ = done.send(job());
        });
        self.jobs.as_ref().unwrap().send(job).unwrap();
        outcome.recv().expect("the job ended well")
    }

    /// Runs lines of shell there, each of which must succeed.
    pub(crate) fn sh(&self, script: &str) -> String {
        let script = script.to_owned();
        self.run(move || shell(&script, ""))
    }

    /// Gives a program lines to read there.
    pub(crate) fn feed(&self, program: &str, input: &str) -> String {
        let (program, input) = (program.to_owned(), input.to_owned());
        self.run(move || shell(&program, &input))
    }

    /// Sets a parameter below /proc/sys/net.
    pub(crate) fn sysctl(&self, key: &str, value: &str) {
        let (path, value) = (format!("/proc/sys/net/{key}"), value.to_owned());
        self.run(move || std::fs::write(path, value).unwrap());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn shell(script: &str, input: &str) -> String {
    let mut child = Command::new("sh")
        .args(["-ec", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// A namespace without any rule, and a firewall in it: iptables of a flavour, unless told otherwise.
pub(crate) struct Host<F: ?Sized = Iptables> {
    pub(crate) node: Node,
    /// The flavour of iptables, or `nftables`.
    pub(crate) name: &'static str,
    pub(crate) firewall: Arc<F>,
}

impl Host {
    pub(crate) fn new((flavour, name): (Flavour, &'static str)) -> Self {
        let node = Node::new();
        let firewall = open(&node, flavour).unwrap();
        Self {
            node,
            name,
            firewall: firewall.into(),
        }
    }

    /// The same, whatever its firewall is.
    pub(crate) fn any(self) -> Host<dyn Firewall> {
        Host {
            node: self.node,
            name: self.name,
            firewall: self.firewall,
        }
    }
}

impl<F: Firewall + ?Sized> Host<F> {
    pub(crate) fn apply(&self, wanted: &Ruleset) {
        self.try_apply(wanted).unwrap();
    }

    pub(crate) fn try_apply(&self, wanted: &Ruleset) -> Result<(), FirewallError> {
        let (firewall, wanted) = (self.firewall.clone(), wanted.clone());
        self.node.run(move || firewall.apply(&wanted))
    }

    pub(crate) fn verify(&self, wanted: &Ruleset) -> Vec<String> {
        let (firewall, wanted) = (self.firewall.clone(), wanted.clone());
        self.node.run(move || firewall.verify(&wanted)).unwrap()
    }

    /// Whether the rules are in a table of netd's own.
    pub(crate) fn is_nftables(&self) -> bool {
        self.name == NFTABLES
    }

    /// Changes the rules behind netd's back, in the words of each firewall.
    pub(crate) fn tamper(&self, iptables: &str, nft: &str) {
        match self.is_nftables() {
            true => drop(self.node.sh(&format!("nft '{nft}'"))),
            false => self.iptables(iptables),
        }
    }

    pub(crate) fn iptables(&self, command: &str) {
        self.command(Family::V4, command);
    }

    /// Runs iptables or ip6tables of the flavour.
    pub(crate) fn command(&self, family: Family, command: &str) {
        self.node
            .sh(&format!("{}-{} {command}", program(family), self.name));
    }

    pub(crate) fn save(&self, family: Family) -> String {
        self.node
            .sh(&format!("{}-{}-save", program(family), self.name))
    }

    /// Lines of a chain, as iptables-save prints them.
    pub(crate) fn chain(&self, table: Table, chain: &str) -> Vec<String> {
        self.chain_of(Family::V4, table, chain)
    }

    /// Lines of a chain, as iptables-save or ip6tables-save prints them.
    pub(crate) fn chain_of(&self, family: Family, table: Table, chain: &str) -> Vec<String> {
        let (program, name) = (program(family), self.name);
        let saved = self.node.sh(&format!("{program}-{name}-save -t {table}"));
        let start = format!("-A {chain} ");
        let rule = |line: &str| line.strip_prefix(&start).map(str::to_owned);
        saved.lines().filter_map(rule).collect()
    }
}

impl Host {
    /// iptables-save prints exactly what was rendered.
    pub(crate) fn assert_exact(&self, wanted: &Ruleset) {
        self.assert_exact_in(Family::V4, wanted);
    }

    /// Both iptables-save and ip6tables-save print exactly what was rendered.
    pub(crate) fn assert_exact_in_both(&self, wanted: &Ruleset) {
        for family in Family::BOTH {
            self.assert_exact_in(family, wanted);
        }
    }

    fn assert_exact_in(&self, family: Family, wanted: &Ruleset) {
        let rules = render(wanted, &ChainPrefix::Docker.names(), family);
        for chain in rules.chains {
            let there = self.chain_of(family, chain.table, chain.name);
            let place = (self.name, family, chain.table, chain.name);
            assert_eq!(there, chain.rules, "{place:?}");
        }
        let drops = self.save(family).contains(":FORWARD DROP");
        assert_eq!(drops, rules.drop_forwarded);
    }
}

pub(crate) fn open(node: &Node, flavour: Flavour) -> Result<Iptables, FirewallError> {
    node.run(move || Iptables::open(ChainPrefix::Docker, Some(flavour)))
}
