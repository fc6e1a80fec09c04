//! Published ports as runs: neighbouring ports of the host that one rule can speak of. Pure.

use netd_model::{PortRange, PublishedPort};

/// Neighbouring ports of the host that are published alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run<'a> {
    /// What they have in common: protocol, address of the host, sources.
    pub(super) like: &'a PublishedPort,
    /// The ports of the host.
    pub(super) host: PortRange,
    /// Where they lead: to the same numbers, or all to one port.
    pub(super) container: PortRange,
}

impl<'a> Run<'a> {
    fn of((like, host, container): (&'a PublishedPort, u16, u16)) -> Option<Self> {
        Some(Self {
            like,
            host: PortRange::single(host)?,
            container: PortRange::single(container)?,
        })
    }

    /// True if the numbers stay as they are.
    pub(super) fn keeps_numbers(&self) -> bool {
        self.host == self.container
    }

    /// Both as one, if `next` goes on where this ends.
    fn joined(&self, next: &Self) -> Option<Self> {
        let alike = self.like.protocol == next.like.protocol
            && self.like.host_ip == next.like.host_ip
            && self.like.from == next.like.from;
        if !alike || self.host.last().checked_add(1) != Some(next.host.first()) {
            return None;
        }
        let host = PortRange::new(self.host.first(), next.host.last())?;
        let to_one = self.container == next.container && self.container.count() == 1;
        let container = match self.keeps_numbers() && next.keeps_numbers() {
            true => host,
            false if to_one => self.container,
            false => return None,
        };
        Some(Self {
            like: self.like,
            host,
            container,
        })
    }
}

/// The runs of these ports, in their order. A range whose numbers change is as many runs as ports: not every iptables
/// can shift them.
pub(super) fn runs<'a>(ports: impl Iterator<Item = &'a PublishedPort>) -> Vec<Run<'a>> {
    let mut runs: Vec<Run<'a>> = Vec::new();
    let mut add = |run: Run<'a>| match runs.last_mut() {
        Some(last) => match last.joined(&run) {
            Some(both) => *last = both,
            None => runs.push(run),
        },
        None => runs.push(run),
    };
    for like in ports {
        let (host, container) = (like.host_ports, like.container_ports);
        if host == container {
            add(Run {
                like,
                host,
                container,
            });
        } else {
            let pairs = like.pairs();
            let each = pairs.filter_map(|(host, container)| Run::of((like, host, container)));
            each.for_each(&mut add);
        }
    }
    runs
}

/// One port or a range, as iptables-save prints it.
pub(super) fn dport(ports: PortRange) -> String {
    match ports.count() {
        1 => ports.first().to_string(),
        _ => format!("{}:{}", ports.first(), ports.last()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::wish::port;
    use super::*;

    fn said(ports: &[&str]) -> Vec<String> {
        let ports: Vec<PublishedPort> = ports.iter().map(|text| port(text)).collect();
        let runs = runs(ports.iter());
        let say = |run: &Run<'_>| format!("{}->{}", dport(run.host), dport(run.container));
        runs.iter().map(say).collect()
    }

    #[test]
    fn a_range_that_keeps_its_numbers_is_one_run() {
        assert_eq!(said(&["0.0.0.0:80-89->80-89/tcp"]), ["80:89->80:89"]);
        assert_eq!(
            said(&["0.0.0.0:80->80/tcp", "0.0.0.0:81-90->81-90/tcp"]),
            ["80:90->80:90"]
        );
        assert_eq!(
            said(&["0.0.0.0:65534->65534/tcp", "0.0.0.0:65535->65535/tcp"]),
            ["65534:65535->65534:65535"]
        );
    }

    #[test]
    fn neighbours_that_lead_to_one_port_are_one_run() {
        let ports = [
            "0.0.0.0:80->80/tcp",
            "0.0.0.0:81->80/tcp",
            "0.0.0.0:82->80/tcp",
        ];
        assert_eq!(said(&ports), ["80:82->80"]);
        // What keeps its number goes on with what leads elsewhere only as far as both say the same.
        assert_eq!(
            said(&["0.0.0.0:80-81->80-81/tcp", "0.0.0.0:82->81/tcp"]),
            ["80:81->80:81", "82->81"]
        );
        assert_eq!(
            said(&[
                "0.0.0.0:79->80/tcp",
                "0.0.0.0:80->80/tcp",
                "0.0.0.0:81->81/tcp"
            ]),
            ["79:80->80", "81->81"]
        );
    }

    #[test]
    fn what_differs_in_anything_else_stays_apart() {
        for ports in [
            ["0.0.0.0:80->80/tcp", "0.0.0.0:81->81/udp"],
            ["0.0.0.0:80->80/tcp", "127.0.0.1:81->81/tcp"],
            ["0.0.0.0:80->80/tcp", "0.0.0.0:82->82/tcp"],
            ["0.0.0.0:81->81/tcp", "0.0.0.0:80->80/tcp"],
            ["0.0.0.0:80->80/tcp", "0.0.0.0:81->81/tcp,from=10.0.0.0/8"],
        ] {
            assert_eq!(said(&ports).len(), 2, "{ports:?}");
        }
        assert_eq!(
            said(&["0.0.0.0:5000-5002->6000-6002/tcp"]),
            ["5000->6000", "5001->6001", "5002->6002"]
        );
    }
}
