//! The verbs of what leads to other hosts: `route add`, `route rm`, `route ls`, `uplink`.

use netd_api::{Client, RouteRequest, RouteView, UplinkRequest};
use serde_json::{Value, json};

use super::args::{RouteAddArgs, RouteArgs, RouteLsArgs, RouteRmArgs, RouteVerb, UplinkArgs};
use super::failure::Failure;
use super::format::Format;
use super::networks::{each, pretty};
use super::out;
use super::table::{self, Room};

/// Places of columns that say least.
const DEVICE: usize = 2;
const MASQUERADE: usize = 4;

/// `net route`.
pub(super) fn route(client: &Client, args: RouteArgs) -> Result<(), Failure> {
    match args.verb {
        RouteVerb::Add(args) => add(client, args),
        RouteVerb::Rm(args) => remove(client, &args),
        RouteVerb::Ls(args) => list(client, &args),
    }
}

fn add(client: &Client, args: RouteAddArgs) -> Result<(), Failure> {
    client.add_route(&RouteRequest {
        subnet: args.subnet,
        gateway: args.gateway,
        networks: args.network,
        masquerade: args.masquerade,
    })?;
    Ok(())
}

/// Goes on after a refusal.
fn remove(client: &Client, args: &RouteRmArgs) -> Result<(), Failure> {
    each(&args.subnets, |subnet| {
        client.remove_route(*subnet)?;
        Ok(out::print(&format!("{subnet}\n"))?)
    })
}

/// `net uplink`.
pub(super) fn uplink(client: &Client, args: UplinkArgs) -> Result<(), Failure> {
    let (network, device, force) = (args.network, args.device, args.force);
    if args.rm {
        return Ok(client.remove_uplink(&network, &device)?);
    }
    Ok(client.add_uplink(&network, &UplinkRequest { device, force })?)
}

fn list(client: &Client, args: &RouteLsArgs) -> Result<(), Failure> {
    let format = Format::parse(args.format.as_deref())?;
    let routes = client.routes()?;
    let text = if args.json {
        pretty(&routes)?
    } else if args.quiet {
        let subnets = routes.iter().map(|route| format!("{}\n", route.subnet));
        subnets.collect()
    } else if let Some(format) = format {
        let rows: Vec<Value> = routes.iter().map(row).collect();
        format.render(&rows, |_| None)?
    } else {
        let cells = |route: &RouteView| {
            [
                route.subnet.to_string(),
                route.gateway.to_string(),
                route.device.to_string(),
                networks(route),
                yes_or_no(route.masquerade).to_owned(),
            ]
        };
        let rows: Vec<_> = routes.iter().map(cells).collect();
        let room = Room {
            limit: out::width().filter(|_| !args.no_trunc),
            dispensable: &[MASQUERADE, DEVICE],
            precious: None,
        };
        let head = ["SUBNET", "GATEWAY", "DEVICE", "NETWORKS", "MASQUERADE"];
        table::layout(head, &rows, room)
    };
    Ok(out::print_data(&text)?)
}

/// What `--format` sees: like everywhere nothing but texts.
fn row(route: &RouteView) -> Value {
    json!({
        "Subnet": route.subnet,
        "Gateway": route.gateway,
        "Device": route.device,
        "Networks": networks(route),
        "Masquerade": route.masquerade.to_string(),
    })
}

fn networks(route: &RouteView) -> String {
    let Some(networks) = &route.networks else {
        return "all".to_owned();
    };
    let names: Vec<&str> = networks.iter().map(|name| name.as_str()).collect();
    names.join(",")
}

fn yes_or_no(masquerade: bool) -> &'static str {
    if masquerade { "yes" } else { "no" }
}
