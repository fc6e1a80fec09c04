//! What Podman asks for: `setup`, `teardown`, `update`, `version`.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::IpAddr;
use std::path::Path;

use netd_api::{
    Attached, Client, ClientError, ContainerView, ErrorCode, NetworkRequest, PortsRequest,
    RuntimeKey, UpdateRequest, WantedNetwork,
};
use serde_json::{Value, json};

use super::failure::Failure;
use super::network::{self, MADE, Meant};
use super::request::{self, Join};
use super::wire::{Request, StatusBlock};
use super::{ports, warn};
use crate::handover::check_path;
use crate::netns;

/// `version`: what this is.
pub(super) fn version() -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": "",
        "build_time": "",
        "target": format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        "default_fw_driver": "netd",
    })
}

/// `setup`: connects the namespace to each network, all of them or none.
pub(super) fn setup(
    client: &Client,
    path: &Path,
    request: &Request,
) -> Result<BTreeMap<String, StatusBlock>, Failure> {
    check_path("the namespace", path).map_err(Failure::Asked)?;
    let netns = netns::open(path)?;
    let joins = joins(client, request, &netns)?;
    let mut made: Vec<(RuntimeKey, String)> = Vec::new();
    let mut answer = BTreeMap::new();
    for (join, was_there) in joins {
        let attached = attach(client, &join).inspect_err(|_| {
            // What cannot be undone now goes with the namespace, which Podman removes after this.
            for (key, network) in &made {
                drop(client.release(key));
                tidy(client, request, network);
            }
        })?;
        if !was_there {
            made.push((join.wish.key.clone(), join.network.clone()));
        }
        answer.insert(join.network.clone(), request::status(&join, &attached));
    }
    Ok(answer)
}

/// Every place, complete before the first of them is made; and whether it was there before.
fn joins(client: &Client, request: &Request, netns: &File) -> Result<Vec<(Join, bool)>, Failure> {
    let mut joins = Vec::new();
    for place in request.places()? {
        let meant = Meant::read(&request.info(&place.name)?)?;
        joins.push(request::join(request, &place, (meant, netns))?);
    }
    let ports = ports::requests(request.port_mappings.as_deref().unwrap_or_default())?;
    // A container that is to be known has eth0 first. What another has already decides about ports.
    let is_first = joins.len() == 1 && joins[0].wish.key.interface.as_str() == "eth0";
    let known = match is_first && ports.is_empty() {
        true => None,
        false => known(client, request)?,
    };
    if let Some(carrier) = request::carrier(&joins, &ports, known.as_ref()) {
        joins[carrier].wish.ports = ports;
    }
    let was_there = |join: &Join| {
        let mut places = known.iter().flat_map(|view| &view.networks);
        places.any(|place| place.interface.as_ref() == Some(&join.wish.key.interface))
    };
    let each = joins.into_iter().map(|join| {
        let was_there = was_there(&join);
        (join, was_there)
    });
    Ok(each.collect())
}

/// The container as netd knows it.
fn known(client: &Client, request: &Request) -> Result<Option<ContainerView>, Failure> {
    match client.container(&request.container_id) {
        Ok(view) => Ok(Some(view)),
        Err(ClientError::Refused { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// How often a network that was left over may be in the way.
const TRIES: u8 = 3;

fn attach(client: &Client, join: &Join) -> Result<Attached, Failure> {
    let mut wish = join.wish.clone();
    for _ in 1..TRIES {
        let refused = match client.attach(&wish) {
            Err(error) if is(&error, ErrorCode::NetworkDiffers) => error,
            done => return done.map_err(|error| refusal(join, error)),
        };
        let WantedNetwork::Described(described) = &join.wish.network else {
            return Err(refusal(join, refused));
        };
        match reconsider(client, described)? {
            Some(network) => wish.network = network,
            None => return Err(refusal(join, refused)),
        }
    }
    client.attach(&wish).map_err(|error| refusal(join, error))
}

/// What to do about a network of the described name that is otherwise: one that was made for Podman and that nobody is
/// on is left over from a definition that is no more; one that others made is joined if it fits.
fn reconsider(
    client: &Client,
    described: &NetworkRequest,
) -> Result<Option<WantedNetwork>, Failure> {
    let again = || Some(WantedNetwork::Described(Box::new(described.clone())));
    let view = match client.network(described.name.as_str()) {
        Ok(view) => view,
        Err(error) if is(&error, ErrorCode::NetworkNotFound) => return Ok(again()),
        Err(error) => return Err(error.into()),
    };
    if !view.labels.contains_key(MADE) {
        let fits = network::fits(&view, described);
        return Ok(fits.then(|| WantedNetwork::Existing(view.id.to_string())));
    }
    match client.remove_network(&view.id.to_string()) {
        Ok(()) => Ok(again()),
        Err(error) if is(&error, ErrorCode::NetworkNotFound) => Ok(again()),
        Err(error) if is(&error, ErrorCode::NetworkInUse) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is(error: &ClientError, code: ErrorCode) -> bool {
    matches!(error, ClientError::Refused { body, .. } if body.code == code)
}

fn refusal(join: &Join, source: ClientError) -> Failure {
    let ClientError::Refused { body, .. } = &source else {
        return source.into();
    };
    let hint = match body.code {
        ErrorCode::NetworkDiffers => {
            "; remove the one that is not wanted, or create Podman's with `--ipam-driver none --label org.netd.network=NAME`"
        }
        ErrorCode::AddressTaken => {
            "; Podman gives out addresses by itself: keep them apart with `--ip-range`, or leave them to netd with `--ipam-driver none --label org.netd.network=NAME`"
        }
        _ => "",
    };
    Failure::Refused {
        network: join.network.clone(),
        source,
        hint,
    }
}

/// `teardown`: disconnects the container from each network. Content with whatever is gone already, and with a daemon that
/// is away if the namespace is gone: the daemon gives back by itself what belonged to it.
pub(super) fn teardown(client: &Client, path: &Path, request: &Request) -> Result<(), Failure> {
    let places = request.places()?;
    let mut failures = Vec::new();
    for place in &places {
        let key = request::key(request, place)?;
        match client.release(&key) {
            Ok(()) => tidy(client, request, &place.name),
            Err(error) if error.is_unreachable() && netns::open(path).is_err() => {
                warn(&format!(
                    "{error}; the namespace is gone, so the daemon gives back all it had as soon as it runs"
                ));
                return Ok(());
            }
            Err(error) if error.is_unreachable() => return Err(error.into()),
            Err(error) => failures.push(format!("network {}: {error}", place.name)),
        }
    }
    if !failures.is_empty() {
        return Err(Failure::Left(failures));
    }
    move_ports(client, request);
    Ok(())
}

/// Removes a network that was made for Podman once its last container is gone: Podman keeps the definition, and says
/// nothing when that goes. What somebody gave it besides stays, and the network with it.
fn tidy(client: &Client, request: &Request, name: &str) {
    let named = request.info(name).is_ok_and(|info| {
        let labels = info.labels.unwrap_or_default();
        labels.contains_key(network::NAMED)
    });
    if named {
        return;
    }
    let Ok(view) = client.network(name) else {
        return;
    };
    let is_bare =
        view.containers.is_empty() && view.allowed_networks.is_empty() && view.uplinks.is_empty();
    if is_bare && view.labels.contains_key(MADE) {
        // Whoever came meanwhile keeps it.
        drop(client.remove_network(&view.id.to_string()));
    }
}

/// Publishes the ports on a network that is left, if they went with the one that did not stay.
fn move_ports(client: &Client, request: &Request) {
    let mappings = request.port_mappings.as_deref().unwrap_or_default();
    if mappings.is_empty() {
        return;
    }
    let Ok(Some(view)) = known(client, request) else {
        return;
    };
    let has_ports = view.networks.iter().any(|place| !place.ports.is_empty());
    if view.networks.is_empty() || has_ports {
        return;
    }
    let published = ports::requests(mappings).map(|ports| {
        let request = PortsRequest { ports };
        client.publish(&view.id.to_string(), &request)
    });
    match published {
        // On an internal network there is nothing to publish.
        Ok(Ok(_)) => {}
        Ok(Err(error)) if is(&error, ErrorCode::InvalidRequest) => {}
        Ok(Err(error)) => warn(&format!("its ports are published no more: {error}")),
        Err(failure) => warn(&failure.to_string()),
    }
}

/// `update`: gives a network other resolvers. One that netd does not have gets them when its next container comes, since
/// Podman has written them down.
pub(super) fn update(client: &Client, name: &str, servers: &[IpAddr]) -> Result<(), Failure> {
    let view = match client.network(name) {
        Ok(view) => view,
        Err(error) if is(&error, ErrorCode::NetworkNotFound) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if !view.labels.contains_key(MADE) {
        let why = "netd has it from somebody else than Podman; use `net update --dns`";
        return Err(Failure::network(name, why));
    }
    let request = UpdateRequest {
        add_dns: servers.to_vec(),
        remove_dns: view.dns_servers,
        ..UpdateRequest::default()
    };
    client.update_network(&view.id.to_string(), &request)?;
    Ok(())
}
