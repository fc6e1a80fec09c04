//! The scenarios by number, and what the field suffers from, as black-box tests: one binary, to link once.
//!
//! Every test has a laboratory of its own. Names begin with the scenario's number where it has one.

mod lab_itself;

mod s01_builtin_networks;

mod s02_default_bridge;

mod s04_host_and_none;

mod s06_container_mode;

mod s07_stop_and_start;

mod s08_options;

mod s12_live_restore;

mod s13_two_bridges;

mod s13_privileged;

mod on_iptables;

mod on_nftables;

mod s14_allowed_networks;

mod s15_second_network;

mod s16_own_subnets;

mod ipv6;

mod ipv6_reach;

mod ipv6_modes;

mod foreign;

mod s18_inspect;

mod s19_refusals;

mod s20_names;

mod s21_ports;

mod s21_sources;

mod s22_uplink;
mod s23_answers;
mod s23_ipv6;
mod s23_routes;
mod two_hosts;

mod s24_from_a_shell;

mod configurations;

mod contradictions;

mod endpoints;

mod one_network;
mod options;

mod update;

mod reach;
mod remains;

mod stale_flows;

mod twice;

mod crowd;

mod crash;

mod bad_requests;

mod bandwidth;

mod bad_surroundings;

mod obstacles;

mod docker_client;
mod docker_plugin;
mod docker_plugin_engine;
mod manual;

mod docker_events;

mod docker_requests;

mod cni;

mod cni_bad_input;

mod cni_chains;

mod cni_crowd;

mod client;
mod cni_install;

mod containerd;

mod spans;

mod hooks;

mod hooks_bad_input;

mod hooks_life;

mod netavark;

mod netavark_bad_input;

mod netavark_crowd;

mod netavark_install;

mod podman;

mod podman_life;
