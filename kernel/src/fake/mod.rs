//! A machine in memory, for tests of everything above the kernel: it keeps the kernel's promises and refusals instead
//! of recording calls. Links have names and marks, the ends of a pair die together, a namespace lives as long as
//! something holds it, a route needs a way to its gateway.
//!
//! [`World`] is the machine and the test's hands in it; [`FakeKernel`] and [`FakeFirewall`] are one daemon's view, and
//! [`Fuel`] how long that daemon lives. The contract suite in `tests/` holds this fake against Linux.
//!
//! Not played: packets, and changes by the daemon itself as events (Linux may tell of those too).

mod fuel;
mod kernel;
mod play;
mod rates;
mod reaper;
mod world;

mod firewall;
mod link;
mod machine;
mod observe;
mod ops;
mod ports;
mod sandbox;
mod sysctl;

pub use firewall::FakeFirewall;
pub use fuel::{Crashed, Fuel};
pub use kernel::FakeKernel;
pub use world::World;
