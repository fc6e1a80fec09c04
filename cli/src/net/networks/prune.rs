//! `net prune`: networks that nobody uses, or records of containers that ended.

use std::io::{self, BufRead, IsTerminal};

use jiff::Timestamp;
use netd_api::{Client, ErrorCode, PruneReport};

use super::is;
use crate::net::args::PruneArgs;
use crate::net::failure::Failure;
use crate::net::filter::{Filter, is_dangling, leave_network};
use crate::net::out;

/// Removes what nobody uses, and tells of it.
pub(in crate::net) fn prune(client: &Client, args: &PruneArgs) -> Result<(), Failure> {
    let what = match args.containers {
        true => "forgets every container that has ended",
        false if args.filter.is_empty() => {
            "removes every network that no container is connected to"
        }
        false => "removes every network that fits the filter and that no container is connected to",
    };
    if !args.force && io::stdin().is_terminal() && !confirmed(what)? {
        return Ok(());
    }
    if args.containers {
        let report = client.prune_containers()?;
        return tell("Containers", &report.containers, &report.failures);
    }
    let report = match args.filter.is_empty() {
        true => client.prune_networks()?,
        false => prune_fitting(client, &args.filter)?,
    };
    tell("Networks", &report.networks, &report.failures)
}

fn prune_fitting(client: &Client, filters: &[Filter]) -> Result<PruneReport, Failure> {
    let mut report = PruneReport::default();
    let now = Timestamp::now();
    let mut networks = client.networks()?;
    // A configuration has no containers by its nature, so it is no leftover.
    networks
        .retain(|view| is_dangling(view) && !view.config_only && leave_network(filters, view, now));
    for view in networks {
        match client.remove_network(&view.id.to_string()) {
            Ok(()) => report.networks.push(view.name),
            // Somebody came onto it, or removed it: then it is none of ours.
            Err(error)
                if is(&error, ErrorCode::NetworkInUse)
                    || is(&error, ErrorCode::NetworkNotFound) => {}
            Err(error) if error.is_unreachable() => return Err(error.into()),
            Err(error) => report.failures.push(format!("{}: {error}", view.name)),
        }
    }
    Ok(report)
}

fn tell(kind: &str, names: &[impl std::fmt::Display], failures: &[String]) -> Result<(), Failure> {
    if !names.is_empty() {
        let lines: String = names.iter().map(|name| format!("{name}\n")).collect();
        out::print(&format!("Deleted {kind}:\n{lines}"))?;
    }
    for failure in failures {
        out::say(failure);
    }
    match failures {
        [] => Ok(()),
        _ => Err(Failure::Partly),
    }
}

fn confirmed(what: &str) -> io::Result<bool> {
    out::ask(&format!("This {what}. Go on? [y/N] "));
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
