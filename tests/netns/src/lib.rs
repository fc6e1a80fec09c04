//! A laboratory of network namespaces: hosts with a netd of their own, machines outside, real packets between them.
//!
//! Everything is done through programs that a person would use (`net`, `ip`, `iptables-save`, `dig`, `curl`), so a test
//! that passes here was passed by tools that know nothing of netd. Must not know how the daemon works inside.
//!
//! Nothing stays behind, whatever happens: every machine is a set of namespaces whose first process dies with the
//! test that made it, and all its files lie on a tmpfs in its own mount namespace.
//!
//! Reading order: [`lab`], [`machine`], [`host`], [`firewall`], [`process`], [`oracle`], [`serve`], [`cni`], [`oci`], [`podman`], [`containerd`], [`docker`], [`flow`], [`attack`], [`wait`].

pub mod lab;

pub mod machine;

pub mod host;

pub mod firewall;

pub mod process;

pub mod oracle;

pub mod serve;

pub mod cni;

pub mod oci;

pub mod podman;

pub mod containerd;

pub mod docker;

pub mod dockerd;

pub mod plugin;

pub mod raw_http;

pub mod unpacked;

pub mod flow;

pub mod attack;

pub mod wait;

pub mod baseline;

pub mod programs;

pub use firewall::Firewall;
pub use host::{CONFIG_FILE, Host, HostOptions};
pub use lab::Lab;
pub use machine::Machine;
pub use process::{Background, Ran};
pub use wait::{eventually, stands_still, within};

/// Ends the test with a sentence when something that the test itself needs went wrong.
pub trait OrFail<T> {
    /// The value.
    ///
    /// # Panics
    /// With `what` and the error, when there is none.
    #[track_caller]
    fn or_fail(self, what: &str) -> T;
}

impl<T, E: std::fmt::Display> OrFail<T> for Result<T, E> {
    #[track_caller]
    fn or_fail(self, what: &str) -> T {
        match self {
            Ok(value) => value,
            Err(error) => panic!("cannot {what}: {error}"),
        }
    }
}

impl<T> OrFail<T> for Option<T> {
    #[track_caller]
    fn or_fail(self, what: &str) -> T {
        match self {
            Some(value) => value,
            None => panic!("there is no {what}"),
        }
    }
}
