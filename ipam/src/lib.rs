//! netd-ipam
