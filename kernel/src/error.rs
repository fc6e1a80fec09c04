//! Why the kernel or the firewall did not do what was asked, in sentences for the user.

use std::net::IpAddr;

use netd_model::container::Anchor;
use netd_model::desired::Sysctl;
use netd_model::{IfName, NetnsId, PortRange, Protocol};

/// The kernel did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A system call or netlink request failed.
    #[error("cannot {action}")]
    Os {
        /// What was tried, on what: an infinitive such as `create bridge docker0`.
        action: String,
        /// The kernel's answer.
        #[source]
        source: std::io::Error,
    },
    /// The process has as many files open as it may.
    #[error(
        "cannot {action}: netd has {limit} files open and may have no more (some 7 for each container, and 1 for each published port); raise the limit of its service (systemd: LimitNOFILE=, a shell: ulimit -Hn) and restart netd"
    )]
    OutOfFiles {
        /// What was tried, on what.
        action: String,
        /// The limit (getrlimit(2), `RLIMIT_NOFILE`).
        limit: u64,
    },
    /// The sandbox is not pinned: it ended, or was never adopted.
    #[error("network namespace {netns} is gone")]
    SandboxGone {
        /// Its identity.
        netns: NetnsId,
    },
    /// Something with that name is there and is not netd's.
    #[error("interface {name} exists and was not made by netd; rename or remove it")]
    ForeignLink {
        /// The interface.
        name: IfName,
    },
    /// A user named a parameter that there is none of.
    #[error("this kernel has no parameter {parameter}; leave it out")]
    NoSuchParameter {
        /// Its name, with dots.
        parameter: String,
    },
    /// A user's parameter cannot be set so.
    #[error(
        "the kernel does not take {value} for its parameter {parameter}; leave it out or give another value"
    )]
    ParameterRefused {
        /// Its name, with dots.
        parameter: String,
        /// The value.
        value: String,
        /// The kernel's answer.
        #[source]
        source: std::io::Error,
    },
    /// The kernel has no br_netfilter, or has not loaded it, so no rule sees what a bridge switches.
    #[error(
        "cannot keep the members of bridge {bridge} apart (icc=false): the kernel does not show bridged packets to iptables; load the module br_netfilter (modprobe br_netfilter)"
    )]
    NoBridgeFilter {
        /// The bridge.
        bridge: IfName,
    },
    /// The kernel lacks a part of what it takes, or its module cannot be loaded.
    #[error(
        "cannot limit the rate of {link}: the kernel cannot do that ({source}); it takes ifb, sch_tbf, sch_ingress, cls_u32 and act_mirred (modprobe), or leave the rates out"
    )]
    NoRates {
        /// The link.
        link: IfName,
        /// The kernel's answer.
        #[source]
        source: std::io::Error,
    },
    /// A tool that is needed says no.
    #[error("{tool} failed while trying to {action}: {message}")]
    Tool {
        /// The program.
        tool: String,
        /// What was tried.
        action: String,
        /// What it printed.
        message: String,
    },
}

impl KernelError {
    /// Why a parameter that a user named was not set to `value`.
    pub(crate) fn of_parameter(key: &Sysctl, value: &str, source: std::io::Error) -> Self {
        let (parameter, value) = (key.to_string(), value.to_owned());
        match source.kind() {
            std::io::ErrorKind::NotFound => Self::NoSuchParameter { parameter },
            _ => Self::ParameterRefused {
                parameter,
                value,
                source,
            },
        }
    }
}

/// A step failed.
#[derive(Debug, thiserror::Error)]
#[error("step {index} failed: {source}")]
pub struct ApplyError {
    /// Position of the step in the list.
    pub index: usize,
    /// Why.
    #[source]
    pub source: KernelError,
}

/// A namespace cannot be taken into netd's care.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// No such process.
    #[error("process {pid} does not exist (it may have ended meanwhile)")]
    NoSuchProcess {
        /// The process id.
        pid: u32,
    },
    /// The process holds no such descriptor.
    #[error("process {pid} has no open descriptor {fd}")]
    NoSuchDescriptor {
        /// The process id.
        pid: u32,
        /// The descriptor.
        fd: u32,
    },
    /// The file is no network namespace.
    #[error("descriptor {fd} of process {pid} is no network namespace but {found}")]
    NotANamespace {
        /// The process id.
        pid: u32,
        /// The descriptor.
        fd: u32,
        /// What it refers to.
        found: String,
    },
    /// The namespace is the daemon's own: a container there is in host mode.
    #[error("the namespace is the host's own; use the network \"host\" for that")]
    OwnNamespace,
    /// What was known is no more.
    #[error("network namespace {netns} (of {anchor:?}) has ended")]
    Gone {
        /// Its identity.
        netns: NetnsId,
        /// Where it was looked for.
        anchor: Anchor,
    },
    /// A system call failed.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// A host port is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum ReservePortError {
    /// A process listens there.
    #[error("port {port}/{protocol} on {host_ip} is in use by {}", holder.as_deref().unwrap_or("another process"))]
    Taken {
        /// The transport protocol.
        protocol: Protocol,
        /// The host address.
        host_ip: IpAddr,
        /// The port.
        port: u16,
        /// The process, as `nginx (pid 4711)`.
        holder: Option<String>,
    },
    /// The address is none of the host's.
    #[error(
        "{host_ip} is not an address of this host; publish on one that is, or leave it out for all"
    )]
    NotMyAddress {
        /// The host address.
        host_ip: IpAddr,
    },
    /// Each port is held by a descriptor, and this process needs some for everything else.
    #[error(
        "{wanted} more host ports are too many: of netd's {limit} file descriptors, {held} hold ports; publish fewer, or raise the limit (LimitNOFILE= of its service, ulimit -n)"
    )]
    TooMany {
        /// Descriptors that the ports would need.
        wanted: u64,
        /// Descriptors that hold ports now.
        held: u64,
        /// How many the process may have.
        limit: u64,
    },
    /// The kernel refused for another reason.
    #[error("cannot take ports {ports}/{protocol} on {host_ip}")]
    Os {
        /// The transport protocol.
        protocol: Protocol,
        /// The host address.
        host_ip: IpAddr,
        /// The ports.
        ports: PortRange,
        /// The kernel's answer.
        #[source]
        source: std::io::Error,
    },
}

/// The firewall did not take the rules.
#[derive(Debug, thiserror::Error)]
pub enum FirewallError {
    /// The program is not installed.
    #[error(
        "{program} is not installed; netd needs it for its firewall rules (Debian package iptables)"
    )]
    Missing {
        /// The program.
        program: String,
    },
    /// A table, match or target is not to be had.
    #[error(
        "{program} cannot use {feature}: {message}; load the kernel module {module} or install it"
    )]
    Feature {
        /// `iptables` or `ip6tables`.
        program: String,
        /// The table, match or target in words.
        feature: String,
        /// The module that has it.
        module: String,
        /// What iptables said.
        message: String,
    },
    /// IPv4 works, but there are no means to make rules for IPv6.
    #[error(
        "a network has IPv6, for which netd needs ip6tables with its table nat: install it (Debian package iptables) and load ip6table_nat (modprobe ip6table_nat), or leave IPv6 out"
    )]
    NoIpv6 {
        /// What was found.
        #[source]
        source: Box<FirewallError>,
    },
    /// Both flavours hold rules.
    #[error(
        "rules stand in both iptables-legacy and iptables-nft ({detail}); netd will not add to the mixture"
    )]
    Mixed {
        /// Which.
        detail: String,
    },
    /// The program refused the rules.
    #[error("{program} refused the rules: {message}")]
    Refused {
        /// The program.
        program: String,
        /// What it said.
        message: String,
    },
    /// The program could not be run.
    #[error("cannot run {program}")]
    Exec {
        /// The program.
        program: String,
        /// The kernel's answer.
        #[source]
        source: std::io::Error,
    },
}
