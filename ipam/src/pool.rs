//! The addresses of one pool: who has which, and which is next.
//!
//! Costs what its leases cost, whatever the size of the subnet, and every question is a few look-ups in ordered maps.
//! Must not know networks or endpoints; making a lease durable before its use is the caller's business.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use netd_model::subnet::to_number;
use netd_model::{ContainerName, PoolSpec, Subnet};

use crate::holder::{AllocateError, Claim, Holder, Wish};
use crate::intervals::Intervals;

/// The addresses of one pool. Addresses are kept as numbers; see [`to_number`].
#[derive(Clone, Debug)]
pub struct Pool {
    subnet: Subnet,
    /// What [`Wish::Any`] chooses from: the range, or the whole subnet.
    range: Subnet,
    /// Taken for good: first and last address, gateway, auxiliary addresses.
    fixed: BTreeMap<u128, Holder>,
    leases: BTreeMap<u128, ContainerName>,
    requested: BTreeMap<u128, ContainerName>,
    remembered: BTreeMap<u128, ContainerName>,
    /// What a Docker engine holds, leased to one of its containers or not.
    held: BTreeSet<u128>,
    /// Members of `fixed`, `leases`, `requested` and `held`.
    busy: Intervals,
    /// Members of `busy` and of `remembered`.
    avoided: Intervals,
    /// Where the search for the next one begins; in `range`.
    cursor: u128,
}

/// How full a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Addresses that containers could have.
    pub capacity: u128,
    /// Addresses that containers have.
    pub leased: usize,
    /// Addresses kept for stopped containers that asked for them.
    pub reserved: usize,
}

impl Pool {
    /// A pool without leases.
    #[must_use]
    pub fn new(spec: &PoolSpec) -> Self {
        let subnet = spec.subnet;
        let range = spec.range.unwrap_or(subnet);
        let mut fixed = BTreeMap::new();
        for (name, address) in &spec.aux {
            fixed.insert(to_number(*address), Holder::Auxiliary(name.clone()));
        }
        fixed.insert(to_number(spec.gateway), Holder::Gateway);
        fixed.insert(to_number(subnet.first()), Holder::NetworkAddress);
        fixed.insert(to_number(subnet.last()), Holder::Broadcast);
        let mut busy = Intervals::default();
        fixed.keys().for_each(|number| busy.insert(*number));
        Self {
            subnet,
            range,
            fixed,
            leases: BTreeMap::new(),
            requested: BTreeMap::new(),
            remembered: BTreeMap::new(),
            held: BTreeSet::new(),
            avoided: busy.clone(),
            busy,
            cursor: to_number(range.first()),
        }
    }

    /// All addresses of the pool.
    #[must_use]
    pub fn subnet(&self) -> Subnet {
        self.subnet
    }

    /// Picks an address for `asker`; nothing changes before [`Pool::lease`].
    ///
    /// [`Wish::Any`] goes round from the last one handed out instead of taking the lowest: Linux may trust a stale ARP
    /// entry for a minute, so an address rests as long as possible. It chooses from the range; the other wishes may
    /// name any address of the subnet. Only the subnet's own first and last address are special, not the range's.
    ///
    /// # Errors
    /// [`AllocateError`]: nothing left, or the one asked for is taken or of another subnet.
    pub fn allocate(&self, wish: Wish, asker: &ContainerName) -> Result<IpAddr, AllocateError> {
        match wish {
            Wish::Exactly(address) => self.check(address, asker).map(|_| address),
            Wish::Held(address) => self.check_held(address, asker).map(|_| address),
            Wish::Sticky(address) if self.check(address, asker).is_ok() => Ok(address),
            Wish::Sticky(_) | Wish::Any => self.any(),
        }
    }

    /// As [`Pool::allocate`], for one who is no container: `wanted`, or any that is free.
    ///
    /// # Errors
    /// As there.
    pub fn offer(&self, wanted: Option<IpAddr>) -> Result<IpAddr, AllocateError> {
        let Some(address) = wanted else {
            return self.any();
        };
        match self.holder_at(self.inside(address)?) {
            None => Ok(address),
            Some(by) => Err(AllocateError::Taken { address, by }),
        }
    }

    fn any(&self) -> Result<IpAddr, AllocateError> {
        self.next_any()
            .and_then(|number| self.address(number))
            .ok_or_else(|| self.exhausted())
    }

    /// Gives `address` to `holder`, as allocated now or as known from before a restart.
    ///
    /// # Errors
    /// [`AllocateError`] when it is taken or of another subnet; nothing changes then.
    pub fn lease(&mut self, address: IpAddr, holder: ContainerName) -> Result<(), AllocateError> {
        // Whether an address that Docker holds may be leased, `allocate` has decided.
        let number = self.check_held(address, &holder)?;
        if self.next_any() == Some(number) {
            self.advance(number);
        }
        self.leases.insert(number, holder);
        self.settle(number);
        Ok(())
    }

    /// Takes `address` back and says who had it. One that nobody had stays as it is.
    pub fn release(&mut self, address: IpAddr) -> Option<ContainerName> {
        let number = self.number(address)?;
        let holder = self.leases.remove(&number);
        self.settle(number);
        holder
    }

    /// Keeps `address` for `holder`, running or not, in place of an earlier claim of the same firmness by it. Firm and
    /// remembered claims and leases are independent: each lasts until it is taken back.
    ///
    /// # Errors
    /// [`AllocateError`] when a requested address belongs to somebody else, or is of another subnet. A remembered one
    /// is only a hint and goes to whoever remembered last.
    pub fn reserve(
        &mut self,
        address: IpAddr,
        holder: ContainerName,
        claim: Claim,
    ) -> Result<(), AllocateError> {
        let number = self.inside(address)?;
        let stranger = self.holder_at(number).filter(|by| match by {
            Holder::Container(name) | Holder::Stopped(name) => {
                claim == Claim::Requested && *name != holder
            }
            _ => true,
        });
        if let Some(by) = stranger {
            return Err(AllocateError::Taken { address, by });
        }
        match claim {
            Claim::Requested => self.requested.insert(number, holder),
            Claim::Remembered => self.remembered.insert(number, holder),
        };
        self.settle(number);
        Ok(())
    }

    /// Ends the claims that `holder` has on `address`, but not its lease.
    pub fn unreserve(&mut self, address: IpAddr, holder: &ContainerName) {
        if let Some(number) = self.number(address) {
            for claims in [&mut self.requested, &mut self.remembered] {
                if claims.get(&number) == Some(holder) {
                    claims.remove(&number);
                }
            }
            self.settle(number);
        }
    }

    /// Keeps `address` for a Docker engine until it is let go of. It is independent of leases and other claims, as those
    /// are of each other.
    ///
    /// # Errors
    /// [`AllocateError::OutsideSubnet`]; nothing changes then.
    pub fn hold(&mut self, address: IpAddr) -> Result<(), AllocateError> {
        let number = self.inside(address)?;
        if self.next_any() == Some(number) {
            self.advance(number);
        }
        self.held.insert(number);
        self.settle(number);
        Ok(())
    }

    /// Ends the hold on `address`, but not its lease.
    pub fn let_go(&mut self, address: IpAddr) {
        if let Some(number) = self.number(address) {
            self.held.remove(&number);
            self.settle(number);
        }
    }

    /// True if [`Wish::Any`] would find an address.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.next_any().is_some()
    }

    /// Who has `address`; `None` if it is free or of another subnet. Remembered ones are free.
    #[must_use]
    pub fn holder(&self, address: IpAddr) -> Option<Holder> {
        self.holder_at(self.number(address)?)
    }

    /// Addresses that containers have, ascending.
    pub fn leases(&self) -> impl Iterator<Item = (IpAddr, &ContainerName)> {
        self.leases
            .iter()
            .filter_map(|(number, holder)| Some((self.address(*number)?, holder)))
    }

    /// How full it is, static addresses outside the range included.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let size = to_number(self.subnet.last()) - to_number(self.subnet.first());
        Usage {
            // The first address is one of the fixed; not adding it to the size spares the overflow of ::/0.
            capacity: size.saturating_sub(self.fixed.len() as u128 - 1),
            leased: self.leases.len(),
            reserved: self.kept_in(0..=u128::MAX),
        }
    }

    /// The number of `address`, if `asker` may have it.
    fn check(&self, address: IpAddr, asker: &ContainerName) -> Result<u128, AllocateError> {
        let number = self.inside(address)?;
        match self.holder_at(number) {
            None => Ok(number),
            Some(Holder::Stopped(name)) if name == *asker => Ok(number),
            Some(by) => Err(AllocateError::Taken { address, by }),
        }
    }

    /// As [`Pool::check`], for a container of the Docker engine that may hold it.
    fn check_held(&self, address: IpAddr, asker: &ContainerName) -> Result<u128, AllocateError> {
        match self.check(address, asker) {
            Err(AllocateError::Taken {
                by: Holder::Docker, ..
            }) => self.inside(address),
            other => other,
        }
    }

    /// The search goes on behind `number`.
    fn advance(&mut self, number: u128) {
        self.cursor = match number < to_number(self.range.last()) {
            true => number + 1,
            false => to_number(self.range.first()),
        };
    }

    fn holder_at(&self, number: u128) -> Option<Holder> {
        let leased = || self.leases.get(&number).cloned().map(Holder::Container);
        let kept = || self.requested.get(&number).cloned().map(Holder::Stopped);
        self.fixed
            .get(&number)
            .cloned()
            .or_else(leased)
            .or_else(kept)
            .or_else(|| self.held.contains(&number).then_some(Holder::Docker))
    }

    /// The next number going round: one that nobody remembers, or else one that nobody has.
    fn next_any(&self) -> Option<u128> {
        let (first, last) = (to_number(self.range.first()), to_number(self.range.last()));
        let round = |set: &Intervals| {
            set.next_free(self.cursor, last)
                .or_else(|| set.next_free(first, last))
        };
        round(&self.avoided).or_else(|| round(&self.busy))
    }

    /// Brings both sets in line with the maps at `number`.
    fn settle(&mut self, number: u128) {
        let busy = self.holder_at(number).is_some();
        let avoided = busy || self.remembered.contains_key(&number);
        for (set, member) in [(&mut self.busy, busy), (&mut self.avoided, avoided)] {
            match member {
                true => set.insert(number),
                false => set.remove(number),
            }
        }
    }

    fn exhausted(&self) -> AllocateError {
        let range = to_number(self.range.first())..=to_number(self.range.last());
        AllocateError::Exhausted {
            subnet: self.range,
            leased: self.leases.range(range.clone()).count(),
            reserved: self.kept_in(range),
        }
    }

    /// How many addresses are kept for containers that do not have them now.
    fn kept_in(&self, range: std::ops::RangeInclusive<u128>) -> usize {
        self.requested
            .range(range)
            .filter(|(number, _)| !self.leases.contains_key(number))
            .count()
    }

    fn inside(&self, address: IpAddr) -> Result<u128, AllocateError> {
        self.number(address).ok_or(AllocateError::OutsideSubnet {
            address,
            subnet: self.subnet,
        })
    }

    fn number(&self, address: IpAddr) -> Option<u128> {
        self.subnet.contains(address).then(|| to_number(address))
    }

    fn address(&self, number: u128) -> Option<IpAddr> {
        self.subnet
            .nth(number.checked_sub(to_number(self.subnet.first()))?)
    }
}

#[cfg(test)]
mod tests;
