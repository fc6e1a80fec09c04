//! `IpamDriver`: pools and addresses.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State as Shared;
use axum::routing::post;
use axum::{Json, Router};
use netd_model::{DockerPoolId, Subnet};

use super::refused::{Asked, Refused, whole};
use super::wire::{
    AddressAnswer, AddressRelease, AddressRequest, AddressSpaces, Done, IpamCapabilities,
    PoolAnswer, PoolRelease, PoolRequest, optional, parsed,
};
use crate::engine::{AddressAsked, Engine, PoolAsked};

/// The one space of addresses that netd has.
pub(super) const ADDRESS_SPACE: &str = "netd";
/// Key of a gateway in what comes with a pool, and the value of [`ADDRESS_TYPE`] where one is asked for.
const GATEWAY: &str = "com.docker.network.gateway";
/// Key that says what an address is for.
const ADDRESS_TYPE: &str = "RequestAddressType";

pub(super) fn methods() -> Router<Arc<Engine>> {
    Router::new()
        .route("/IpamDriver.GetCapabilities", post(capabilities))
        .route("/IpamDriver.GetDefaultAddressSpaces", post(spaces))
        .route("/IpamDriver.RequestPool", post(request_pool))
        .route("/IpamDriver.ReleasePool", post(release_pool))
        .route("/IpamDriver.RequestAddress", post(request_address))
        .route("/IpamDriver.ReleaseAddress", post(release_address))
}

/// Nothing has to be told again after a restart: what was given is written down.
async fn capabilities() -> Json<IpamCapabilities> {
    Json(IpamCapabilities {
        requires_mac_address: false,
        requires_request_replay: false,
    })
}

async fn spaces() -> Json<AddressSpaces> {
    Json(AddressSpaces {
        local_default_address_space: ADDRESS_SPACE,
        global_default_address_space: ADDRESS_SPACE,
    })
}

async fn request_pool(
    Shared(engine): Shared<Arc<Engine>>,
    Asked(request): Asked<PoolRequest>,
) -> Result<Json<PoolAnswer>, Refused> {
    if !matches!(request.address_space.as_str(), "" | ADDRESS_SPACE) {
        return Err(Refused::because(format!(
            "netd has no address space {:?}; its only one is {ADDRESS_SPACE:?}",
            request.address_space
        )));
    }
    if let Some(key) = request.options.iter().flatten().map(|(key, _)| key).next() {
        return Err(Refused::because(format!(
            "netd's IPAM has no option {key:?}; leave --ipam-opt out"
        )));
    }
    let asked = PoolAsked {
        subnet: optional("Pool", &request.pool)?,
        range: optional("SubPool", &request.sub_pool)?,
        ipv6: request.v6,
    };
    let granted = whole(async move { engine.request_pool(asked).await }).await?;
    let gateway = granted.gateway.map(|gateway| {
        let gateway = granted.subnet.with_address(gateway);
        (GATEWAY, gateway.to_string())
    });
    Ok(Json(PoolAnswer {
        pool_id: DockerPoolId(granted.subnet).to_string(),
        pool: granted.subnet.to_string(),
        data: gateway.into_iter().collect(),
    }))
}

async fn release_pool(
    Shared(engine): Shared<Arc<Engine>>,
    Asked(request): Asked<PoolRelease>,
) -> Result<Json<Done>, Refused> {
    let pool = pool(&request.pool_id)?;
    whole(async move { engine.release_pool(pool).await }).await?;
    Ok(Json(Done {}))
}

async fn request_address(
    Shared(engine): Shared<Arc<Engine>>,
    Asked(request): Asked<AddressRequest>,
) -> Result<Json<AddressAnswer>, Refused> {
    let kind = request
        .options
        .as_ref()
        .and_then(|all| all.get(ADDRESS_TYPE));
    let asked = AddressAsked {
        pool: pool(&request.pool_id)?,
        address: optional("Address", &request.address)?,
        is_gateway: kind.is_some_and(|kind| kind == GATEWAY),
    };
    let address = whole(async move { engine.request_address(asked).await }).await?;
    Ok(Json(AddressAnswer {
        address: address.to_string(),
        data: BTreeMap::new(),
    }))
}

async fn release_address(
    Shared(engine): Shared<Arc<Engine>>,
    Asked(request): Asked<AddressRelease>,
) -> Result<Json<Done>, Refused> {
    let pool = pool(&request.pool_id)?;
    let address: IpAddr = parsed("Address", &request.address)?;
    whole(async move { engine.release_address(pool, address).await }).await?;
    Ok(Json(Done {}))
}

fn pool(id: &str) -> Result<Subnet, Refused> {
    let DockerPoolId(subnet) = parsed("PoolID", id)?;
    Ok(subnet)
}
