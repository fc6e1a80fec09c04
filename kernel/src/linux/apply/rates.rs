//! The steps that hold traffic back.

use std::io;

use netd_model::IfName;
use netd_model::desired::{Bucket, Mark};
use nix::libc;

use super::super::session::errno;
use super::super::{ifbs, links, queues, refused};
use super::{Application, log_undone};
use crate::KernelError;

impl Application<'_> {
    /// Made and marked in one system call, so that a crash leaves nothing without a mark.
    pub(super) fn create_ifb(&mut self, name: &IfName, mark: Mark) -> Result<(), KernelError> {
        let action = format!("create {name}");
        let home = &self.linux.home;
        let mut session = home.session();
        // The second message goes by name, so the name must be free beforehand.
        self.vacant(&mut session, name).map_err(refused(&*action))?;
        let [made, marked, raised] = session
            .request_all(ifbs::new(name, mark, home.parameters.family_of_ipv6()))
            .map_err(refused(&*action))?;
        made.map_err(lacking(name, &action))?;
        self.indexes.remove(&(home.id, name.clone()));
        marked.and(raised).map_err(|error| {
            let undone = match links::by_name(&mut session, name) {
                Ok(Some(link)) => session.request(links::delete(link.index), 0),
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            log_undone(name, undone);
            refused(action)(error)
        })
    }

    pub(super) fn set_bucket(&mut self, name: &IfName, bucket: &Bucket) -> Result<(), KernelError> {
        let action = format!("limit the rate of what leaves by {name}");
        let home = &self.linux.home;
        let index = self.index(home, name, &action)?;
        let (request, flags) = queues::set_bucket(index, bucket);
        let answer = home.session().request(request, flags);
        answer.map_err(lacking(name, &action))
    }

    pub(super) fn redirect(&mut self, name: &IfName, to: &IfName) -> Result<(), KernelError> {
        let action = format!("send what comes in by {name} through {to}");
        let home = &self.linux.home;
        let index = self.index(home, name, &action)?;
        let ifb = self.index(home, to, &action)?;
        let answers = home.session().request_all(queues::redirect(index, ifb));
        answers
            .and_then(queues::redirected)
            .map_err(lacking(name, &action))
    }
}

/// What the kernel says when it knows no such device, queue, filter or action (`-ENOENT` and `-EOPNOTSUPP` after a try to
/// load its module).
fn lacking(link: &IfName, action: &str) -> impl FnOnce(io::Error) -> KernelError {
    move |error| match errno(&error) {
        Some(libc::ENOENT | libc::EOPNOTSUPP) => KernelError::NoRates {
            link: link.clone(),
            source: error,
        },
        _ => refused(action)(error),
    }
}
