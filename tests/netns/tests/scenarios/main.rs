//! The scenarios, by number.
mod lab_itself;
