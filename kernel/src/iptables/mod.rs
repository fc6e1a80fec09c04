//! The firewall by iptables-restore.
