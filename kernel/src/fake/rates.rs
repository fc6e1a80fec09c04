//! What holds traffic back on the fake machine: nothing flows there, so it is noted and shown, no more.

use netd_model::desired::{Bucket, HostState, Mark};
use netd_model::{IfName, Mac};
use nix::errno::Errno;

use super::machine::{ETHERNET_MTU_BYTES, Kind, Link, Machine, refused};
use super::world::World;
use crate::{KernelError, KernelEvent};

impl Machine {
    pub(super) fn create_ifb(&mut self, name: &IfName, mark: Mark) -> Result<(), KernelError> {
        self.check_free(name, mark, &format!("create {name}"))?;
        let [a, b, c, d] = self.next_number().to_be_bytes();
        let mac = Mac::from_octets([0x0e, 0x1f, a, b, c, d]);
        let mut ifb = Link::new(Kind::Ifb, Some(mark), mac, ETHERNET_MTU_BYTES);
        ifb.up = true;
        self.add_link(self.host, name, ifb);
        Ok(())
    }

    pub(super) fn set_bucket(&mut self, name: &IfName, bucket: Bucket) -> Result<(), KernelError> {
        let action = format!("limit the rate of what leaves by {name}");
        if bucket.bytes_per_second == 0 || bucket.burst_bytes == 0 {
            return Err(refused(Errno::EINVAL, action));
        }
        self.reach(None)?.link_mut(name, &action)?.bucket = Some(bucket);
        Ok(())
    }

    pub(super) fn redirect(&mut self, name: &IfName, to: &IfName) -> Result<(), KernelError> {
        let action = format!("send what comes in by {name} through {to}");
        let host = self.reach(None)?;
        host.link_mut(to, &action)?;
        host.link_mut(name, &action)?.through = Some(to.clone());
        Ok(())
    }
}

/// Linux has to list queues for it, which it spares those who do not ask.
pub(super) fn hide_limits(seen: &mut HostState, about: &HostState) {
    for (name, veth) in &mut seen.veths {
        let asked = about.veths.get(name);
        veth.bucket = veth
            .bucket
            .filter(|_| asked.is_some_and(|asked| asked.bucket.is_some()));
        let through = veth.through.take();
        veth.through = through.filter(|_| asked.is_some_and(|asked| asked.through.is_some()));
    }
    for (name, ifb) in &mut seen.ifbs {
        let asked = about.ifbs.get(name);
        ifb.bucket = ifb
            .bucket
            .filter(|_| asked.is_some_and(|asked| asked.bucket.is_some()));
    }
}

impl World {
    /// Takes away what holds back that which leaves by a link of the host, as `tc qdisc del dev NAME root` does.
    pub fn remove_bucket(&self, name: &IfName) {
        self.play(|machine| machine.unlimit(name, |link| link.bucket = None));
    }

    /// Takes away what sends elsewhere that which comes in by a link of the host, as `tc qdisc del dev NAME ingress` does.
    pub fn remove_redirection(&self, name: &IfName) {
        self.play(|machine| machine.unlimit(name, |link| link.through = None));
    }
}

impl Machine {
    fn unlimit(&mut self, name: &IfName, change: impl FnOnce(&mut Link)) {
        let host = self.namespaces.get_mut(&self.host);
        if let Some(link) = host.and_then(|host| host.links.get_mut(name)) {
            change(link);
        }
        self.events.push(KernelEvent::RatesChanged);
    }
}
