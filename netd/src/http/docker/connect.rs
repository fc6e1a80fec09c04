//! `POST /networks/{network}/connect` and `.../disconnect`.

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use netd_model::{Alias, LinkLocal, Mac};

use super::create::said;
use super::given::{Json, Word};
use super::problem::Problem;
use super::sentences::not_connectable;
use super::wire::network::{ConnectRequest, DisconnectRequest, EndpointConfig};
use super::{container_of, network_of, whole};
use crate::engine::{Absent, EngineError, Leave, Which, Wish};
use crate::http::routes::App;

pub(super) async fn connect(
    Shared(app): Shared<App>,
    Word(word): Word,
    Json(request): Json<ConnectRequest>,
) -> Result<StatusCode, Problem> {
    let network = network_of(&app, &word).await?;
    let container = container_of(&app, &request.container.unwrap_or_default()).await?;
    let wish = wish(request.endpoint_config.unwrap_or_default())?;
    let between = (container.id, network.id);
    // The engine is content with what is there already, if it is as asked for; Docker never is.
    let wish = Wish { anew: true, ..wish };
    let aliases = wish.aliases.clone();
    let engine = app.engine;
    let done = whole(async move { engine.connect(between.1, between.0, wish).await }).await?;
    match done {
        Ok(_) => Ok(StatusCode::OK),
        Err(error @ EngineError::NotConnectable { .. }) => {
            Err(not_connectable(error, &network, &container, &aliases))
        }
        Err(error) => Err(error.into()),
    }
}

fn wish(given: EndpointConfig) -> Result<Wish, Problem> {
    if let Some(link) = given.links.iter().flatten().next() {
        return Err(Problem::bad(format!(
            "invalid endpoint settings:\nlink {link} cannot be made for a container that runs; give the other container an alias on the network"
        )));
    }
    let ipam = given.ipam_config.unwrap_or_default();
    let v4 = said(ipam.ipv4_address).map(|text| address("IPv4", &text, IpAddr::is_ipv4));
    let v6 = said(ipam.ipv6_address).map(|text| address("IPv6", &text, IpAddr::is_ipv6));
    let link_local = ipam.link_local_ips.unwrap_or_default().into_iter();
    let link_local = link_local.map(|text| parsed::<LinkLocal>("link-local address", &text));
    let aliases = given.aliases.unwrap_or_default().into_iter();
    let aliases = aliases.map(|text| parsed::<Alias>("alias", &text));
    let mac = said(given.mac_address).map(|text| parsed::<Mac>("MAC address", &text));
    let options = netd_drivers::parse_endpoint_options(&given.driver_opts.unwrap_or_default());
    Ok(Wish {
        ips: v4.into_iter().chain(v6).collect::<Result<_, _>>()?,
        link_local: link_local.collect::<Result<_, _>>()?,
        mac: mac.transpose()?,
        aliases: aliases.collect::<Result<_, _>>()?,
        options: options.map_err(EngineError::from)?,
        gateway_priority: given.gw_priority.unwrap_or_default(),
        ..Wish::default()
    })
}

fn invalid(what: &str, given: &str, reason: impl Display) -> Problem {
    Problem::bad(format!(
        "invalid endpoint settings:\ninvalid {what} {given}: {reason}"
    ))
}

fn address(family: &str, text: &str, fits: fn(&IpAddr) -> bool) -> Result<IpAddr, Problem> {
    let what = format!("{family} address");
    let address: IpAddr = parsed(&what, text)?;
    match fits(&address) {
        true => Ok(address),
        false => Err(invalid(&what, text, "it is of the other family")),
    }
}

fn parsed<T: FromStr<Err: Display>>(what: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error| invalid(what, text, error))
}

pub(super) async fn disconnect(
    Shared(app): Shared<App>,
    Word(word): Word,
    Json(request): Json<DisconnectRequest>,
) -> Result<StatusCode, Problem> {
    let network = network_of(&app, &word).await?;
    let word = request.container.unwrap_or_default();
    let container = match container_of(&app, &word).await {
        Ok(container) => container,
        // Docker then looks for an endpoint that its container left behind. Here none stays behind.
        Err(problem) if request.force == Some(true) && problem.is_not_found() => {
            return Err(Problem::not_found(format!("endpoint {word} not found")));
        }
        Err(problem) => return Err(problem),
    };
    let engine = app.engine;
    let (network, container) = (network.id, container.id);
    // Docker has a container on a network once, so what it takes off is off entirely.
    let leave = Leave {
        which: Which::All,
        absent: Absent::Refuse,
    };
    let done = whole(async move { engine.disconnect(network, container, leave).await });
    done.await??;
    Ok(StatusCode::OK)
}
