//! netd-cli
