//! Taking namespaces into care and letting them go, in the fake.

use std::collections::BTreeMap;

use netd_model::container::Anchor;
use netd_model::desired::Sysctl;
use netd_model::{NetnsId, Sandbox, Supervisor};
use nix::errno::Errno;

use super::machine::{Machine, Pin, Process, refused};
use crate::{AdoptError, NetnsHandle};

impl Machine {
    /// What [`crate::Kernel::adopt`] promises.
    pub(super) fn adopt(&mut self, handle: NetnsHandle) -> Result<Sandbox, AdoptError> {
        let netns = self.namespace_of(handle)?;
        if netns == self.host {
            return Err(AdoptError::OwnNamespace);
        }
        let pinned = self.daemon.pins.get(&netns);
        let known = pinned.and_then(|pin| pin.anchor.clone());
        let by_handle = match handle {
            NetnsHandle::Process { pid } => self
                .processes
                .get(&pid)
                .map(|process| Anchor::Process(process.supervisor(pid))),
            NetnsHandle::Descriptor { .. } => None,
        };
        let anchor = known.or(by_handle).or_else(|| self.anchor_of(netns));
        let Some(anchor) = anchor else {
            let action = format!("find a process or file that keeps {netns} alive");
            return Err(refused(Errno::ENOENT, action).into());
        };
        let pin = Pin {
            anchor: Some(anchor.clone()),
            former: BTreeMap::new(),
        };
        self.daemon.pins.insert(netns, pin);
        Ok(Sandbox {
            netns,
            anchor,
            dns_port: None,
        })
    }

    /// What [`crate::Kernel::pinned`] promises.
    pub(super) fn pinned(&self, netns: NetnsId) -> Option<Sandbox> {
        let anchor = self.daemon.pins.get(&netns)?.anchor.clone()?;
        Some(Sandbox {
            netns,
            anchor,
            dns_port: None,
        })
    }

    fn namespace_of(&self, handle: NetnsHandle) -> Result<NetnsId, AdoptError> {
        let (NetnsHandle::Process { pid } | NetnsHandle::Descriptor { pid, .. }) = handle;
        let process = self
            .processes
            .get(&pid)
            .ok_or(AdoptError::NoSuchProcess { pid })?;
        let NetnsHandle::Descriptor { fd, .. } = handle else {
            return Ok(process.netns);
        };
        let file = process.descriptors.get(&fd);
        let file = file.ok_or(AdoptError::NoSuchDescriptor { pid, fd })?;
        file.ok_or_else(|| AdoptError::NotANamespace {
            pid,
            fd,
            found: "/dev/null".to_owned(),
        })
    }

    /// What [`crate::Kernel::readopt`] promises.
    pub(super) fn readopt(&mut self, sandbox: &Sandbox) -> Result<(), AdoptError> {
        if self.daemon.pins.contains_key(&sandbox.netns) {
            return Ok(());
        }
        if !self.holds(&sandbox.anchor, sandbox.netns) {
            return Err(AdoptError::Gone {
                netns: sandbox.netns,
                anchor: sandbox.anchor.clone(),
            });
        }
        let pin = Pin {
            anchor: Some(sandbox.anchor.clone()),
            former: BTreeMap::new(),
        };
        self.daemon.pins.insert(sandbox.netns, pin);
        Ok(())
    }

    /// Remembers what a parameter is before it is written for the first time, if others could miss that.
    pub(super) fn remember(&mut self, netns: Option<NetnsId>, key: &Sysctl) {
        let Some(netns) = netns.filter(|_| key.is_of_future_interfaces()) else {
            return;
        };
        let value = self.read_sysctl(netns, key);
        if let (Some(value), Some(pin)) = (value, self.daemon.pins.get_mut(&netns)) {
            pin.former.entry(key.clone()).or_insert(value);
        }
    }

    /// What [`crate::Kernel::is_held_besides`] promises.
    pub(super) fn is_held_besides(&self, netns: NetnsId, besides: &[Supervisor]) -> bool {
        let holding = self
            .processes
            .iter()
            .filter(|(_, process)| process.holds(netns));
        let mut pids = holding.map(|(pid, _)| *pid);
        let mut bound = self.paths.values();
        bound.any(|bound| *bound == netns) || pids.any(|pid| !self.descends_from(pid, besides))
    }

    fn descends_from(&self, pid: u32, ancestors: &[Supervisor]) -> bool {
        let Some(process) = self.processes.get(&pid) else {
            return false;
        };
        ancestors.contains(&process.supervisor(pid))
            || process
                .parent
                .is_some_and(|parent| self.descends_from(parent, ancestors))
    }

    /// What [`crate::Kernel::release`] promises.
    pub(super) fn release(&mut self, netns: NetnsId) {
        let pin = self.daemon.pins.get_mut(&netns);
        let former = pin.map(|pin| std::mem::take(&mut pin.former));
        for (key, value) in former.unwrap_or_default() {
            // What has ended meanwhile needs nothing.
            let _ = self.write_sysctl(Some(netns), &key, &value);
        }
        self.daemon.pins.remove(&netns);
        self.settle();
    }
}

impl Process {
    /// True if it runs in the namespace or has it open.
    pub(super) fn holds(&self, netns: NetnsId) -> bool {
        self.netns == netns || self.descriptors.values().any(|fd| *fd == Some(netns))
    }

    /// The process as an anchor names it.
    pub(super) fn supervisor(&self, pid: u32) -> Supervisor {
        Supervisor {
            pid,
            start_ticks: self.start_ticks,
        }
    }
}
