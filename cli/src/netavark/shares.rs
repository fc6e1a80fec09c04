//! Which part of a subnet is Podman's and which is everybody else's: Podman gives out addresses without asking netd.

use netd_api::Subnet;

use super::wire::{LeaseRange, SubnetOf};

/// How often a subnet is halved in search of a part that Podman leaves alone.
const HALVINGS: u8 = 4;

/// Shortest rest of an address, in bits, that is worth to be halved: four addresses.
const SMALLEST: u8 = 3;

/// The part that containers of other runtimes get addresses of: the upper half of the subnet, since Podman begins
/// below; or the largest part outside of what Podman gives out, if the network says what that is. `None` for a subnet
/// that is too small to share.
pub(super) fn of_others(subnet: &SubnetOf) -> Option<Subnet> {
    let whole = subnet.subnet;
    let given = subnet.lease_range;
    for more in 1..=HALVINGS {
        let prefix = whole.prefix() + more;
        let widest = if whole.is_ipv4() { 32 } else { 128 };
        if prefix + SMALLEST > widest {
            return None;
        }
        let parts = (0..1_u128 << more).rev();
        let mut free = parts
            .filter_map(|number| {
                let first = whole.nth(number << (widest - prefix))?;
                Subnet::new(first, prefix).ok()
            })
            .filter(|part| !given.is_some_and(|given| meets(*part, whole, given)));
        if let Some(part) = free.next() {
            return Some(part);
        }
    }
    None
}

/// True if some address is in both.
fn meets(part: Subnet, whole: Subnet, given: LeaseRange) -> bool {
    let first = given.start_ip.unwrap_or(whole.first());
    let last = given.end_ip.unwrap_or(whole.last());
    part.first() <= last && first <= part.last()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(subnet: &str, range: Option<(&str, &str)>) -> Option<String> {
        let end = |text: &str| text.parse().ok();
        let of = SubnetOf {
            subnet: subnet.parse().unwrap(),
            gateway: None,
            lease_range: range.map(|(first, last)| LeaseRange {
                start_ip: end(first),
                end_ip: end(last),
            }),
        };
        of_others(&of).map(|part| part.to_string())
    }

    #[test]
    fn others_get_what_podman_leaves() {
        let none = None;
        for (subnet, range, expected) in [
            ("10.9.0.0/24", none, Some("10.9.0.128/25")),
            ("fd00::/64", none, Some("fd00::8000:0:0:0/65")),
            (
                "10.9.0.0/24",
                Some(("10.9.0.1", "10.9.0.127")),
                Some("10.9.0.128/25"),
            ),
            (
                "10.9.0.0/24",
                Some(("10.9.0.129", "10.9.0.255")),
                Some("10.9.0.0/25"),
            ),
            (
                "10.9.0.0/24",
                Some(("10.9.0.100", "10.9.0.200")),
                Some("10.9.0.0/26"),
            ),
            ("10.9.0.0/24", Some(("10.9.0.1", "")), None),
            ("10.9.0.0/30", none, None),
            ("10.9.0.0/28", none, Some("10.9.0.8/29")),
        ] {
            assert_eq!(
                share(subnet, range).as_deref(),
                expected,
                "{subnet} {range:?}"
            );
        }
    }
}
