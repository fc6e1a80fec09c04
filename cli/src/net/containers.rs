//! The verbs of containers that only ask: `ps`, `stop`, `port`, `publish`, `unpublish`.

use jiff::Timestamp;
use netd_api::{
    Attachment, Client, ContainerView, PortsRequest, Protocol, PublishedPort, StopRequest,
};

use super::args::{PortArgs, PsArgs, PublishArgs, StopArgs};
use super::failure::Failure;
use super::networks::{each, pretty};
use super::{age, out, table, target};

/// Longest command in the table, in characters, as Docker has it.
const COMMAND_WIDTH: usize = 20;

/// `net ps`.
pub(super) fn list(client: &Client, args: &PsArgs) -> Result<(), Failure> {
    let mut containers = client.containers()?;
    containers.retain(|view| args.all || view.ended.is_none());
    // The youngest first: times in RFC 3339 and UTC sort as text.
    containers.sort_by(|a, b| b.created.cmp(&a.created).then(a.name.cmp(&b.name)));
    let text = if args.json {
        pretty(&containers)?
    } else if args.quiet {
        containers
            .iter()
            .map(|view| id(view, args.no_trunc) + "\n")
            .collect()
    } else {
        rows(&containers, args.no_trunc, Timestamp::now())
    };
    Ok(out::print(&text)?)
}

fn id(view: &ContainerView, whole: bool) -> String {
    if whole {
        view.id.to_string()
    } else {
        view.id.short()
    }
}

fn rows(containers: &[ContainerView], whole: bool, now: Timestamp) -> String {
    let row = |view: &ContainerView| {
        let command = view.command.join(" ");
        let command = if whole {
            command
        } else {
            table::shorten(&out::plain(&command), COMMAND_WIDTH)
        };
        [
            id(view, whole),
            view.name.to_string(),
            networks(view),
            ports(view),
            status(view, now),
            if command.is_empty() {
                command
            } else {
                format!("\"{command}\"")
            },
        ]
    };
    let rows: Vec<_> = containers.iter().map(row).collect();
    table::layout(
        [
            "CONTAINER ID",
            "NAME",
            "NETWORKS",
            "PORTS",
            "STATUS",
            "COMMAND",
        ],
        &rows,
    )
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
        let id = view.namespace.strip_prefix("container:");
        return match id {
            Some(id) => format!("container:{}", id.get(..12).unwrap_or(id)),
            None if view.namespace == "host" => "host".to_owned(),
            None => String::new(),
        };
    }
    view.networks.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn ports(view: &ContainerView) -> String {
    let ports: Vec<String> = published(view).iter().map(ToString::to_string).collect();
    ports.join(", ")
}

/// Every published port, in the order of the container's ports.
fn published(view: &ContainerView) -> Vec<PublishedPort> {
    let mut ports: Vec<_> = view
        .networks
        .iter()
        .flat_map(|at| at.ports.clone())
        .collect();
    ports.sort_by_key(|port| {
        (
            port.container_ports,
            port.protocol,
            port.host_ip,
            port.host_ports,
        )
    });
    ports.dedup();
    ports
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
    ago.map_or_else(
        || format!("Exited ({code})"),
        |ago| format!("Exited ({code}) {ago} ago"),
    )
}

/// `net stop`: goes on after a refusal.
pub(super) fn stop(client: &Client, args: &StopArgs) -> Result<(), Failure> {
    let request = StopRequest {
        timeout_seconds: args.time,
    };
    each(&args.containers, |container| {
        client.stop(&target::known(client, container)?, &request)?;
        Ok(out::print(&format!("{container}\n"))?)
    })
}

/// `net port`.
pub(super) fn port(client: &Client, args: &PortArgs) -> Result<(), Failure> {
    let wanted = args.port.as_deref().map(wanted_port).transpose()?;
    let view = client.container(&target::known(client, &args.container)?)?;
    let text = port_lines(&view, wanted);
    match wanted {
        Some((port, protocol)) if text.is_empty() => Err(Failure::Refused(format!(
            "port {port}/{protocol} of {} is not published; `net publish {} -p {port}/{protocol}` does that",
            view.name, view.name
        ))),
        _ => Ok(out::print(&text)?),
    }
}

fn wanted_port(text: &str) -> Result<(u16, Protocol), Failure> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let port = port.parse().ok().filter(|port| *port > 0);
    port.zip(protocol.parse().ok()).ok_or_else(|| {
        Failure::Usage(format!(
            "{text:?} is not a port: expected PORT or PORT/PROTOCOL, such as 53/udp"
        ))
    })
}

/// One line for each published port, as `docker port` prints it; of one port only the host's side.
fn port_lines(view: &ContainerView, wanted: Option<(u16, Protocol)>) -> String {
    let mut pairs: Vec<_> = published(view)
        .iter()
        .flat_map(|ports| {
            let key = |(host, inside)| (inside, ports.protocol, ports.host_ip, host);
            ports.pairs().map(key).collect::<Vec<_>>()
        })
        .collect();
    pairs.sort_unstable();
    let line = |(inside, protocol, ip, host): (u16, Protocol, std::net::IpAddr, u16)| {
        let host = std::net::SocketAddr::new(ip, host);
        match wanted {
            None => Some(format!("{inside}/{protocol} -> {host}\n")),
            Some(wanted) if wanted == (inside, protocol) => Some(format!("{host}\n")),
            Some(_) => None,
        }
    };
    pairs.into_iter().filter_map(line).collect()
}

/// `net publish`: prints what is published now.
pub(super) fn publish(client: &Client, args: PublishArgs) -> Result<(), Failure> {
    let container = target::known(client, &args.container)?;
    let view = client.publish(
        &container,
        &PortsRequest {
            ports: args.publish,
        },
    )?;
    Ok(out::print(&port_lines(&view, None))?)
}

/// `net unpublish`: prints what is still published.
pub(super) fn unpublish(client: &Client, args: PublishArgs) -> Result<(), Failure> {
    let container = target::known(client, &args.container)?;
    let view = client.unpublish(
        &container,
        &PortsRequest {
            ports: args.publish,
        },
    )?;
    Ok(out::print(&port_lines(&view, None))?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn view() -> ContainerView {
        let port = |ip: &str, host: &str, inside: &str, protocol: &str| json!({"protocol": protocol, "host_ip": ip, "host_ports": host, "container_ports": inside});
        serde_json::from_value(json!({
            "id": "f9".repeat(32), "name": "c1", "hostname": "c1", "created": "2026-11-20T18:00:00Z",
            "state": "running", "ended": null, "exit_code": null,
            "command": ["/bin/sleep", "100000000000000"], "namespace": "private", "pid": 7, "netns_path": null,
            "files": {"hosts": "", "resolv_conf": "", "hostname": ""}, "labels": {},
            "networks": [{
                "network_id": "ab".repeat(32), "network": "bridge", "endpoint_id": "cd".repeat(32),
                "interface": "eth0", "host_interface": "veth1", "mac": null,
                "addresses": ["172.17.0.2/16"], "gateways": [], "aliases": [],
                "ports": [
                    port("127.0.0.1", "8081", "80", "tcp"), port("0.0.0.0", "8082", "80", "tcp"),
                    port("::", "8082", "80", "tcp"), port("0.0.0.0", "5353-5354", "53-54", "udp"),
                ],
            }],
        }))
        .unwrap()
    }

    fn now() -> Timestamp {
        "2026-11-20T18:03:10Z".parse().unwrap()
    }

    #[test]
    fn ps_shows_where_a_container_is_and_how() {
        let mut ended = view();
        ended.name = "c2".parse().unwrap();
        ended.networks.clear();
        ended.ended = Some("2026-11-20T18:01:00Z".to_owned());
        ended.exit_code = Some(137);
        ended.command.clear();
        let shown = rows(&[view(), ended], false, now());
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
    fn port_prints_as_docker_port_does() {
        let all = "\
53/udp -> 0.0.0.0:5353
54/udp -> 0.0.0.0:5354
80/tcp -> 0.0.0.0:8082
80/tcp -> 127.0.0.1:8081
80/tcp -> [::]:8082
";
        assert_eq!(port_lines(&view(), None), all);
        assert_eq!(
            port_lines(&view(), Some((54, Protocol::Udp))),
            "0.0.0.0:5354\n"
        );
        assert_eq!(port_lines(&view(), Some((54, Protocol::Tcp))), "");
        assert!(wanted_port("0").is_err() && wanted_port("80/icmp").is_err());
    }

    #[test]
    fn modes_without_a_namespace_are_named() {
        let mut host = view();
        host.networks.clear();
        host.namespace = "host".to_owned();
        assert_eq!(networks(&host), "host");
        host.namespace = format!("container:{}", "ef".repeat(32));
        assert_eq!(networks(&host), "container:efefefefefef");
    }

    #[test]
    fn an_unknown_end_is_not_invented() {
        let mut view = view();
        view.ended = Some("2026-11-20T18:03:09Z".to_owned());
        assert_eq!(status(&view, now()), "Exited (?) 1 second ago");
    }
}
