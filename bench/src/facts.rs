//! On what was measured: without it a figure says nothing.

use std::process::Command;

use jiff::Timestamp;
use netns_tests::programs;
use serde::{Deserialize, Serialize};

/// The machine, the day, and who took part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Day and minute, UTC.
    pub date: String,
    /// Release of the kernel (uname(2)).
    pub kernel: String,
    /// Number of processors that the run could use.
    pub cpus: usize,
    /// What they are.
    pub cpu: String,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// How busy the machine was when the run began: mean number of runnable tasks over a minute (proc(5) loadavg).
    pub load: String,
    /// Programs that took part, each with its version.
    pub versions: Vec<String>,
}

impl Facts {
    /// Looks around.
    #[must_use]
    pub fn look() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let netd = programs::built("netd").display().to_string();
        Self {
            date: Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: after(&read("/proc/cpuinfo"), "model name"),
            memory_mib: number(&after(&read("/proc/meminfo"), "MemTotal")) / 1024,
            load: read("/proc/loadavg")
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .to_owned(),
            versions: vec![version(&["unshare", "-n", &netd, "--version"])],
        }
    }

    /// Adds the version that a program prints.
    pub fn add(&mut self, argv: &[&str]) {
        self.versions.push(version(argv));
    }

    /// As lines of a list, for people.
    #[must_use]
    pub fn render(&self) -> String {
        let Self {
            date,
            kernel,
            cpus,
            cpu,
            memory_mib,
            load,
            versions,
        } = self;
        format!(
            "- {date}, load before the run {load}\n- Linux {kernel}, {cpus} processors ({cpu}), {memory_mib} MiB of memory\n- {}\n",
            versions.join("; ")
        )
    }
}

/// What stands behind `key` and a colon, in the first line that begins so.
fn after(text: &str, key: &str) -> String {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| found.trim() == key)
        .map(|(_, value)| value.trim().to_owned())
        .unwrap_or_default()
}

fn number(text: &str) -> u64 {
    let digits = text.split_whitespace().next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

/// The first line that a program prints of itself.
#[must_use]
pub fn version(argv: &[&str]) -> String {
    let Some((program, arguments)) = argv.split_first() else {
        return String::new();
    };
    let output = Command::new(program).args(arguments).output();
    let text = output.map_or_else(
        |error| error.to_string(),
        |output| {
            let both = [output.stdout, output.stderr].concat();
            String::from_utf8_lossy(&both).into_owned()
        },
    );
    let first = text.lines().find(|line| !line.trim().is_empty());
    first.unwrap_or(program).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_found_in_what_the_kernel_prints() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2.0GHz\nmodel name\t: other\n";
        assert_eq!(after(text, "model name"), "Some CPU @ 2.0GHz");
        assert_eq!(after(text, "nothing"), "");
        assert_eq!(
            number(&after("MemTotal:       24684212 kB\n", "MemTotal")),
            24_684_212
        );
    }

    #[test]
    fn a_version_is_the_first_line_that_says_something() {
        assert_eq!(
            version(&["sh", "-c", "echo; echo tool 1.2; echo more"]),
            "tool 1.2"
        );
    }
}
