//! The programs of iptables(8): where they are, which flavour they speak, what they say. Knows no rule but those of its
//! own probe.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use super::generations::Generations;
use crate::{Family, FirewallError};

/// Which part of the kernel iptables writes to. A packet passes both, so rules in both are a trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// nf_tables, as `iptables-nft` does.
    Nft,
    /// The old x_tables, as `iptables-legacy` does.
    Legacy,
}

impl Flavour {
    /// As `iptables -V` names it, and in the programs' names.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Nft => ("nf_tables", "nft"),
            Self::Legacy => ("legacy", "legacy"),
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Nft => Self::Legacy,
            Self::Legacy => Self::Nft,
        }
    }
}

/// The programs of one flavour for one version of IP.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    family: Family,
    flavour: Flavour,
    /// Such as `1.8.9`.
    version: String,
    pub(super) save: PathBuf,
    pub(super) restore: PathBuf,
    /// The kernel's count of changes, if it is kept.
    generations: Option<Arc<Generations>>,
}

impl Programs {
    /// Finds those of `flavour`, or of whichever flavour `iptables` is of here.
    ///
    /// # Errors
    /// [`FirewallError::Missing`], or [`FirewallError::Exec`] when a program is there but does not run.
    pub(super) fn find(family: Family, flavour: Option<Flavour>) -> Result<Self, FirewallError> {
        let plain = || Self::named(family, base(family));
        let Some(wanted) = flavour else {
            return plain();
        };
        match Self::named(family, &format!("{}-{}", base(family), wanted.words().1)) {
            // Before 1.8 there was one flavour, without a name.
            Err(missing @ FirewallError::Missing { .. }) => match plain() {
                Ok(programs) if programs.flavour == wanted => Ok(programs),
                _ => Err(missing),
            },
            found => found,
        }
    }

    fn named(family: Family, name: &str) -> Result<Self, FirewallError> {
        let (version, flavour) = version(&run(&locate(name)?, &["-V"], "")?);
        Ok(Self {
            family,
            flavour,
            version,
            save: locate(&format!("{name}-save"))?,
            restore: locate(&format!("{name}-restore"))?,
            generations: None,
        })
    }

    /// Has what they change counted, so that it can be told from what others do.
    pub(super) fn counted_by(self, generations: Option<Arc<Generations>>) -> Self {
        Self {
            generations,
            ..self
        }
    }

    /// Counts up whenever somebody else may have changed rules since the last call; `None` if that is not known.
    pub(super) fn strangers(&self) -> Option<u64> {
        self.generations.as_ref()?.strangers()
    }

    /// Which flavour they are of.
    pub(super) fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// For people, such as `iptables (nf_tables, 1.8.9)`.
    pub(super) fn describe(&self) -> String {
        let (name, flavour) = (base(self.family), self.flavour.words().0);
        format!("{name} ({flavour}, {})", self.version)
    }

    /// All rules of this flavour in the caller's namespace, in the words of iptables-save.
    ///
    /// # Errors
    /// [`FirewallError::Exec`], or [`FirewallError::Refused`] with what it said.
    pub(super) fn save(&self) -> Result<String, FirewallError> {
        run(&self.save, &[], "")
    }

    /// Carries out `text`, each table as one transaction; what it does not name stays.
    ///
    /// # Errors
    /// [`FirewallError::Exec`], or [`FirewallError::Refused`] with what it said and the line that it means.
    pub(super) fn restore(&self, text: &str) -> Result<(), FirewallError> {
        let arguments = &["--noflush", "-w", LOCK_PATIENCE_SECONDS];
        let Some(generations) = &self.generations else {
            return run(&self.restore, arguments, text).map(drop);
        };
        let tables = text.lines().filter(|line| *line == "COMMIT").count();
        let tables = u32::try_from(tables).unwrap_or(u32::MAX);
        generations
            .follow(tables, |begun| {
                run_followed(&self.restore, (arguments, text), begun)
            })
            .map(drop)
    }

    /// Refuses when rules stand in the other flavour.
    ///
    /// # Errors
    /// [`FirewallError::Mixed`], or as [`Programs::save`] of the other flavour.
    pub(super) fn refuse_mixture(&self) -> Result<(), FirewallError> {
        let other = self.flavour.other();
        // Merely reading an x_tables table creates it, so the kernel is asked first which there are.
        if other == Flavour::Legacy && legacy_tables(self.family).is_empty() {
            return Ok(());
        }
        let (other_name, suffix) = other.words();
        let Ok(program) = locate(&format!("{}-{suffix}-save", base(self.family))) else {
            tracing::debug!(
                flavour = other_name,
                "cannot look for rules of the other iptables flavour"
            );
            return Ok(());
        };
        let saved = run(&program, &[], "")?;
        let rules = saved.lines().filter(|line| line.starts_with("-A ")).count();
        if rules == 0 {
            return Ok(());
        }
        Err(FirewallError::Mixed {
            detail: format!(
                "{} uses {}, {} prints {rules} rules",
                self.restore.display(),
                self.flavour.words().0,
                program.display()
            ),
        })
    }

    /// Tries the matches and targets that netd needs, in a chain that no packet meets and that is removed at once.
    ///
    /// # Errors
    /// [`FirewallError::Feature`] for the first that is not to be had, or as [`Programs::restore`].
    pub(super) fn probe(&self) -> Result<(), FirewallError> {
        let features = features(self.family);
        if self.try_features(&features).is_ok() {
            return Ok(());
        }
        for feature in features {
            if let Err(FirewallError::Refused { message, .. }) = self.try_features(&[feature]) {
                return Err(FirewallError::Feature {
                    program: base(self.family).to_owned(),
                    feature: feature.words.to_owned(),
                    module: feature.module.to_owned(),
                    message,
                });
            }
        }
        // Each works alone, so it was a quarrel over the tables; now that it is over, all must work together.
        self.try_features(&features)
    }

    fn try_features(&self, features: &[Feature]) -> Result<(), FirewallError> {
        let rules: String = features
            .iter()
            .map(|feature| format!("-A {PROBE} {}\n", feature.rule))
            .collect();
        // Rules that are made and removed in one transaction never reach the kernel, so there are two.
        let clean = format!("*nat\n-F {PROBE}\n-X {PROBE}\nCOMMIT\n");
        self.restore(&format!("*nat\n:{PROBE} - [0:0]\n{rules}COMMIT\n{clean}"))
    }
}

/// How long another program may hold the lock of x_tables (iptables(8) `-w`). iptables-nft has no lock.
const LOCK_PATIENCE_SECONDS: &str = "10";
/// A chain for trying out.
const PROBE: &str = "NETD-PROBE";

/// A table, match or target.
#[derive(Clone, Copy)]
struct Feature {
    words: &'static str,
    /// The kernel module.
    module: &'static str,
    rule: &'static str,
}

const fn features(family: Family) -> [Feature; 5] {
    let (table, to) = match family {
        Family::V4 => (
            "iptable_nat",
            "-p tcp -m tcp --dport 1 -j DNAT --to-destination 192.0.2.1:1",
        ),
        Family::V6 => (
            "ip6table_nat",
            "-p tcp -m tcp --dport 1 -j DNAT --to-destination [2001:db8::1]:1",
        ),
    };
    [
        Feature {
            words: "the table nat",
            module: table,
            rule: "-j RETURN",
        },
        Feature {
            words: "the match conntrack",
            module: "xt_conntrack",
            rule: "-m conntrack ! --ctstate DNAT -j RETURN",
        },
        Feature {
            words: "the match addrtype",
            module: "xt_addrtype",
            rule: "-m addrtype --dst-type LOCAL -j RETURN",
        },
        Feature {
            words: "the target MASQUERADE",
            module: "xt_MASQUERADE",
            rule: "-j MASQUERADE",
        },
        Feature {
            words: "the target DNAT",
            module: "xt_nat",
            rule: to,
        },
    ]
}

/// The name of the program for one version of IP, with which those of all its programs begin.
const fn base(family: Family) -> &'static str {
    match family {
        Family::V4 => "iptables",
        Family::V6 => "ip6tables",
    }
}

/// The x_tables tables that exist in the caller's namespace.
fn legacy_tables(family: Family) -> String {
    // Of the thread, since a thread may be in another namespace than its process. Absent without ip_tables.
    let path = match family {
        Family::V4 => "/proc/thread-self/net/ip_tables_names",
        Family::V6 => "/proc/thread-self/net/ip6_tables_names",
    };
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Reads `iptables v1.8.9 (nf_tables)`; before 1.8 there was nothing in brackets.
fn version(said: &str) -> (String, Flavour) {
    let number = said
        .split_whitespace()
        .nth(1)
        .unwrap_or("of unknown version");
    let flavour = if said.contains("nf_tables") {
        Flavour::Nft
    } else {
        Flavour::Legacy
    };
    (number.trim_start_matches('v').to_owned(), flavour)
}

/// Finds a program in PATH or where the system keeps its own, which a daemon's PATH may lack.
fn locate(program: &str) -> Result<PathBuf, FirewallError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| FirewallError::Missing {
            program: program.to_owned(),
        })
}

fn run(program: &Path, arguments: &[&str], input: &str) -> Result<String, FirewallError> {
    run_followed(program, (arguments, input), &mut |_| {})
}

/// As [`run`]; `begun` is told the number of the process before that does anything.
fn run_followed(
    program: &Path,
    (arguments, input): (&[&str], &str),
    begun: &mut dyn FnMut(u32),
) -> Result<String, FirewallError> {
    let exec = |source| FirewallError::Exec {
        program: program.display().to_string(),
        source,
    };
    let output = crate::program::followed(Command::new(program).args(arguments), input, begun)
        .map_err(exec)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(FirewallError::Refused {
        program: program.display().to_string(),
        message: complaint(&output, input),
    })
}

/// What the program said, and the line of the input that it means.
fn complaint(output: &Output, input: &str) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = if said.is_empty() {
        output.status.to_string()
    } else {
        said
    };
    match meant_line(&said).and_then(|number| input.lines().nth(number.checked_sub(1)?)) {
        Some(line) => format!("{said} (that line is: {line})"),
        None => said,
    }
}

/// The number in `line 4: RULE_APPEND failed`, `line 4 failed` or `Error occurred at line: 4`.
fn meant_line(said: &str) -> Option<usize> {
    let words: Vec<&str> = said.split(' ').collect();
    words
        .windows(2)
        .filter(|pair| matches!(pair[0], "line" | "line:"))
        .find_map(|pair| pair[1].trim_end_matches(':').parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_name_a_line_is_read() {
        for said in [
            "iptables-restore v1.8.9 (nf_tables): line 4: RULE_DELETE failed (No such file or directory): rule in chain X",
            "iptables-restore: line 4 failed",
            "iptables-restore v1.8.9 (legacy): unknown option Error occurred at line: 4 Try --help",
        ] {
            assert_eq!(meant_line(said), Some(4), "{said}");
        }
        assert_eq!(meant_line("no line is meant"), None);
    }

    #[test]
    fn versions_with_and_without_flavour_are_read() {
        assert_eq!(
            version("iptables v1.8.9 (nf_tables)\n"),
            ("1.8.9".to_owned(), Flavour::Nft)
        );
        assert_eq!(
            version("iptables v1.6.1\n"),
            ("1.6.1".to_owned(), Flavour::Legacy)
        );
    }

    #[test]
    fn a_program_that_is_not_installed_is_named() {
        let error = Programs::named(Family::V4, "iptables-of-tomorrow").unwrap_err();
        assert!(
            matches!(error, FirewallError::Missing { program } if program == "iptables-of-tomorrow")
        );
    }
}
