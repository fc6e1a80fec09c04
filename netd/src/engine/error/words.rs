//! Parts of the sentences that depend on what happened.

use netd_kernel::ReservePortError;
use netd_model::{IpNetwork, Subnet};

/// What docker0 was to do.
pub(super) fn moved(from: Subnet, to: Option<IpNetwork>) -> String {
    match to {
        Some(to) => format!("move from {from} to {to}"),
        None => format!("leave {from}"),
    }
}

/// What in the configuration keeps docker0 where it is.
pub(super) fn former_key(from: Subnet) -> String {
    match from.is_ipv4() {
        true => format!("bip {from}"),
        false => format!("ipv6 true with fixed-cidr-v6 {from}"),
    }
}

/// What to do about a port that a process has; the other refusals say it themselves.
pub(super) fn advice(error: &ReservePortError) -> &'static str {
    match error {
        ReservePortError::Taken { .. } => "; publish another port or stop that process",
        ReservePortError::NotMyAddress { .. }
        | ReservePortError::TooMany { .. }
        | ReservePortError::Os { .. } => "",
    }
}
