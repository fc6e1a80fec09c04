//! Names and Ethernet addresses that follow from identities, so that they come out the same after a restart.
//!
//! Must not know which names are taken; the caller asks again with another salt.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netd_model::name::ParseNameError;
use netd_model::{Endpoint, EndpointId, IfName, InterfacePrefix, Lease, Mac, NetworkId};

/// The bridge of a network: `br-` and 12 digits of its id, as in Docker; 15 bytes, all that Linux allows.
///
/// # Errors
/// None in practice: the form is a valid name for every id.
pub fn bridge_name(network: NetworkId) -> Result<IfName, ParseNameError> {
    IfName::new(&format!("br-{}", network.short()))
}

/// The host end of an endpoint's veth pair: `veth` and 7 digits, as in Docker. `salt` is 0 at first; each further one,
/// below 2^28, gives another name, for when two endpoints' ids begin alike.
///
/// # Errors
/// None in practice: the form is a valid name for every id.
pub fn host_interface_name(endpoint: EndpointId, salt: u32) -> Result<IfName, ParseNameError> {
    let [a, b, c, d, ..] = *endpoint.as_bytes();
    let seven_digits = u32::from_be_bytes([a, b, c, d]) >> 4;
    let salted = seven_digits.wrapping_add(salt) & 0x0fff_ffff;
    IfName::new(&format!("veth{salted:07x}"))
}

/// The device that what comes in by the outer end of a pair goes through: `ifb` in the place of `veth`, so that both are
/// seen to belong together, and one is as unique as the other. `None` if the end is called otherwise than
/// [`host_interface_name`] has it, which none is.
#[must_use]
pub fn ifb_name(outside: &IfName) -> Option<IfName> {
    let digits = outside.as_str().strip_prefix("veth")?;
    IfName::new(&format!("ifb{digits}")).ok()
}

/// The next interface inside a container: the prefix with the lowest number that none of its `endpoints` has and that is
/// not `present` there otherwise, by the hand of another runtime.
///
/// # Errors
/// None in practice: a container would need 10^12 endpoints for a name that is too long.
pub fn next_inside_name<'a>(
    endpoints: impl IntoIterator<Item = &'a Endpoint>,
    present: &BTreeSet<IfName>,
    prefix: &InterfacePrefix,
) -> Result<IfName, ParseNameError> {
    let own = endpoints
        .into_iter()
        .filter_map(|endpoint| endpoint.interface.as_ref())
        .map(|interface| interface.inside.as_str());
    let taken: BTreeSet<&str> = own.chain(present.iter().map(IfName::as_str)).collect();
    // Among one name more than are taken, one is free.
    let free = (0..=taken.len())
        .map(|number| format!("{}{number}", prefix.as_str()))
        .find(|name| !taken.contains(name.as_str()));
    IfName::new(&free.unwrap_or_default())
}

/// The Ethernet address inside a container: the one asked for, or Docker's 02:42 and the IPv4 address, so that an
/// address that returns brings the MAC that neighbours remember; without IPv4, 02:42 and the endpoint's id.
#[must_use]
pub fn mac_for(endpoint: EndpointId, leases: &[Lease], requested: Option<Mac>) -> Mac {
    let ipv4 = leases.iter().find_map(|lease| match lease.address {
        IpAddr::V4(address) => Some(Mac::from_ipv4(address)),
        IpAddr::V6(_) => None,
    });
    requested.or(ipv4).unwrap_or(local_mac(endpoint.as_bytes()))
}

/// The Ethernet address of a network's bridge: 02:42 and the network's id.
#[must_use]
pub fn bridge_mac(network: NetworkId) -> Mac {
    local_mac(network.as_bytes())
}

/// The second bit of the first octet, 02, says "locally administered" (IEEE 802, section 8.4).
fn local_mac(id: &[u8; 32]) -> Mac {
    let [a, b, c, d, ..] = *id;
    Mac::from_octets([0x02, 0x42, a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{endpoint, network};

    #[test]
    fn names_follow_from_ids_as_in_docker() {
        let text = "342c7e60094a".to_owned() + &"0".repeat(52);
        let network = text.parse().unwrap();
        let bridge = bridge_name(network).unwrap();
        assert_eq!(bridge.as_str(), "br-342c7e60094a");
        assert_eq!(bridge_mac(network).to_string(), "02:42:34:2c:7e:60");
        let endpoint = text.parse().unwrap();
        let veth = host_interface_name(endpoint, 0).unwrap();
        assert_eq!(veth.as_str(), "veth342c7e6");
    }

    #[test]
    fn each_salt_gives_another_valid_name() {
        for id in [[0xff; 32], [0; 32]] {
            let id = EndpointId::from_bytes(id);
            let names = (0..1000).map(|salt| host_interface_name(id, salt).unwrap());
            assert_eq!(names.collect::<BTreeSet<_>>().len(), 1000);
        }
    }

    #[test]
    fn the_lowest_free_name_inside_is_next() {
        let network = network("a", 1, &["10.0.0.0/24"]);
        let name = |numbers: &[u8]| {
            let endpoints: Vec<_> = numbers.iter().map(|n| endpoint(&network, *n)).collect();
            let present = BTreeSet::from(["lo".parse().unwrap(), "eth5".parse().unwrap()]);
            next_inside_name(&endpoints, &present, &InterfacePrefix::default())
                .unwrap()
                .to_string()
        };
        assert_eq!(
            name(&[0, 1, 2, 3, 4]),
            "eth6",
            "another's name is passed over"
        );
        assert_eq!(name(&[]), "eth0");
        assert_eq!(name(&[0, 1, 2]), "eth3");
        assert_eq!(name(&[0, 2]), "eth1");
        assert_eq!(name(&[7]), "eth0");
    }

    #[test]
    fn the_mac_is_the_one_asked_for_or_follows_the_address() {
        let dual = network("a", 1, &["fd00::/64", "172.17.0.0/16"]);
        let endpoint = endpoint(&dual, 5);
        let asked = "02:00:00:00:00:09".parse().unwrap();
        let mac = |leases, requested| mac_for(endpoint.id, leases, requested).to_string();
        assert_eq!(mac(&endpoint.leases, Some(asked)), "02:00:00:00:00:09");
        assert_eq!(mac(&endpoint.leases, None), "02:42:ac:11:00:02");
        assert_eq!(mac(&endpoint.leases[..1], None), "02:42:05:05:05:05");
    }
}
