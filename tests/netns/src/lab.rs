//! A laboratory: one host with netd, a machine outside, a switch between them, more on demand.
//!
//! Must not know what is tested. The switch is a bridge in a namespace of its own, so no link ever appears in the
//! namespace that the tests are started in.

use std::io::Write;

use crate::host::{Host, HostOptions};
use crate::{Firewall, Machine, OrFail};

/// Machines on one switch.
///
/// When a test fails, the laboratory prints how to enter each machine. They are gone a moment later, unless
/// `NETNS_KEEP=1` is set: then the test waits until it is killed.
#[derive(Debug)]
pub struct Lab {
    /// The host under test, 198.18.0.1/24; its default route and resolver are `outside`. The addresses are of the
    /// block for measurements (RFC 2544), so that they meet no real ones.
    pub h1: Host,
    /// A machine outside, 198.18.0.2/24, that knows no routes to the containers.
    pub outside: Machine,
    /// Further machines, for messages.
    entered: std::cell::RefCell<Vec<String>>,
    switch: Machine,
}

/// Address of the host under test.
pub const HOST: &str = "198.18.0.1";

/// Address of the machine outside.
pub const OUTSIDE: &str = "198.18.0.2";

impl Lab {
    /// A host with a running netd of default configuration, and a machine outside.
    #[must_use]
    pub fn new() -> Self {
        Self::with(HostOptions::default())
    }

    /// A host whose netd is configured by `options`, and a machine outside.
    ///
    /// # Panics
    /// When netd does not become ready.
    #[must_use]
    pub fn with(options: HostOptions) -> Self {
        let lab = Self::without_daemon(options);
        lab.h1.start();
        lab
    }

    /// A host with a running netd of default configuration on one firewall, and a machine outside.
    ///
    /// # Panics
    /// When netd does not become ready.
    #[must_use]
    pub fn on(firewall: Firewall) -> Self {
        let lab = Self::without_daemon(HostOptions::default());
        lab.h1.put_on(firewall);
        lab.h1.start();
        lab
    }

    /// A host whose netd is not started yet, and a machine outside.
    #[must_use]
    pub fn without_daemon(options: HostOptions) -> Self {
        let switch = Machine::new("switch");
        let _ = switch
            .exec(&["ip", "link", "add", "sw0", "type", "bridge"])
            .ok();
        let _ = switch.exec(&["ip", "link", "set", "sw0", "up"]).ok();
        let outside = Machine::new("outside");
        let h1 = Machine::new("h1");
        plug(&switch, &h1, &format!("{HOST}/24"));
        plug(&switch, &outside, &format!("{OUTSIDE}/24"));
        let _ = h1
            .exec(&["ip", "route", "add", "default", "via", OUTSIDE])
            .ok();
        h1.write("/run/lab/resolv.conf", &format!("nameserver {OUTSIDE}\n"));
        let entered = [&switch, &outside, &h1].map(line_for_people).to_vec();
        Self {
            h1: Host::new(h1, options),
            outside,
            entered: entered.into(),
            switch,
        }
    }

    /// Adds a machine with `address` (with prefix) on its eth0.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn machine(&self, name: &str, address: &str) -> Machine {
        let machine = Machine::new(name);
        plug(&self.switch, &machine, address);
        self.entered.borrow_mut().push(line_for_people(&machine));
        machine
    }

    /// Gives a machine a second card, eth1, up and without an address, on a second switch.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn second_card(&self, machine: &Machine) {
        if !self.switch.exec(&["ip", "link", "show", "sw1"]).is_ok() {
            let make = "ip link add sw1 type bridge && ip link set sw1 up";
            let _ = self.switch.sh(make).ok();
        }
        connect(&self.switch, machine, ("sw1", "eth1"));
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

fn line_for_people(machine: &Machine) -> String {
    format!("  {:<8} {}", machine.name(), machine.enter_line())
}

fn plug(switch: &Machine, machine: &Machine, address: &str) {
    connect(switch, machine, ("sw0", "eth0"));
    let _ = machine
        .exec(&["ip", "address", "add", address, "dev", "eth0"])
        .ok();
}

/// Puts a card of a machine into a switch.
fn connect(switch: &Machine, machine: &Machine, (bridge, card): (&str, &str)) {
    let port = format!("{bridge}-{}", machine.name());
    // Run from outside the switch's pid namespace: `netns PID` is a number of the caller's.
    let pid = switch.first_pid().to_string();
    let peer = machine.first_pid().to_string();
    let status = std::process::Command::new("nsenter")
        .args(["-t", &pid, "-n", "--", "ip", "link", "add", &port, "up"])
        .args(["master", bridge, "type", "veth", "peer", "name", card])
        .args(["netns", &peer])
        .status()
        .or_fail("run nsenter");
    assert!(status.success(), "cannot plug {} in", machine.name());
    let _ = machine.exec(&["ip", "link", "set", card, "up"]).ok();
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let mut text =
            "\nmachines of this test, as you enter them (NETNS_KEEP=1 keeps them):\n".to_owned();
        for line in self.entered.borrow().iter() {
            text.push_str(&format!("{line}\n"));
        }
        text.push_str(&format!(
            "\nlast lines of netd's log:\n{}\n",
            self.h1.log_tail(40)
        ));
        eprintln!("{text}");
        if std::env::var_os("NETNS_KEEP").is_some_and(|value| value == "1") {
            // The test runner keeps what is printed by eprintln! until the test ends, which this one never does.
            let mut stderr = std::io::stderr();
            let _ = writeln!(
                stderr,
                "{text}kept until process {} is killed",
                std::process::id()
            );
            loop {
                std::thread::park();
            }
        }
    }
}
