//! `POST /networks/create`: Docker's request made the engine's.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use netd_api::{NetworkRequest, PoolRequest};
use netd_model::name::ParseNameError;
use netd_model::subnet::ParseSubnetError;
use netd_model::{NetworkName, Subnet};

use super::given::Json;
use super::problem::Problem;
use super::version::ApiVersion;
use super::whole;
use super::wire::network::{CreateRequest, Created, Ipam, Pool};
use crate::engine::{AskedError, EngineError};
use crate::http::routes::App;

pub(super) async fn create(
    Shared(app): Shared<App>,
    version: ApiVersion,
    Json(request): Json<CreateRequest>,
) -> Result<(StatusCode, axum::Json<Created>), Problem> {
    let request = understood(request, version)?;
    let network = whole(async move { app.engine.create_network(request).await }).await??;
    let created = Created {
        id: network.id,
        warning: String::new(),
    };
    Ok((StatusCode::CREATED, axum::Json(created)))
}

/// What a text says; an empty one says nothing.
pub(super) fn said(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn understood(request: CreateRequest, version: ApiVersion) -> Result<NetworkRequest, Problem> {
    let name = name(request.name.as_deref().unwrap_or_default())?;
    if let Some(scope) = said(request.scope).filter(|scope| scope != "local") {
        return Err(Problem::bad(format!(
            "invalid network scope {scope:?}: netd has networks of scope local"
        )));
    }
    if request.ingress == Some(true) {
        return Err(Problem::bad(
            "there is no swarm, so no network can be its entrance; leave Ingress out",
        ));
    }
    // Older clients say no where nobody said anything.
    let ipv6 = request
        .enable_ipv6
        .filter(|yes| *yes || version >= ApiVersion::IPV6_LEFT_OPEN);
    let config_from = request.config_from.and_then(|from| said(from.network));
    Ok(NetworkRequest {
        name,
        driver: said(request.driver),
        internal: request.internal.unwrap_or_default(),
        attachable: request.attachable.unwrap_or_default(),
        ipv4: request.enable_ipv4,
        ipv6,
        pools: pools(request.ipam.unwrap_or_default())?,
        options: request.options.unwrap_or_default(),
        labels: request.labels.unwrap_or_default(),
        dns_servers: Vec::new(),
        config_only: request.config_only.unwrap_or_default(),
        config_from,
    })
}

fn name(text: &str) -> Result<NetworkName, Problem> {
    NetworkName::new(text).map_err(|error| match error {
        ParseNameError::Empty { .. } => Problem::bad("invalid name: name is empty"),
        ParseNameError::Reserved { given, .. } if given == "default" => Problem::new(
            StatusCode::FORBIDDEN,
            "operation is not permitted on predefined default network",
        ),
        other => Problem::bad(format!("invalid name: {other}")),
    })
}

fn pools(ipam: Ipam) -> Result<Vec<PoolRequest>, Problem> {
    if let Some(driver) = said(ipam.driver).filter(|driver| driver != "default") {
        return Err(EngineError::from(AskedError::UnknownDriver { driver }).into());
    }
    let pools = ipam.config.unwrap_or_default().into_iter();
    // A client that has nothing to say may say so with an empty entry.
    let pools = pools
        .map(pool)
        .filter(|pool| pool != &Ok(PoolRequest::default()));
    pools.collect()
}

fn pool(pool: Pool) -> Result<PoolRequest, Problem> {
    let aux = pool.auxiliary_addresses.unwrap_or_default().into_iter();
    let aux = aux.map(|(name, address)| {
        let address = parsed("auxiliary address", &address)?;
        Ok((name, address))
    });
    Ok(PoolRequest {
        subnet: said(pool.subnet)
            .map(|text| subnet("subnet", &text))
            .transpose()?,
        range: said(pool.ip_range)
            .map(|text| subnet("ip-range", &text))
            .transpose()?,
        gateway: said(pool.gateway)
            .map(|text| parsed::<IpAddr>("gateway", &text))
            .transpose()?,
        aux: aux.collect::<Result<BTreeMap<_, _>, Problem>>()?,
    })
}

fn invalid(what: &str, given: &str, reason: impl Display) -> Problem {
    Problem::bad(format!(
        "invalid network config:\ninvalid {what} {given}: {reason}"
    ))
}

fn subnet(what: &str, text: &str) -> Result<Subnet, Problem> {
    text.parse().map_err(|error| match error {
        ParseSubnetError::HostBits { meant, .. } => {
            invalid(what, text, format!("it should be {meant}"))
        }
        ParseSubnetError::Form { .. } => {
            invalid(what, text, "expected ADDRESS/PREFIX such as 172.28.0.0/16")
        }
    })
}

fn parsed<T: FromStr<Err: Display>>(what: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error| invalid(what, text, error))
}
