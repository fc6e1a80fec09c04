//! netd-dns
