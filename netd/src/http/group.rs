//! The number of a group by its name.
//!
//! Not by getgrnam(3), which has the daemon load whatever modules nsswitch.conf(5) names, for good: memory that
//! nobody uses, and code that is made for logins. What is not in /etc/group, getent(1) is asked for.

use std::fs;
use std::process::{Command, Stdio};

use nix::unistd::Gid;

/// The group called `name`, wherever the machine has it from.
pub(super) fn find(name: &str) -> Option<Gid> {
    find_here(name).or_else(|| listed(&asked(name)?, name))
}

/// The group called `name`, if it is one of this machine alone. Starts no program.
pub(super) fn find_here(name: &str) -> Option<Gid> {
    let file = fs::read_to_string("/etc/group").ok()?;
    listed(&file, name)
}

/// The answer of `getent group`, which is empty if there is none.
fn asked(name: &str) -> Option<String> {
    let answer = Command::new("getent")
        .args(["group", "--", name])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    String::from_utf8(answer.ok()?.stdout).ok()
}

/// The number in the line of `name` (group(5)).
fn listed(lines: &str, name: &str) -> Option<Gid> {
    lines.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (called, _password, number) = (fields.next()?, fields.next()?, fields.next()?);
        (called == name).then(|| number.parse().ok().map(Gid::from_raw))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_by_its_whole_name() {
        let lines =
            "root:x:0:\nnetdx:x:7:\nbroken\nnetd:x:many:\nnetd:x:996:alice,bob\nnetd:x:5:\n";
        assert_eq!(listed(lines, "netd"), Some(Gid::from_raw(996)));
        assert_eq!(listed(lines, "root"), Some(Gid::from_raw(0)));
        assert_eq!(listed(lines, "net"), None);
        assert_eq!(listed(lines, "alice"), None);
        assert_eq!(listed("", "netd"), None);
    }

    #[test]
    fn groups_of_the_machine_are_found_and_others_are_not() {
        let root = Some(Gid::from_raw(0));
        assert_eq!(find("root"), root);
        assert_eq!(find_here("root"), root);
        assert_eq!(listed(&asked("root").unwrap(), "root"), root);
        assert_eq!(find("no-such-group-here"), None);
        assert_eq!(find("--help"), None);
    }
}
