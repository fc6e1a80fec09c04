//! How fast traffic of an endpoint may be: what a user asks for, in the units of tc(8), and the bounds of what there is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Slowest rate in bits per second. A full Ethernet frame takes twelve seconds then; what is slower helps nobody, and
/// Kubernetes draws the line there, too.
pub const MIN_BITS_PER_SECOND: u64 = 1_000;
/// Fastest rate in bits per second, Kubernetes' as well.
pub const MAX_BITS_PER_SECOND: u64 = 1_000_000_000_000_000;
/// What an Ethernet frame is longer than what its MTU counts, in bytes (`ETH_HLEN`, linux/if_ether.h).
pub const ETHERNET_HEADER_BYTES: u32 = 14;

/// How long the default burst lasts at its rate, as a part of a second: 50 ms.
const BURST_PER_SECOND: u64 = 20;
/// The smallest default burst in bytes: ten full frames of Ethernet, the initial window of TCP (RFC 6928).
const BURST_FLOOR_BYTES: u64 = 16 * 1024;

/// The limit of traffic in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Given")]
pub struct Rate {
    bits_per_second: u64,
    burst_bytes: u32,
}

/// A rate as it is asked for.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Given {
    /// Bits per second, 1000 to 10^15.
    bits_per_second: u64,
    /// Bytes that may come at once after a pause; without, what passes within 50 ms, and 16 KiB at least.
    #[serde(default)]
    burst_bytes: Option<u64>,
}

/// Why something is no rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// No number, or no known unit.
    #[error(
        "{given:?} is not a rate: expected a number with a unit of bit, kbit, mbit, gbit or tbit, such as 10mbit"
    )]
    RateForm {
        /// What was given.
        given: String,
    },
    /// No number, or no known unit.
    #[error(
        "{given:?} is not a burst: expected bytes, or a number with a unit of b, kb, mb or gb, such as 64kb"
    )]
    BurstForm {
        /// What was given.
        given: String,
    },
    /// Out of bounds.
    #[error(
        "a rate of {bits_per_second} bits per second cannot be kept: give 1kbit to 1000tbit, or none for no limit"
    )]
    OutOfBounds {
        /// What was given.
        bits_per_second: u64,
    },
    /// More than the kernel counts.
    #[error(
        "a burst of {burst_bytes} bytes is too large: the kernel counts up to {}",
        u32::MAX
    )]
    BurstTooLarge {
        /// What was given.
        burst_bytes: u64,
    },
    /// Nothing would pass: the kernel drops what is longer than the burst (`tbf_enqueue`, net/sched/sch_tbf.c).
    #[error(
        "a burst of {burst_bytes} bytes lets no full frame pass: give {needed_bytes} at least, the MTU and the Ethernet header"
    )]
    BurstTooSmall {
        /// What was given.
        burst_bytes: u32,
        /// What it takes.
        needed_bytes: u32,
    },
    /// A burst says nothing by itself.
    #[error(
        "a burst of {burst_bytes} bytes without a rate limits nothing: give the rate as well, or leave it out"
    )]
    BurstAlone {
        /// What was given.
        burst_bytes: u64,
    },
}

impl Rate {
    /// A rate with its burst; without one it is what passes within 50 ms, as long as that is 16 KiB or more.
    ///
    /// 50 ms are enough for the timers of any kernel to keep the rate up, and a pause is not paid back by more than
    /// a blink. A burst below the initial window of TCP would cut up its first flight for nothing.
    ///
    /// # Errors
    /// [`RateError`] when there is no such rate, whatever the network. Whether a frame passes is [`Rate::check`]ed where
    /// the MTU is known.
    pub fn new(bits_per_second: u64, burst_bytes: Option<u64>) -> Result<Self, RateError> {
        if !(MIN_BITS_PER_SECOND..=MAX_BITS_PER_SECOND).contains(&bits_per_second) {
            return Err(RateError::OutOfBounds { bits_per_second });
        }
        let usual = || {
            let bytes = bits_per_second / 8 / BURST_PER_SECOND;
            bytes.clamp(BURST_FLOOR_BYTES, u64::from(u32::MAX))
        };
        let burst_bytes = burst_bytes.unwrap_or_else(usual);
        let counted = u32::try_from(burst_bytes);
        Ok(Self {
            bits_per_second,
            burst_bytes: counted.map_err(|_| RateError::BurstTooLarge { burst_bytes })?,
        })
    }

    /// A rate as far as it is given: 0 is none, and a burst needs one.
    ///
    /// # Errors
    /// [`RateError`], as of [`Rate::new`].
    pub fn given(
        bits_per_second: Option<u64>,
        burst_bytes: Option<u64>,
    ) -> Result<Option<Self>, RateError> {
        match (
            bits_per_second.filter(|rate| *rate > 0),
            burst_bytes.filter(|burst| *burst > 0),
        ) {
            (None, None) => Ok(None),
            (None, Some(burst_bytes)) => Err(RateError::BurstAlone { burst_bytes }),
            (Some(rate), burst) => Self::new(rate, burst).map(Some),
        }
    }

    /// Bits per second.
    #[must_use]
    pub const fn bits_per_second(self) -> u64 {
        self.bits_per_second
    }

    /// Bytes that may come at once after a pause.
    #[must_use]
    pub const fn burst_bytes(self) -> u32 {
        self.burst_bytes
    }

    /// Sees to it that a full frame passes on a network of this MTU.
    ///
    /// # Errors
    /// [`RateError::BurstTooSmall`] if not.
    pub const fn check(self, mtu_bytes: u32) -> Result<(), RateError> {
        let needed_bytes = frame_bytes(mtu_bytes);
        if self.burst_bytes >= needed_bytes {
            return Ok(());
        }
        Err(RateError::BurstTooSmall {
            burst_bytes: self.burst_bytes,
            needed_bytes,
        })
    }
}

/// Length of a full frame in bytes.
#[must_use]
pub const fn frame_bytes(mtu_bytes: u32) -> u32 {
    mtu_bytes.saturating_add(ETHERNET_HEADER_BYTES)
}

impl TryFrom<Given> for Rate {
    type Error = RateError;

    fn try_from(given: Given) -> Result<Self, RateError> {
        Self::new(given.bits_per_second, given.burst_bytes)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Rate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Given::json_schema(generator)
    }
}

/// As tc(8) writes it: `10mbit`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [
            (1_000_000_000_000, "tbit"),
            (1_000_000_000, "gbit"),
            (1_000_000, "mbit"),
            (1_000, "kbit"),
        ];
        let bits = self.bits_per_second;
        let unit = units.iter().find(|(size, _)| bits.is_multiple_of(*size));
        let (size, unit) = unit.copied().unwrap_or((1, "bit"));
        write!(f, "{}{unit}", bits / size)
    }
}

/// Reads a rate as tc(8) does, `10mbit`, in bits per second; without a unit they are bits. A `k` is 1000.
///
/// # Errors
/// [`RateError::RateForm`].
pub fn parse_rate(text: &str) -> Result<u64, RateError> {
    let units = [
        ("", 0),
        ("bit", 0),
        ("kbit", 1),
        ("mbit", 2),
        ("gbit", 3),
        ("tbit", 4),
    ];
    let parsed = measured(text, &units, 1_000);
    parsed.ok_or_else(|| RateError::RateForm {
        given: text.to_owned(),
    })
}

/// Reads a burst as tc(8) does, `64kb`, in bytes; without a unit they are bytes. A `k` is 1024 here.
///
/// # Errors
/// [`RateError::BurstForm`].
pub fn parse_burst(text: &str) -> Result<u64, RateError> {
    let units = [
        ("", 0),
        ("b", 0),
        ("k", 1),
        ("kb", 1),
        ("m", 2),
        ("mb", 2),
        ("g", 3),
        ("gb", 3),
    ];
    let parsed = measured(text, &units, 1_024);
    parsed.ok_or_else(|| RateError::BurstForm {
        given: text.to_owned(),
    })
}

/// A whole number times `base` to the power that its unit stands for.
fn measured(text: &str, units: &[(&str, u32)], base: u64) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let power = units.iter().find(|(name, _)| *name == unit)?.1;
    number.parse::<u64>().ok()?.checked_mul(base.pow(power))
}

/// The limits of an endpoint's traffic, each direction by itself. `in` is what comes to the container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Of what comes to the container; `None` for no limit.
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    pub inward: Option<Rate>,
    /// Of what the container sends; `None` for no limit.
    #[serde(rename = "out", skip_serializing_if = "Option::is_none")]
    pub outward: Option<Rate>,
}

impl Rates {
    /// True if neither direction is limited.
    #[must_use]
    pub const fn is_unlimited(&self) -> bool {
        self.inward.is_none() && self.outward.is_none()
    }

    /// Sees to it that a full frame passes on a network of this MTU.
    ///
    /// # Errors
    /// [`RateError::BurstTooSmall`] if not.
    pub fn check(&self, mtu_bytes: u32) -> Result<(), RateError> {
        let mut limits = self.inward.into_iter().chain(self.outward);
        limits.try_for_each(|rate| rate.check(mtu_bytes))
    }
}

/// As in `in 10mbit, out 1mbit`.
impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.inward, self.outward) {
            (None, None) => f.write_str("unlimited"),
            (Some(inward), None) => write!(f, "in {inward}"),
            (None, Some(outward)) => write!(f, "out {outward}"),
            (Some(inward), Some(outward)) => write!(f, "in {inward}, out {outward}"),
        }
    }
}

#[cfg(test)]
mod tests;
