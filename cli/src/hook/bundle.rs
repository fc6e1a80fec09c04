//! What the bundle's config.json says besides the annotations (OCI runtime specification, config.md and config-linux.md).
//! Only what a hook needs of it is read; the runtime has checked the rest.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::failure::Failure;
use crate::handover;

/// A bundle.
#[derive(Debug)]
pub(super) struct Bundle {
    /// The container's root in the file system of the host.
    pub(super) root: PathBuf,
    /// Its host name.
    pub(super) hostname: Option<String>,
    /// Its annotations.
    pub(super) annotations: BTreeMap<String, String>,
    /// The file of a network namespace that was made before it.
    pub(super) netns: Option<PathBuf>,
    mounts: Vec<Mount>,
}

#[derive(Deserialize)]
struct Config {
    root: Root,
    hostname: Option<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    mounts: Vec<Mount>,
    #[serde(default)]
    linux: Linux,
}

#[derive(Deserialize)]
struct Root {
    path: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Mount {
    destination: PathBuf,
}

#[derive(Default, Deserialize)]
struct Linux {
    #[serde(default)]
    namespaces: Vec<Namespace>,
}

#[derive(Deserialize)]
struct Namespace {
    #[serde(rename = "type")]
    kind: String,
    path: Option<PathBuf>,
}

impl Bundle {
    /// Reads config.json of a bundle.
    pub(super) fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("config.json");
        let refused = |why: String| Failure::Bundle {
            path: path.clone(),
            why,
        };
        let file =
            File::open(&path).map_err(|error| refused(format!("cannot be read: {error}")))?;
        let bytes = handover::read(file).map_err(|error| refused(error.to_string()))?;
        let config: Config = serde_json::from_slice(&bytes)
            .map_err(|error| refused(format!("is no configuration of a container: {error}")))?;
        let mut namespaces = config.linux.namespaces.into_iter();
        let network = namespaces.find(|namespace| namespace.kind == "network");
        Ok(Self {
            root: folder.join(config.root.path),
            hostname: config.hostname.filter(|name| !name.is_empty()),
            annotations: config.annotations,
            netns: network.and_then(|network| network.path),
            mounts: config.mounts,
        })
    }

    /// True if the configuration itself mounts something there.
    pub(super) fn mounts(&self, destination: &str) -> bool {
        let mut mounts = self.mounts.iter();
        mounts.any(|mount| mount.destination == Path::new(destination))
    }
}
