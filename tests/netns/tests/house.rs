//! The house rules that a compiler does not check: who imports whom, where `unsafe` may stand, and how programs are linked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};
use netns_tests::OrFail;
use netns_tests::programs::built;

/// Crates of the workspace, each with those of the workspace that it may use. An absent crate fails the test, so a
/// new one has to be given its place here.
const MAY_USE: &[(&str, &[&str])] = &[
    ("netd-model", &[]),
    ("netd-ipam", &["netd-model"]),
    ("netd-drivers", &["netd-model"]),
    ("netd-kernel", &["netd-model"]),
    ("netd-dns", &["netd-model"]),
    ("netd-api", &["netd-model"]),
    (
        "netd",
        &[
            "netd-model",
            "netd-ipam",
            "netd-drivers",
            "netd-kernel",
            "netd-dns",
            "netd-api",
        ],
    ),
    ("netd-cli", &["netd-api"]),
    ("netns-tests", &["netd-api"]),
    ("netd-bench", &["netd-api", "netns-tests"]),
    ("xtask", &["netd-api", "netns-tests"]),
];

/// Crates without input and output (I4), each with what it must not even depend on: whoever cannot name a runtime, a
/// system call wrapper or a netlink library can hardly do any.
const PURE: &[&str] = &["netd-model", "netd-ipam", "netd-drivers"];

/// Crates whose purpose is input and output.
const DOES_IO: &[&str] = &[
    "axum",
    "hyper",
    "libc",
    "netlink-sys",
    "nix",
    "rtnetlink",
    "rusqlite",
    "rustix",
    "socket2",
    "tokio",
    "ureq",
];

/// Parts of the standard library that do input and output; none may stand in the sources of a pure crate.
const STD_IO: &[&str] = &[
    "std::fs",
    "std::process",
    "std::io::",
    "TcpListener",
    "UdpSocket",
    "TcpStream",
];

fn packages() -> Vec<Package> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    let metadata = MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .exec()
        .or_fail("run cargo metadata");
    metadata.packages
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).or_fail("read a folder of the checkout") {
        let path = entry.or_fail("read an entry of the checkout").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found
}

/// A source without its comments and texts in quotes.
fn code_of(path: &Path) -> String {
    let text = std::fs::read_to_string(path).or_fail("read a source of the checkout");
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .map(|line| line.split('"').step_by(2).collect::<Vec<_>>().join("\"\""))
        .collect::<Vec<_>>()
        .join("\n")
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_'))
}

#[test]
fn crates_import_only_what_they_may() {
    let packages = packages();
    let rule: BTreeMap<_, _> = MAY_USE.iter().copied().collect();
    let ours: BTreeSet<String> = packages.iter().map(|one| one.name.to_string()).collect();
    let known: BTreeSet<String> = rule.keys().map(|name| (*name).to_owned()).collect();
    assert_eq!(
        ours, known,
        "the crates of the workspace and those of the rule"
    );
    for package in &packages {
        let may = rule[package.name.as_str()];
        for used in package
            .dependencies
            .iter()
            .filter(|one| ours.contains(&one.name))
        {
            // A crate that uses itself does so for its own test features.
            let itself =
                used.kind == DependencyKind::Development && used.name == package.name.as_str();
            assert!(
                itself || may.contains(&used.name.as_str()),
                "{} must not use {}",
                package.name,
                used.name
            );
        }
    }
}

#[test]
fn i4_drivers_and_ipam_do_no_io() {
    for package in packages()
        .iter()
        .filter(|one| PURE.contains(&one.name.as_str()))
    {
        let normal = |kind| kind == DependencyKind::Normal;
        for used in package.dependencies.iter().filter(|one| normal(one.kind)) {
            assert!(
                !DOES_IO.contains(&used.name.as_str()),
                "{} is pure and must not use {}",
                package.name,
                used.name
            );
        }
        let folder = package
            .manifest_path
            .parent()
            .or_fail("folder of the manifest")
            .join("src");
        for path in sources(folder.as_std_path()) {
            let code = code_of(&path);
            for part in STD_IO {
                assert!(!code.contains(part), "{part} in {}", path.display());
            }
        }
    }
}

#[test]
fn i5_unsafe_stands_only_in_kernel() {
    for package in packages() {
        if package.name.as_str() == "netd-kernel" {
            continue;
        }
        let folder = package
            .manifest_path
            .parent()
            .or_fail("folder of the manifest")
            .as_std_path();
        for path in sources(folder) {
            let found = words(&code_of(&path)).any(|word| word == "unsafe");
            assert!(!found, "unsafe in {}", path.display());
        }
    }
}

#[test]
fn every_source_says_what_it_is_for() {
    for package in packages() {
        let folder = package
            .manifest_path
            .parent()
            .or_fail("folder of the manifest")
            .as_std_path();
        for path in sources(folder) {
            let text = std::fs::read_to_string(&path).or_fail("read a source of the checkout");
            let opens = text
                .lines()
                .next()
                .is_some_and(|line| line.starts_with("//!"));
            assert!(opens, "{} does not open with //!", path.display());
        }
    }
}

/// True if the kernel starts another program to load this one's libraries: an ELF file with a program header PT_INTERP (elf(5)).
fn has_interpreter(file: &[u8]) -> bool {
    const PT_INTERP: usize = 3;
    let number = |at: usize, size: usize| {
        let bytes = file.get(at..at + size).or_fail("read an ELF header");
        bytes
            .iter()
            .rev()
            .fold(0, |sum: usize, byte| sum << 8 | usize::from(*byte))
    };
    // Of the header of a 64-bit file: e_phoff, e_phentsize, e_phnum.
    let (offset, size, count) = (number(0x20, 8), number(0x36, 2), number(0x38, 2));
    (0..count).any(|index| number(offset + index * size, 4) == PT_INTERP)
}

#[test]
fn programs_that_start_for_each_container_load_no_library() {
    let elsewhere = std::fs::read("/bin/true").or_fail("read a program of the machine");
    assert!(has_interpreter(&elsewhere), "/bin/true needs the C library");
    for name in ["net", "netd-cni", "netd-hook", "netd-netavark"] {
        let program = std::fs::read(built(name)).or_fail("read a program");
        assert!(
            !has_interpreter(&program),
            "{name} is not linked statically (cli/build.rs)"
        );
    }
}
