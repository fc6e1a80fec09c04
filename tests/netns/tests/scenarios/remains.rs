//! What is left of a container that was killed: for a second at most anything, then nothing.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use netns_tests::{Lab, OrFail, eventually, within};

use crate::hooks::known;

/// How soon everything of a killed container has to be gone.
const SOON: Duration = Duration::from_secs(1);

/// What a host has without the container under test.
pub(super) struct Before {
    pub(super) links: BTreeSet<String>,
    pub(super) rules: Vec<String>,
    pub(super) known: Vec<String>,
}

impl Before {
    pub(super) fn of(lab: &Lab) -> Self {
        Self {
            links: lab.h1.link_names(),
            rules: lab.h1.all_rules(),
            known: known(lab),
        }
    }

    /// Waits until nothing else is left than there was.
    pub(super) fn is_back(&self, lab: &Lab) {
        eventually("its record to go", || {
            (known(lab) == self.known).then_some(())
        });
        lab.h1.comes_back_to(&self.links);
        eventually("its rules to go", || {
            (lab.h1.all_rules() == self.rules).then_some(())
        });
    }
}

/// True if the host has a link besides `links`, or still holds port 8080. Reads the kernel's own lists: to start a program
/// for it would measure the laboratory.
pub(super) fn has_traces(lab: &Lab, links: &BTreeSet<String>) -> bool {
    let read = |file: &str| {
        let path = format!("/proc/{}/net/{file}", lab.h1.first_pid());
        std::fs::read_to_string(path).or_fail("read a list of the kernel")
    };
    let names = read("dev");
    let mut names = names
        .lines()
        .skip(2)
        .filter_map(|line| line.split(':').next());
    // A listening socket (state 0A) on port 8080, in hexadecimal digits.
    let listens = |line: &str| line.contains(":1F90 ") && line.contains(" 0A ");
    names.any(|name| name.trim() != "lo" && !links.contains(name.trim()))
        || read("tcp").lines().any(listens)
}

/// Waits for the traces of a killed container to go, and for its record, which has its lease and its names; tells how long
/// that took.
pub(super) fn gone_soon(lab: &Lab, (before, who): (&Before, &str)) {
    let start = Instant::now();
    within(SOON, "link and port to go", || {
        (!has_traces(lab, &before.links)).then_some(())
    });
    let links = start.elapsed();
    within(SOON, "lease and names to go", || {
        (known(lab) == before.known).then_some(())
    });
    let record = start.elapsed();
    eprintln!("{who} killed: link and port gone after {links:?}, lease and names after {record:?}");
}
