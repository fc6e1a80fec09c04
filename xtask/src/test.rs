//! `cargo xtask test`: everything that the project promises, tried; and a look whether anything stayed behind.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use netns_tests::baseline::Baseline;

use crate::scenarios::{Firewall, Scenarios};
use crate::{cargo, packages, say};

/// Tests at a time. Those on namespaces mostly wait, for processes and packets.
const PARALLEL: &str = "4";

/// How long the kernel may take to let go of what the last test had.
const LEFTOVERS_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Counts {
    passed: u64,
    failed: u64,
}

/// Runs all tests, or those whose name contains `filter`. What became of the scenarios follows, and the counts are the
/// last line. Success means that no test failed, nothing stayed behind, and of all scenarios at least one test ran.
///
/// # Errors
/// When the workspace does not build, or the tests cannot be run.
pub(crate) fn run(filter: Option<&str>) -> Result<ExitCode> {
    packages::install_missing()?;
    packages::unpack_missing()?;
    cargo::run(&["build", "--workspace", "--bins", "--examples"])?;
    let before = look()?;
    let mut counts = Counts::default();
    let mut scenarios = Scenarios::default();
    let mut well = true;
    for firewall in Firewall::BOTH {
        say(&format!("\nOn the firewall {}:", firewall.name()));
        well &= run_tests(firewall, filter, (&mut counts, &mut scenarios))?;
    }
    if filter.is_none() {
        let arguments = ["test", "--workspace", "--doc", "--no-fail-fast"];
        well &= cargo::read_lines(&arguments, &[], |line| counts.read_libtest(line))?;
    }
    let left = leftovers(&before)?;
    for line in &left {
        say(&format!(
            "left behind in the namespace that the tests were started in: {line}"
        ));
    }
    let without = scenarios.summarize(filter.is_none());
    for number in &without {
        say(&format!("scenario S{number} has no test that ran"));
    }
    well &= left.is_empty() && without.is_empty() && counts.failed == 0;
    say(&format!(
        "{} passed, {} failed",
        counts.passed, counts.failed
    ));
    Ok(if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The tests of a run: on the first firewall all, on the other one the scenarios that are not put on one themselves.
fn run_tests(
    firewall: Firewall,
    filter: Option<&str>,
    (counts, scenarios): (&mut Counts, &mut Scenarios),
) -> Result<bool> {
    let environment = [
        ("RUST_TEST_THREADS", PARALLEL),
        ("NETNS_FIREWALL", firewall.name()),
    ];
    let is_first = firewall == Firewall::BOTH[0];
    let put_on = Firewall::BOTH.map(Firewall::module);
    let scenarios_only = ["-p", "netns-tests", "--test", "scenarios"];
    if cargo::has("nextest") {
        let mut arguments = vec!["nextest", "run", "--no-fail-fast", "--no-tests=pass"];
        arguments.extend(["--test-threads", PARALLEL]);
        arguments.extend(filter);
        let others = format!("not (test(/^{}/) | test(/^{}/))", put_on[0], put_on[1]);
        match is_first {
            true => arguments.push("--workspace"),
            false => arguments.extend(scenarios_only.into_iter().chain(["-E", &others])),
        }
        return cargo::read_lines(&arguments, &environment, |line| {
            counts.read_nextest(line);
            scenarios.read(firewall, line);
        });
    }
    let mut arguments = vec!["test", "--no-fail-fast"];
    match is_first {
        true => arguments.extend(["--workspace", "--lib", "--bins", "--tests"]),
        false => arguments.extend(scenarios_only),
    }
    arguments.extend(filter);
    if !is_first {
        arguments.push("--");
        arguments.extend(put_on.iter().flat_map(|module| ["--skip", module]));
    }
    cargo::read_lines(&arguments, &environment, |line| {
        counts.read_libtest(line);
        scenarios.read(firewall, line);
    })
}

/// What stands in the namespace of the caller.
///
/// # Errors
/// When a tool is missing or fails.
pub(crate) fn look() -> Result<Baseline> {
    Baseline::take().map_err(anyhow::Error::msg)
}

/// What differs from `before`, once the kernel had its time.
///
/// # Errors
/// When a tool is missing or fails.
pub(crate) fn leftovers(before: &Baseline) -> Result<Vec<String>> {
    let start = Instant::now();
    loop {
        let changes = before.changes(&look()?);
        if changes.is_empty() || start.elapsed() > LEFTOVERS_PATIENCE {
            return Ok(changes);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

impl Counts {
    /// Reads a line such as `test result: ok. 3 passed; 0 failed; 0 ignored; ...`.
    fn read_libtest(&mut self, line: &str) {
        if let Some(rest) = line.trim().strip_prefix("test result:") {
            self.passed += number_before(rest, " passed");
            self.failed += number_before(rest, " failed");
        }
    }

    /// Reads a line such as `Summary [ 1.2s] 10 tests run: 8 passed (1 slow), 1 failed, 1 timed out, 0 skipped`.
    fn read_nextest(&mut self, line: &str) {
        if line.trim().starts_with("Summary [") {
            self.passed += number_before(line, " passed");
            self.failed += number_before(line, " failed");
            self.failed += number_before(line, " timed out");
        }
    }
}

/// The number that stands before `word`; 0 if none does.
fn number_before(line: &str, word: &str) -> u64 {
    let before = line.split(word).next().filter(|before| *before != line);
    before
        .and_then(|before| before.split_whitespace().last())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_both_runners() {
        let mut counts = Counts::default();
        counts.read_libtest("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured;");
        counts.read_nextest("     Summary [   1.2s] 10 tests run: 7 passed (1 slow), 1 failed, 2 timed out, 0 skipped");
        counts.read_nextest("        PASS [   0.1s] xtask a_test_about_5 passed");
        assert_eq!((counts.passed, counts.failed), (10, 5));
    }
}
