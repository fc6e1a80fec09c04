//! The options of netd, each at once a flag and a key of the configuration file.
//!
//! A file of Docker's (`daemon.json`) is read as it is: its keys that concern no network are passed over with a
//! warning, anything else unknown is refused.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use netd_model::{IfName, IpNetwork, Subnet};
use serde::Deserialize;

use super::pool::AddressPool;
use super::settings::LogFormat;

/// Options as given; what is left out is `None` or empty.
#[derive(Args, Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// Address and subnet of docker0, such as 192.168.100.1/24
    #[arg(long, value_name = "ADDRESS/PREFIX")]
    pub bip: Option<IpNetwork>,
    /// Use this existing bridge for the network "bridge" instead of making docker0; "none" for no such network
    #[arg(long, value_name = "NAME")]
    pub bridge: Option<IfName>,
    /// Pools that subnets are chosen from, such as base=10.10.0.0/16,size=24
    #[arg(long, value_name = "base=SUBNET,size=PREFIX")]
    pub default_address_pools: Vec<AddressPool>,
    /// Resolver for containers instead of the host's
    #[arg(long, value_name = "ADDRESS")]
    pub dns: Vec<IpAddr>,
    /// Option line for the containers' resolv.conf
    #[arg(long, value_name = "OPTION")]
    pub dns_opts: Vec<String>,
    /// Search domain for the containers' resolv.conf
    #[arg(long, value_name = "DOMAIN")]
    pub dns_search: Vec<String>,
    /// MTU of networks that do not say another, in bytes
    #[arg(long, value_name = "BYTES")]
    pub mtu: Option<u32>,
    /// Whether containers of the network "bridge" reach each other [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub icc: Option<bool>,
    /// Host address that ports are published on [default: 0.0.0.0]
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<IpAddr>,
    /// Turn on forwarding of IPv4 packets [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub ip_forward: Option<bool>,
    /// Leave the policy of the FORWARD chain alone although netd turns forwarding on [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub ip_forward_no_drop: Option<bool>,
    /// Give containers the host's address on the way out [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub ip_masq: Option<bool>,
    /// Program firewall rules; without them nothing is isolated, translated or published [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub iptables: Option<bool>,
    /// Part of docker0's subnet that addresses are handed out from
    #[arg(long, value_name = "SUBNET")]
    pub fixed_cidr: Option<Subnet>,
    /// Gateway for containers of the network "bridge", instead of docker0
    #[arg(long, value_name = "ADDRESS")]
    pub default_gateway: Option<IpAddr>,
    /// Directory of the store [default: /var/lib/netd]
    #[arg(long, value_name = "DIR")]
    pub data_root: Option<PathBuf>,
    /// Directory of files that live as long as the machine runs [default: /run/netd]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Unix socket to listen on [default: /run/netd.sock]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Group that owns the socket [default: netd, if there is such a group]
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// Form of the log lines
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Least level that is logged: error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// What firewall rules are made with: iptables, with Docker's chains, or nftables, a table of netd's own
    /// [default: iptables]
    #[arg(long, value_name = "NAME")]
    pub firewall_backend: Option<String>,
    /// Word before the names of netd's chains, for a host where another engine owns the chain DOCKER
    #[arg(long, value_name = "PREFIX")]
    pub chain_prefix: Option<String>,
    /// Accepted for Docker's sake: containers always outlive the daemon
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide = true)]
    pub live_restore: Option<bool>,
}

/// Keys of Docker's daemon.json that concern no network.
const DOCKER_ONLY: &[&str] = &[
    "allow-nondistributable-artifacts",
    "api-cors-header",
    "authorization-plugins",
    "bip6",
    "builder",
    "cgroup-parent",
    "containerd",
    "containerd-namespace",
    "containerd-plugin-namespace",
    "cri-containerd",
    "data-root-size",
    "debug",
    "default-cgroupns-mode",
    "default-ipc-mode",
    "default-network-opts",
    "default-runtime",
    "default-shm-size",
    "default-ulimits",
    "exec-opts",
    "exec-root",
    "experimental",
    "features",
    "graph",
    "hosts",
    "init",
    "init-path",
    "insecure-registries",
    "labels",
    "log-driver",
    "log-opts",
    "max-concurrent-downloads",
    "max-concurrent-uploads",
    "max-download-attempts",
    "metrics-addr",
    "no-new-privileges",
    "node-generic-resources",
    "oom-score-adjust",
    "pidfile",
    "proxies",
    "raw-logs",
    "registry-mirrors",
    "runtimes",
    "seccomp-profile",
    "selinux-enabled",
    "shutdown-timeout",
    "storage-driver",
    "storage-opts",
    "swarm-default-advertise-addr",
    "tls",
    "tlscacert",
    "tlscert",
    "tlskey",
    "tlsverify",
    "userland-proxy",
    "userland-proxy-path",
    "userns-remap",
];

/// The configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// It is no JSON object.
    #[error("{} is not a JSON object: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// A key that neither netd nor Docker knows.
    #[error("{}: unknown key {key:?}{}", path.display(), nearest.map(|n| format!("; did you mean {n:?}?")).unwrap_or_default())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The known key that looks most like it.
        nearest: Option<&'static str>,
    },
    /// A value that the key cannot have.
    #[error("{}: key {key:?}: {reason}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key, with the place inside it.
        key: String,
        /// Why.
        reason: String,
    },
}

const KEYS: &[&str] = &[
    "bip",
    "bridge",
    "default-address-pools",
    "dns",
    "dns-opts",
    "dns-search",
    "mtu",
    "icc",
    "ip",
    "ip-forward",
    "ip-forward-no-drop",
    "ip-masq",
    "iptables",
    "fixed-cidr",
    "default-gateway",
    "data-root",
    "state-dir",
    "socket",
    "group",
    "log-format",
    "log-level",
    "firewall-backend",
    "chain-prefix",
    "live-restore",
];

impl Options {
    /// Reads a file. The second value names keys of Docker's that were passed over.
    ///
    /// # Errors
    /// [`FileError`] with the file, the key and the reason.
    pub fn from_file(path: &Path) -> Result<(Self, Vec<String>), FileError> {
        let text = fs::read_to_string(path).map_err(|source| FileError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::from_json(&text, path)
    }

    fn from_json(text: &str, path: &Path) -> Result<(Self, Vec<String>), FileError> {
        let syntax = |reason: serde_json::Error| FileError::Syntax {
            path: path.to_owned(),
            reason: reason.to_string(),
        };
        let mut object: serde_json::Map<String, serde_json::Value> = match text.trim() {
            "" => serde_json::Map::new(),
            text => serde_json::from_str(text).map_err(syntax)?,
        };
        let passed_over: Vec<String> = object
            .keys()
            .filter(|key| DOCKER_ONLY.contains(&key.as_str()))
            .cloned()
            .collect();
        object.retain(|key, _| !DOCKER_ONLY.contains(&key.as_str()));
        if let Some(key) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let nearest = KEYS
                .iter()
                .copied()
                .max_by_key(|known| (strsim::jaro_winkler(known, key) * 1e6) as u64);
            let nearest = nearest.filter(|known| strsim::jaro_winkler(known, key) > 0.8);
            return Err(FileError::UnknownKey {
                path: path.to_owned(),
                key: key.clone(),
                nearest,
            });
        }
        let options = serde_path_to_error::deserialize(serde_json::Value::Object(object)).map_err(
            |error: serde_path_to_error::Error<serde_json::Error>| FileError::Value {
                path: path.to_owned(),
                key: error.path().to_string(),
                reason: error.inner().to_string(),
            },
        )?;
        Ok((options, passed_over))
    }

    /// These options, and where they say nothing, those of `file`.
    #[must_use]
    pub fn over(self, file: Self) -> Self {
        fn list<T>(ours: Vec<T>, theirs: Vec<T>) -> Vec<T> {
            if ours.is_empty() { theirs } else { ours }
        }
        Self {
            bip: self.bip.or(file.bip),
            bridge: self.bridge.or(file.bridge),
            default_address_pools: list(self.default_address_pools, file.default_address_pools),
            dns: list(self.dns, file.dns),
            dns_opts: list(self.dns_opts, file.dns_opts),
            dns_search: list(self.dns_search, file.dns_search),
            mtu: self.mtu.or(file.mtu),
            icc: self.icc.or(file.icc),
            ip: self.ip.or(file.ip),
            ip_forward: self.ip_forward.or(file.ip_forward),
            ip_forward_no_drop: self.ip_forward_no_drop.or(file.ip_forward_no_drop),
            ip_masq: self.ip_masq.or(file.ip_masq),
            iptables: self.iptables.or(file.iptables),
            fixed_cidr: self.fixed_cidr.or(file.fixed_cidr),
            default_gateway: self.default_gateway.or(file.default_gateway),
            data_root: self.data_root.or(file.data_root),
            state_dir: self.state_dir.or(file.state_dir),
            socket: self.socket.or(file.socket),
            group: self.group.or(file.group),
            log_format: self.log_format.or(file.log_format),
            log_level: self.log_level.or(file.log_level),
            firewall_backend: self.firewall_backend.or(file.firewall_backend),
            chain_prefix: self.chain_prefix.or(file.chain_prefix),
            live_restore: self.live_restore.or(file.live_restore),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Options, Vec<String>), String> {
        Options::from_json(text, Path::new("/etc/netd.json")).map_err(|error| error.to_string())
    }

    #[test]
    fn docker_s_names_are_understood_and_its_other_keys_named() {
        let text = r#"{"bip": "192.168.100.1/24", "icc": false, "log-driver": "json-file",
            "default-address-pools": [{"base": "10.10.0.0/16", "size": 24}], "dns": ["10.0.0.200"]}"#;
        let (options, passed_over) = read(text).unwrap();
        assert_eq!(options.bip, Some("192.168.100.1/24".parse().unwrap()));
        assert_eq!(options.icc, Some(false));
        assert_eq!(options.default_address_pools[0].size, 24);
        assert_eq!(passed_over, ["log-driver"]);
    }

    #[test]
    fn unknown_and_wrong_keys_are_refused_with_file_key_and_reason() {
        assert_eq!(
            read(r#"{"bipp": 1}"#).unwrap_err(),
            "/etc/netd.json: unknown key \"bipp\"; did you mean \"bip\"?"
        );
        assert_eq!(
            read(r#"{"mtu": "big"}"#).unwrap_err(),
            "/etc/netd.json: key \"mtu\": invalid type: string \"big\", expected u32"
        );
        let error =
            read(r#"{"default-address-pools": [{"base": "10.0.0.1/8", "size": 24}]}"#).unwrap_err();
        assert!(
            error.contains("key \"default-address-pools[0].base\": 10.0.0.1/8 has host bits set"),
            "{error}"
        );
        assert!(
            read("[]")
                .unwrap_err()
                .starts_with("/etc/netd.json is not a JSON object")
        );
        assert!(read("").is_ok(), "an empty file says nothing, as in Docker");
    }

    #[test]
    fn every_key_is_a_field() {
        for key in KEYS {
            let wrong = format!(r#"{{"{key}": {{"no": "such value"}}}}"#);
            let error = read(&wrong).unwrap_err();
            assert!(error.contains(&format!("key \"{key}\"")), "{key}: {error}");
        }
    }

    #[test]
    fn a_flag_beats_the_file() {
        let flag = Options {
            mtu: Some(1400),
            ..Options::default()
        };
        let file = Options {
            mtu: Some(9000),
            icc: Some(false),
            ..Options::default()
        };
        let merged = flag.over(file);
        assert_eq!((merged.mtu, merged.icc), (Some(1400), Some(false)));
    }
}
