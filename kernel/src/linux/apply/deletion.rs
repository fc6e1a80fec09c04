//! Deleting links of the host: taken out of use here, at once, and deleted by the [`Reaper`](super::super::reaper).

use std::io;
use std::sync::Arc;

use netd_model::desired::Mark;
use netd_model::{IfName, Op};
use nix::libc;

use super::super::links::Link;
use super::super::sandboxes::Pin;
use super::super::session::{Session, errno};
use super::super::{addresses, ifbs, links, reaper, refused, unused_name};
use super::Application;
use crate::KernelError;

impl Application<'_> {
    /// Deletes links, those that have to go at once in one message. Gives how many are gone when it fails.
    pub(super) fn delete_links(
        &mut self,
        doomed: &[(&IfName, Mark)],
    ) -> (usize, Result<usize, KernelError>) {
        self.indexes.clear();
        let mut session = self.linux.home.session();
        let mut at_once = Vec::new();
        let mut failure = None;
        for (position, (name, mark)) in doomed.iter().enumerate() {
            match self.delete_link(&mut session, name, *mark) {
                Ok(Fate::Gone) => {}
                Ok(Fate::AtOnce(index)) => at_once.push(index),
                Err(error) => {
                    failure = Some((position, error));
                    break;
                }
            }
        }
        match (reaper::delete(&mut session, &at_once), failure) {
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

    /// Takes a link out of use, if that can be done completely.
    fn delete_link(
        &self,
        session: &mut Session,
        name: &IfName,
        mark: Mark,
    ) -> Result<Fate, KernelError> {
        let found = links::by_name(session, name)
            .map_err(|error| refused(format!("look at {name}"))(error))?;
        let link = match found {
            None => return Ok(Fate::Gone),
            Some(link) if link.mark != Some(mark) => {
                let name = name.clone();
                return Err(KernelError::ForeignLink { name });
            }
            Some(link) if self.linux.reaper.has(link.index) => return Ok(Fate::Gone),
            Some(link) => link,
        };
        self.linux.reaper.announce(link.index);
        match self.retire(session, &link) {
            Ok(true) => {
                self.linux.reaper.take(link.index, mark);
                Ok(Fate::Gone)
            }
            // Whatever is the matter with it or its other end: its deletion needs nothing but itself.
            outcome => {
                self.linux.reaper.leave(link.index);
                if let Err(error) = outcome {
                    tracing::debug!(link = %name, %error, "cannot be taken out of use first");
                }
                Ok(Fate::AtOnce(link.index))
            }
        }
    }

    fn retire(&self, session: &mut Session, link: &Link) -> io::Result<bool> {
        match link.kind.as_str() {
            "veth" => {
                let Some((pin, inside)) = self.inner_end(session, link)? else {
                    return Ok(false);
                };
                session.request(links::cut_off(link.index), 0)?;
                strip(&mut pin.namespace.session(), inside)?;
                Ok(true)
            }
            "bridge" => {
                // Cards of others stay with the host.
                let ports = links::ports_of(session, link.index)?.into_iter();
                let leave = ports.map(|port| (links::leave_bridge(port.index), 0));
                for answer in session.requests(leave.collect())? {
                    answer?;
                }
                lay_down(session, link.index)?;
                Ok(true)
            }
            "ifb" => {
                // What is still sent there is lost, rather than held back no more.
                session.request(ifbs::set_down(link.index), 0)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// The other end of a pair, if it is in a sandbox: what somebody moved on from there cannot be reached.
    fn inner_end(&self, session: &mut Session, link: &Link) -> io::Result<Option<(Arc<Pin>, u32)>> {
        let (Some(inside), Some(nsid)) = (link.peer, link.peer_nsid) else {
            return Ok(None);
        };
        let pin = self.linux.sandboxes.by_nsid(session, nsid)?;
        Ok(pin.map(|pin| (pin, inside)))
    }
}

/// What becomes of a link that is to be deleted.
enum Fate {
    /// It counts as gone.
    Gone,
    /// It has to be deleted here and now.
    AtOnce(u32),
}

/// Takes name and addresses of the inner end of a pair that is cut off outside.
///
/// To set it down as well is another wait for all processors (`dev_deactivate_many`, net/sched/sch_generic.c), of a tenth
/// of a millisecond, and changes nothing: its other end is down, and with the last IPv4 address go its routes
/// (`fib_disable_ip`, net/ipv4/fib_frontend.c). Those of IPv6 do not, and kernels before 6.2 rename nothing that is up.
fn strip(session: &mut Session, index: u32) -> io::Result<()> {
    let all = addresses::all(session, Some(index))?;
    if all.is_empty() || all.iter().any(|on| on.address.is_ipv6()) {
        return lay_down(session, index);
    }
    let mut requests = vec![(links::rename(index, &unused_name()?), 0)];
    requests.extend(addresses::removals(&all));
    let mut answers = session.requests(requests)?.into_iter();
    match answers.next() {
        Some(Err(error)) if errno(&error) == Some(libc::EBUSY) => lay_down(session, index),
        renamed => renamed
            .into_iter()
            .chain(answers.map(addresses::removed))
            .collect(),
    }
}

/// Sets a link down and takes its name and addresses, so that another may have them.
fn lay_down(session: &mut Session, index: u32) -> io::Result<()> {
    let requests = links::lay_down(index, &unused_name()?);
    for answer in session.requests(requests.into_iter().map(|one| (one, 0)).collect())? {
        answer?;
    }
    addresses::clear(session, index)
}

/// The link that a step deletes, if it does.
pub(super) fn doomed(op: &Op) -> Option<(&IfName, Mark)> {
    match op {
        Op::DeleteLink { name, mark } => Some((name, *mark)),
        _ => None,
    }
}
