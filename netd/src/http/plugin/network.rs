//! `NetworkDriver`: networks and endpoints.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State as Shared;
use axum::routing::post;
use axum::{Extension, Json, Router};
use netd_model::{ContainerId, NetworkId};

use super::news::Bell;
use super::ports::published;
use super::refused::{Asked, Refused, whole};
use super::request::network_asked;
use super::wire::{
    Allocated, Capabilities, Done, EndpointAnswer, EndpointName, EndpointRequest, Interface,
    InterfaceName, JoinAnswer, JoinRequest, NetworkName, NetworkRequest, OperationalInfo,
    PortsRequest, optional, parsed,
};
use crate::engine::{EndpointAsked, Engine, HandedOver};

pub(super) fn methods() -> Router<Arc<Engine>> {
    Router::new()
        .route("/NetworkDriver.GetCapabilities", post(capabilities))
        .route("/NetworkDriver.AllocateNetwork", post(allocate_network))
        .route("/NetworkDriver.FreeNetwork", post(nothing_to_do))
        .route("/NetworkDriver.CreateNetwork", post(create_network))
        .route("/NetworkDriver.DeleteNetwork", post(delete_network))
        .route("/NetworkDriver.CreateEndpoint", post(create_endpoint))
        .route("/NetworkDriver.EndpointOperInfo", post(operational_info))
        .route("/NetworkDriver.DeleteEndpoint", post(delete_endpoint))
        .route("/NetworkDriver.Join", post(join))
        .route("/NetworkDriver.Leave", post(leave))
        .route("/NetworkDriver.ProgramExternalConnectivity", post(publish))
        .route("/NetworkDriver.RevokeExternalConnectivity", post(unpublish))
        .route("/NetworkDriver.DiscoverNew", post(nothing_to_do))
        .route("/NetworkDriver.DiscoverDelete", post(nothing_to_do))
}

/// A network is this host's, and connects the containers of this host.
async fn capabilities() -> Json<Capabilities> {
    Json(Capabilities {
        scope: "local",
        connectivity_scope: "local",
    })
}

/// What is only of use where networks span hosts.
async fn nothing_to_do() -> Json<Done> {
    Json(Done {})
}

async fn allocate_network() -> Json<Allocated> {
    Json(Allocated {
        options: BTreeMap::new(),
    })
}

async fn create_network(
    Shared(engine): Shared<Arc<Engine>>,
    Asked(request): Asked<NetworkRequest>,
) -> Result<Json<Done>, Refused> {
    let asked = network_asked(request)?;
    whole(async move { engine.create_docker_network(asked).await }).await?;
    Ok(Json(Done {}))
}

async fn delete_network(
    Shared(engine): Shared<Arc<Engine>>,
    Asked(request): Asked<NetworkName>,
) -> Result<Json<Done>, Refused> {
    let id: NetworkId = parsed("NetworkID", &request.network_id)?;
    whole(async move { engine.delete_docker_network(id).await }).await?;
    Ok(Json(Done {}))
}

async fn create_endpoint(
    Shared(engine): Shared<Arc<Engine>>,
    Asked(request): Asked<EndpointRequest>,
) -> Result<Json<EndpointAnswer>, Refused> {
    let given = request.interface.unwrap_or_default();
    let v4 = optional("Address", &given.address)?;
    let v6 = optional("AddressIPv6", &given.address_ipv6)?;
    let addresses = [v4, v6].into_iter().flatten();
    let asked = EndpointAsked {
        network: parsed("NetworkID", &request.network_id)?,
        id: parsed("EndpointID", &request.endpoint_id)?,
        addresses: addresses
            .map(|with_prefix: netd_model::IpNetwork| with_prefix.ip())
            .collect(),
        mac: optional("MacAddress", &given.mac_address)?,
    };
    let chosen = match asked.addresses.is_empty() {
        true => Chosen::Addresses,
        false => Chosen::Nothing,
    };
    let has_mac = asked.mac.is_some();
    let made = whole(async move { engine.create_docker_endpoint(asked).await }).await?;
    Ok(Json(EndpointAnswer {
        interface: interface(&made, chosen, has_mac),
    }))
}

/// What netd chose of an endpoint's addresses: the engine takes an answer about what it has said for a contradiction.
enum Chosen {
    Nothing,
    Addresses,
}

fn interface(made: &HandedOver, chosen: Chosen, has_mac: bool) -> Interface {
    let address = |is_v4: bool| {
        let mut leases = made.leases.iter();
        let lease = leases.find(|lease| lease.address.is_ipv4() == is_v4);
        lease.map_or_else(String::new, |lease| lease.interface_address().to_string())
    };
    let mac = match has_mac {
        true => String::new(),
        false => made.mac.to_string(),
    };
    match chosen {
        Chosen::Nothing => Interface {
            mac_address: mac,
            ..Interface::default()
        },
        Chosen::Addresses => Interface {
            address: address(true),
            address_ipv6: address(false),
            mac_address: mac,
        },
    }
}

async fn operational_info(
    Shared(engine): Shared<Arc<Engine>>,
    Asked(request): Asked<EndpointName>,
) -> Result<Json<OperationalInfo>, Refused> {
    let id: ContainerId = parsed("EndpointID", &request.endpoint_id)?;
    let there = whole(async move { engine.docker_endpoint(id).await }).await?;
    let value = [
        ("netd.network", there.network),
        ("netd.interface", there.outside.to_string()),
    ];
    Ok(Json(OperationalInfo {
        value: value.into_iter().collect(),
    }))
}

async fn delete_endpoint(
    Shared(engine): Shared<Arc<Engine>>,
    Asked(request): Asked<EndpointName>,
) -> Result<Json<Done>, Refused> {
    let id: ContainerId = parsed("EndpointID", &request.endpoint_id)?;
    whole(async move { engine.delete_docker_endpoint(id).await }).await?;
    Ok(Json(Done {}))
}

async fn join(
    Shared(engine): Shared<Arc<Engine>>,
    Extension(bell): Extension<Bell>,
    Asked(request): Asked<JoinRequest>,
) -> Result<Json<JoinAnswer>, Refused> {
    let _: NetworkId = parsed("NetworkID", &request.network_id)?;
    let id: ContainerId = parsed("EndpointID", &request.endpoint_id)?;
    let there = engine.docker_endpoint(id).await?;
    bell.ring();
    let gateway = |is_v4: bool| {
        let mut gateways = there.gateways.iter();
        let gateway = gateways.find(|gateway: &&IpAddr| gateway.is_ipv4() == is_v4);
        gateway.map_or_else(String::new, ToString::to_string)
    };
    Ok(Json(JoinAnswer {
        interface_name: InterfaceName {
            src_name: there.interface.to_string(),
            dst_prefix: there.prefix.as_str().to_owned(),
        },
        gateway: gateway(true),
        gateway_ipv6: gateway(false),
        // Where nothing leads out, the engine is not to lead out by a network of its own (docker_gwbridge).
        disable_gateway_service: there.gateways.is_empty(),
    }))
}

/// The interface stays the endpoint's: the engine puts it back on the host, and may give it to a container again.
async fn leave(Asked(request): Asked<EndpointName>) -> Result<Json<Done>, Refused> {
    let _: ContainerId = parsed("EndpointID", &request.endpoint_id)?;
    Ok(Json(Done {}))
}

async fn publish(
    Shared(engine): Shared<Arc<Engine>>,
    Asked(request): Asked<PortsRequest>,
) -> Result<Json<Done>, Refused> {
    let id: ContainerId = parsed("EndpointID", &request.endpoint_id)?;
    let requests = published(request.options.unwrap_or_default().port_map)?;
    whole(async move { engine.publish_of_docker(id, requests).await }).await?;
    Ok(Json(Done {}))
}

async fn unpublish(
    Shared(engine): Shared<Arc<Engine>>,
    Asked(request): Asked<EndpointName>,
) -> Result<Json<Done>, Refused> {
    let id: ContainerId = parsed("EndpointID", &request.endpoint_id)?;
    whole(async move { engine.unpublish_of_docker(id).await }).await?;
    Ok(Json(Done {}))
}
