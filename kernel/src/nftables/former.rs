//! What an earlier daemon left in a table of its own, when iptables has taken its place.

use std::io;

use netd_model::ruleset::HostRules;
use netlink_sys::protocols::NETLINK_NETFILTER;

use super::batch::Batch;
use super::elements::Elements;
use super::{TABLE, chains, difference, refused, standing};
use crate::FirewallError;
use crate::linux::session::Session;
use crate::succession::Former;

/// The table of an earlier daemon.
pub struct FormerNftables {
    session: Session,
}

impl FormerNftables {
    /// Looks for the table; `None` without it, or without nf_tables.
    ///
    /// # Errors
    /// [`FirewallError`] when the kernel does not say.
    pub fn find() -> Result<Option<Self>, FirewallError> {
        let find = || -> io::Result<Option<Self>> {
            let mut session = Session::open(NETLINK_NETFILTER)?;
            let found = standing::table_flags(&mut session, TABLE)?;
            Ok(found.map(|_| Self { session }))
        };
        find().map_err(refused("did not list its tables"))
    }

    fn take_away(&mut self) -> io::Result<()> {
        let mut batch = Batch::new(TABLE);
        let rules = standing::rules(&mut self.session, TABLE)?;
        if rules.iter().all(|rule| rule.chain != chains::USER) {
            batch.remove_table();
            return self.session.transaction(batch.into_messages());
        }
        // The user's own rules stay, with the way to them.
        for mut chain in chains::chains() {
            if chain.name == chains::USER {
                continue;
            }
            chain
                .rules
                .truncate(usize::from(chain.name == chains::FORWARDING));
            batch.fill_chain(chain);
        }
        let before = standing::elements(&mut self.session, TABLE)?;
        difference(&mut batch, &before, &Elements::new());
        self.session.transaction(batch.into_messages())
    }
}

impl Former for FormerNftables {
    fn withdraw(&mut self, _host: HostRules) -> Result<(), FirewallError> {
        self.take_away().map_err(refused("kept the former rules"))
    }

    fn describe(&self) -> String {
        format!("nftables (table inet {TABLE})")
    }
}
