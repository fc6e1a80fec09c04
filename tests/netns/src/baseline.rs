//! What stands in the namespace that the suite is started in: before and after, it must be the same.
//!
//! Must not look into the laboratory's own namespaces; those are gone by then.

use std::collections::BTreeSet;
use std::process::Command;

/// Links, rules, named namespaces and processes, one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baseline {
    lines: BTreeSet<String>,
}

impl Baseline {
    /// Looks around.
    ///
    /// # Errors
    /// With a sentence, when a tool is missing or fails.
    pub fn take() -> Result<Self, String> {
        let mut lines = BTreeSet::new();
        for (kind, argv) in [
            ("link", &["ip", "-o", "link", "show"][..]),
            ("address", &["ip", "-o", "address", "show"]),
            ("route", &["ip", "route", "show", "table", "all"]),
            ("namespace", &["ip", "netns", "list"]),
            ("rule", &["nft", "--stateless", "list", "ruleset"]),
        ] {
            let text = output(argv)?;
            for line in text.lines().filter(|line| !line.trim().is_empty()) {
                lines.insert(format!("{kind}: {}", without_lifetimes(line)));
            }
        }
        lines.extend(own_processes());
        Ok(Self { lines })
    }

    /// What came and went since, one line each; empty when all is as before.
    #[must_use]
    pub fn changes(&self, now: &Self) -> Vec<String> {
        // A process that was there before and ended meanwhile did so by itself.
        let gone = self
            .lines
            .difference(&now.lines)
            .filter(|line| !line.starts_with("process:"));
        let new = now.lines.difference(&self.lines);
        gone.map(|line| format!("gone  {line}"))
            .chain(new.map(|line| format!("new   {line}")))
            .collect()
    }
}

/// Leaves out the seconds that an address learned from a router or DHCP still has.
fn without_lifetimes(line: &str) -> &str {
    line.split("valid_lft").next().unwrap_or(line).trim_end()
}

fn output(argv: &[&str]) -> Result<String, String> {
    let line = argv.join(" ");
    let (program, arguments) = argv.split_first().ok_or("empty command line")?;
    let out = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("cannot run {line}: {error}"))?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        return Err(format!("{line} failed: {said}"));
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Processes called `netd` or `net`, with their ids.
fn own_processes() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let name = std::fs::read_to_string(entry.path().join("comm")).ok()?;
            let pid = entry.file_name().into_string().ok()?;
            matches!(name.trim(), "netd" | "net").then(|| format!("process: {} {pid}", name.trim()))
        })
        .collect()
}
