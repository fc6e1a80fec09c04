//! How fast a container's traffic may be.

use clap::Args;
use netd_api::{Rate, Rates, parse_burst, parse_rate};

use crate::net::failure::Failure;

/// Flags of limits, for each verb that makes a place on a network.
#[derive(Clone, Copy, Debug, Args)]
pub(in crate::net) struct RateArgs {
    /// How fast traffic to the container may be, as tc(8) writes it: 10mbit (bit, kbit, mbit, gbit, tbit)
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    rate_in: Option<u64>,
    /// How fast traffic from the container may be
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    rate_out: Option<u64>,
    /// How much may come to it at once after a pause: 64kb (b, kb, mb, gb) [default: 50 ms of the rate, 16kb at least]
    #[arg(long, value_name = "BYTES", value_parser = parse_burst, requires = "rate_in")]
    burst_in: Option<u64>,
    /// How much it may send at once after a pause
    #[arg(long, value_name = "BYTES", value_parser = parse_burst, requires = "rate_out")]
    burst_out: Option<u64>,
}

impl RateArgs {
    /// The limits that they ask for; a rate of 0 is none.
    ///
    /// # Errors
    /// [`Failure::Usage`] names the flag.
    pub(in crate::net) fn rates(self) -> Result<Rates, Failure> {
        let limit = |flag: &str, rate, burst| {
            Rate::given(rate, burst).map_err(|error| Failure::Usage(format!("{flag}: {error}")))
        };
        Ok(Rates {
            inward: limit("--rate-in", self.rate_in, self.burst_in)?,
            outward: limit("--rate-out", self.rate_out, self.burst_out)?,
        })
    }
}
