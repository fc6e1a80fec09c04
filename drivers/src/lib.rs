//! netd-drivers
