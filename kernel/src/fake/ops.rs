//! One step of the fake kernel: entirely or not at all. Each arm says what the kernel refuses.

use netd_model::desired::{LinkChange, Mark, NewVeth};
use netd_model::{IfName, IpNetwork, Mac, NetnsId, Op};
use nix::errno::Errno;

use super::link::{check_mac, check_mtu};
use super::machine::{Kind, Link, Machine, Port, refused};
use crate::KernelError;

impl Machine {
    /// Makes one step.
    pub(super) fn step(&mut self, op: &Op) -> Result<(), KernelError> {
        if let Some(at) = self.faults.iter().position(|fault| fault(op)) {
            drop(self.faults.swap_remove(at));
            return Err(refused(Errno::EIO, format!("make the step {op:?}")));
        }
        match op {
            Op::WriteSysctl { netns, key, value } => {
                self.remember(*netns, key);
                self.write_sysctl(*netns, key, value)
            }
            Op::CreateBridge {
                name,
                mark,
                mac,
                mtu_bytes,
            } => self.create_bridge(name, *mark, (*mac, *mtu_bytes)),
            Op::CreateVeth(veth) => self.create_veth(veth),
            Op::CreateIfb { name, mark } => self.create_ifb(name, *mark),
            Op::SetBucket { name, bucket } => self.set_bucket(name, *bucket),
            Op::Redirect { name, to } => self.redirect(name, to),
            Op::SetLink { name, change } => self.set_link(name, change),
            Op::SetInterface {
                netns,
                name,
                change,
            } => self.set_interface(*netns, name, change),
            Op::AddAddress {
                netns,
                interface,
                address,
            } => self.reach(*netns)?.add_address(interface, *address),
            Op::RemoveAddress {
                netns,
                interface,
                address,
            } => self.remove_address(*netns, interface, *address),
            Op::AddRoute { netns, route } => self.reach(*netns)?.add_route(route),
            Op::RemoveRoute { netns, route } => {
                self.reach(*netns)?.remove_route(route);
                Ok(())
            }
            Op::RedirectDns { netns, port } => {
                self.reach(Some(*netns))?.dns_redirect = Some(*port);
                Ok(())
            }
            Op::DeleteLink { name, mark } => self.delete_link(name, *mark),
            Op::ForgetFlows(filter) => {
                self.forgotten.push(*filter);
                Ok(())
            }
        }
    }

    /// A name that is free on the host; a taken one is somebody else's, or the same object already.
    pub(super) fn check_free(
        &mut self,
        name: &IfName,
        mark: Mark,
        action: &str,
    ) -> Result<(), KernelError> {
        match self.reach(None)?.links.get(name) {
            None => Ok(()),
            Some(link) if link.mark == Some(mark) => Err(refused(Errno::EEXIST, action)),
            Some(_) => Err(KernelError::ForeignLink { name: name.clone() }),
        }
    }

    fn create_bridge(
        &mut self,
        name: &IfName,
        mark: Mark,
        (mac, mtu_bytes): (Mac, u32),
    ) -> Result<(), KernelError> {
        let action = format!("create bridge {name}");
        self.check_free(name, mark, &action)?;
        check_mac(mac, &action)?;
        check_mtu(mtu_bytes, &action)?;
        let bridge = Link::new(Kind::Bridge, Some(mark), mac, mtu_bytes);
        self.add_link(self.host, name, bridge);
        Ok(())
    }

    fn create_veth(&mut self, veth: &NewVeth) -> Result<(), KernelError> {
        let NewVeth {
            outside, inside, ..
        } = veth;
        let action = format!("create veth pair {outside} and {inside} in {}", veth.netns);
        let place = Some(veth.netns).filter(|netns| *netns != self.host);
        if self.reach(place)?.links.contains_key(inside) {
            return Err(refused(Errno::EEXIST, action));
        }
        self.check_free(outside, veth.mark, &action)?;
        self.reach(None)?.check_bridge(&veth.bridge, &action)?;
        check_mac(veth.mac, &action)?;
        check_mtu(veth.mtu_bytes, &action)?;

        let [_, a, b, c, d, e] = veth.mac.octets();
        let outer_mac = Mac::from_octets([0x0e, e, d, c, b, a]);
        let end = |peer, mark, mac| Link::new(Kind::Veth { peer }, mark, mac, veth.mtu_bytes);
        let mut outer = end((veth.netns, inside.clone()), Some(veth.mark), outer_mac);
        outer.up = true;
        outer.port = Some(Port {
            bridge: veth.bridge.clone(),
            hairpin: veth.hairpin,
            isolated: veth.isolated,
        });
        let inner = end((self.host, outside.clone()), None, veth.mac);
        self.add_link(self.host, outside, outer);
        self.add_link(veth.netns, inside, inner);
        Ok(())
    }

    fn set_link(&mut self, name: &IfName, change: &LinkChange) -> Result<(), KernelError> {
        if change.filtered == Some(true) && !self.has_br_netfilter {
            return Err(KernelError::NoBridgeFilter {
                bridge: name.clone(),
            });
        }
        self.reach(None)?.change_link(name, change)
    }

    fn set_interface(
        &mut self,
        netns: NetnsId,
        name: &IfName,
        change: &LinkChange,
    ) -> Result<(), KernelError> {
        let namespace = self.reach(Some(netns))?;
        if change.bridge.is_some() || change.hairpin.is_some() || change.isolated.is_some() {
            let action = format!("make {name} a bridge port inside {netns}");
            return Err(refused(Errno::EINVAL, action));
        }
        namespace.change_link(name, change)
    }

    fn remove_address(
        &mut self,
        netns: Option<NetnsId>,
        interface: &IfName,
        address: IpNetwork,
    ) -> Result<(), KernelError> {
        self.reach(netns)?.remove_address(interface, address);
        Ok(())
    }

    fn delete_link(&mut self, name: &IfName, mark: Mark) -> Result<(), KernelError> {
        match self.reach(None)?.links.get(name) {
            None => Ok(()),
            Some(link) if link.mark == Some(mark) => {
                self.retire(name);
                Ok(())
            }
            Some(_) => Err(KernelError::ForeignLink { name: name.clone() }),
        }
    }
}
