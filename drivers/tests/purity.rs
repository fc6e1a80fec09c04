//! Invariant I4: `drivers` and `ipam` do no I/O, read no clock and draw no random numbers.
//!
//! Two looks: what the crates depend on, and what their sources take from the standard library.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Crates that only compute. A new one needs a look at what it does before it is put here.
const PURE: [&str; 3] = ["netd-model", "thiserror", "strsim"];

/// What of the standard library reaches outside, waits, shares or differs from run to run.
const IMPURE: [&str; 14] = [
    "std::fs",
    "std::io",
    "std::process",
    "std::thread",
    "std::time",
    "std::env",
    "std::os",
    "std::sync",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "RandomState",
    "HashMap",
    "async fn",
];

/// Names in the `[dependencies]` table of a manifest.
fn dependencies(manifest: &str) -> Vec<&str> {
    manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .collect()
}

fn sources(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

#[test]
fn the_planners_depend_on_nothing_that_does_io() {
    for manifest in [
        include_str!("../Cargo.toml"),
        include_str!("../../ipam/Cargo.toml"),
    ] {
        let names = dependencies(manifest);
        assert!(
            names.contains(&"netd-model"),
            "no dependencies read: {names:?}"
        );
        for name in names {
            assert!(PURE.contains(&name), "{name} is not known to be pure");
        }
        // A second table, such as one for a target or a build script, would escape the look above.
        let tables = manifest
            .lines()
            .filter(|line| line.contains("dependencies") && line.starts_with('['));
        for table in tables {
            assert!(
                ["[dependencies]", "[dev-dependencies]"].contains(&table),
                "{table}"
            );
        }
    }
}

#[test]
fn the_planners_take_nothing_impure_from_the_standard_library() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in [here.join("src"), here.join("../ipam/src")] {
        let files = sources(&folder).unwrap();
        assert!(files.len() > 3, "{}: {files:?}", folder.display());
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            for word in IMPURE {
                assert!(!text.contains(word), "{} uses {word}", file.display());
            }
        }
    }
}
