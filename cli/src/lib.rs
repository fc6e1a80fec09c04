//! Programs that talk to the daemon. Each is a module here and a few lines under `bin/`.
//!
//! They see the daemon through `netd-api` alone: what a network is made of in the kernel is not known here. The one part
//! of the kernel that they do touch is their own process, when [`net`] runs a command in namespaces.

pub mod cni;
pub mod hook;
pub mod net;
pub mod netavark;

mod handover;
mod likeness;
mod netns;
mod words;
