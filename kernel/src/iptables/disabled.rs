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

    fn changes_are_told(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        "none (\"iptables\": false)".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_firewall_every_wish_is_fine() {
        let wanted = Ruleset::default();
        assert!(Disabled.apply(&wanted).is_ok());
        assert_eq!(Disabled.verify(&wanted).unwrap(), Vec::<String>::new());
    }
}
