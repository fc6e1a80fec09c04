//! What is measured, in the order of the report, with the words and units that people read. Pure.

use serde::{Deserialize, Serialize};

/// Something that is measured in every lane that can do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Measure {
    /// Connect a known container, which has a fresh namespace, to a network that nobody else is on.
    Attach,
    /// Disconnect it.
    Detach,
    /// Make a network.
    Create,
    /// Remove it.
    Remove,
    /// Attach by number of ports that the container publishes.
    AttachPorts,
    /// Detach by number of ports that the container publishes.
    DetachPorts,
    /// Attach the Nth container of a network.
    AttachNth,
    /// Detach the Nth container of a network.
    DetachNth,
    /// Attach the Nth container of a network by whole processes.
    PluginAdd,
    /// Detach it by whole processes.
    PluginDel,
    /// Attach the Nth container of a network, with one port, by whole processes.
    PluginAddPort,
    /// Detach it by whole processes.
    PluginDelPort,
    /// Attach the Nth container of a network, with a hundred ports, by whole processes.
    PluginAddPorts,
    /// Detach it by whole processes.
    PluginDelPorts,
    /// Attaches a second, by number of callers.
    Parallel,
    /// Attach with one port, by number of ports that others have published.
    AttachBeside,
    /// New connections a second through a published port, by number of published ports.
    Connections,
    /// Bytes of an established connection between containers of a network.
    ThroughputInside,
    /// Bytes of an established connection from outside.
    ThroughputOutside,
    /// There and back on an established connection between containers of a network.
    RoundTripInside,
    /// There and back on an established connection from outside.
    RoundTripOutside,
    /// Names answered, by number of questions that are outstanding.
    DnsRate,
    /// Time of an answer, by number of questions that are outstanding.
    DnsLatency,
    /// Processor time of the resolver for an answer.
    DnsCpu,
    /// From the start of the daemon to its first answers.
    Restart,
    /// Packets of a flow that did not arrive while the daemon was killed and started again.
    RestartLost,
    /// Steps that the comparison of kernel and record had to make after a restart.
    RestartSteps,
    /// Memory of the daemon.
    Memory,
    /// Make a network beside many others, by their number.
    CreateAmong,
    /// Attach the first container of a network beside many others, by their number.
    AttachAmong,
    /// A restart with many networks, by their number.
    RestartAmong,
    /// Memory with many networks, by their number.
    MemoryAmong,
}

/// Whether small or large figures are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Times, memory.
    Small,
    /// Rates.
    Large,
}

/// How a measure is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// Name of its plot's file, without ending.
    pub slug: &'static str,
    /// Heading of its table.
    pub title: &'static str,
    /// Unit of its values.
    pub unit: &'static str,
    /// What its places are the number of; `None` when it has only one.
    pub axis: Option<&'static str>,
    /// Which figures are good.
    pub better: Better,
    /// What is measured and how.
    pub note: &'static str,
}

/// What the measures of scale have on their axis.
const NETWORKS: &str = "networks of ten containers";

impl Measure {
    /// How it is told.
    #[must_use]
    pub fn words(self) -> Words {
        let (slug, title, unit, axis) = self.heading();
        let better = match unit {
            "ms" | "us" | "MiB" | "packets" | "steps" => Better::Small,
            _ => Better::Large,
        };
        Words {
            slug,
            title,
            unit,
            axis,
            better,
            note: self.note(),
        }
    }

    fn heading(
        self,
    ) -> (
        &'static str,
        &'static str,
        &'static str,
        Option<&'static str>,
    ) {
        match self {
            Self::Attach => ("attach", "Attach one container", "ms", None),
            Self::Detach => ("detach", "Detach it", "ms", None),
            Self::Create => ("create", "Create a network", "ms", None),
            Self::Remove => ("remove", "Remove a network", "ms", None),
            Self::AttachPorts => (
                "attach-ports",
                "Attach a container that publishes ports",
                "ms",
                Some("ports that it publishes"),
            ),
            Self::DetachPorts => (
                "detach-ports",
                "Detach a container that publishes ports",
                "ms",
                Some("ports that it publishes"),
            ),
            Self::AttachNth => (
                "attach-nth",
                "Attach the Nth container of a network",
                "ms",
                Some("N"),
            ),
            Self::DetachNth => (
                "detach-nth",
                "Detach the Nth container of a network",
                "ms",
                Some("N"),
            ),
            Self::PluginAdd => (
                "plugin-add",
                "ADD of the Nth container, whole processes",
                "ms",
                Some("N"),
            ),
            Self::PluginDel => (
                "plugin-del",
                "DEL of the Nth container, whole processes",
                "ms",
                Some("N"),
            ),
            Self::PluginAddPort => (
                "plugin-add-port",
                "ADD of the Nth container with one port, whole processes",
                "ms",
                Some("N"),
            ),
            Self::PluginDelPort => (
                "plugin-del-port",
                "DEL of the Nth container with one port, whole processes",
                "ms",
                Some("N"),
            ),
            Self::PluginAddPorts => (
                "plugin-add-ports",
                "ADD of the Nth container with 100 ports, whole processes",
                "ms",
                Some("N"),
            ),
            Self::PluginDelPorts => (
                "plugin-del-ports",
                "DEL of the Nth container with 100 ports, whole processes",
                "ms",
                Some("N"),
            ),
            Self::Parallel => (
                "parallel",
                "Attaches by several callers",
                "per second",
                Some("callers"),
            ),
            Self::AttachBeside => (
                "attach-beside",
                "Attach one port beside many",
                "ms",
                Some("ports that others publish"),
            ),
            Self::Connections => (
                "connections",
                "New connections through a published port",
                "per second",
                Some("published ports"),
            ),
            Self::ThroughputInside => (
                "throughput-inside",
                "Throughput between containers",
                "Gbit/s",
                None,
            ),
            Self::ThroughputOutside => (
                "throughput-outside",
                "Throughput from outside",
                "Gbit/s",
                None,
            ),
            Self::RoundTripInside => (
                "round-trip-inside",
                "Round trip between containers",
                "us",
                None,
            ),
            Self::RoundTripOutside => ("round-trip-outside", "Round trip from outside", "us", None),
            Self::DnsRate => (
                "dns-rate",
                "Container names answered",
                "per second",
                Some("questions outstanding"),
            ),
            Self::DnsLatency => (
                "dns-latency",
                "Mean time of an answer",
                "us",
                Some("questions outstanding"),
            ),
            Self::DnsCpu => (
                "dns-cpu",
                "Processor time of an answer",
                "us",
                Some("questions outstanding"),
            ),
            Self::Restart => ("restart", "Restart of the daemon", "ms", Some("containers")),
            Self::RestartLost => (
                "restart-lost",
                "Packets lost over a restart",
                "packets",
                Some("containers"),
            ),
            Self::RestartSteps => (
                "restart-steps",
                "Steps that a restart makes",
                "steps",
                Some("containers"),
            ),
            Self::Memory => (
                "memory",
                "Memory of the daemon (resident)",
                "MiB",
                Some("containers and ten times as many ports"),
            ),
            Self::CreateAmong => (
                "create-among",
                "Create a network beside many",
                "ms",
                Some(NETWORKS),
            ),
            Self::AttachAmong => (
                "attach-among",
                "Attach beside many networks",
                "ms",
                Some(NETWORKS),
            ),
            Self::RestartAmong => (
                "restart-among",
                "Restart of the daemon with many networks",
                "ms",
                Some(NETWORKS),
            ),
            Self::MemoryAmong => (
                "memory-among",
                "Memory of the daemon with many networks (resident)",
                "MiB",
                Some(NETWORKS),
            ),
        }
    }

    fn note(self) -> &'static str {
        match self {
            Self::Attach => {
                "From the request to the answer: a known container with a fresh namespace joins a network that nobody else is on."
            }
            Self::Detach => {
                "Until it is acknowledged. What goes on afterwards, such as the deletion of the pair, is waited for but not counted."
            }
            Self::Create => "A bridge network with defaults.",
            Self::Remove => "Until it is acknowledged; a network that nobody is on.",
            Self::AttachPorts => {
                "As above; each port is published by itself (`-p`), all lead to the same port of the container."
            }
            Self::DetachPorts => "Until it is acknowledged.",
            Self::AttachNth => "N - 1 containers are on the network already.",
            Self::DetachNth => "Until it is acknowledged.",
            Self::PluginAdd => {
                "From the start of the first process to the end of the last, as a runtime calls them: `netd-cni` with either firewall \
                 of netd, `netavark setup`, and the plugins bridge with host-local, portmap and firewall of the CNI project. N - 1 \
                 containers are on the network already. When it has ended, the container is reachable as it was promised."
            }
            Self::PluginDel | Self::PluginDelPort | Self::PluginDelPorts => {
                "As above; `netavark teardown`."
            }
            Self::PluginAddPort => {
                "As above; one port is published. The N - 1 others publish none."
            }
            Self::PluginAddPorts => {
                "As above; a hundred ports are published, each by itself. The N - 1 others publish none."
            }
            Self::Parallel => {
                "Containers with fresh namespaces, each caller with a connection of its own."
            }
            Self::AttachBeside => {
                "The container publishes one port; other containers of the network have published the others before."
            }
            Self::Connections => {
                "From a machine outside to the port that was published last; each connection is opened, accepted and reset. \
                 The lane `limit` is routed to the container's own address, without translation."
            }
            Self::ThroughputInside => {
                "One TCP connection between two containers of a network, over its bridge."
            }
            Self::ThroughputOutside => {
                "One TCP connection from a machine outside through a published port; in the lane `limit` routed, without translation."
            }
            Self::RoundTripInside => {
                "One byte there and back on a TCP connection, without delay (TCP_NODELAY); median."
            }
            Self::RoundTripOutside => {
                "The same from a machine outside, on the way of the throughput."
            }
            Self::DnsRate => "dnsperf beside the server, names of containers only.",
            Self::DnsLatency => "As dnsperf counts it.",
            Self::DnsCpu => {
                "User and system time of the resolver's process, divided by the answers."
            }
            Self::Restart => {
                "After `kill -9`: from the start of the process until it says that it is ready (sd_notify), which it does when the \
                 kernel is compared with the record and names are answered."
            }
            Self::RestartLost => {
                "A hundred numbered packets a second from outside through a published port, while the daemon is killed and started."
            }
            Self::RestartSteps => {
                "What was not in the kernel as it is in the record, after a restart on what was left."
            }
            Self::Memory | Self::MemoryAmong => "VmRSS (proc(5)) of its process.",
            Self::CreateAmong => "Only with --scale in a whole run.",
            Self::AttachAmong => "The first container of the network made just before.",
            Self::RestartAmong => "As above: after `kill -9`, until it says that it is ready.",
        }
    }

    /// Heading of its table.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.words().title
    }

    /// Unit of its values.
    #[must_use]
    pub fn unit(self) -> &'static str {
        self.words().unit
    }

    /// What its places are the number of; `None` when it has only one.
    #[must_use]
    pub fn axis(self) -> Option<&'static str> {
        self.words().axis
    }

    /// Name of its plot's file, without ending.
    #[must_use]
    pub fn slug(self) -> &'static str {
        self.words().slug
    }
}
