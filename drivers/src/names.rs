//! Names and Ethernet addresses that follow from identities, so that they come out the same after a restart.
//!
//! Must not know which names are taken; the caller asks again with another salt.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netd_model::name::ParseNameError;
use netd_model::{Endpoint, EndpointId, IfName, Lease, Mac, NetworkId};

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

/// The next interface inside a container: the lowest `ethN` that none of its `endpoints` has.
///
/// # Errors
/// None in practice: a container would need 10^12 endpoints for a name that is too long.
pub fn next_inside_name<'a>(
    endpoints: impl IntoIterator<Item = &'a Endpoint>,
) -> Result<IfName, ParseNameError> {
    let taken: BTreeSet<&str> = endpoints
        .into_iter()
        .filter_map(|endpoint| endpoint.interface.as_ref())
        .map(|interface| interface.inside.as_str())
        .collect();
    // Among one name more than there are endpoints, one is free.
    let free = (0..=taken.len())
        .map(|number| format!("eth{number}"))
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
