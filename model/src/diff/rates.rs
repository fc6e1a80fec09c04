//! The steps that hold traffic back: buckets on outer ends, and ifbs that what comes in goes through.

use super::{Plan, up};
use crate::IfName;
use crate::desired::{IfbState, Op, VethState};

impl<'a> Plan<'a> {
    /// The ifb as it stands, if it is the wished one. A stranger of that name counts as absent.
    fn standing_ifb(&self, name: &IfName) -> Option<&'a IfbState> {
        let there = self.observed.host.ifbs.get(name)?;
        let wished = self.desired.host.ifbs.get(name)?;
        let ours = there.mark.is_some() && there.mark == wished.mark;
        (ours && !self.doomed.contains_key(name)).then_some(there)
    }

    /// Makes a missing ifb, with its bucket before anything is sent there.
    pub(super) fn bring_ifb(&mut self, name: &IfName, wished: &IfbState) {
        let standing = self.standing_ifb(name);
        if standing.is_none()
            && let Some(mark) = wished.mark
        {
            let name = name.clone();
            self.ops.push(Op::CreateIfb { name, mark });
        }
        let there = standing.and_then(|there| there.bucket);
        if let Some(bucket) = wished.bucket.filter(|bucket| there != Some(*bucket)) {
            let name = name.clone();
            self.ops.push(Op::SetBucket { name, bucket });
        }
        if let Some(there) = standing
            && there.up != wished.up
        {
            self.set_link(None, name, up(wished.up));
        }
    }

    /// Brings the bucket of a pair's outer end, and the way that what comes in by it goes. `there` is the end as it
    /// stands, if it does. What is not wished for is left alone: it is somebody else's.
    pub(super) fn hold_back(
        &mut self,
        name: &IfName,
        wished: &VethState,
        there: Option<&VethState>,
    ) {
        let bucket = there.and_then(|there| there.bucket);
        if let Some(wished) = wished.bucket.filter(|wished| bucket != Some(*wished)) {
            self.ops.push(Op::SetBucket {
                name: name.clone(),
                bucket: wished,
            });
        }
        // What led to an ifb that went leads nowhere, even if another has its name.
        let through = there.and_then(|there| there.through.as_ref());
        let through = through.filter(|ifb| self.standing_ifb(ifb).is_some());
        if let Some(wished) = wished
            .through
            .as_ref()
            .filter(|wished| through != Some(wished))
        {
            self.ops.push(Op::Redirect {
                name: name.clone(),
                to: wished.clone(),
            });
        }
    }
}
