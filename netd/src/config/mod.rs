//! What the daemon is told: command line and file, under Docker's names, merged and checked.
//!
//! [`options`] is what may be said, word for word; [`Settings`] is what it means. Nothing past this module sees an
//! unchecked value.

pub mod options;
mod settings;

pub use options::Options;
pub use settings::{LogFormat, Settings, SettingsError};
