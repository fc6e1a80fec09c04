//! The one place that says which status and sentence of Docker's an error of the engine has.
//!
//! Docker's own sentence comes first, since people look for it; where the engine says more (who holds it, what to do),
//! that stands behind it. Knows nothing of requests.

use std::net::IpAddr;

use axum::http::StatusCode;
use netd_api::ErrorCode;
use netd_drivers::OptionError;
use netd_ipam::{AllocateError, PlanPoolError};
use netd_model::{Alias, Container, DriverSpec, NamespaceMode, Network};

use super::problem::Problem;
use crate::engine::{AskedError, EngineError};

/// What Docker says of an error.
type Known = (StatusCode, String);

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let sentence = error.sentence();
        if let Some((status, docker)) = known(&error) {
            return match says_all(&error) {
                true => Self::new(status, docker),
                false => Self::new(status, sentence).after(&docker),
            };
        }
        let status = status(error.code());
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = %sentence, "a request failed");
        }
        Self::new(status, sentence)
    }
}

/// True for errors of which Docker's sentence says everything.
fn says_all(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::NetworkNotFound(_)
            | EngineError::ContainerNotFound(_)
            | EngineError::NetworkExists { .. }
            | EngineError::Builtin { .. }
            | EngineError::InUse { .. }
            | EngineError::AlreadyConnected { .. }
            | EngineError::NotConnected { .. }
            | EngineError::Pool(
                PlanPoolError::GatewayOutside { .. } | PlanPoolError::RangeOutside { .. }
            )
    )
}

/// Docker's status and sentence for what it refuses, too.
fn known(error: &EngineError) -> Option<Known> {
    match error {
        EngineError::NetworkNotFound(word) => not_found(format!("network {word} not found")),
        EngineError::ContainerNotFound(word) => not_found(format!("No such container: {word}")),
        EngineError::Builtin { name, action } => builtin(name, action),
        EngineError::Asked(error) => asked(error),
        EngineError::Pool(error) => pool(error),
        EngineError::Option(OptionError::BadValue { key, value, .. }) => {
            bad(format!("failed to parse {key} value: {value}"))
        }
        _ => of_network(error).or_else(|| of_endpoint(error)),
    }
}

fn bad(sentence: impl Into<String>) -> Option<Known> {
    Some((StatusCode::BAD_REQUEST, sentence.into()))
}

fn forbidden(sentence: impl Into<String>) -> Option<Known> {
    Some((StatusCode::FORBIDDEN, sentence.into()))
}

fn not_found(sentence: impl Into<String>) -> Option<Known> {
    Some((StatusCode::NOT_FOUND, sentence.into()))
}

/// Of `bridge`, `host` and `none`.
fn builtin(name: &str, action: &str) -> Option<Known> {
    match action {
        "made again" => forbidden(format!(
            "operation is not permitted on predefined {name} network"
        )),
        "removed" => forbidden(format!(
            "{name} is a pre-defined network and cannot be removed"
        )),
        "left while the container runs" => bad(format!(
            "cannot disconnect container from {name} network - container was created in {name} network mode"
        )),
        _ => None,
    }
}

/// Of a network that cannot be as it was asked for.
fn asked(error: &AskedError) -> Option<Known> {
    match error {
        AskedError::OnlyInstance { driver } => forbidden(format!(
            "only one instance of {driver:?} network is allowed"
        )),
        AskedError::UnknownDriver { driver } => not_found(format!("plugin {driver:?} not found")),
        AskedError::TwoSubnets { .. } => {
            forbidden("bridge driver doesn't support multiple subnets")
        }
    }
}

/// Of a network that is in the way, or in use.
fn of_network(error: &EngineError) -> Option<Known> {
    match error {
        EngineError::NetworkExists { name, .. } => Some((
            StatusCode::CONFLICT,
            format!("network with name {name} already exists"),
        )),
        EngineError::InterfaceTaken { name, .. } => forbidden(format!(
            "cannot create network: its bridge conflicts with interface {name}"
        )),
        EngineError::InUse {
            network,
            containers,
        } => {
            let quoted = containers.iter().map(|name| format!("name:{name:?}"));
            let quoted: Vec<String> = quoted.collect();
            forbidden(format!(
                "error while removing network: network {network} has active endpoints ({})",
                quoted.join(", ")
            ))
        }
        EngineError::ConfigurationInUse { network, .. } => forbidden(format!(
            "configuration network {:?} is in use",
            network.as_str()
        )),
        _ => None,
    }
}

/// Of a container's place on a network.
fn of_endpoint(error: &EngineError) -> Option<Known> {
    let outside = |address: &IpAddr| {
        bad(format!(
            "invalid endpoint settings:\nno configured subnet contains IP address {address}"
        ))
    };
    match error {
        EngineError::AlreadyConnected {
            container, network, ..
        } => forbidden(format!(
            "endpoint with name {container} already exists in network {network}"
        )),
        EngineError::NotConnected { container, network } => Some((
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("container {container} is not connected to network {network}"),
        )),
        EngineError::Address { source, .. } => match source {
            AllocateError::Taken { .. } => forbidden("Address already in use"),
            AllocateError::Exhausted { .. } => forbidden("No available addresses on this pool"),
            AllocateError::OutsideSubnet { address, .. } => outside(address),
        },
        EngineError::AddressNotAllowed {
            address, network, ..
        } => match network.as_str() {
            "bridge" => bad(
                "invalid endpoint settings:\nuser-specified IP address is supported on user-defined networks only",
            ),
            _ => outside(address),
        },
        _ => None,
    }
}

/// Of what can never be connected: Docker's sentence, and behind it the engine's.
pub(super) fn not_connectable(
    error: EngineError,
    network: &Network,
    container: &Container,
    aliases: &[Alias],
) -> Problem {
    let is_default = network.bridge().is_some_and(|spec| spec.is_default);
    let sentence = match (&network.driver, &container.namespace) {
        (DriverSpec::Host, _) => {
            "cannot connect container to host network - container must be created in host network mode"
        }
        (_, NamespaceMode::Host | NamespaceMode::Container(_)) => {
            "container sharing network namespace with another container or host cannot be connected to any other network"
        }
        (DriverSpec::Bridge(_), _) if is_default && !aliases.is_empty() => {
            "invalid endpoint settings:\nnetwork-scoped aliases are only supported for user-defined networks"
        }
        (DriverSpec::Bridge(_) | DriverSpec::Null, _) => {
            "container cannot be connected to multiple networks with one of the networks in private (none) mode"
        }
        (DriverSpec::Template(_), _) => return error.into(),
    };
    Problem::from(error).after(sentence)
}

/// Of a word that fits no network, or several.
pub(super) fn network_lookup(error: EngineError) -> Problem {
    match error {
        EngineError::Ambiguous { word, fitting } => Problem::bad(format!(
            "network {word} is ambiguous ({} matches found based on ID prefix: {})",
            fitting.len(),
            fitting.join(", ")
        )),
        other => other.into(),
    }
}

/// Of a word that fits no container, or several.
pub(super) fn container_lookup(error: EngineError) -> Problem {
    match error {
        EngineError::Ambiguous { word, fitting } => Problem::bad(format!(
            "multiple IDs found with provided prefix: {word} ({})",
            fitting.join(", ")
        )),
        other => other.into(),
    }
}

/// Of a pool that is not to be had.
fn pool(error: &PlanPoolError) -> Option<Known> {
    let bad = |sentence: String| bad(format!("invalid network config:\n{sentence}"));
    match error {
        PlanPoolError::Overlap { .. } => {
            forbidden("invalid pool request: Pool overlaps with other one on this address space")
        }
        PlanPoolError::Choose(_) => {
            self::bad("all predefined address pools have been fully subnetted")
        }
        PlanPoolError::GatewayOutside { gateway, subnet } => bad(format!(
            "invalid gateway {gateway}: parent subnet {subnet} doesn't contain this address"
        )),
        PlanPoolError::RangeOutside { range, subnet } => {
            bad(match range.contains_subnet(*subnet) {
                true => format!(
                    "invalid ip-range {range}: CIDR block is bigger than its parent subnet {subnet}"
                ),
                false => format!(
                    "invalid ip-range {range}: parent subnet {subnet} doesn't contain ip-range"
                ),
            })
        }
        PlanPoolError::NeedsSubnet { option, given } => bad(format!(
            "invalid {} {given}: its subnet is missing",
            option.trim_start_matches('-')
        )),
        PlanPoolError::AuxOutside {
            name,
            address,
            subnet,
        } => bad(format!(
            "invalid auxiliary address {name}: {address} - parent subnet {subnet} doesn't contain this address"
        )),
        _ => None,
    }
}

/// Docker's status for what has no sentence of Docker's.
fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidRequest
        | ErrorCode::InvalidName
        | ErrorCode::AddressNotAllowed
        | ErrorCode::NotConnectable
        | ErrorCode::NamespaceUnusable
        | ErrorCode::PoolsExhausted
        | ErrorCode::Ambiguous => StatusCode::BAD_REQUEST,
        ErrorCode::Builtin
        | ErrorCode::SubnetOverlap
        | ErrorCode::AddressTaken
        | ErrorCode::AddressesExhausted
        | ErrorCode::AlreadyConnected
        | ErrorCode::NetworkInUse => StatusCode::FORBIDDEN,
        ErrorCode::NetworkNotFound
        | ErrorCode::ContainerNotFound
        | ErrorCode::RouteNotFound
        | ErrorCode::NoSuchPath => StatusCode::NOT_FOUND,
        ErrorCode::NameTaken
        | ErrorCode::NetworkDiffers
        | ErrorCode::NotAsRecorded
        | ErrorCode::RouteExists
        | ErrorCode::NotRunning
        | ErrorCode::NamespaceKept
        | ErrorCode::BridgeFull => StatusCode::CONFLICT,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
