//! A network as Docker's engine asks for it, read into what the engine of netd understands.

use std::collections::BTreeMap;

use netd_api::PoolRequest;
use netd_model::{IpNetwork, NetworkId, NetworkName, Subnet};
use serde_json::Value;

use super::refused::Refused;
use super::wire::{IpamData, NetworkRequest, optional, parsed};
use crate::engine::NetworkAsked;

/// Key of the options that a user gives with `-o`.
const GENERIC: &str = "com.docker.network.generic";
/// Key of `--internal`.
const INTERNAL: &str = "com.docker.network.internal";
/// Option that names netd's network: the engine does not tell what a network is called.
const NAME: &str = "netd.name";

/// Reads a request.
pub(super) fn network_asked(request: NetworkRequest) -> Result<NetworkAsked, Refused> {
    let id: NetworkId = parsed("NetworkID", &request.network_id)?;
    let (v4, v6) = (
        request.ipv4_data.unwrap_or_default(),
        request.ipv6_data.unwrap_or_default(),
    );
    let given = request.options.unwrap_or_default();
    let mut options = options_of_user(given.get(GENERIC))?;
    let name = match options.remove(NAME) {
        Some(text) => Some(parsed::<NetworkName>(NAME, &text)?),
        None => None,
    };
    let internal = given.get(INTERNAL).and_then(Value::as_bool);
    let (has_v4, has_v6) = (!v4.is_empty(), !v6.is_empty());
    let pools = v4.into_iter().chain(v6).map(pool);
    Ok(NetworkAsked {
        id,
        request: netd_api::NetworkRequest {
            name: match &name {
                Some(name) => name.clone(),
                None => NetworkAsked::name_of(id)?,
            },
            driver: None,
            internal: internal.unwrap_or_default(),
            attachable: false,
            ipv4: Some(has_v4),
            ipv6: Some(has_v6),
            pools: pools.collect::<Result<_, _>>()?,
            options,
            labels: BTreeMap::new(),
            dns_servers: Vec::new(),
            config_only: false,
            config_from: None,
        },
        name,
    })
}

fn options_of_user(given: Option<&Value>) -> Result<BTreeMap<String, String>, Refused> {
    let Some(given) = given.filter(|given| !given.is_null()) else {
        return Ok(BTreeMap::new());
    };
    serde_json::from_value(given.clone())
        .map_err(|error| Refused::malformed(format!("{GENERIC}: {error}")))
}

fn pool(data: IpamData) -> Result<PoolRequest, Refused> {
    let with_prefix = |field: &str, text: &str| -> Result<IpNetwork, Refused> {
        parsed::<IpNetwork>(field, text)
    };
    let subnet: Subnet = parsed("Pool", &data.pool)?;
    let gateway = optional::<IpNetwork>("Gateway", &data.gateway)?;
    let aux = data.aux_addresses.unwrap_or_default().into_iter();
    let aux = aux.map(|(name, text)| Ok((name, with_prefix("AuxAddresses", &text)?.ip())));
    Ok(PoolRequest {
        subnet: Some(subnet),
        range: None,
        gateway: gateway.map(|gateway| gateway.ip()),
        aux: aux.collect::<Result<_, Refused>>()?,
    })
}
