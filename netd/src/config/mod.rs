//! What the daemon is told: command line and file, under Docker's names, merged and checked.
//!
//! [`options`] is what may be said, word for word, and `file` where; [`Settings`] is what it means; [`resolver`] is what both a setting
//! and a container may say of resolv.conf. Nothing past this module sees an unchecked value.

mod file;
mod ipv6;
pub mod options;
mod pool;
pub mod resolver;
mod settings;

pub use ipv6::Ipv6Settings;
pub use options::Options;
pub use settings::{Backend, LogFormat, Settings, SettingsError};
