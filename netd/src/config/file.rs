//! Options from a file. One of Docker's (`daemon.json`) is read as it is: its keys that concern no network are passed over
//! with a warning, anything else unknown is refused.

use std::fs;
use std::path::{Path, PathBuf};

use super::options::Options;

/// Keys of Docker's daemon.json that concern no network.
const DOCKER_ONLY: &[&str] = &[
    "allow-nondistributable-artifacts",
    "api-cors-header",
    "authorization-plugins",
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
    "ipv6",
    "bip6",
    "fixed-cidr-v6",
    "default-gateway-v6",
    "ip",
    "ip-forward",
    "ip-forward-no-drop",
    "ip-masq",
    "iptables",
    "ip6tables",
    "fixed-cidr",
    "default-gateway",
    "data-root",
    "state-dir",
    "socket",
    "group",
    "docker-plugin",
    "docker-socket",
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
        from_json(&text, path)
    }
}

/// Reads the text of a file.
pub(super) fn from_json(text: &str, path: &Path) -> Result<(Options, Vec<String>), FileError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Options, Vec<String>), String> {
        from_json(text, Path::new("/etc/netd.json")).map_err(|error| error.to_string())
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
}
