//! `net ls`.

use jiff::Timestamp;
use netd_api::{Client, NetworkView};
use serde_json::{Value, json};

use super::pretty;
use crate::net::args::LsArgs;
use crate::net::failure::Failure;
use crate::net::filter::leave_network;
use crate::net::format::{Format, labels};
use crate::net::out;
use crate::net::table::{self, Room};

/// Where the driver and the scope stand in a line.
const DRIVER: usize = 2;
const SCOPE: usize = 3;

/// Lists the networks by name.
pub(in crate::net) fn list(client: &Client, args: &LsArgs) -> Result<(), Failure> {
    let format = Format::parse(args.format.as_deref())?;
    let mut networks = client.networks()?;
    networks.retain(|view| leave_network(&args.filter, view, Timestamp::now()));
    networks.sort_by(|a, b| a.name.cmp(&b.name));
    let id = |network: &NetworkView| match args.no_trunc {
        true => network.id.to_string(),
        false => network.id.short(),
    };
    let text = if args.json {
        pretty(&networks)?
    } else if args.quiet {
        networks.iter().map(|network| id(network) + "\n").collect()
    } else if let Some(format) = format {
        let rows: Vec<Value> = networks.iter().map(|view| row(view, id(view))).collect();
        format.render(&rows, title)?
    } else {
        let cells = |view: &NetworkView| {
            let (driver, scope) = (view.driver.clone(), view.scope.clone());
            [id(view), view.name.to_string(), driver, scope]
        };
        let rows: Vec<_> = networks.iter().map(cells).collect();
        let room = Room {
            limit: out::width().filter(|_| !args.no_trunc),
            dispensable: &[SCOPE, DRIVER],
            precious: None,
        };
        table::layout(["NETWORK ID", "NAME", "DRIVER", "SCOPE"], &rows, room)
    };
    Ok(out::print_data(&text)?)
}

/// What `--format` sees: Docker's names, and like there nothing but texts.
fn row(view: &NetworkView, id: String) -> Value {
    json!({
        "ID": id,
        "Name": view.name,
        "Driver": view.driver,
        "Scope": view.scope,
        "IPv6": view.enable_ipv6.to_string(),
        "Internal": view.internal.to_string(),
        "Labels": labels(&view.labels),
        "CreatedAt": view.created,
    })
}

fn title(field: &str) -> Option<&'static str> {
    match field {
        "ID" => Some("NETWORK ID"),
        "CreatedAt" => Some("CREATED AT"),
        _ => None,
    }
}
