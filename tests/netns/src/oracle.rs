//! What the kernel says, read by tools that know nothing of netd: `ip -j`, `iptables-save`, `dig`, `curl`.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{Machine, OrFail, Ran, eventually};

/// Seconds after which a try to connect counts as lost. Between namespaces a packet takes microseconds.
const LOST_AFTER_SECONDS: &str = "2";

impl Machine {
    /// Runs a command of iproute2 with `-j` and reads its answer.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    #[must_use]
    pub fn ip(&self, args: &[&str]) -> Vec<Value> {
        let mut argv = vec!["ip", "-j", "-d"];
        argv.extend(args);
        let ran = self.exec(&argv).ok();
        if ran.text().is_empty() {
            return Vec::new();
        }
        ran.json().as_array().or_fail("list from ip").clone()
    }

    /// Names of the links, `lo` left out.
    ///
    /// # Panics
    /// When they cannot be read.
    #[track_caller]
    #[must_use]
    pub fn link_names(&self) -> BTreeSet<String> {
        self.ip(&["link", "show"])
            .iter()
            .filter_map(|link| link["ifname"].as_str())
            .filter(|name| *name != "lo")
            .map(str::to_owned)
            .collect()
    }

    /// Waits until just these links are there: what is cut off is deleted within a second, after the answer.
    ///
    /// # Panics
    /// When others are still there after [`crate::wait::PATIENCE`].
    #[track_caller]
    pub fn comes_back_to(&self, links: &BTreeSet<String>) {
        eventually(&format!("just the links {links:?}"), || {
            (self.link_names() == *links).then_some(())
        });
    }

    /// Facts about one link, with its addresses in `addr_info`; `None` if it is not there.
    ///
    /// # Panics
    /// When `ip` prints something else than JSON.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<Value> {
        let ran = self.exec(&["ip", "-j", "-d", "address", "show", "dev", name]);
        let list = ran.is_ok().then(|| ran.json())?;
        list.as_array()?.first().cloned()
    }

    /// IPv4 addresses of a link with prefix, such as `172.17.0.1/16`.
    #[must_use]
    pub fn ipv4_of(&self, name: &str) -> Vec<String> {
        let Some(link) = self.link(name) else {
            return Vec::new();
        };
        addresses(&link, "inet")
    }

    /// Rules and policies of one table as `iptables-save` prints them, without counters and comments, in order.
    ///
    /// # Panics
    /// When they cannot be read.
    #[track_caller]
    #[must_use]
    pub fn rules(&self, table: &str) -> Vec<String> {
        let ran = self.exec(&["iptables-save", "-t", table]).ok();
        ran.stdout
            .lines()
            .filter(|line| line.starts_with(':') || line.starts_with('-'))
            .map(|line| {
                line.split(" [")
                    .next()
                    .unwrap_or(line)
                    .trim_end()
                    .to_owned()
            })
            .collect()
    }

    /// Rules of all tables that netd uses, and of those that nobody made by iptables.
    ///
    /// # Panics
    /// When they cannot be read.
    #[track_caller]
    #[must_use]
    pub fn all_rules(&self) -> Vec<String> {
        let mut all = Vec::new();
        for table in ["raw", "nat", "filter"] {
            all.push(format!("*{table}"));
            all.extend(self.rules(table));
        }
        all.extend(self.tables_of_nft());
        all
    }

    /// The first rule of a table that contains `part`.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    #[must_use]
    pub fn first_rule_with(&self, table: &str, part: &str) -> String {
        let rules = self.rules(table);
        let found = rules.iter().find(|rule| rule.contains(part));
        found
            .or_fail(&format!("rule with {part:?} in {rules:#?}"))
            .clone()
    }

    /// Gets a page by HTTP.
    ///
    /// # Panics
    /// When curl does not end in time.
    #[track_caller]
    #[must_use]
    pub fn get(&self, url: &str) -> Ran {
        self.exec(&curl(url))
    }

    /// Asks a DNS question from the machine itself.
    #[must_use]
    pub fn dig(&self, argv: &[&str]) -> Answer {
        Answer::read(&self.exec(&dig_line(argv)))
    }
}

/// The command line that gets a page by HTTP or gives up soon.
#[must_use]
pub fn curl(url: &str) -> Vec<&str> {
    let mut argv = vec!["curl", "-sS", "--noproxy", "*", "--connect-timeout"];
    argv.extend([LOST_AFTER_SECONDS, "--max-time", "5", url]);
    argv
}

/// The command line of a DNS question with few, short tries.
#[must_use]
pub fn dig_line<'a>(argv: &[&'a str]) -> Vec<&'a str> {
    let mut line = vec!["dig", "+tries=1", "+time=5"];
    line.extend(argv);
    line
}

/// Addresses of a family (`inet`, `inet6`) with prefix, out of `ip -j address`; link-local ones left out.
#[must_use]
pub fn addresses(link: &Value, family: &str) -> Vec<String> {
    let Some(list) = link["addr_info"].as_array() else {
        return Vec::new();
    };
    list.iter()
        .filter(|one| one["family"] == family && one["scope"] != "link")
        .filter_map(|one| Some(format!("{}/{}", one["local"].as_str()?, one["prefixlen"])))
        .collect()
}

/// A DNS answer as `dig` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// `NOERROR`, `NXDOMAIN`, `SERVFAIL`, ...; empty when no answer came.
    pub status: String,
    /// The data of the answer section, sorted.
    pub data: Vec<String>,
}

impl Answer {
    /// Reads what `dig` printed.
    #[must_use]
    pub fn read(ran: &Ran) -> Self {
        let status = ran
            .stdout
            .split("status: ")
            .nth(1)
            .and_then(|rest| rest.split(',').next())
            .unwrap_or_default();
        let mut data: Vec<String> = ran
            .stdout
            .lines()
            .skip_while(|line| !line.starts_with(";; ANSWER SECTION"))
            .skip(1)
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_whitespace().last())
            .map(str::to_owned)
            .collect();
        data.sort();
        Self {
            status: status.to_owned(),
            data,
        }
    }
}
