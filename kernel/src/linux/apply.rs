//! The steps, one by one. Each is done entirely or undone; knows what a step means, not why it is taken.

mod deletion;
mod rates;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use netd_model::desired::{LinkChange, Mark, NewVeth};
use netd_model::{IfName, Mac, NetnsId, Op};
use nix::libc;

use deletion::doomed;

use super::addresses::{self, LinkAddress};
use super::namespace::Namespace;
use super::sandboxes::Pin;
use super::session::{Session, errno};
use super::{Linux, flows, links, redirect, refused, routes, unused_name};
use crate::{ApplyError, KernelError};

/// One call of [`crate::Kernel::apply`].
pub(super) struct Application<'a> {
    linux: &'a Linux,
    /// Interface numbers looked up so far. Only within one call: a name may come to mean another interface.
    indexes: BTreeMap<(NetnsId, IfName), u32>,
}

/// The namespace that a step is about.
enum Place<'a> {
    Home(&'a Namespace),
    Sandbox(Arc<Pin>),
}

impl std::ops::Deref for Place<'_> {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        match self {
            Self::Home(home) => home,
            Self::Sandbox(pin) => &pin.namespace,
        }
    }
}

impl<'a> Application<'a> {
    /// Nothing done yet.
    pub(super) fn new(linux: &'a Linux) -> Self {
        Self {
            linux,
            indexes: BTreeMap::new(),
        }
    }

    /// Makes the steps in their order, up to the first that fails. Links that are deleted one after the other go
    /// together.
    pub(super) fn run(mut self, ops: &[Op]) -> Result<(), ApplyError> {
        let mut index = 0;
        while index < ops.len() {
            let doomed: Vec<(&IfName, Mark)> = ops[index..].iter().map_while(doomed).collect();
            let (done, result) = if doomed.is_empty() {
                (0, self.one(&ops[index]).map(|()| 1))
            } else {
                self.delete_links(&doomed)
            };
            match result {
                Ok(count) => index += count,
                Err(source) => {
                    return Err(ApplyError {
                        index: index + done,
                        source,
                    });
                }
            }
        }
        Ok(())
    }

    fn one(&mut self, op: &Op) -> Result<(), KernelError> {
        match op {
            Op::WriteSysctl { netns, key, value } => {
                let place = self.place(*netns)?;
                let action = || format!("set {} to {value} in {}", key.path(), place.id);
                let written = match &place {
                    Place::Sandbox(pin) => pin.write_parameter(key, value),
                    Place::Home(home) => home.write_parameter(key, value),
                };
                written.map_err(|error| match key.is_of_user() {
                    true => KernelError::of_parameter(key, value, error),
                    false => refused(action())(error),
                })
            }
            Op::CreateBridge {
                name,
                mark,
                mac,
                mtu_bytes,
            } => self.create_bridge(name, *mark, *mac, *mtu_bytes),
            Op::CreateVeth(veth) => self.create_veth(veth),
            Op::CreateIfb { name, mark } => self.create_ifb(name, *mark),
            Op::SetBucket { name, bucket } => self.set_bucket(name, bucket),
            Op::Redirect { name, to } => self.redirect(name, to),
            Op::SetLink { name, change } => self.set_link(None, name, change),
            Op::SetInterface {
                netns,
                name,
                change,
            } => self.set_link(Some(*netns), name, change),
            Op::AddAddress {
                netns,
                interface,
                address,
            } => {
                let place = self.place(*netns)?;
                let action = format!("add {address} to {interface} in {}", place.id);
                let index = self.index(&place, interface, &action)?;
                let on = LinkAddress {
                    index,
                    address: *address,
                };
                addresses::add(&mut place.session(), on).map_err(refused(action))
            }
            Op::RemoveAddress {
                netns,
                interface,
                address,
            } => self.remove_address(*netns, interface, *address),
            Op::AddRoute { netns, route } => {
                let place = self.place(*netns)?;
                let (to, via) = (route.destination, route.gateway);
                let action = format!("set route {to} via {via} in {}", place.id);
                let index = match &route.interface {
                    Some(interface) => Some(self.index(&place, interface, &action)?),
                    None => None,
                };
                routes::set(&mut place.session(), route, index).map_err(refused(action))
            }
            Op::RemoveRoute { netns, route } => {
                let place = self.place(*netns)?;
                routes::remove(&mut place.session(), route).map_err(|error| {
                    let (to, via) = (route.destination, route.gateway);
                    refused(format!("remove route {to} via {via} in {}", place.id))(error)
                })
            }
            Op::RedirectDns { netns, port } => {
                redirect::redirect(&self.linux.sandboxes.get(*netns)?.namespace, *port)
                    .map_err(refused(format!("redirect DNS queries in {netns}")))
            }
            // Comes in runs, which `run` takes whole.
            Op::DeleteLink { name, mark } => self.delete_links(&[(name, *mark)]).1.map(|_| ()),
            Op::ForgetFlows(filter) => flows::forget(&self.linux.home, filter)
                .map_err(|error| refused(format!("forget the tracked flows {filter:?}"))(error)),
        }
    }

    fn place(&self, netns: Option<NetnsId>) -> Result<Place<'a>, KernelError> {
        match netns {
            None => Ok(Place::Home(&self.linux.home)),
            Some(netns) => Ok(Place::Sandbox(self.linux.sandboxes.get(netns)?)),
        }
    }

    /// The number of an interface; an error if there is none of that name.
    fn index(
        &mut self,
        place: &Namespace,
        name: &IfName,
        action: &str,
    ) -> Result<u32, KernelError> {
        if let Some(index) = self.indexes.get(&(place.id, name.clone())) {
            return Ok(*index);
        }
        let index = place.session().index_of(name).map_err(refused(action))?;
        self.indexes.insert((place.id, name.clone()), index);
        Ok(index)
    }

    /// Made under a name of its own, marked in the same system call, and only then named as wished: a crash leaves
    /// nothing without a mark, and a race with another maker of that name is lost without touching theirs.
    fn create_bridge(
        &mut self,
        name: &IfName,
        mark: Mark,
        mac: Mac,
        mtu_bytes: u32,
    ) -> Result<(), KernelError> {
        let action = || format!("create bridge {name}");
        let refuse = |error| refused(action())(error);
        let mut session = self.linux.home.session();
        self.vacant(&mut session, name).map_err(refuse)?;
        let unborn = unused_name().map_err(refuse)?;
        let [made, marked] = session
            .request_all([
                links::new_bridge(unborn.as_str(), mac, mtu_bytes),
                links::mark_bridge(unborn.as_str(), mark),
            ])
            .map_err(refuse)?;
        made.map_err(refuse)?;
        let born = links::by_name(&mut session, &unborn).map_err(refuse)?;
        let index = born
            .map(|link| link.index)
            .ok_or_else(|| refuse(io::Error::from_raw_os_error(libc::ENODEV)))?;
        let named =
            marked.and_then(|()| session.request(links::name_bridge(index, name, mtu_bytes), 0));
        named.map_err(|error| {
            let undone = session.request(links::delete(index), 0);
            log_undone(&unborn, undone);
            if errno(&error) == Some(libc::EEXIST) {
                KernelError::ForeignLink { name: name.clone() }
            } else {
                refuse(error)
            }
        })
    }

    /// Sees to it that no link of the host has a name. The outer ends of pairs keep theirs until they are deleted.
    fn vacant(&self, session: &mut Session, name: &IfName) -> io::Result<()> {
        let reaper = &self.linux.reaper;
        let mut found = links::by_name(session, name)?;
        if let Some(dying) = found.as_ref().filter(|link| reaper.has(link.index)) {
            reaper.wait_for(dying.index);
            found = links::by_name(session, name)?;
        }
        match found {
            None => Ok(()),
            Some(_) => Err(io::Error::other(KernelError::ForeignLink {
                name: name.clone(),
            })),
        }
    }

    fn create_veth(&mut self, veth: &NewVeth) -> Result<(), KernelError> {
        let NewVeth {
            outside,
            inside,
            bridge,
            ..
        } = veth;
        let action = format!(
            "connect {inside} in {} to {bridge} by {outside}",
            veth.netns
        );
        let home = &self.linux.home;
        let place = match veth.netns == home.id {
            true => Place::Home(home),
            false => self.place(Some(veth.netns))?,
        };
        let bridge = self.index(home, bridge, &action)?;
        let mut session = home.session();
        // The second message of the pair goes by name, so the name must be free beforehand.
        self.vacant(&mut session, outside)
            .map_err(refused(&*action))?;
        let netns = place.as_fd().as_raw_fd();
        // It comes up although its settings may have been refused, but leads nowhere: the inner end is down still.
        let [made, marked, raised] = session
            .request_all([
                links::new_pair(veth, bridge, netns),
                links::mark_outer_end(veth, home.parameters.family_of_ipv6()),
                (links::bring_up(outside), 0),
            ])
            .map_err(refused(&*action))?;
        made.map_err(refused(&*action))?;
        self.indexes.remove(&(veth.netns, inside.clone()));
        self.indexes.remove(&(home.id, outside.clone()));
        let finished = marked.and(raised);
        finished.map_err(|error| {
            let undone = match links::by_name(&mut session, outside) {
                Ok(Some(link)) => session.request(links::delete(link.index), 0),
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            log_undone(outside, undone);
            refused(action)(error)
        })
    }

    fn set_link(
        &mut self,
        netns: Option<NetnsId>,
        name: &IfName,
        change: &LinkChange,
    ) -> Result<(), KernelError> {
        let place = self.place(netns)?;
        let action = format!("change {name} in {}", place.id);
        if change.filtered == Some(true) && !place.filters_bridges().map_err(refused(&*action))? {
            return Err(KernelError::NoBridgeFilter {
                bridge: name.clone(),
            });
        }
        let index = self.index(&place, name, &action)?;
        let bridge = match &change.bridge {
            None => None,
            Some(None) => Some(0),
            Some(Some(bridge)) => Some(bridge_index(&place, bridge, &action)?),
        };
        let mut session = place.session();
        // Settings of a port come after it has joined its bridge.
        [
            links::change_link(index, change, bridge),
            links::change_bridge(index, change),
            links::change_port(index, change),
        ]
        .into_iter()
        .flatten()
        .try_for_each(|request| session.request(request, 0))
        .map_err(refused(action))
    }

    fn remove_address(
        &mut self,
        netns: Option<NetnsId>,
        interface: &IfName,
        address: netd_model::IpNetwork,
    ) -> Result<(), KernelError> {
        let place = self.place(netns)?;
        let refuse =
            |error| refused(format!("remove {address} from {interface} in {}", place.id))(error);
        let mut session = place.session();
        let Some(link) = links::by_name(&mut session, interface).map_err(refuse)? else {
            return Ok(());
        };
        let on = LinkAddress {
            index: link.index,
            address,
        };
        addresses::remove(&mut session, on).map_err(refuse)
    }
}

/// The number of a bridge. Asked beforehand, because the kernel takes a port off its old bridge before it looks whether
/// the new one is a bridge at all.
fn bridge_index(place: &Namespace, name: &IfName, action: &str) -> Result<u32, KernelError> {
    let found = links::by_name(&mut place.session(), name).map_err(refused(action))?;
    let refuse = |code| refused(action)(io::Error::from_raw_os_error(code));
    let link = found.ok_or_else(|| refuse(libc::ENODEV))?;
    if link.kind != "bridge" {
        return Err(refuse(libc::EOPNOTSUPP));
    }
    Ok(link.index)
}

/// The first error is the caller's; that the undoing failed as well only shows here. The mark makes it be found.
fn log_undone(name: &IfName, undone: io::Result<()>) {
    if let Err(error) = undone {
        tracing::warn!(link = %name, %error, "a half-made link stays until the next reconcile");
    }
}
