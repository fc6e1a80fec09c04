//! What an earlier daemon left in iptables, when another kind of firewall has taken its place.

use netd_model::Ruleset;
use netd_model::ruleset::HostRules;

use super::names::{ChainNames, ChainPrefix};
use super::program::Programs;
use super::render::render;
use super::rules::{Hold, Table};
use super::worker::{self, Worker};
use super::{Iptables, is_netd_s};
use crate::succession::Former;
use crate::{Family, Firewall, FirewallError};

/// Chains of an earlier daemon.
#[derive(Debug)]
pub struct FormerIptables {
    firewall: Iptables,
    names: ChainNames,
}

impl FormerIptables {
    /// Looks for chains that a daemon filled; `None` without any, or without iptables.
    ///
    /// # Errors
    /// [`FirewallError`] when they are there and cannot be read.
    pub fn find() -> Result<Option<Self>, FirewallError> {
        let Ok(programs) = Programs::find(Family::V4, None) else {
            return Ok(None);
        };
        let standing = worker::standing(&programs)?;
        for prefix in [ChainPrefix::Docker, ChainPrefix::Netd] {
            let names = prefix.names();
            if is_netd_s(&standing, &names) {
                let firewall = Iptables::open(prefix, Some(programs.flavour()))?;
                return Ok(Some(Self { firewall, names }));
            }
        }
        Ok(None)
    }
}

impl FormerIptables {
    /// Before the rules: without those that accept, the policy would drop what the other firewall lets through. Says
    /// whether there are rules of IPv6.
    fn open_policy(&self, host: HostRules) -> Result<bool, FirewallError> {
        let mut workers = self.firewall.workers();
        let uses_v6 = workers.v6.as_ref().is_some_and(Worker::is_used);
        if host.drop_forwarded {
            workers.v4.restore(POLICY)?;
        }
        match &mut workers.v6 {
            Some(v6) if uses_v6 && host.drop_forwarded_v6 => v6.restore(POLICY)?,
            _ => {}
        }
        Ok(uses_v6)
    }
}

impl Former for FormerIptables {
    fn withdraw(&mut self, host: HostRules) -> Result<(), FirewallError> {
        let uses_v6 = self.open_policy(host)?;
        self.firewall.apply(&Ruleset::default())?;
        let mut workers = self.firewall.workers();
        workers.v4.restore(&removal(&self.names, Family::V4))?;
        match &mut workers.v6 {
            Some(v6) if uses_v6 => v6.restore(&removal(&self.names, Family::V6)),
            _ => Ok(()),
        }
    }

    fn describe(&self) -> String {
        self.firewall.describe()
    }
}

/// The policy as it is without netd.
const POLICY: &str = "*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n";

/// Input for iptables-restore that removes the chains which are left when there is no network; the user's chain and the
/// jump to it stay.
fn removal(names: &ChainNames, family: Family) -> String {
    let rules = render(&Ruleset::default(), names, family);
    let to_user = format!("-j {}", names.user);
    let mut text = String::new();
    for table in Table::ALL {
        let mut lines = String::new();
        let chains = || rules.chains.iter().filter(|chain| chain.table == table);
        for chain in chains().filter(|chain| matches!(chain.hold, Hold::Top | Hold::Among)) {
            let ours = chain.rules.iter().filter(|rule| **rule != to_user);
            ours.for_each(|rule| lines.push_str(&format!("-D {} {rule}\n", chain.name)));
        }
        for word in ["-F", "-X"] {
            for chain in chains().filter(|chain| chain.hold == Hold::Whole) {
                lines.push_str(&format!("{word} {}\n", chain.name));
            }
        }
        if !lines.is_empty() {
            text.push_str(&format!("*{table}\n{lines}COMMIT\n"));
        }
    }
    text
}
