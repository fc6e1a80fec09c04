//! The forms of Docker's interface, as clients write and read them. They know nothing of the daemon.

pub(super) mod container;
pub(super) mod event;
pub(super) mod network;
pub(super) mod system;
