//! No firewall at all: `"iptables": false`. Filtering and translating is then the user's own affair.

use netd_model::Ruleset;

use crate::{Firewall, FirewallError};

/// A firewall that makes no rule and finds nothing wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disabled;

impl Firewall for Disabled {
    fn apply(&self, _wanted: &Ruleset) -> Result<(), FirewallError> {
        Ok(())
    }

    fn verify(&self, _wanted: &Ruleset) -> Result<Vec<String>, FirewallError> {
        Ok(Vec::new())
    }

    fn describe(&self) -> String {
        "none (\"iptables\": false)".to_owned()
    }
}
