//! Deleting links of the host, many as fast as one.

use std::io;

use netd_model::desired::Mark;
use netd_model::{IfName, Op};
use nix::libc;

use super::super::session::errno;
use super::super::{links, refused};
use super::{Application, random};
use crate::KernelError;

impl Application<'_> {
    /// Deletes links, all in one message if there are several: the kernel waits 20 ms per message, not per link.
    /// Gives how many are gone when it fails.
    pub(super) fn delete_links(
        &mut self,
        doomed: &[(&IfName, Mark)],
    ) -> (usize, Result<usize, KernelError>) {
        self.indexes.clear();
        let mut session = self.linux.home.session();
        let mut found = Vec::new();
        let mut failure = None;
        for (position, (name, mark)) in doomed.iter().enumerate() {
            match links::by_name(&mut session, name) {
                Ok(None) => {}
                Ok(Some(link)) if link.mark == Some(*mark) => found.push(link.index),
                Ok(Some(_)) => {
                    let name = (*name).clone();
                    failure = Some((position, KernelError::ForeignLink { name }));
                }
                Err(error) => {
                    failure = Some((position, refused(format!("look at {name}"))(error)));
                }
            }
            if failure.is_some() {
                break;
            }
        }
        let gone = match found[..] {
            [] => Ok(()),
            [index] => forgive(session.request(links::delete(index), 0)),
            _ => {
                // A number that nobody else uses: every link of the group goes.
                let group = u32::try_from(random() >> 33).unwrap_or(1).max(1);
                found
                    .iter()
                    .try_for_each(|index| {
                        forgive(session.request(links::into_group(*index, group), 0))
                    })
                    .and_then(|()| forgive(session.request(links::delete_group(group), 0)))
            }
        };
        match (gone, failure) {
            (Err(error), _) => {
                let names: Vec<&str> = doomed.iter().map(|(name, _)| name.as_str()).collect();
                (
                    0,
                    Err(refused(format!("delete {}", names.join(", ")))(error)),
                )
            }
            (Ok(()), Some((position, error))) => (position, Err(error)),
            (Ok(()), None) => (doomed.len(), Ok(doomed.len())),
        }
    }
}

/// The link that a step deletes, if it does.
pub(super) fn doomed(op: &Op) -> Option<(&IfName, Mark)> {
    match op {
        Op::DeleteLink { name, mark } => Some((name, *mark)),
        _ => None,
    }
}

/// What went meanwhile, with its namespace, is as good as deleted.
fn forgive(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if errno(&error) == Some(libc::ENODEV) => Ok(()),
        other => other,
    }
}
