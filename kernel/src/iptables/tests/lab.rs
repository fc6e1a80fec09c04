//! Threads that live in network namespaces of their own, and what tests do there.

use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use netd_model::Ruleset;
use nix::sched::{CloneFlags, unshare};

use super::super::{ChainPrefix, Flavour, Iptables, Table, render};
use crate::{Firewall, FirewallError};

pub(super) const FLAVOURS: [(Flavour, &str); 2] =
    [(Flavour::Nft, "nft"), (Flavour::Legacy, "legacy")];

type Job = Box<dyn FnOnce() + Send>;

/// A thread in a fresh network namespace, which ends with it.
pub(super) struct Node {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// A path to its namespace.
    pub(super) netns: String,
}

impl Node {
    pub(super) fn new() -> Self {
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
    pub(super) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, outcome) = mpsc::channel();
        let job: Job = Box::new(move || {
            // If the test is gone already nobody waits for this.
            let _ = done.send(job());
        });
        self.jobs.as_ref().unwrap().send(job).unwrap();
        outcome.recv().expect("the job ended well")
    }

    /// Runs lines of shell there, each of which must succeed.
    pub(super) fn sh(&self, script: &str) -> String {
        let script = script.to_owned();
        self.run(move || shell(&script, ""))
    }

    /// Gives a program lines to read there.
    pub(super) fn feed(&self, program: &str, input: &str) -> String {
        let (program, input) = (program.to_owned(), input.to_owned());
        self.run(move || shell(&program, &input))
    }

    /// Sets a parameter below /proc/sys/net.
    pub(super) fn sysctl(&self, key: &str, value: &str) {
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

/// A namespace without any rule, and iptables of a flavour in it.
pub(super) struct Host {
    pub(super) node: Node,
    pub(super) name: &'static str,
    pub(super) flavour: Flavour,
    pub(super) firewall: Arc<Iptables>,
}

impl Host {
    pub(super) fn new((flavour, name): (Flavour, &'static str)) -> Self {
        let node = Node::new();
        let firewall = open(&node, flavour).unwrap();
        Self {
            node,
            name,
            flavour,
            firewall: firewall.into(),
        }
    }

    pub(super) fn apply(&self, wanted: &Ruleset) {
        self.try_apply(wanted).unwrap();
    }

    pub(super) fn try_apply(&self, wanted: &Ruleset) -> Result<(), FirewallError> {
        let (firewall, wanted) = (self.firewall.clone(), wanted.clone());
        self.node.run(move || firewall.apply(&wanted))
    }

    pub(super) fn verify(&self, wanted: &Ruleset) -> Vec<String> {
        let (firewall, wanted) = (self.firewall.clone(), wanted.clone());
        self.node.run(move || firewall.verify(&wanted)).unwrap()
    }

    pub(super) fn iptables(&self, command: &str) {
        self.node.sh(&format!("iptables-{} {command}", self.name));
    }

    pub(super) fn save(&self) -> String {
        self.node.sh(&format!("iptables-{}-save", self.name))
    }

    /// Lines of a chain, as iptables-save prints them.
    pub(super) fn chain(&self, table: Table, chain: &str) -> Vec<String> {
        let saved = self
            .node
            .sh(&format!("iptables-{}-save -t {table}", self.name));
        let start = format!("-A {chain} ");
        let rule = |line: &str| line.strip_prefix(&start).map(str::to_owned);
        saved.lines().filter_map(rule).collect()
    }

    /// iptables-save prints exactly what was rendered.
    pub(super) fn assert_exact(&self, wanted: &Ruleset) {
        for chain in render(wanted, &ChainPrefix::Docker.names()).chains {
            let there = self.chain(chain.table, chain.name);
            assert_eq!(
                there, chain.rules,
                "{}: {} {}",
                self.name, chain.table, chain.name
            );
        }
        let drops = self.save().contains(":FORWARD DROP");
        assert_eq!(drops, wanted.host.drop_forwarded);
    }
}

pub(super) fn open(node: &Node, flavour: Flavour) -> Result<Iptables, FirewallError> {
    node.run(move || Iptables::open(ChainPrefix::Docker, Some(flavour)))
}
