//! What holds traffic back: token buckets, and the devices that packets go through for their sake.

use super::Mark;
use crate::rate::{Rate, frame_bytes};

/// A token bucket at the root of a link: how what leaves by it is held back (tc-tbf(8)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// How fast it fills, in bytes per second.
    pub bytes_per_second: u64,
    /// How much it holds, in bytes.
    pub burst_bytes: u32,
    /// How much waits for it, in bytes, before packets are dropped.
    pub queue_bytes: u32,
}

/// Besides what the bucket holds, as much may wait as passes within this part of a second, 50 ms: what tc(8) calls the latency.
const WAITS_PER_SECOND: u64 = 20;

impl Bucket {
    /// The bucket of a rate, on a link of this MTU: as large as a full frame at least, since none would pass else.
    #[must_use]
    pub fn of(rate: Rate, mtu_bytes: u32) -> Self {
        let bytes_per_second = rate.bits_per_second() / 8;
        let burst_bytes = rate.burst_bytes().max(frame_bytes(mtu_bytes));
        let waiting = bytes_per_second / WAITS_PER_SECOND;
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        Self {
            bytes_per_second,
            burst_bytes,
            queue_bytes: burst_bytes.saturating_add(waiting),
        }
    }
}

/// A device that packets are sent to and come back from (an "intermediate functional block"): the kernel holds back only
/// what leaves by a link, so what comes in by another is sent through one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IfbState {
    /// Who made it.
    pub mark: Option<Mark>,
    /// What holds back that which goes through.
    pub bucket: Option<Bucket>,
    /// Administrative state. What is sent to one that is down is lost.
    pub up: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_lets_a_full_frame_pass_whatever_the_mtu_has_become() {
        let rate = Rate::new(8_000_000, Some(2_000)).unwrap();
        let bucket = Bucket::of(rate, 1500);
        assert_eq!(
            bucket,
            Bucket {
                bytes_per_second: 1_000_000,
                burst_bytes: 2_000,
                queue_bytes: 52_000
            }
        );
        assert_eq!(Bucket::of(rate, 9000).burst_bytes, 9014);
        let all = Rate::new(crate::rate::MAX_BITS_PER_SECOND, None).unwrap();
        assert_eq!(Bucket::of(all, 1500).queue_bytes, u32::MAX);
    }
}
