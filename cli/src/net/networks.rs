//! The verbs of networks: `create`, `rm`, `ls`, `inspect`, `update`, `prune`, `connect`, `disconnect`, `allow`, `deny`.

mod list;
mod pools;
mod prune;
mod update;

pub(super) use list::list;
pub(super) use prune::prune;
pub(super) use update::update;

use std::io;

use netd_api::{
    Client, ClientError, ConnectRequest, DisconnectRequest, ErrorCode, NetworkRequest, PairRequest,
};
use serde::Serialize;
use serde_json::Value;

use super::args::{ConnectArgs, CreateArgs, DisconnectArgs, InspectArgs, PairArgs, RmArgs};
use super::failure::Failure;
use super::format::usage;
use super::progress::Progress;
use super::template::{Template, TemplateError};
use super::{out, target};

/// `net create`.
pub(super) fn create(client: &Client, args: CreateArgs) -> Result<(), Failure> {
    let pools = pools::assemble(&args).map_err(|error| Failure::Usage(error.to_string()))?;
    let created = client.create_network(&NetworkRequest {
        name: args.name,
        driver: args.driver,
        internal: args.internal,
        ipv4: args.ipv4,
        ipv6: args.ipv6,
        attachable: args.attachable,
        pools,
        options: args.opt.into_iter().collect(),
        labels: args.label.into_iter().collect(),
        dns_servers: args.dns,
        config_only: args.config_only,
        config_from: args.config_from,
    })?;
    for warning in &created.warnings {
        out::say(&format!("warning: {warning}"));
    }
    Ok(out::print(&format!("{}\n", created.id))?)
}

/// `net rm`: goes on after a refusal.
pub(super) fn remove(client: &Client, args: &RmArgs) -> Result<(), Failure> {
    each(&args.networks, |network| {
        Progress::of(format!("removing {network}")).until(|| client.remove_network(network))?;
        Ok(out::print(&format!("{network}\n"))?)
    })
}

/// Does something to each of several, tells of each failure, and fails if there was any. Without a daemon, or without a
/// reader, there is no use in going on.
pub(super) fn each<T>(
    names: &[T],
    mut action: impl FnMut(&T) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut failed = false;
    for name in names {
        match action(name) {
            Ok(()) => {}
            Err(Failure::Client(error)) if !error.is_unreachable() => {
                out::say(&error.to_string());
                failed = true;
            }
            Err(other) => return Err(other),
        }
    }
    if failed { Err(Failure::Partly) } else { Ok(()) }
}

/// `net inspect`: prints what it found, then tells what it did not find.
pub(super) fn inspect(client: &Client, args: &InspectArgs) -> Result<(), Failure> {
    let template = args.format.as_deref().map(Template::parse).transpose();
    let template = template.map_err(usage)?;
    let mut found = Vec::new();
    let outcome = each(&args.names, |name| {
        found.push(find(client, name)?);
        Ok(())
    });
    if !matches!(outcome, Ok(()) | Err(Failure::Partly)) {
        return outcome;
    }
    let text = match template {
        None => pretty(&found)?,
        Some(template) => {
            let line = |value| Ok(template.render(value)? + "\n");
            let lines: Result<String, TemplateError> = found.iter().map(line).collect();
            lines.map_err(usage)?
        }
    };
    out::print_data(&text)?;
    outcome
}

/// A network or container of that name, or else what has an id that begins so; the network of both. A name such as `db`
/// may well begin an id.
fn find(client: &Client, name: &str) -> Result<Value, Failure> {
    let network = match client.network(name) {
        Ok(view) if view.name.as_str() == name => return Ok(value(&view)?),
        Err(error)
            if !is(&error, ErrorCode::NetworkNotFound) && !is(&error, ErrorCode::Ambiguous) =>
        {
            return Err(error.into());
        }
        unclear => unclear,
    };
    match (network, client.container(name)) {
        (_, Ok(view)) if view.name.as_str() == name => Ok(value(&view)?),
        (Ok(view), _) => Ok(value(&view)?),
        (Err(error), Ok(view)) if is(&error, ErrorCode::NetworkNotFound) => Ok(value(&view)?),
        (Err(absent), Err(error)) if is(&error, ErrorCode::ContainerNotFound) => Err(absent.into()),
        (_, Err(other)) => Err(other.into()),
        (Err(several), _) => Err(several.into()),
    }
}

/// True if the daemon refused with that code.
pub(super) fn is(error: &ClientError, code: ErrorCode) -> bool {
    matches!(error, ClientError::Refused { body, .. } if body.code == code)
}

fn value<T: Serialize>(view: &T) -> io::Result<Value> {
    serde_json::to_value(view).map_err(io::Error::from)
}

/// JSON indented by four, as Docker prints it, with a line end.
pub(super) fn pretty<T: Serialize>(value: &T) -> io::Result<String> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    value.serialize(&mut serde_json::Serializer::with_formatter(
        &mut bytes, formatter,
    ))?;
    bytes.push(b'\n');
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// `net connect`: a container that netd knows, or a namespace that it gets to know thereby.
pub(super) fn connect(client: &Client, args: ConnectArgs) -> Result<(), Failure> {
    let target = target::open(client, &args.container)?;
    let known = match &target {
        target::Target::Handed(handed) if args.name.is_none() => handed.known(client)?,
        _ => None,
    };
    let (container, netns, name) = match &target {
        target::Target::Known(_) if args.name.is_some() => {
            return Err(Failure::Usage(format!(
                "--name is for a namespace that netd does not know yet; {} has a name",
                args.container
            )));
        }
        target::Target::Known(name) => (Some(name.clone()), None, None),
        // What netd knows already is that container, whatever it is called here, and may have further networks.
        target::Target::Handed(_) if args.name.is_none() && known.is_some() => {
            (known.clone(), None, None)
        }
        target::Target::Handed(handed) => {
            let name = args.name.or_else(|| handed.default_name.clone());
            (None, Some(handed.netns()), name)
        }
    };
    if !args.publish.is_empty()
        && let Some(warning) = super::run::not_published(client, &args.network)
    {
        out::say(&format!("warning: {warning}"));
    }
    let ips = addresses(args.ip, args.ip6);
    let request = ConnectRequest {
        container,
        netns,
        name,
        ips,
        link_local_ips: args.link_local_ip,
        mac: args.mac_address,
        aliases: args.alias,
        interface: args.interface,
        driver_options: args.driver_opt.into_iter().collect(),
        rates: args.rates.rates()?,
        gateway_priority: args.gw_priority,
        ports: args.publish,
    };
    client.connect(&args.network, &request)?;
    Ok(())
}

/// The addresses of `--ip` and `--ip6`.
pub(super) fn addresses(
    v4: Option<std::net::Ipv4Addr>,
    v6: Option<std::net::Ipv6Addr>,
) -> Vec<std::net::IpAddr> {
    let v4 = v4.map(std::net::IpAddr::from);
    v4.into_iter()
        .chain(v6.map(std::net::IpAddr::from))
        .collect()
}

/// `net disconnect`.
pub(super) fn disconnect(client: &Client, args: &DisconnectArgs) -> Result<(), Failure> {
    let request = DisconnectRequest {
        container: target::known(client, &args.container)?,
        interface: args.interface.clone(),
        force: args.force,
    };
    Ok(client.disconnect(&args.network, &request)?)
}

/// `net allow`.
pub(super) fn allow(client: &Client, args: PairArgs) -> Result<(), Failure> {
    let request = PairRequest {
        network: args.other,
    };
    Ok(client.allow(&args.one, &request)?)
}

/// `net deny`.
pub(super) fn deny(client: &Client, args: PairArgs) -> Result<(), Failure> {
    let request = PairRequest {
        network: args.other,
    };
    Ok(client.deny(&args.one, &request)?)
}
