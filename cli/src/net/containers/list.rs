//! `net ps`.

use jiff::Timestamp;
use netd_api::{Attachment, Client, ContainerName, ContainerView};
use serde_json::{Value, json};

use super::published;
use crate::net::age;
use crate::net::args::PsArgs;
use crate::net::failure::Failure;
use crate::net::filter::leave_container;
use crate::net::format::{Format, labels};
use crate::net::networks::pretty;
use crate::net::out::{self, Tone};
use crate::net::table::{self, Room};

/// Longest command in the table, in characters, as Docker has it.
const COMMAND_WIDTH: usize = 20;
const HEAD: [&str; 6] = [
    "CONTAINER ID",
    "NAME",
    "NETWORKS",
    "PORTS",
    "STATUS",
    "COMMAND",
];
/// Where these stand in a line.
const NETWORKS: usize = 2;
const PORTS: usize = 3;
const STATUS: usize = 4;
const COMMAND: usize = 5;

/// Lists the containers, the youngest first.
pub(in crate::net) fn list(client: &Client, args: &PsArgs) -> Result<(), Failure> {
    let format = Format::parse(args.format.as_deref())?;
    let mut containers = client.containers()?;
    // Who asks for a status means all that have it.
    let all = args.all || args.filter.iter().any(|filter| filter.is_about("status"));
    // One that ended and whose network is kept has addresses and ports still.
    containers.retain(|view| all || view.ended.is_none() || !view.shared_with.is_empty());
    containers.retain(|view| leave_container(&args.filter, view));
    // Times in RFC 3339 and UTC sort as text.
    containers.sort_by(|a, b| b.created.cmp(&a.created).then(a.name.cmp(&b.name)));
    let now = Timestamp::now();
    if args.json {
        return Ok(out::print(&pretty(&containers)?)?);
    }
    if let Some(format) = format {
        let rows: Vec<Value> = containers
            .iter()
            .map(|view| row(view, args.no_trunc, now))
            .collect();
        return Ok(out::print_data(&format.render(&rows, title)?)?);
    }
    let text = if args.quiet {
        let ids = containers.iter().map(|view| id(view, args.no_trunc) + "\n");
        ids.collect()
    } else {
        table(&containers, args.no_trunc, now)
    };
    Ok(out::print(&text)?)
}

fn table(containers: &[ContainerView], whole: bool, now: Timestamp) -> String {
    let cells = |view: &ContainerView| {
        [
            id(view, whole),
            view.name.to_string(),
            networks(view),
            ports(view),
            status(view, now),
            command(view, whole),
        ]
    };
    let rows: Vec<_> = containers.iter().map(cells).collect();
    let tones: Vec<Tone> = containers.iter().map(tone).collect();
    let room = Room {
        limit: out::width().filter(|_| !whole),
        dispensable: &[COMMAND, PORTS, NETWORKS],
        precious: Some(STATUS),
    };
    table::coloured(HEAD, &rows, room, |line| (STATUS, tones[line]))
}

fn id(view: &ContainerView, whole: bool) -> String {
    if whole {
        view.id.to_string()
    } else {
        view.id.short()
    }
}

fn command(view: &ContainerView, whole: bool) -> String {
    let command = view.command.join(" ");
    match command.as_str() {
        "" => command,
        command if whole => format!("\"{command}\""),
        command => format!(
            "\"{}\"",
            table::shorten(&out::plain(command), COMMAND_WIDTH)
        ),
    }
}

/// Each network with the addresses there; the mode for a container without a namespace of its own.
fn networks(view: &ContainerView) -> String {
    let one = |at: &Attachment| {
        let addresses = at
            .addresses
            .iter()
            .map(|address| format!(" {}", address.ip()));
        format!("{}{}", at.network, addresses.collect::<String>())
    };
    if view.networks.is_empty() {
        return mode(view);
    }
    view.networks.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Whose namespace a container is in that has none of its own.
fn mode(view: &ContainerView) -> String {
    match view.namespace.strip_prefix("container:") {
        Some(id) => {
            let short = || id.get(..12).unwrap_or(id).to_owned();
            let owner = view.owner.as_ref().map_or_else(short, ToString::to_string);
            let lost = if view.left_behind {
                " (left behind)"
            } else {
                ""
            };
            format!("container:{owner}{lost}")
        }
        None if view.namespace == "host" => "host".to_owned(),
        None => String::new(),
    }
}

fn ports(view: &ContainerView) -> String {
    let ports: Vec<String> = published(view).iter().map(ToString::to_string).collect();
    ports.join(", ")
}

fn status(view: &ContainerView, now: Timestamp) -> String {
    let Some(ended) = &view.ended else {
        let up = age::words_since(&view.created, now);
        return up.map_or_else(|| "Up".to_owned(), |up| format!("Up {up}"));
    };
    let code = view
        .exit_code
        .map_or_else(|| "?".to_owned(), |code| code.to_string());
    let ago = age::words_since(ended, now);
    let exited = ago.map_or_else(
        || format!("Exited ({code})"),
        |ago| format!("Exited ({code}) {ago} ago"),
    );
    match view.shared_with.as_slice() {
        [] => exited,
        keepers => {
            let keepers: Vec<&str> = keepers.iter().map(ContainerName::as_str).collect();
            format!("{exited}, network kept by {}", keepers.join(", "))
        }
    }
}

fn tone(view: &ContainerView) -> Tone {
    match (&view.ended, view.exit_code) {
        (None, _) => Tone::Good,
        (Some(_), Some(0)) => Tone::Quiet,
        (Some(_), _) => Tone::Bad,
    }
}

/// What `--format` sees: Docker's names, and like there nothing but texts.
fn row(view: &ContainerView, whole: bool, now: Timestamp) -> Value {
    let mut networks: Vec<&str> = Vec::new();
    for at in &view.networks {
        // One that it is on by several interfaces is one network.
        if !networks.contains(&at.network.as_str()) {
            networks.push(at.network.as_str());
        }
    }
    let age = age::words_since(&view.created, now);
    json!({
        "ID": id(view, whole),
        "Names": view.name,
        "Networks": if networks.is_empty() { mode(view) } else { networks.join(",") },
        "Ports": ports(view),
        "Status": status(view, now),
        "State": view.state,
        "Command": command(view, whole),
        "CreatedAt": view.created,
        "RunningFor": age.map_or_else(String::new, |age| format!("{age} ago")),
        "Labels": labels(&view.labels),
    })
}

fn title(field: &str) -> Option<&'static str> {
    match field {
        "ID" => Some("CONTAINER ID"),
        "CreatedAt" => Some("CREATED AT"),
        "RunningFor" => Some("CREATED"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{now, view};
    use super::*;

    #[test]
    fn ps_shows_where_a_container_is_and_how() {
        let mut ended = view();
        ended.name = "c2".parse().unwrap();
        ended.networks.clear();
        ended.ended = Some("2026-11-20T18:01:00Z".to_owned());
        ended.exit_code = Some(137);
        ended.command.clear();
        let shown = table(&[view(), ended], false, now());
        let golden = "\
CONTAINER ID   NAME      NETWORKS            PORTS                                                                                                   STATUS                       COMMAND
f9f9f9f9f9f9   c1        bridge 172.17.0.2   0.0.0.0:5353-5354->53-54/udp, 0.0.0.0:8082->80/tcp, 127.0.0.1:8081->80/tcp, [::]:8082->80/tcp   Up 3 minutes                 \"/bin/sleep 10000000…\"
f9f9f9f9f9f9   c2                                                                                                                                    Exited (137) 2 minutes ago   
";
        let squeeze = |text: &str| -> Vec<String> {
            text.lines()
                .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect()
        };
        assert_eq!(squeeze(&shown), squeeze(golden));
    }

    #[test]
    fn modes_without_a_namespace_are_named() {
        let mut host = view();
        host.networks.clear();
        host.namespace = "host".to_owned();
        assert_eq!(networks(&host), "host");
        host.namespace = format!("container:{}", "ef".repeat(32));
        assert_eq!(networks(&host), "container:efefefefefef");
        host.owner = Some("web".parse().unwrap());
        assert_eq!(networks(&host), "container:web");
        host.left_behind = true;
        assert_eq!(networks(&host), "container:web (left behind)");
    }

    #[test]
    fn an_unknown_end_is_not_invented() {
        let mut view = view();
        view.ended = Some("2026-11-20T18:03:09Z".to_owned());
        assert_eq!(status(&view, now()), "Exited (?) 1 second ago");
        assert_eq!(tone(&view), Tone::Bad);
    }
}
